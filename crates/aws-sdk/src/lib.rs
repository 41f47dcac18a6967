//! The ports of `aws`, on the AWS SDK: [`connect()`] makes the adapters.
//!
//! What every adapter keeps to:
//! - A call about assignments or credentials is tried once, and a further page waits for its turn: the caller counts calls, and
//!   observes before it retries a change; the SDK would do neither. Each try of the directory's calls keeps to their pace.
//! - A change is signed with the attempt's own time, and the SDK's correction of clock skew is off, for the skew that it learns would
//!   turn a stale signature into a fresh one and the fence with it.
//! - The clock hears the `Date` of every answer.
//! - Every call has a deadline. Lists are read until there is no token; a list that cannot be read to its end is an error, never a
//!   short list.
//!
//! Left out: decisions, retries, budgets across replicas. They are `services/activation`'s.

mod account_access;
mod assignments;
mod connect;
mod date;
mod directory;
mod error;
mod federation;
mod pages;
mod session_denials;
mod sts;

pub use account_access::{Application, SdkAccountAccess};
pub use assignments::SdkAssignments;
pub use connect::{
    Adapters, AwsConfig, CALL_TIMEOUT, ConnectError, StaticCredentials, connect, partition_of,
};
pub use directory::SdkDirectory;
pub use federation::SdkFederation;
pub use session_denials::SdkSessionDenials;
pub use sts::SdkSts;
