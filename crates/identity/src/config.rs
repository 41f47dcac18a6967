//! What an operator says about one issuer.

use crate::{Algorithm, fetch};
use domain::{GroupSource, Issuer};
use jiff::SignedDuration;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Claims that a user, or a rename, can change: OIDC Core §5.7 and the identity providers' own pages say not to identify by them.
const MUTABLE_CLAIMS: [&str; 10] = [
    "email",
    "preferred_username",
    "username",
    "upn",
    "unique_name",
    "name",
    "nickname",
    "given_name",
    "family_name",
    "phone_number",
];
/// Group source of the Identity Store itself, which no token may speak for.
const RESERVED_GROUP_SOURCE: &str = "identity-store";
/// Tokens above this would not fit into the header lists that servers accept anyway.
const TOKEN_BYTES_CEILING: usize = 64 * 1024;
/// RFC 7519 §4.1.4: leeway is "no more than a few minutes".
const LEEWAY_CEILING: SignedDuration = SignedDuration::from_secs(300);

/// One trusted issuer of tokens. In TOML, durations are written like `"30s"` or `"1h"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The issuer's URL, byte for byte as its discovery document and tokens say it.
    pub issuer: Issuer,
    /// A token's `aud` must hold one of these. They must not be the id of a client that people sign in with.
    pub audiences: BTreeSet<String>,
    /// The algorithms that this issuer signs with; all others are refused.
    pub algorithms: BTreeSet<Algorithm>,
    /// The clients that tokens may have been issued to; empty: any client of the issuer.
    #[serde(default)]
    pub authorized_parties: BTreeSet<String>,
    /// Claims that name the client (Okta: add `cid`; Entra v1: `appid`). Those that a token has must agree.
    #[serde(default = "default_client_claims")]
    pub client_claims: BTreeSet<String>,
    /// How an access token is told from an ID token.
    #[serde(default)]
    pub access_token_type: AccessTokenType,
    /// How a workload is told from a human.
    #[serde(default)]
    pub workloads: Workloads,
    /// If set, a human's token must carry this claim, and a token of neither kind is refused. A token that is both is a workload's.
    /// If not, a human's token must say when or how its holder signed in (`auth_time`, `amr`) and carry no mark of a program's;
    /// every other is a workload's.
    #[serde(default)]
    pub humans: Option<ClaimIs>,
    /// Where a token's groups are; `None`: this issuer says nothing about groups.
    #[serde(default)]
    pub groups: Option<GroupClaim>,
    /// The claim that names the Identity Center user. Must be one that its holder cannot change.
    #[serde(default = "default_directory_claim")]
    pub directory_claim: String,
    /// What that claim's value is.
    #[serde(default)]
    pub directory_claim_is: DirectoryClaim,
    /// How far the issuer's clock and ours may be apart.
    #[serde(default = "default_leeway")]
    pub leeway: SignedDuration,
    /// Longer tokens are refused before anything is done with them.
    #[serde(default = "default_token_bytes_max")]
    pub token_bytes_max: usize,
    /// How long keys are believed, and how often they are asked for.
    #[serde(default)]
    pub keys: KeyTimes,
    /// What the issuer's URLs may lead to.
    #[serde(default)]
    pub network: Network,
}

/// What the directory claim's value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum DirectoryClaim {
    /// The external id that the identity store keeps for this issuer: the issuer can speak for its own users alone.
    #[default]
    #[serde(rename = "external_id")]
    ExternalId,
    /// The identity store's own id. The issuer can then speak for every user, so only one that is trusted with all of them may.
    #[serde(rename = "user_id")]
    UserId,
}

