//! The key store for several machines: a key-value bucket of NATS JetStream.
//!
//! A person's key is one message in the bucket [`BUCKET`], under the person's id, wrapped with a key of the deployment
//! ([`WrappingKeys`]): who has the servers' disks, or a backup of the bucket, has nothing. The server takes a key for whom there is
//! none and no second one, so of two replicas that make a person's key at once one wins, and the other takes the winner's.
//! Erasing overwrites the message where it is stored. Every call asks the leader: a replica remembers no key.
//!
//! - [`Bucket::open`] makes the bucket, or refuses one that could keep what was erased, or lose what was not;
//! - [`JetStreamKeyStore`]: the port, over a bucket.
//!
//! INVARIANT: no unwrapped key leaves the process. A key that cannot be unwrapped is an error about its person alone, never "erased".

mod bucket;
mod safety;
mod store;
mod wrapping;

pub use bucket::Bucket;
pub use safety::{BUCKET, PREFIX, STREAM, bucket_config};
pub use store::JetStreamKeyStore;
pub use wrapping::{InvalidWrappingKeys, WrappingKeys};
