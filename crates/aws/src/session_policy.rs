//! The session policy that binds credentials to their window, and cuts them down to what their rule says.
//!
//! How it is made of scope and window is [`SessionScope::policy`]'s; that module says what AWS makes of it. Remainders under
//! 900 s, the shortest session of STS, become enforceable by it.

use crate::sts::SessionPolicy;
use domain::{Invalid, SessionScope, Window};

/// The inline policy of a session that is usable in `window` and at no other time, and can do no more than `scope` says. The
/// managed policies of `scope` go beside it ([`crate::AssumeRole::with_managed_policies`]).
pub fn for_window(window: &Window, scope: &SessionScope) -> Result<SessionPolicy, Invalid> {
    SessionPolicy::new(scope.policy(window)?)
}
