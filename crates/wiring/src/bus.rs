//! The bus that the configuration names.

use crate::nats::connection;
use crate::settings::BusSection;
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
    Ok(Arc::new(NatsSignals::sign_in(&connection, SignalsOptions::on(1)).await?))
}
