//! What Daypass has on NATS servers: by name, for those who say there who may do what; and made, by the one who may make it.

pub use event_log_jetstream::STREAM as LOG_STREAM;
pub use key_store_jetstream::{PREFIX as KEYS_PREFIX, STREAM as KEYS_STREAM};
pub use nats_connection::answers_to;

use crate::StartError;
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use key_store_jetstream::Bucket;
use nats_connection::{Connection, Credentials, Tls};
use std::path::{Path, PathBuf};

/// Events for others.
pub const EVENTS_STREAM: &str = "DAYPASS_EVENTS";
/// Their subjects.
pub const EVENTS_SUBJECTS: &str = "daypass.events.v1.>";
/// Signals from others.
pub const SIGNALS_STREAM: &str = "DAYPASS_SIGNALS";
/// Their subjects.
pub const SIGNALS_SUBJECTS: &str = "daypass.signals.v1.>";
/// The consumer by which `request` receives them.
pub const SIGNALS_CONSUMER: &str = "daypass-request";
/// Signals that could not be understood.
pub const PARKED_STREAM: &str = "DAYPASS_PARKED";
/// Their subjects.
pub const PARKED_SUBJECTS: &str = "daypass.parked.v1.>";

/// Messages that a stream of the bus keeps.
const MESSAGES_KEPT: i64 = 10_000_000;

/// A way to NATS, as sections of the configuration describe it.
pub(crate) fn connection(
    servers: &[String],
    credentials_file: Option<&PathBuf>,
    nkey_seed_file: Option<&PathBuf>,
    ca_file: Option<&PathBuf>,
) -> Connection {
    let credentials = match (credentials_file, nkey_seed_file) {
        (Some(file), _) => Credentials::File(file.clone()),
        (None, Some(file)) => Credentials::NkeySeedFile(file.clone()),
        (None, None) => Credentials::None,
    };
    let tls = ca_file.map(|file| Tls { root_certificates: Some(file.clone()), ..Tls::default() });
    Connection { servers: servers.to_vec(), credentials, tls }
}

/// Where streams are made, and on how many servers.
pub struct Making<'a> {
    /// URLs: `nats://` or `tls://`.
    pub servers: &'a [String],
    /// The seed of the one who may make them.
    pub nkey_seed_file: &'a Path,
    /// The CA of the servers.
    pub ca_file: Option<&'a PathBuf>,
    /// Copies of every message.
    pub replicas: usize,
    /// Allows fewer than three.
    pub dev: bool,
}

impl Making<'_> {
    fn connection(&self) -> Connection {
        connection(self.servers, None, Some(&self.nkey_seed_file.to_owned()), self.ca_file)
    }
}

/// Makes the bucket of the key store, or looks at the one that is there.
pub async fn make_key_store(making: &Making<'_>) -> Result<(), StartError> {
    Bucket::open(&making.connection(), making.replicas, making.dev).await?;
    Ok(())
}

/// Makes the streams of the bus that are not there.
pub async fn make_bus(making: &Making<'_>) -> Result<(), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Other(format!("the bus: {error}"));
    let connection = making.connection();
    let options = connection.options("daypass-setup").await.map_err(|error| failed(&error))?;
    let addresses = connection.addresses().map_err(|error| failed(&error))?;
    let client = options.connect(addresses).await.map_err(|error| failed(&error))?;
    let context = jetstream::new(client);
    for (name, subjects) in [
        (EVENTS_STREAM, EVENTS_SUBJECTS),
        (SIGNALS_STREAM, SIGNALS_SUBJECTS),
        (PARKED_STREAM, PARKED_SUBJECTS),
    ] {
        let config = Config {
            name: name.into(),
            subjects: vec![subjects.into()],
            storage: StorageType::File,
            num_replicas: making.replicas,
            discard: DiscardPolicy::Old,
            max_messages: MESSAGES_KEPT,
            // Events for others are stored together or not at all.
            allow_atomic_publish: name == EVENTS_STREAM,
            ..Config::default()
        };
        context.get_or_create_stream(config).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}
