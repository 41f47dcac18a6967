//! Which groups are known at a start that lies ahead: those of the directory are looked up then; what a token told is as old as the
//! token.

use crate::refusal::Refusal;
use crate::who::IDENTITY_STORE;
use domain::{GroupRef, Groups, SignedDuration, Timestamp};
use tonic::Code;

/// Access that is to begin when what tokens tell of groups is too old, and that nothing else allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "window.start is more than {age_max:#} ahead: groups that only a token tells are too old by then, so a scheduled start needs \
     groups of the directory"
)]
pub struct StartNeedsDirectory {
    /// For how long groups of a token count, by the policy.
    pub age_max: SignedDuration,
}

impl Refusal for StartNeedsDirectory {
    fn reason(&self) -> (Code, &'static str) {
        (Code::FailedPrecondition, "START_NEEDS_DIRECTORY")
    }
}

/// Whether what a token tells at `now` is too old at `start`; never where access begins at approval.
pub fn outlasts_tokens(start: Option<Timestamp>, now: Timestamp, group_age_max: SignedDuration) -> bool {
    start.is_some_and(|start| start.duration_since(now) > group_age_max)
}

/// Those of `groups` that can be looked up again without their member.
pub fn of_directory(groups: &Groups) -> Groups {
    match groups {
        Groups::Known(groups) => {
            Groups::Known(groups.iter().filter(|group| is_of_directory(group)).cloned().collect())
        }
        Groups::Unknown(why) => Groups::Unknown(why.clone()),
    }
}

pub(crate) fn is_of_directory(group: &GroupRef) -> bool {
    group.source.as_str() == IDENTITY_STORE
}
