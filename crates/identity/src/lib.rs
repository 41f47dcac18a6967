//! Who is calling: from a bearer token to a [`domain::Actor`], for any OIDC issuer.
//!
//! Owned here: what an operator says about an issuer ([`IssuerConfig`]), how its keys are found, kept and rotated, what a
//! token must look like, and what of it is kept ([`Caller`]). Left out: minting tokens, sessions, what a caller may do.
//!
//! INVARIANT: nothing inside a token says how the token is checked. Its header is read for `alg`, `kid`, `typ` and `crit`
//! alone; algorithms are pinned per issuer; keys come from the issuer's discovery document only.
//!
//! INVARIANT: neither a token nor a part of one is in any error, log line or `Debug`.
//!
//! INVARIANT: what cannot be proved is refused; a group claim that is missing or cut short is
//! [`domain::Groups::Unknown`], never an empty list.

mod algorithm;
mod authenticator;
mod caller;
mod claims;
mod config;
mod error;
pub mod fetch;
mod key_set;
mod keys;
mod message_keys;
mod token;
mod verified;

pub use algorithm::Algorithm;
pub use authenticator::{Authenticator, NewAuthenticatorError};
pub use caller::{Caller, DirectoryId};
pub use config::{
    AccessTokenType, ClaimIs, ConfigProblem, DirectoryClaim, GroupClaim, IssuerConfig, KeyTimes, Network,
    Workloads, problems_of,
};
pub use error::AuthError;
pub use message_keys::{MessageKeys, SignatureError, UnusableKeys};
