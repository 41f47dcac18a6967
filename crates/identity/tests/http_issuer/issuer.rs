//! A development issuer on a loopback port, its keys, and tokens of any shape.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{Issuer, Timestamp, ports::Clock};
use identity::{Algorithm, Authenticator, IssuerConfig, Network};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock, Mutex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

pub(crate) const NOW: i64 = 2_000_000_000;
pub(crate) const AUDIENCE: &str = "https://daypass.example";

/// A clock that tests set.
pub(crate) struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::from_second(NOW).unwrap())))
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(by).unwrap();
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub(crate) fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// A signing key.
pub(crate) enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

pub(crate) static RSA: LazyLock<Key> = LazyLock::new(new_rsa);
pub(crate) static OTHER_RSA: LazyLock<Key> = LazyLock::new(new_rsa);
pub(crate) static EC: LazyLock<Key> =
    LazyLock::new(|| Key::Ec(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()));
pub(crate) static ED: LazyLock<Key> = LazyLock::new(|| Key::Ed(Ed25519KeyPair::generate().unwrap()));

fn new_rsa() -> Key {
    Key::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())
}

impl Key {
    /// The public key as a JSON Web Key.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => json!({
                "kty": "RSA", "kid": kid, "use": "sig",
                "n": base64url(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": base64url(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({
                    "kty": "EC", "kid": kid, "crv": "P-256",
                    "x": base64url(&point[1..33]), "y": base64url(&point[33..]),
                })
            }
            Self::Ed(pair) => json!({
                "kty": "OKP", "kid": kid, "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()),
            }),
        }
    }

    /// The public key in DER, as an attacker would use it for an HMAC.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut bytes = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut bytes).unwrap();
                bytes
            }
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with exactly this header and these claims, signed as its `alg` says.
pub(crate) fn signed(key: &Key, header: &Value, claims: &Value) -> String {
    let message = unsigned(header, claims);
    let bytes = key.sign(header["alg"].as_str().unwrap_or_default(), message.as_bytes());
    format!("{message}.{}", base64url(&bytes))
}

/// A signature of `message` apart from it, with exactly this header.
pub(crate) fn detached(key: &Key, header: &Value, message: &[u8]) -> String {
    let head = base64url(header.to_string().as_bytes());
    let signed = format!("{head}.{}", base64url(message));
    let bytes = key.sign(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
    format!("{head}..{}", base64url(&bytes))
}

/// What is signed.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()))
}

/// The header of a good token.
pub(crate) fn header(kid: &str) -> Value {
    json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid })
}

/// `object` with some members replaced; `null` removes one.
pub(crate) fn with(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

/// What the issuer answers at the moment.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) discovery: ResponseTemplate,
    pub(crate) jwks: ResponseTemplate,
}

/// An issuer on a loopback port, whose key `k1` is [`RSA`].
pub(crate) struct TestIssuer {
    server: MockServer,
    published: Arc<Mutex<Published>>,
}

impl TestIssuer {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let url = server.uri();
        let published = Arc::new(Mutex::new(Published {
            discovery: ResponseTemplate::new(200)
                .set_body_json(json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") })),
            jwks: key_set(&[RSA.jwk("k1")]),
        }));
        let answers = Arc::clone(&published);
        Mock::given(any())
            .respond_with(move |request: &Request| {
                let published = answers.lock().unwrap().clone();
                match request.url.path() {
                    "/.well-known/openid-configuration" => published.discovery,
                    "/jwks" => published.jwks,
                    _ => ResponseTemplate::new(404),
                }
            })
            .mount(&server)
            .await;
        Self { server, published }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// A configuration that suits this issuer.
    pub(crate) fn config(&self) -> IssuerConfig {
        let mut config =
            IssuerConfig::new(Issuer::new(self.url()).unwrap(), [AUDIENCE.to_owned()], [Algorithm::Rs256]);
        config.network = Network { allow_http: true, allow_private_addresses: true };
        config
    }

    /// The claims of a good access token of `ada`, for an hour.
    pub(crate) fn claims(&self) -> Value {
        json!({
            "iss": self.url(), "sub": "ada", "aud": AUDIENCE, "client_id": "cli",
            "iat": NOW, "exp": NOW + 3_600, "jti": "1", "scope": "daypass",
        })
    }

    /// A good token with some claims changed.
    pub(crate) fn token(&self, changes: &Value) -> String {
        signed(&RSA, &header("k1"), &with(self.claims(), changes))
    }

    /// Changes what is answered.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.published.lock().unwrap());
    }

    pub(crate) fn publish_keys(&self, keys: &[Value]) {
        self.publish(|published| published.jwks = key_set(keys));
    }

    /// How often `path` was asked for.
    pub(crate) async fn asked(&self, path: &str) -> usize {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path() == path).count()
    }

    /// How often anything was asked for.
    pub(crate) async fn asked_at_all(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

pub(crate) fn key_set(keys: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }))
}

/// An authenticator over the network.
pub(crate) fn authenticator(configs: Vec<IssuerConfig>, clock: &Arc<TestClock>) -> Authenticator {
    Authenticator::new(configs, Arc::<TestClock>::clone(clock)).unwrap()
}

/// An issuer, a clock and an authenticator that belong together.
pub(crate) async fn setup(
    change: impl FnOnce(&mut IssuerConfig),
) -> (TestIssuer, Arc<TestClock>, Authenticator) {
    let issuer = TestIssuer::start().await;
    let clock = TestClock::new();
    let mut config = issuer.config();
    change(&mut config);
    let authenticator = authenticator(vec![config], &clock);
    (issuer, clock, authenticator)
}