/// How an access token is told from an ID token. Unless they are the same, a token is refused that carries `nonce`, `at_hash`,
/// `c_hash` or `s_hash` (OIDC Core §2, §3.3.2.11: ID tokens only), or says so itself (`"typ": "ID"` as a claim, as Keycloak does).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum AccessTokenType {
    /// RFC 9068: the header's `typ` must be `at+jwt` or `application/at+jwt`.
    #[default]
    #[serde(rename = "at+jwt")]
    AtJwt,
    /// For issuers that call everything a JWT (Entra, Keycloak, Okta): `typ` may also be `JWT` or absent. As it then proves
    /// nothing, the token must carry what only access tokens have (`scope`, `scp`, `client_id`, `cid` or `idtyp`), and its
    /// audience must not be the client itself, as an ID token's is.
    #[serde(rename = "JWT")]
    Jwt,
    /// For issuers whose access tokens are ID tokens (Dex): nothing in them tells one from the other, so what counts is whom the
    /// token is for. Besides the client that it was issued to, a configured audience must be in it, which it has only if that
    /// client asked for it. `authorized_parties` must name the clients that may, and none of them may be an audience.
    #[serde(rename = "id_token")]
    IdToken,
}

/// How a workload's token is told: any of these.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workloads {
    /// `sub` is the client itself: the client-credentials grant (RFC 9068 §2.2).
    pub subject_is_client: bool,
    /// A claim says so, for example `idtyp` = `app` of Entra.
    pub claim: Option<ClaimIs>,
}

impl Default for Workloads {
    fn default() -> Self {
        Self { subject_is_client: true, claim: None }
    }
}

/// A claim with one of some values. A claim that is a list holds if one of its items does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimIs {
    /// The claim's name; with a leading `/`, a JSON pointer into the claims.
    pub claim: String,
    /// Exact values; empty: any, as long as the claim is there.
    #[serde(default)]
    pub values: BTreeSet<String>,
}

/// Where a token's groups are, and what their names belong to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupClaim {
    /// What the names belong to. No two issuers share one.
    pub source: GroupSource,
    /// The claim's name; with a leading `/`, a JSON pointer into the claims (`/realm_access/roles`).
    pub claim: String,
}

/// How long keys are believed, and how often they are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyTimes {
    /// Tokens with unknown keys cause at most one fetch in so long.
    pub miss_interval: SignedDuration,
    /// Known keys are asked for again after so long.
    pub refresh_after: SignedDuration,
    /// Known keys that could not be confirmed for so long are no longer believed.
    pub age_max: SignedDuration,
}

impl Default for KeyTimes {
    fn default() -> Self {
        Self {
            miss_interval: SignedDuration::from_secs(10),
            refresh_after: SignedDuration::from_mins(5),
            age_max: SignedDuration::from_hours(1),
        }
    }
}

/// What an issuer's URLs may lead to. Redirects and proxies are never followed, answers are bounded in size and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Allows `http`. For development only: who is on the path is the issuer.
    pub allow_http: bool,
    /// Allows loopback, private and link-local addresses: development, or an issuer inside the company's network.
    pub allow_private_addresses: bool,
}

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{field}: {why}")]
pub struct ConfigProblem {
    /// Where, as in TOML: `audiences`, `groups.source`; from [`problems_of`] with `issuers[n].` before it.
    pub field: String,
    /// What it must be.
    pub why: &'static str,
}

