//! Who may do what: rules, approval policies and settings, and the pure decisions that rest on them.
//!
//! - [`model`]: the values, as administrators write them and as the log keeps them;
//! - [`check`](Policy::check) and [`Policy::from_toml`]: everything that is wrong with a policy, said at once;
//!
//! INVARIANT: no I/O, no clock, no randomness. Who is in which group, and which account is in which unit, is told by the
//! caller. Administrators and auditors are the deployment's configuration and are not known here.

pub mod model;

pub use model::{
    ApprovalPolicy, OuScope, PlanSource, Policy, Requesters, RoleName, RoleSelector, Rule, Settings, Targets,
};
