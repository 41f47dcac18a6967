//! The built-in sign-in of `daypass dev`: an issuer inside of the process, with one person per role.
//!
//! Its key is made at every start and never leaves the process; tokens of earlier starts mean nothing. There is no way to
//! switch it on outside of `daypass dev`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::ports::SharedClock;
use domain::{Issuer, SignedDuration};
use identity::fetch::MemoryFetch;
use identity::{Algorithm, Authenticator, DirectoryClaim, IssuerConfig};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wiring::StartError;

/// The issuer's name. `.invalid` is reserved: nobody else can have it (RFC 2606).
pub(crate) const ISSUER: &str = "https://dev.daypass.invalid";
const AUDIENCE: &str = "https://daypass.invalid";
const KEY_ID: &str = "dev";
const TOKEN_DURATION: SignedDuration = SignedDuration::from_hours(12);

/// Who can sign in, and what each is for.
pub(crate) const PEOPLE: [(&str, &str); 5] = [
    ("ada", "requester, a developer"),
    ("bob", "approver"),
    ("carol", "administrator"),
    ("dave", "administrator, the second person"),
    ("eve", "auditor"),
];

/// Makes an issuer, and a token per person in `folder`. `directory_ids` says which user of Identity Center each is.
pub(crate) fn issue(
    folder: &Path,
    directory_ids: &BTreeMap<&str, String>,
    clock: &SharedClock,
) -> Result<Authenticator, StartError> {
    let random = SystemRandom::new();
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| no_key())?;
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).map_err(|_| no_key())?;
    let issuer = Issuer::new(ISSUER).map_err(other)?;
    let fetch = MemoryFetch::new();
    fetch.put_issuer(&issuer, &serde_json::json!({ "keys": [public_jwk(&pair)?] }));
    let mut config = IssuerConfig::new(issuer, [AUDIENCE.to_owned()], [Algorithm::Es256]);
    "directory_id".clone_into(&mut config.directory_claim);
    if !directory_ids.is_empty() {
        config.directory_claim_is = DirectoryClaim::UserId;
    }
    let authenticator =
        Authenticator::with_fetch(vec![config], clock.clone(), Arc::new(fetch)).map_err(other)?;

    let key = jsonwebtoken::EncodingKey::from_ec_der(pkcs8.as_ref());
    let header = jsonwebtoken::Header {
        typ: Some("at+jwt".to_owned()),
        kid: Some(KEY_ID.to_owned()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256)
    };
    let now = clock.now();
    for (name, _) in PEOPLE {
        let claims = serde_json::json!({
            "iss": ISSUER,
            "sub": name,
            "aud": AUDIENCE,
            "client_id": "daypass-dev",
            "iat": now.as_second(),
            "auth_time": now.as_second(),
            "exp": now.as_second() + TOKEN_DURATION.as_secs(),
            "directory_id": directory_ids.get(name).map_or(name, String::as_str),
        });
        let token = jsonwebtoken::encode(&header, &claims, &key).map_err(other)?;
        keep(&folder.join("tokens"), name, &token)?;
    }
    Ok(authenticator)
}

fn public_jwk(pair: &EcdsaKeyPair) -> Result<serde_json::Value, StartError> {
    // Uncompressed: 0x04, then x and y of 32 bytes each (SEC 1, 2.3.3).
    let (x, y) = pair
        .public_key()
        .as_ref()
        .split_first()
        .and_then(|(_, point)| point.split_at_checked(32))
        .ok_or_else(no_key)?;
    Ok(serde_json::json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
        "x": BASE64.encode(x), "y": BASE64.encode(y),
    }))
}

/// Writes a token where only its owner can read it.
fn keep(folder: &Path, name: &str, token: &str) -> Result<(), StartError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = folder.join(name);
    let write = || {
        std::fs::create_dir_all(folder)?;
        let _ = std::fs::remove_file(&path);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(token.as_bytes())
    };
    write().map_err(|error| StartError::File { path: path.display().to_string(), error })
}

fn no_key() -> StartError {
    StartError::Other("no key for the built-in sign-in could be made".to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn other(error: impl ToString) -> StartError {
    StartError::Other(error.to_string())
}