impl IssuerConfig {
    /// An issuer with the defaults of everything that has one.
    pub fn new(
        issuer: Issuer,
        audiences: impl IntoIterator<Item = String>,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Self {
        Self {
            issuer,
            audiences: audiences.into_iter().collect(),
            algorithms: algorithms.into_iter().collect(),
            authorized_parties: BTreeSet::new(),
            client_claims: default_client_claims(),
            access_token_type: AccessTokenType::default(),
            workloads: Workloads::default(),
            humans: None,
            groups: None,
            directory_claim: default_directory_claim(),
            directory_claim_is: DirectoryClaim::default(),
            leeway: default_leeway(),
            token_bytes_max: default_token_bytes_max(),
            keys: KeyTimes::default(),
            network: Network::default(),
        }
    }

    /// Checks everything, and returns all that is wrong at once.
    pub fn validate(&self) -> Result<(), Vec<ConfigProblem>> {
        let mut problems = Problems(Vec::new());
        self.check_url(&mut problems);
        self.check_names(&mut problems);
        self.check_groups(&mut problems);
        self.check_limits(&mut problems);
        self.check_parties(&mut problems);
        if problems.0.is_empty() { Ok(()) } else { Err(problems.0) }
    }

    fn check_parties(&self, problems: &mut Problems) {
        if self.access_token_type != AccessTokenType::IdToken {
            return;
        }
        problems.unless(
            !self.authorized_parties.is_empty(),
            "authorized_parties",
            "must name the clients that may ask for tokens, as access_token_type is id_token",
        );
        problems.unless(
            self.authorized_parties.is_disjoint(&self.audiences),
            "audiences",
            "must be none of authorized_parties, as access_token_type is id_token",
        );
    }

    fn check_url(&self, problems: &mut Problems) {
        let Ok(url) = url::Url::parse(self.issuer.as_str()) else {
            return problems.add("issuer", "must be a URL");
        };
        problems.unless(
            url.query().is_none() && url.fragment().is_none(),
            "issuer",
            "must have no query and no fragment (OIDC Discovery §3)",
        );
        problems.unless(
            url.username().is_empty() && url.password().is_none(),
            "issuer",
            "must not carry a user name or password",
        );
        if let Err(error) = fetch::check_url(&url, self.network) {
            problems.add("issuer", error.as_str());
        }
    }

    fn check_names(&self, problems: &mut Problems) {
        for (field, names, must_have_one) in [
            ("audiences", &self.audiences, true),
            ("client_claims", &self.client_claims, true),
            ("authorized_parties", &self.authorized_parties, false),
        ] {
            problems.unless(!must_have_one || !names.is_empty(), field, "must name at least one");
            problems.unless(names.iter().all(|name| !name.is_empty()), field, "must not hold an empty text");
        }
        problems.unless(!self.algorithms.is_empty(), "algorithms", "must name at least one");
        for (field, rule) in
            [("workloads.claim.claim", &self.workloads.claim), ("humans.claim", &self.humans)]
        {
            if let Some(rule) = rule {
                problems.unless(!rule.claim.is_empty(), field, "must not be empty");
            }
        }
        problems.unless(
            self.workloads.subject_is_client || self.workloads.claim.is_some() || self.humans.is_some(),
            "workloads",
            "must leave a way to tell workloads from humans: subject_is_client, a claim, or `humans`",
        );
        problems.unless(!self.directory_claim.is_empty(), "directory_claim", "must not be empty");
        problems.unless(
            !MUTABLE_CLAIMS.contains(&self.directory_claim.trim_start_matches('/')),
            "directory_claim",
            "must be a claim that its holder cannot change, such as sub or oid",
        );
    }

    fn check_groups(&self, problems: &mut Problems) {
        if let Some(groups) = &self.groups {
            problems.unless(!groups.claim.is_empty(), "groups.claim", "must not be empty");
            problems.unless(
                groups.source.as_str() != RESERVED_GROUP_SOURCE,
                "groups.source",
                "must not be identity-store, which is the directory's own",
            );
        }
    }

    fn check_limits(&self, problems: &mut Problems) {
        problems.unless(
            !self.leeway.is_negative() && self.leeway <= LEEWAY_CEILING,
            "leeway",
            "must be from 0s to 5m",
        );
        problems.unless(
            (1..=TOKEN_BYTES_CEILING).contains(&self.token_bytes_max),
            "token_bytes_max",
            "must be from 1 to 65536",
        );
        problems.unless(
            self.keys.miss_interval >= SignedDuration::from_secs(1),
            "keys.miss_interval",
            "must be at least 1s",
        );
        problems.unless(
            self.keys.refresh_after >= SignedDuration::from_secs(1),
            "keys.refresh_after",
            "must be at least 1s",
        );
        problems.unless(
            self.keys.age_max >= self.keys.refresh_after,
            "keys.age_max",
            "must not be shorter than keys.refresh_after",
        );
    }
}

/// All that is wrong with some issuers, each by itself and together: two of the same URL, two of the same group source.
pub fn problems_of(issuers: &[IssuerConfig]) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    let mut urls = BTreeSet::new();
    let mut sources = BTreeSet::new();
    for (index, issuer) in issuers.iter().enumerate() {
        let mut add = |field: &str, why| {
            problems.push(ConfigProblem { field: format!("issuers[{index}].{field}"), why });
        };
        for problem in issuer.validate().err().unwrap_or_default() {
            add(&problem.field, problem.why);
        }
        if !urls.insert(&issuer.issuer) {
            add("issuer", "must not be configured twice");
        }
        if let Some(groups) = &issuer.groups
            && !sources.insert(&groups.source)
        {
            add("groups.source", "must not be shared with another issuer");
        }
    }
    problems
}

struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, field: &str, why: &'static str) {
        self.0.push(ConfigProblem { field: field.to_owned(), why });
    }

    fn unless(&mut self, ok: bool, field: &str, why: &'static str) {
        if !ok {
            self.add(field, why);
        }
    }
}

fn default_client_claims() -> BTreeSet<String> {
    ["azp", "client_id"].map(str::to_owned).into()
}

fn default_directory_claim() -> String {
    "sub".to_owned()
}

fn default_leeway() -> SignedDuration {
    SignedDuration::from_secs(30)
}

fn default_token_bytes_max() -> usize {
    16 * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        issuer = "https://idp.example"
        audiences = ["daypass"]
        algorithms = ["RS256", "ES256", "PS256", "EdDSA"]
    "#;

    #[test]
    fn what_has_a_default_may_be_left_out() {
        let config: IssuerConfig = toml::from_str(MINIMAL).unwrap();
        assert_eq!(
            config,
            IssuerConfig::new(
                Issuer::new("https://idp.example").unwrap(),
                ["daypass".to_owned()],
                [Algorithm::Rs256, Algorithm::Es256, Algorithm::Ps256, Algorithm::EdDsa],
            )
        );
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn everything_can_be_said_in_toml() {
        let config: IssuerConfig = toml::from_str(&format!(
            r#"{MINIMAL}
            authorized_parties = ["portal", "cli"]
            client_claims = ["azp", "appid"]
            access_token_type = "JWT"
            workloads = {{ subject_is_client = false, claim = {{ claim = "idtyp", values = ["app"] }} }}
            humans = {{ claim = "scp" }}
            groups = {{ source = "entra", claim = "groups" }}
            directory_claim = "oid"
            directory_claim_is = "user_id"
            leeway = "10s"
            token_bytes_max = 8192
            keys = {{ miss_interval = "5s", refresh_after = "1m", age_max = "2h" }}
            network = {{ allow_http = true, allow_private_addresses = true }}
            "#
        ))
        .unwrap();
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.keys.age_max, SignedDuration::from_hours(2));
    }

    #[test]
    fn none_hmac_and_unknown_fields_cannot_be_configured() {
        for text in [
            MINIMAL.replace("RS256", "none"),
            MINIMAL.replace("RS256", "HS256"),
            format!("{MINIMAL}\nalgorithm = \"RS256\""),
            format!("{MINIMAL}\nnetwork = {{ allow_redirects = true }}"),
        ] {
            assert!(toml::from_str::<IssuerConfig>(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut config = IssuerConfig::new(Issuer::new("http://u@127.0.0.1/?x").unwrap(), [], []);
        config.directory_claim = "email".to_owned();
        config.leeway = SignedDuration::from_hours(1);
        config.token_bytes_max = 0;
        config.workloads.subject_is_client = false;
        config.keys.age_max = SignedDuration::ZERO;
        config.groups =
            Some(GroupClaim { source: GroupSource::new("identity-store").unwrap(), claim: String::new() });
        let problems = config.validate().unwrap_err();
        let fields: BTreeSet<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(
            fields,
            BTreeSet::from([
                "issuer",
                "audiences",
                "algorithms",
                "workloads",
                "directory_claim",
                "groups.claim",
                "groups.source",
                "leeway",
                "token_bytes_max",
                "keys.age_max",
            ])
        );
    }

    #[test]
    fn issuers_share_neither_url_nor_group_source() {
        let mut one: IssuerConfig = toml::from_str(MINIMAL).unwrap();
        one.groups =
            Some(GroupClaim { source: GroupSource::new("corp").unwrap(), claim: "groups".to_owned() });
        let problems = problems_of(&[one.clone(), one]);
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["issuers[1].issuer", "issuers[1].groups.source"]);
    }
}
