//! The sections that services have in common.

use super::{Problem, SecretRef, Section};
use crate::tls::SpiffeId;
use domain::{Issuer, Subject};
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[server]`: where to listen, and how much of anyone to put up with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port; port 0: any that is free.
    pub listen: SocketAddr,
    /// Another address, in plain text, that answers `grpc.health.v1` and nothing else: for an orchestrator, which has no certificate.
    #[serde(default)]
    pub health_listen: Option<SocketAddr>,
    /// Without it, plain text: for loopback, or behind a proxy that ends TLS.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// gRPC-Web, for browsers.
    #[serde(default)]
    pub web: Option<WebConfig>,
    /// Whether anyone may ask which services and messages there are.
    #[serde(default)]
    pub reflection: bool,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
}

/// Files in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and its chain.
    pub certificate_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// Set: clients are asked for a certificate of this CA.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// Whether those that have none are turned away.
    #[serde(default)]
    pub client_certificate: ClientCertificate,
}

/// What becomes of clients without a certificate, where there is a CA for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// They are turned away.
    #[default]
    Required,
    /// They need a token: people and services share an address.
    Optional,
}

/// Who may call from a browser.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// Exact origins: `https://portal.example`.
    pub origins: Vec<String>,
}

/// How much of anyone to put up with. Every one has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at a time; more wait in the backlog.
    pub connections_max: usize,
    /// Connections that wait to be accepted.
    pub backlog: u32,
    /// Streams at a time on one connection (tonic leaves this open).
    pub streams_per_connection_max: u32,
    /// Calls at a time on one connection; more are refused.
    pub calls_per_connection_max: usize,
    /// All headers of a call together. Room for the longest token (16 KiB) and as much again.
    pub header_list_bytes_max: u32,
    /// The longest that a call with a single answer may take, whatever its caller allows.
    #[serde(deserialize_with = "duration")]
    pub call_duration_max: Duration,
    /// A silent connection is probed after so long, and dropped when the probe stays unanswered for as long.
    #[serde(deserialize_with = "duration")]
    pub keep_alive_interval: Duration,
    /// How long calls that are being served may go on when the process is asked to end.
    #[serde(deserialize_with = "duration")]
    pub drain_duration_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            backlog: 1_024,
            streams_per_connection_max: 256,
            calls_per_connection_max: 256,
            header_list_bytes_max: 32 * 1024,
            call_duration_max: Duration::from_secs(30),
            keep_alive_interval: Duration::from_mins(1),
            drain_duration_max: Duration::from_secs(20),
        }
    }
}

impl Section for ServerConfig {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.health_listen.is_some_and(|health| health.port() != 0 && health.port() == self.listen.port())
        {
            problems.push(Problem::new("health_listen", "must have another port than listen"));
        }
        let limits = &self.limits;
        let positive = [
            ("limits.connections_max", limits.connections_max > 0),
            ("limits.backlog", limits.backlog > 0),
            ("limits.streams_per_connection_max", limits.streams_per_connection_max > 0),
            ("limits.calls_per_connection_max", limits.calls_per_connection_max > 0),
            ("limits.call_duration_max", !limits.call_duration_max.is_zero()),
            ("limits.keep_alive_interval", !limits.keep_alive_interval.is_zero()),
        ];
        problems.extend(
            positive
                .into_iter()
                .filter(|(_, ok)| !ok)
                .map(|(field, _)| Problem::new(field, "must be above zero")),
        );
        if limits.header_list_bytes_max < 8 * 1024 {
            problems.push(Problem::new(
                "limits.header_list_bytes_max",
                "must be at least 8192, or no token fits",
            ));
        }
        for (index, origin) in self.web.iter().flat_map(|web| &web.origins).enumerate() {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' ', '?', '#'])) {
                let why = "must be an exact origin, such as https://portal.example, without a path";
                problems.push(Problem::new(format!("web.origins[{index}]"), why));
            }
        }
        problems
    }
}

