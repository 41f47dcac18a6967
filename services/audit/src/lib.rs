//! Audit: who had what, when, why, who agreed, under which rule; and all of it as files that can be checked.
//!
//! - [`read_model::events`]: where each event is, and what it can be found by; never what it says.
//! - `stored`: one event as the log gave it back, decoded as far as it can be; `show`: the same as the API shows it.
//! - `filter`: which events; `place`: a time or a position → a position; `history`: events of a range in log order.
//! - `export`: history as files: JSON Lines that verify, CSV that is safe to open.
//! - `grpc`: one verb each.
//! - [`public`]: events as others see them; `process::relay` publishes them on a bus.
//!
//! INVARIANT: what is answered comes from the log itself; the read model only says where to look. No event is left out because
//! it cannot be decoded, and an answer in parts that is not complete never looks complete.
//! Deliberately absent: any write to the log but the claim of who relays, and any rule about who may have what.

mod export;
mod filter;
mod grpc;
mod history;
mod meters;
mod page;
mod place;
mod process;
pub mod public;
pub mod read_model;
mod show;
mod stored;

pub use export::csv::COLUMNS as CSV_COLUMNS;
pub use process::relay::{Relay, RelaySettings};
pub use read_model::events::{Events, EventsModel};

use api::audit::v1::audit_service_server::AuditServiceServer;
use projection::{Follower, OpenError, Projection};
use std::path::Path;
use std::sync::Arc;
use tonic::service::Routes;
use views::Views;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct AuditService {
    views: Views,
    events: Events,
}

impl AuditService {
    /// A service over what is seen (`views`) and the index of events.
    pub fn new(views: Views, events: Events) -> Self {
        Self { views, events }
    }

    /// A service with an index of its own in `folder` (`None`: in memory). The caller runs the follower for as long as the
    /// service lives.
    pub fn open(views: Views, folder: Option<&Path>) -> Result<(Self, Follower<EventsModel>), OpenError> {
        let (projection, follower) =
            Projection::open(folder, EventsModel::default(), Arc::clone(&views.log))?;
        Ok((Self::new(views, Events::new(projection)), follower))
    }

    /// The index of events, for waiting and for health.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The gRPC service.
    pub fn server(&self) -> AuditServiceServer<Self> {
        AuditServiceServer::new(self.clone())
    }

    /// Adds the gRPC service to the routes of a process.
    pub fn add_to(&self, routes: &mut Routes) {
        *routes = std::mem::take(routes).add_service(self.server());
    }

    /// The gRPC service alone, as routes.
    pub fn routes(&self) -> Routes {
        Routes::new(self.server())
    }
}

impl std::fmt::Debug for AuditService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditService").field("events", &self.events).finish_non_exhaustive()
    }
}
