//! A server that speaks as much of KurrentDB's gRPC protocol as the engine uses, in memory, for tests: no real server can be had
//! from a package registry. It does what KurrentDB documents: exact expected revisions; a repeat of what is next to the expected
//! revision is answered as if it were the first, and the same id under a newer revision is written again; `$all` with other
//! people's and the system's events in between, filters, checkpoints.
//!
//! - [`Double`]: the server. [`Fault`]: what goes wrong next.
//!
//! Deliberately absent: durability, clusters, users, links, metadata streams, deletion, regular expressions in filters.

#![expect(clippy::disallowed_methods, reason = "a server for tests has tasks of its own")]
#![expect(clippy::missing_panics_doc, reason = "it panics only if a lock is poisoned, that is after a panic")]

mod reading;
mod server;
mod store;

pub use server::Double;
pub use store::Fault;

/// Generated messages and servers.
#[expect(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated")]
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
    }
}