/// `[roles]`: who is what. Out of reach at run time, also of administrators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolesConfig {
    /// Groups of administrators, as `source:id`.
    pub administrators: Vec<String>,
    /// Groups of auditors, as `source:id`.
    pub auditors: Vec<String>,
    /// Daypass's own services, where they run as processes of their own.
    pub services: Vec<ServiceIdentity>,
}

/// A workload: as its token says, by subject or by client id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenIdentity {
    /// Who vouches for the token.
    pub issuer: Issuer,
    /// The token's subject.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// The client that the token was issued to.
    #[serde(default)]
    pub client_id: Option<String>,
}

/// A service: as its token says, by subject or by client id; or as its certificate says, by SPIFFE id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceIdentity {
    /// Who vouches for the token.
    #[serde(default)]
    pub issuer: Option<Issuer>,
    /// The token's subject.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// The client that the token was issued to.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The certificate's only URI: `spiffe://example.org/daypass/approval`.
    #[serde(default)]
    pub spiffe_id: Option<SpiffeId>,
}

impl Section for RolesConfig {
    fn problems(&self) -> Vec<Problem> {
        let within = |problem: Problem| {
            let field = problem.field.strip_prefix("roles.").map(str::to_owned).unwrap_or(problem.field);
            Problem::new(field, problem.why)
        };
        crate::Roles::new(self).err().into_iter().flatten().map(within).collect()
    }
}

/// `[log]`: where history is. The engines say more about each setting.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase", deny_unknown_fields)]
pub enum LogConfig {
    /// One machine.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// Several machines.
    Jetstream {
        /// URLs: `nats://` or `tls://`.
        servers: Vec<String>,
        /// A NATS credentials file.
        #[serde(default)]
        credentials_file: Option<PathBuf>,
        /// An NKey seed file.
        #[serde(default)]
        nkey_seed_file: Option<PathBuf>,
        /// The CA of the servers.
        #[serde(default)]
        ca_file: Option<PathBuf>,
        /// Copies of every event.
        #[serde(default = "replicas")]
        replicas: usize,
        /// Allows what loses events: fewer copies, writes that are not on disk yet.
        #[serde(default)]
        dev: bool,
        /// The operator's word that `sync_interval` is `always`, where the servers cannot be asked.
        #[serde(default)]
        operator_asserts_sync_always: bool,
        /// Where servers can be asked: `http://nats-1:8222`.
        #[serde(default)]
        monitoring_urls: Vec<String>,
    },
    /// Several machines, experimental; only in programs that are built with the feature `kurrentdb`.
    Kurrentdb {
        /// `kurrentdb://host:2113`, several hosts with commas, or `kurrentdb+discover://name`; without user and password.
        connection: String,
        /// Who we are to the server.
        #[serde(default)]
        user: Option<String>,
        /// The file with that user's password.
        #[serde(default)]
        password_file: Option<PathBuf>,
        /// What streams and event types begin with.
        #[serde(default = "namespace")]
        namespace: String,
        /// Where nodes can be asked how they are set up: `https://host:2113`.
        #[serde(default)]
        node_urls: Vec<String>,
        /// The operator's word that nodes flush to disk, where they cannot be asked.
        #[serde(default)]
        operator_asserts_flush_to_disk: bool,
    },
}

fn namespace() -> String {
    "daypass".to_owned()
}

fn replicas() -> usize {
    3
}

impl Section for LogConfig {
    fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Sqlite { path } if path.as_os_str().is_empty() => {
                vec![Problem::new("path", "must not be empty")]
            }
            Self::Jetstream { servers, .. } if servers.is_empty() => {
                vec![Problem::new("servers", "must have at least one URL")]
            }
            Self::Jetstream { credentials_file: Some(_), nkey_seed_file: Some(_), .. } => {
                vec![Problem::new("nkey_seed_file", "must not be given beside credentials_file")]
            }
            Self::Kurrentdb { connection, .. } if connection.is_empty() => {
                vec![Problem::new("connection", "must not be empty")]
            }
            Self::Kurrentdb { connection, .. } if connection.contains('@') => {
                vec![Problem::new("connection", "must not hold a user or a password: user, password_file")]
            }
            Self::Kurrentdb { user, password_file, .. } if user.is_some() != password_file.is_some() => {
                vec![Problem::new("password_file", "goes with user, and not without")]
            }
            Self::Sqlite { .. } | Self::Jetstream { .. } | Self::Kurrentdb { .. } => Vec::new(),
        }
    }
}

