//! An OpenID Connect provider: the certified npm `oidc-provider`, with people who sign in through its pages and programs that
//! have a secret. Its access tokens are RFC 9068 JWTs for [`AUDIENCE`].
//!
//! INVARIANT: no token is minted here; every one comes out of the provider's own flows.

mod browser;
mod sign_in;

pub use sign_in::{SignInError, Tokens};

use crate::process::{Process, StartError};
use crate::tools::{node_modules, workspace};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What access tokens are for.
pub const AUDIENCE: &str = "https://daypass.test";
/// The public client that people sign in with.
pub const CLIENT: &str = "daypass-cli";
/// The source of the groups that tokens carry.
pub const GROUP_SOURCE: &str = "idp";
/// Everybody who can sign in, with the groups that their tokens carry; `mallory` is in none.
pub const PEOPLE: [(&str, &[&str]); 6] = [
    ("ada", &["developers"]),
    ("bob", &["approvers"]),
    ("carol", &["admins"]),
    ("dave", &["admins", "approvers"]),
    ("eve", &["auditors"]),
    ("mallory", &[]),
];
/// Every program that can get a token: the services, and one pipeline.
pub const WORKLOADS: [&str; 5] =
    ["daypass-request", "daypass-approval", "daypass-activation", "daypass-audit", "ci-bot"];

/// The resource scope that access tokens carry.
const SCOPE: &str = "daypass";
/// Where people are sent back to. Nothing listens: the browser stops there.
const REDIRECT: &str = "http://127.0.0.1/callback";
/// The claim that names the user of Identity Center.
const DIRECTORY_CLAIM: &str = "directory_id";

/// How the provider is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcOptions {
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// How long an access token lives.
    pub access_token_seconds: u32,
    /// Whether tokens carry the `groups` of [`PEOPLE`]. If not, groups are the directory's matter alone.
    pub group_claims: bool,
    /// The Identity Center users of people, carried in a claim of their tokens. Empty: no such claim, `sub` is what is known.
    pub directory_ids: BTreeMap<String, String>,
}

impl Default for OidcOptions {
    /// RS256, an hour, groups in tokens, and no mapping to users.
    fn default() -> Self {
        Self {
            algorithm: SigningAlgorithm::Rs256,
            access_token_seconds: 3_600,
            group_claims: true,
            directory_ids: BTreeMap::new(),
        }
    }
}

/// What tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSA with SHA-256.
    Rs256,
    /// ECDSA on P-256.
    Es256,
}

impl SigningAlgorithm {
    /// Its name in RFC 7518.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// What happens to the keys that signed until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKeys {
    /// Still published: tokens signed with them stay good.
    Kept,
    /// No longer published.
    Retired,
}

/// A running provider, of this test alone.
#[derive(Debug)]
pub struct OidcProvider {
    options: OidcOptions,
    issuer: String,
    process: Process,
}

impl OidcProvider {
    /// Starts a provider with new keys and waits until it answers.
    pub async fn start(options: OidcOptions) -> Result<Self, StartError> {
        let folder = tempfile::tempdir()?;
        let ready = folder.path().join("issuer");
        let settings = folder.path().join("settings.json");
        std::fs::write(&settings, settings_text(&options, &ready)?)?;
        let mut command = Command::new("node");
        command.arg(workspace().join("crates/test-servers/oidc/provider.mjs")).arg(&settings);
        let mut process = Process::spawn("oidc-provider", &mut command, folder)?;
        process
            .until(|| {
                let is_ready = ready.exists();
                async move { is_ready }
            })
            .await?;
        let issuer = std::fs::read_to_string(&ready)?;
        process.until_http(&format!("{issuer}/.well-known/openid-configuration")).await?;
        Ok(Self { options, issuer, process })
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `[[issuers]]` entry that trusts this provider.
    pub fn issuer_toml(&self) -> String {
        let mut lines = vec![
            "[[issuers]]".to_owned(),
            format!("issuer = {:?}", self.issuer),
            format!("audiences = [{AUDIENCE:?}]"),
            format!("algorithms = [{:?}]", self.options.algorithm.as_str()),
            "network = { allow_http = true, allow_private_addresses = true }".to_owned(),
            "keys = { miss_interval = \"1s\" }".to_owned(),
        ];
        if self.options.group_claims {
            lines.push(format!("groups = {{ source = {GROUP_SOURCE:?}, claim = \"groups\" }}"));
        }
        if !self.options.directory_ids.is_empty() {
            lines.push(format!("directory_claim = {DIRECTORY_CLAIM:?}"));
            lines.push("directory_claim_is = \"user_id\"".to_owned());
        }
        lines.join("\n") + "\n"
    }

    /// Signs one of [`PEOPLE`] in, as their browser would: through the login form and the consent form, from no session.
    pub async fn sign_in(&self, name: &str) -> Result<Tokens, SignInError> {
        sign_in::person(&self.issuer, name, &password_of(name)).await
    }

    /// The same with a password of the caller's choice.
    pub async fn sign_in_with(&self, name: &str, password: &str) -> Result<Tokens, SignInError> {
        sign_in::person(&self.issuer, name, password).await
    }

    /// An access token for one of [`WORKLOADS`], by the client-credentials grant.
    pub async fn client_credentials(&self, client: &str) -> Result<String, SignInError> {
        sign_in::workload(&self.issuer, client, &secret_of(client)).await
    }

    /// The secret of one of [`WORKLOADS`], for programs that get their tokens themselves.
    pub fn client_secret(&self, client: &str) -> String {
        secret_of(client)
    }

    /// Signs with a new key from now on.
    pub async fn rotate_keys(&self, old: OldKeys) -> Result<(), SignInError> {
        sign_in::rotate(&self.issuer, old == OldKeys::Retired).await
    }

    /// What it has written lately, for the message of a failing test.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

fn password_of(name: &str) -> String {
    format!("password of {name}")
}

fn secret_of(client: &str) -> String {
    format!("secret-of-{client}")
}

fn settings_text(options: &OidcOptions, ready: &Path) -> Result<String, StartError> {
    let accounts = PEOPLE.map(|(name, groups)| {
        let mut claims = serde_json::Map::new();
        if options.group_claims {
            claims.insert("groups".to_owned(), json!(groups));
        }
        if let Some(id) = options.directory_ids.get(name) {
            claims.insert(DIRECTORY_CLAIM.to_owned(), json!(id));
        }
        json!({"name": name, "password": password_of(name), "claims": claims})
    });
    let settings = json!({
        "package": node_modules()?.join("oidc-provider/lib/index.js"),
        "ready": ready,
        "algorithm": options.algorithm.as_str(),
        "accessTokenSeconds": options.access_token_seconds,
        "audience": AUDIENCE,
        "scope": SCOPE,
        "accounts": accounts,
        "people": {"client": CLIENT, "redirect": REDIRECT},
        "workloads": WORKLOADS.map(|client| json!({"client": client, "secret": secret_of(client)})),
    });
    Ok(settings.to_string())
}
