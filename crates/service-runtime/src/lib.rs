//! What every service of Daypass stands on: configuration, the gate that every call passes, the server around it, outgoing
//! calls, telemetry, shutdown.
//!
//! In reading order: [`server`] (listening, limits, health, reflection, gRPC-Web, drain) runs tonic `Routes` behind
//! [`deadline`] and [`auth`]; the same guarded routes can be called without a socket ([`in_process`]). [`outgoing`] connects to
//! neighbours, with tokens of [`token_source`] or certificates of [`tls`]. [`status`] is how services say no.
//!
//! Left out: business logic of any kind. What a caller may do with which resource is decided behind the gate.
//!
//! INVARIANT: deny by default. A call whose method says nothing about who may call it does not get through, and no such method
//! can be built (`api`). The wall clock and the entropy of the machine are read in [`clock`] and nowhere else.

pub mod auth;
mod body;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod in_process;
pub mod outgoing;
pub mod roles;
pub mod server;
pub mod shutdown;
pub mod status;
pub mod telemetry;
pub mod tls;
pub mod token_source;
pub mod trace;

pub use auth::{Authenticate, Call, Gate, call};
pub use in_process::{Guarded, InProcess};
pub use roles::{DirectoryGroups, Roles};
pub use server::{Bound, Readiness, Server};
pub use tls::SpiffeId;
