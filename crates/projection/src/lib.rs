//! Read models: what the log adds up to, in SQLite, with a checkpoint. Deletable at any time.
//!
//! - [`ReadModel`]: what a service writes: a schema, and what one event does to it.
//! - [`Projection`]: the handle that readers share: read, wait for a position, how far it is, whether it is well.
//! - [`Follower`]: fills it; its [`run`](Follower::run) is one task for as long as the service lives.
//!
//! INVARIANT: a read model equals the fold of the log up to its checkpoint. Rows and checkpoint change in one transaction; a
//! checkpoint of another log, of another schema, or in a damaged file is never continued from. Everything happens on the
//! calling task, without threads; no transaction is open across an await, so a follower may be dropped anywhere.

mod database;
mod fold;
mod follower;
mod model;
mod projection;

pub use follower::Follower;
pub use model::{Item, ReadModel};
pub use projection::{Health, OpenError, Projection, ReadError};
