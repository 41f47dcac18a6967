//! Who may do what: rules, approval policies and settings, and the pure decisions that rest on them.
//!
//! - [`model`]: the values, as administrators write them and as the log keeps them;
//! - [`mod@file`]: policy files, [`Policy::from_toml`] and [`Policy::to_toml`]; [`check`]: everything that is wrong, at once;
//! - [`compiled`]: a policy that can be asked, through Cedar; [`denied`]: why it says no;
//! - [`reach`]: whether a plan can be met by the people there are;
//! - [`change`]: how a policy comes to be another: proposed, accepted by a second administrator, discarded.
//!
//! INVARIANT: no I/O, no clock, no randomness. Who is in which group, and which account is in which unit, is told by the
//! caller. Administrators and auditors are the deployment's configuration and are not known here.

pub mod change;
pub mod check;
pub mod compiled;
pub mod denied;
pub mod duration;
pub mod file;
pub mod model;
pub mod reach;

pub use change::{PolicyEvent, PolicyState};
pub use check::Problem;
pub use compiled::{
    AccountEntitlements, AccountFacts, Ask, CompileError, Compiled, Entitlements, Match, Offer, Wanted,
    choose,
};
pub use denied::Denied;
pub use model::{
    ApprovalPolicy, OuScope, PlanSource, Policy, Requesters, RoleName, RoleSelector, Rule, Settings, Targets,
};
