//! The services' APIs as Rust: messages, clients and servers, generated from `proto/daypass` at build time.
//!
//! - [`METHODS`]: every RPC, and who may call it at all. An RPC that does not say so fails the build.
//! - [`validate::Validate`]: the field constraints that the protos declare, for every message that a caller can send. Servers
//!   enforce them while decoding ([`codec::ValidatingCodec`]), so there is no place where a service could forget to.
//! - [`FILE_DESCRIPTOR_SET`]: for reflection, custom options included.
//!
//! Left out: all logic. Methods that a service does not implement answer `UNIMPLEMENTED`.

pub mod codec;
mod method;
pub mod structs;
#[cfg(feature = "testing")]
pub mod testing;
pub mod validate;

pub use method::{METHODS, Method, method};
pub use options::v1::Access;

/// The descriptors of every service and of what they import, encoded.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// `Debug` of messages that hold secrets.
mod redact {
    include!(concat!(env!("OUT_DIR"), "/redact.rs"));
}

macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub mod $name {
            /// Version 1.
            #[expect(missing_docs, clippy::pedantic, reason = "generated code")]
            pub mod v1 {
                tonic::include_proto!($file);
            }
        }
    };
}

package!(
    /// Using access, and ending it.
    activation,
    "daypass.activation.v1"
);
package!(
    /// Deciding on requests, and the policy.
    approval,
    "daypass.approval.v1"
);
package!(
    /// History.
    audit,
    "daypass.audit.v1"
);
package!(
    /// Raising requests; the directory; signals.
    request,
    "daypass.request.v1"
);
package!(
    /// What the services share.
    types,
    "daypass.types.v1"
);

/// What RPCs say about themselves.
pub mod options {
    /// Version 1.
    #[expect(missing_docs, reason = "generated code")]
    pub mod v1 {
        tonic::include_proto!("daypass.options.v1");
    }
}
