//! The vocabulary of Daypass: who asks, for what, for how long, and who must agree.
//!
//! Everything here is a plain value: `Clone + Eq + Hash + Ord`, checked when it is made, so that a value that exists is a
//! value that is well formed. INVARIANT: no I/O, no clock, no randomness (the ports for the latter two are only named here).

mod account;
mod digest;
mod group;
mod id;
mod inline_policy;
mod invalid;
mod person;
mod plan;
pub mod ports;
mod rule;
mod sealed;
mod secret;
mod session_scope;
mod sighting;
mod target;
mod window;

pub use account::{AccountId, OuId, OuPath, Partition};
pub use digest::{canonical_digest, hex};
pub use group::{GroupRef, GroupSource, Groups};
pub use id::{BatchId, EventId, IdempotencyKey, IssueId, LogId, RequestId};
pub use inline_policy::{InlinePolicy, NotAPolicy};
pub use invalid::Invalid;
pub use person::{Actor, ActorKind, Issuer, Person, PersonId, Subject};
pub use plan::{Endorsement, Plan, Step};
pub use rule::{Provider, RuleId, Ticket};
pub use sealed::Sealed;
pub use secret::Secret;
pub use session_scope::{MANAGED_POLICIES_MAX, ManagedPolicyArn, SESSION_POLICY_MAX, SessionScope};
pub use sighting::{Doubt, Sighting, TimeSource};
pub use target::{Entitlement, PermissionSetArn, PrincipalId, RoleArn, Target};
pub use window::{AskedWindow, Window};

/// An instant in UTC. All comparisons of time in Daypass are comparisons of instants.
pub use jiff::{SignedDuration, Timestamp};
