//! What Daypass asks of AWS, as ports: credentials ([`Sts`]), the console ([`Federation`]), assignments ([`Assignments`]), the
//! end of live sessions ([`SessionDenials`]) and the organisation ([`DirectorySource`], kept by [`CachedDirectory`]); a simulated AWS that implements them all ([`simulated`]); and the suite
//! that every implementation must pass ([`conformance`]).
//!
//! Left out: the AWS SDK (its adapters are `aws-sdk`), and every decision about who may have what. INVARIANT: no I/O here.

pub mod assignments;
pub mod cached_directory;
pub mod conformance;
pub mod directory;
mod error;
pub mod federation;
pub mod session_denials;
pub mod session_policy;
pub mod simulated;
pub mod sts;
mod text;

pub use assignments::{
    AssignmentKey, Assignments, Attempt, Deletion, Limits, OperationId, OperationStatus, Turns, Uncounted,
    permission_set_of, role_of,
};
pub use cached_directory::{CachedDirectory, RefreshPace};
pub use directory::{
    Account, Contents, Directory, DirectorySource, ExternalId, Group, GroupId, LookupError, OrgUnit,
    PermissionSet, User, UserName,
};
pub use domain::Secret;
pub use error::{AwsError, ErrorKind};
pub use federation::{ConsoleUrl, Federation, FederationEndpoint};
pub use session_denials::{DeniedSessions, SessionDenials};
pub use sts::{
    AssumeRole, CallerIdentity, RoleExternalId, SessionCredentials, SessionName, SessionPolicy,
    SourceIdentity, Sts,
};
