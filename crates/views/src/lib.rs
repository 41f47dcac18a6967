//! What every service sees before it decides or answers: requests, the policy, the directory, who is asking.
//!
//! All of it is derived: from the log (requests, policy), or from the directory that is kept with its age. Services of one
//! process share one [`Views`]; each process has its own.
//!
//! - [`requests`]: the read model of requests; [`policy_book`]: the policy that is in force, as fresh as the log;
//! - [`who`]: from a verified caller to an acting person with groups; [`scheduled`]: which of these are known at a later start;
//!   [`place`]: what the directory knows of a target;
//! - [`resource`]: a request as the APIs show it; [`wire`], [`policy_wire`]: values and policies ↔ their messages;
//! - [`clock_health`]: whether the time is to be relied on, before anything is granted;
//! - [`position`], [`page`]: opaque tokens; [`answer`]: what services do alike around a call.
//!
//! INVARIANT: nothing is decided here, and nothing is written to the log.

pub mod answer;
pub mod clock_health;
pub mod page;
pub mod place;
pub mod policy_book;
pub mod policy_wire;
pub mod position;
pub mod refusal;
pub mod remote_directory;
pub mod requests;
pub mod resource;
pub mod scheduled;
pub mod visibility;
pub mod who;
pub mod wire;

pub use clock_health::{ClockInDoubt, WatchedClock};
pub use place::Place;
pub use policy_book::{InForce, PolicyBook};
pub use position::PositionToken;
pub use requests::{Requests, RequestsModel, Story};
pub use who::{Authorities, Who};

use aws::CachedDirectory;
use domain::LogId;
use domain::ports::{SharedClock, SharedEntropy};
use event_log::EventLog;
use journal::key_store::KeyStore;
use std::sync::Arc;

/// Everything that a service looks at. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    /// The log itself.
    pub log: Arc<dyn EventLog>,
    /// Which log it is.
    pub log_id: LogId,
    /// Requests, as this process has seen them.
    pub requests: Requests,
    /// The policy, as fresh as the log.
    pub policy: Arc<PolicyBook>,
    /// The organisation, with its age.
    pub directory: Arc<CachedDirectory>,
    /// The keys of sealed text.
    pub keys: Arc<dyn KeyStore>,
    /// Who administers and who audits, by the deployment's configuration.
    pub authorities: Arc<Authorities>,
    /// The time.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").field("log_id", &self.log_id).finish_non_exhaustive()
    }
}
