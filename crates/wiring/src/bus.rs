//! The bus that the configuration names.

use crate::nats::connection;
use crate::settings::BusSection;
use messaging::nats::{NatsBus, NatsBusOptions};
use messaging::{BusError, OutgoingBus};
use nats_connection::Connection;
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
