//! How credentials are named, tagged and bound.
//!
//! The session name finds the issue in CloudTrail; the source identity finds the person, through every role chained from the
//! session; the transitive tag finds the request, and lets an SCP end what is left of it early.

use aws::session_policy;
use aws::sts::{CHAINED_DURATION_MAX, DURATION_MAX, DURATION_MIN};
use aws::{AssumeRole, RoleExternalId, SessionName, SourceIdentity};
use domain::{Invalid, IssueId, Person, RequestId, RoleArn, SessionScope, SignedDuration, Timestamp, Window};

/// The tag that says which request; stays on chained sessions.
pub(crate) const REQUEST_TAG: &str = "daypass-request";

/// The tag that says which person, by [`domain::PersonId`].
pub(crate) const PERSON_TAG: &str = "daypass-person";

/// The part of a source identity that is for people to read: 64 characters less the person's id and a dot.
const READABLE_MAX: usize = 31;

/// What is asked of STS.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) role: &'a RoleArn,
    pub(crate) request: RequestId,
    pub(crate) requester: &'a Person,
    pub(crate) issue: IssueId,
    pub(crate) window: Window,
    pub(crate) scope: &'a SessionScope,
    pub(crate) duration: SignedDuration,
    pub(crate) external_id: Option<&'a RoleExternalId>,
}

impl Session<'_> {
    /// The call.
    pub(crate) fn assume_role(&self) -> Result<AssumeRole, Invalid> {
        let call = AssumeRole::new(self.role.clone(), session_name(self.issue)?, self.duration)?
            .with_policy(session_policy::for_window(&self.window, self.scope)?)
            .with_managed_policies(self.scope.managed.clone())?
            .with_source_identity(source_identity(self.requester)?)
            .with_tag(REQUEST_TAG, &self.request.to_string(), true)?
            .with_tag(PERSON_TAG, self.requester.id().as_str(), false)?;
        Ok(match self.external_id {
            Some(id) => call.with_external_id(id.clone()),
            None => call,
        })
    }
}

/// The session name of an issue.
pub(crate) fn session_name(issue: IssueId) -> Result<SessionName, Invalid> {
    SessionName::new(format!("daypass-{issue}"))
}

/// The source identity of a person: as much of the subject as AWS's characters and 64 of them allow, then the person's id,
/// which tells apart what looks the same (another issuer, other characters, a longer subject).
pub(crate) fn source_identity(person: &Person) -> Result<SourceIdentity, Invalid> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let readable: String = person
        .subject
        .as_str()
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .take(READABLE_MAX)
        .collect();
    SourceIdentity::new(format!("{readable}.{}", person.id()))
}

/// How long credentials live that are issued at `now`: as asked, at most as the rule allows and as is left of the window; never
/// less than STS's shortest session, whose rest the session policy makes useless. Whole seconds.
pub(crate) fn duration(
    asked: Option<SignedDuration>,
    rule_max: SignedDuration,
    window: &Window,
    now: Timestamp,
) -> SignedDuration {
    let left = window.end().duration_since(now);
    let wanted = asked.unwrap_or(DURATION_MAX).min(rule_max).min(left).clamp(DURATION_MIN, DURATION_MAX);
    SignedDuration::from_secs(wanted.as_secs())
}

/// `duration`, as a role session that assumes roles gets it.
pub(crate) fn chained(duration: SignedDuration) -> SignedDuration {
    duration.min(CHAINED_DURATION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_source_identity_is_readable_and_unambiguous() {
        let one = source_identity(&Person::new("https://idp.example", "ada|x y/é").unwrap()).unwrap();
        let other = source_identity(&Person::new("https://other.example", "ada|x y/é").unwrap()).unwrap();
        let alike = source_identity(&Person::new("https://idp.example", "ada_x_y__").unwrap()).unwrap();
        assert!(one.as_str().starts_with("ada_x_y__."), "{one:?}");
        assert!(one != other && one != alike);
        let long = source_identity(&Person::new("https://idp.example", &"s".repeat(255)).unwrap()).unwrap();
        assert_eq!(long.as_str().len(), 64);
    }

    #[test]
    fn credentials_live_as_long_as_everyone_allows_and_never_less_than_sts_makes() {
        let window = Window::new(at(0), at(7_200)).unwrap();
        let hour = SignedDuration::from_hours(1);
        let secs = SignedDuration::from_secs;
        assert_eq!(duration(None, hour, &window, at(0)), hour);
        assert_eq!(duration(Some(secs(1_000)), hour, &window, at(0)), secs(1_000));
        assert_eq!(duration(Some(secs(43_200)), hour, &window, at(0)), hour);
        assert_eq!(duration(None, hour, &window, at(5_000)), secs(2_200));
        assert_eq!(duration(None, hour, &window, at(7_100)), secs(900));
        assert_eq!(chained(secs(43_200)), hour);
    }
}
