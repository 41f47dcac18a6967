//! What Daypass has on NATS servers: by name, for those who say there who may do what; and made, by the one who may make it.

pub use event_log_jetstream::STREAM as LOG_STREAM;
pub use key_store_jetstream::{PREFIX as KEYS_PREFIX, STREAM as KEYS_STREAM};
pub use messaging::nats::Room as BusRoom;
pub use messaging::{
    EVENTS_STREAM, EVENTS_SUBJECT, PARKED_STREAM, PARKED_SUBJECT, REPLAY_SUBJECT, SIGNALS_CONSUMER,
    SIGNALS_PREFIX, SIGNALS_STREAM,
};
pub use nats_connection::answers_to;

use crate::StartError;
use async_nats::jetstream;
use key_store_jetstream::Bucket;
use messaging::nats::{bounded, events_config, parked_config, signals_config};
use nats_connection::{Connection, Credentials, Tls};
use std::path::{Path, PathBuf};

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
    /// What the streams of the bus may take, if somebody says it: streams that are there get it as well.
    pub bus_room: Option<BusRoom>,
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

/// A stream of the bus that was there, and has another limit of bytes now.
pub struct Bounded {
    /// Its name.
    pub stream: String,
    /// What it may take now on each server that has it.
    pub bytes_max: i64,
}

/// Makes the streams of the bus that are not there, and bounds those that have no limit of bytes.
pub async fn make_bus(making: &Making<'_>) -> Result<Vec<Bounded>, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Other(format!("the bus: {error}"));
    let connection = making.connection();
    let options = connection.options("daypass-setup").await.map_err(|error| failed(&error))?;
    let addresses = connection.addresses().map_err(|error| failed(&error))?;
    let client = options.connect(addresses).await.map_err(|error| failed(&error))?;
    let context = jetstream::new(client);
    let room = making.bus_room.unwrap_or_default();
    let mut changed = Vec::new();
    for wanted in [events_config, signals_config, parked_config].map(|config| config(making.replicas, room)) {
        let there = context.get_or_create_stream(&wanted).await.map_err(|error| failed(&error))?;
        let Some(config) = bounded(&there.cached_info().config, &wanted, making.bus_room.is_some()) else {
            continue;
        };
        match context.update_stream(&config).await {
            Ok(_) => changed.push(Bounded { stream: config.name, bytes_max: config.max_bytes }),
            Err(error) if making.bus_room.is_some() => return Err(failed(&error)),
            // The servers may have the accounts of an earlier release, where nobody may. Everything else works, so what waits for this goes on.
            Err(error) => tracing::warn!(
                stream = config.name,
                bytes_max = config.max_bytes,
                %error,
                "a stream of the bus could not be bounded: it may take the room that the log needs"
            ),
        }
    }
    Ok(changed)
}
