//! What a token's claims must say, and what is made of them.
//!
//! INVARIANT: no clock; the caller supplies the time. Instants are whole numbers of seconds, and nothing else is one.

use crate::config::{AccessTokenType, ClaimIs, DirectoryClaim, GroupClaim, IssuerConfig};
use crate::{AuthError, Caller, DirectoryId};
use domain::{Actor, ActorKind, GroupRef, Groups, Person, Subject, Timestamp};
use serde_json::Value;
use std::collections::BTreeSet;

/// Claims that only ID tokens carry (OIDC Core §2 and §3.3.2.11, FAPI for `s_hash`).
const ID_TOKEN_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];
/// Claims that only access tokens carry, by issuer: RFC 9068, Entra (`scp`, `idtyp`), Okta (`scp`, `cid`).
const ACCESS_TOKEN_CLAIMS: [&str; 5] = ["scope", "scp", "client_id", "cid", "idtyp"];
/// Claims that name the client, by issuer: OIDC Core, RFC 9068, Okta, Entra v1.
const CLIENT_CLAIMS: [&str; 4] = ["azp", "client_id", "cid", "appid"];
/// As long as a subject may be (OIDC Core §2).
const TEXT_BYTES_MAX: usize = 255;

/// The claims of a token: a JSON object.
pub(crate) struct Claims(Value);

impl Claims {
    pub(crate) fn new(value: Value) -> Result<Self, AuthError> {
        if value.is_object() { Ok(Self(value)) } else { Err(AuthError::Malformed) }
    }

