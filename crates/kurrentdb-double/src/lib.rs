//! A server that speaks as much of KurrentDB's gRPC protocol as the engine uses, in memory, for tests: no real server can be had
//! from a package registry. It does what KurrentDB documents, and what its sources say where the documents do not:
//!
//! - exact expected revisions; a repeat of what is next to the expected revision is answered as if it were the first, whatever
//!   its body, and the same id under a newer revision is written again;
//! - `$all` with other people's and the system's events in between, filters, checkpoints; a place where no event begins is refused;
//! - a filter is looked through event by event, and how many were passed over is counted;
//! - nodes that share what they hold, of which one leads; the others name it to those who ask for the leader.
//!
//! [`Double`]: the server. [`Fault`]: what goes wrong next.
//!
//! Deliberately absent: durability, elections, replication, users, links, metadata streams, deletion, regular expressions in filters.

#![expect(clippy::disallowed_methods, reason = "a server for tests has tasks of its own")]

mod node;
mod reading;
mod server;
mod store;

pub use server::Double;
pub use store::Fault;

/// Generated messages and servers.
#[expect(unreachable_pub, clippy::pedantic, clippy::enum_variant_names, reason = "generated")]
pub(crate) mod wire {
    /// Shared messages.
    pub(crate) mod client {
        tonic::include_proto!("event_store.client");
        /// Reading and appending.
        pub(crate) mod streams {
            tonic::include_proto!("event_store.client.streams");
        }
        /// What a client asks first.
        pub(crate) mod server_features {
            tonic::include_proto!("event_store.client.server_features");
        }
        /// Which nodes there are.
        pub(crate) mod gossip {
            tonic::include_proto!("event_store.client.gossip");
        }
    }
}
