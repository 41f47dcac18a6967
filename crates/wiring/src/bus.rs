//! The bus that the configuration names.

use crate::StartError;
use crate::nats::connection;
use crate::settings::BusSection;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, ErrorCode};
use messaging::nats::{NatsBus, NatsBusOptions, NatsSignals, SignalsOptions};
use messaging::{BusError, IncomingBus, OutgoingBus, Parking};
use nats_connection::Connection;
use std::path::PathBuf;
use std::sync::Arc;

impl BusSection {
    /// The way to the bus.
    pub fn connection(&self) -> Connection {
        connection(
            &self.servers,
            self.credentials_file.as_ref(),
            self.nkey_seed_file.as_ref(),
            self.ca_file.as_ref(),
        )
    }
}

/// Whether a stream is there, as the bus says now.
pub async fn has_stream(section: &BusSection, stream: &str) -> Result<bool, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Other(format!("the bus: {error}"));
    let connection = section.connection();
    let options = connection.options("daypass-doctor").await.map_err(|error| failed(&error))?;
    let addresses = connection.addresses().map_err(|error| failed(&error))?;
    let client = options.connect(addresses).await.map_err(|error| failed(&error))?;
    match jetstream::new(client).get_stream(stream).await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(told) if told.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(false)
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::InvalidStreamName
            | GetStreamErrorKind::Request => Err(failed(&error)),
        },
    }
}

/// The bus that events go out to. Does not wait for its servers: a bus that is down delays, and keeps nobody from starting.
pub async fn outgoing(section: &BusSection) -> Result<Arc<dyn OutgoingBus>, BusError> {
    let options = NatsBusOptions { replicas: section.replicas };
    Ok(Arc::new(NatsBus::connect(&section.connection(), options).await?))
}

/// The bus that signals come in by. Does not wait for its servers either.
pub async fn incoming(section: &BusSection) -> Result<Arc<dyn IncomingBus>, BusError> {
    let options = SignalsOptions::on(section.replicas);
    Ok(Arc::new(NatsSignals::connect(&section.connection(), options).await?))
}

/// What is parked there, for whoever has the seed in this file. Its servers must be there.
pub async fn parking(
    servers: &[String],
    nkey_seed_file: Option<&PathBuf>,
    ca_file: Option<&PathBuf>,
) -> Result<Arc<dyn Parking>, BusError> {
    let connection = connection(servers, None, nkey_seed_file, ca_file);
    Ok(Arc::new(Box::pin(NatsSignals::sign_in(&connection, SignalsOptions::on(1))).await?))
}