    /// `iss`, which says whose rules apply.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.get("iss").and_then(Value::as_str)
    }

    /// The caller, if the claims satisfy `config` at `now`. `typ` is the header's. The signature must have been verified.
    pub(crate) fn caller(
        &self,
        typ: Option<&str>,
        config: &IssuerConfig,
        now: Timestamp,
    ) -> Result<Caller, AuthError> {
        let expires_at = self.check_times(config, now)?;
        let audiences = self.audiences()?;
        if !audiences.iter().any(|audience| config.audiences.contains(*audience)) {
            return Err(AuthError::WrongAudience);
        }
        let client = self.client(config)?;
        self.check_is_access_token(typ, config, &audiences, client)?;
        let subject =
            self.text("sub")?.and_then(|text| Subject::new(text).ok()).ok_or(AuthError::BadClaim("sub"))?;
        let kind = self.kind(config, &subject, client)?;
        Ok(Caller {
            actor: Actor {
                person: Person { issuer: config.issuer.clone(), subject },
                kind,
                client_id: client.map(str::to_owned),
                auth_time: self.instant("auth_time")?,
                acr: self.text("acr")?.map(str::to_owned),
            },
            groups: config.groups.as_ref().map(|groups| self.groups(groups)),
            directory_id: self
                .get(&config.directory_claim)
                .and_then(Value::as_str)
                .filter(|text| is_short_text(text))
                .map(|text| directory_id(config.directory_claim_is, text)),
            expires_at,
        })
    }

    fn check_times(&self, config: &IssuerConfig, now: Timestamp) -> Result<Timestamp, AuthError> {
        let expires_at = self.instant("exp")?.ok_or(AuthError::BadClaim("exp"))?;
        if now.duration_since(expires_at) >= config.leeway {
            return Err(AuthError::Expired);
        }
        let is_future = |at: Timestamp| at.duration_since(now) > config.leeway;
        if self.instant("nbf")?.is_some_and(is_future) {
            return Err(AuthError::NotYetValid);
        }
        if self.instant("iat")?.is_some_and(is_future) {
            return Err(AuthError::IssuedInFuture);
        }
        Ok(expires_at)
    }

    fn audiences(&self) -> Result<Vec<&str>, AuthError> {
        match self.get("aud") {
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(many)) => {
                many.iter().map(|item| item.as_str().ok_or(AuthError::BadClaim("aud"))).collect()
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                Err(AuthError::BadClaim("aud"))
            }
        }
    }

    /// The client that the token was issued to: what the configured claims agree on.
    fn client(&self, config: &IssuerConfig) -> Result<Option<&str>, AuthError> {
        let mut client = None;
        for name in &config.client_claims {
            let Some(value) = self.get(name) else { continue };
            let text = value.as_str().filter(|text| is_short_text(text)).ok_or(AuthError::WrongParty)?;
            if client.is_some_and(|other| other != text) {
                return Err(AuthError::WrongParty);
            }
            client = Some(text);
        }
        let is_authorized = config.authorized_parties.is_empty()
            || client.is_some_and(|client| config.authorized_parties.contains(client));
        if is_authorized { Ok(client) } else { Err(AuthError::WrongParty) }
    }

    fn check_is_access_token(
        &self,
        typ: Option<&str>,
        config: &IssuerConfig,
        audiences: &[&str],
        client: Option<&str>,
    ) -> Result<(), AuthError> {
        let has_typ = |wanted: &str| typ.is_some_and(|typ| typ.eq_ignore_ascii_case(wanted));
        let is_marked = has_typ("at+jwt") || has_typ("application/at+jwt");
        let has_marks_of_id_token = ID_TOKEN_CLAIMS.iter().any(|claim| self.get(claim).is_some())
            || self.get("typ").and_then(Value::as_str) == Some("ID");
        if has_marks_of_id_token && config.access_token_type != AccessTokenType::IdToken {
            return Err(AuthError::NotAnAccessToken("it has claims of an ID token"));
        }
        match config.access_token_type {
            _ if is_marked => Ok(()),
            AccessTokenType::AtJwt => Err(AuthError::NotAnAccessToken("its typ is not at+jwt")),
            AccessTokenType::Jwt | AccessTokenType::IdToken if typ.is_some() && !has_typ("jwt") => {
                Err(AuthError::NotAnAccessToken("its typ is neither at+jwt nor JWT"))
            }
            AccessTokenType::Jwt if client.is_some_and(|client| audiences.contains(&client)) => {
                Err(AuthError::NotAnAccessToken("its audience is its own client"))
            }
            AccessTokenType::Jwt if !ACCESS_TOKEN_CLAIMS.iter().any(|claim| self.get(claim).is_some()) => {
                Err(AuthError::NotAnAccessToken("it has no claim of an access token"))
            }
            AccessTokenType::Jwt | AccessTokenType::IdToken => Ok(()),
        }
    }

    fn kind(
        &self,
        config: &IssuerConfig,
        subject: &Subject,
        client: Option<&str>,
    ) -> Result<ActorKind, AuthError> {
        let rules = &config.workloads;
        if (rules.subject_is_client && client == Some(subject.as_str()))
            || rules.claim.as_ref().is_some_and(|rule| self.satisfies(rule))
        {
            return Ok(ActorKind::Workload);
        }
        match &config.humans {
            Some(rule) if self.satisfies(rule) => Ok(ActorKind::Human),
            Some(_) => Err(AuthError::KindUnknown),
            None if self.proves_a_sign_in(subject, client) => Ok(ActorKind::Human),
            None => Ok(ActorKind::Workload),
        }
    }

    /// Whether the token says when or how a person signed in, and nothing in it says that a program did.
    ///
    /// `acr` and `sid` are no proof: Keycloak writes both for service accounts, too.
    fn proves_a_sign_in(&self, subject: &Subject, client: Option<&str>) -> bool {
        let says_when = self.get("auth_time").and_then(Value::as_i64).is_some();
        let says_how = self.get("amr").and_then(Value::as_array).is_some_and(|methods| {
            methods.iter().any(|method| method.as_str().is_some_and(|method| !method.is_empty()))
        });
        (says_when || says_how) && client != Some(subject.as_str()) && !self.is_marked_as_a_programs(subject)
    }

    /// What providers write into the tokens of programs: Entra (`idtyp`), Auth0 (`gty`, a subject `…@clients`), Keycloak (the
    /// user names of service accounts), and any that name the subject as the client under a name that is not configured.
    fn is_marked_as_a_programs(&self, subject: &Subject) -> bool {
        let text = |name| self.get(name).and_then(Value::as_str);
        let is_service_account = |name| text(name).is_some_and(|name| name.starts_with("service-account-"));
        text("idtyp") == Some("app")
            || matches!(text("gty"), Some("client-credentials" | "client_credentials"))
            || subject.as_str().ends_with("@clients")
            || ["preferred_username", "username"].into_iter().any(is_service_account)
            || CLIENT_CLAIMS.into_iter().any(|name| text(name) == Some(subject.as_str()))
    }

    fn satisfies(&self, rule: &ClaimIs) -> bool {
        let matches = |value: &Value| match value {
            Value::String(text) => rule.values.contains(text),
            Value::Bool(flag) => rule.values.contains(if *flag { "true" } else { "false" }),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        };
        match self.get(&rule.claim) {
            None => false,
            Some(_) if rule.values.is_empty() => true,
            Some(Value::Array(items)) => items.iter().any(matches),
            Some(value) => matches(value),
        }
    }

    /// All groups, or why they cannot be told. Entra leaves the claim out above 200 groups and says so in `_claim_names` or
    /// `hasgroups` (and `groups:src1` in its implicit flow).
    fn groups(&self, config: &GroupClaim) -> Groups {
        let elsewhere = self.get("_claim_names").is_some_and(|names| names.get(&config.claim).is_some())
            || self.get("hasgroups").is_some_and(|flag| flag != &Value::Bool(false))
            || self.get(&format!("{}:src1", config.claim)).is_some();
        if elsewhere {
            return Groups::Unknown("the token leaves groups out because there are too many".to_owned());
        }
        let Some(claim) = self.get(&config.claim) else {
            return Groups::Unknown("the token has no group claim".to_owned());
        };
        let groups: Option<BTreeSet<_>> = claim.as_array().and_then(|items| {
            items.iter().map(|item| GroupRef::new(config.source.as_str(), item.as_str()?).ok()).collect()
        });
        groups.map_or_else(
            || Groups::Unknown("the token's group claim is not a list of names".to_owned()),
            Groups::Known,
        )
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let value = if name.starts_with('/') { self.0.pointer(name) } else { self.0.get(name) };
        value.filter(|value| !value.is_null())
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, AuthError> {
        self.get(name)
            .map(|value| value.as_str().filter(|text| is_short_text(text)).ok_or(AuthError::BadClaim(name)))
            .transpose()
    }

    fn instant(&self, name: &'static str) -> Result<Option<Timestamp>, AuthError> {
        // Not through `get`: a null `exp`, `nbf` or `iat` is not an absent one.
        self.0
            .get(name)
            .map(|value| {
                value
                    .as_i64()
                    .and_then(|second| Timestamp::from_second(second).ok())
                    .ok_or(AuthError::BadClaim(name))
            })
            .transpose()
    }
}

fn directory_id(is: DirectoryClaim, text: &str) -> DirectoryId {
    match is {
        DirectoryClaim::ExternalId => DirectoryId::External(text.to_owned()),
        DirectoryClaim::UserId => DirectoryId::User(text.to_owned()),
    }
}

fn is_short_text(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}