/// `[neighbours.<name>]`: another service of Daypass.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourConfig {
    /// `https://request.daypass.internal:8443`, or `http://…` within one machine; or a list of those. Every address that a name
    /// stands for is a replica.
    pub address: Addresses,
    /// The CA of its certificate; without it, those that the machine trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Who it must be, instead of the host of its address.
    #[serde(default)]
    pub spiffe_id: Option<SpiffeId>,
}

/// One URL, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Addresses {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Addresses {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Several(urls) => urls.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

impl Section for NeighbourConfig {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.address.iter().next().is_none() {
            problems.push(Problem::new("address", "must have at least one URL"));
        }
        for url in self.address.iter() {
            if let Err(why) = crate::outgoing::check_url(url) {
                problems.push(Problem::new("address", why));
            }
        }
        if self.spiffe_id.is_some() {
            if self.ca_file.is_none() {
                problems.push(Problem::new("spiffe_id", "goes with ca_file, the bundle of the trust domain"));
            }
            if self.address.iter().any(|url| url.starts_with("http://")) {
                problems.push(Problem::new("spiffe_id", "goes with addresses of https"));
            }
        }
        problems
    }
}

/// `[client_certificate]`: who this service is for its neighbours, by its SPIFFE id. Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificateConfig {
    /// The certificate and its chain.
    pub certificate_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

impl Section for ClientCertificateConfig {}

/// `[client_credentials]`: how this service gets a token for calls to its neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// The issuer's token endpoint.
    pub token_url: String,
    /// Our name there.
    pub client_id: String,
    /// Where the secret is.
    pub client_secret: SecretRef,
    /// What to ask for.
    #[serde(default)]
    pub scope: Option<String>,
    /// For whom the token is, as Auth0 and others want it said.
    #[serde(default)]
    pub audience: Option<String>,
    /// For whom the token is, as RFC 8707 says it.
    #[serde(default)]
    pub resource: Option<String>,
}

impl Section for ClientCredentials {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.token_url.starts_with("https://") && !self.token_url.starts_with("http://") {
            problems.push(Problem::new("token_url", "must be a URL of http or https"));
        }
        if self.client_id.is_empty() {
            problems.push(Problem::new("client_id", "must not be empty"));
        }
        problems
    }
}

/// `[telemetry]`: what is told about a running process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub format: LogFormat,
    /// Which there are: `info`, `info,request=debug`.
    pub filter: String,
    /// The OTLP endpoint (gRPC) that traces go to: `http://collector:4317`. Without it, nowhere.
    pub otlp_endpoint: Option<String>,
}

impl TelemetryConfig {
    /// Lines for a person at a terminal, on standard error and nowhere else.
    pub fn for_people(filter: &str) -> Self {
        Self { format: LogFormat::Human, filter: filter.to_owned(), otlp_endpoint: None }
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned(), otlp_endpoint: None }
    }
}

impl Section for TelemetryConfig {
    fn problems(&self) -> Vec<Problem> {
        match tracing_subscriber::EnvFilter::try_new(&self.filter) {
            Ok(_) => Vec::new(),
            Err(error) => vec![Problem::new("filter", error.to_string())],
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// For programs: one JSON object per line.
    #[default]
    Json,
}

/// A duration, written like `"30s"` or `"5m"`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let signed = domain::SignedDuration::deserialize(deserializer)?;
    Duration::try_from(signed).map_err(|_| serde::de::Error::custom("must not be negative"))
}
