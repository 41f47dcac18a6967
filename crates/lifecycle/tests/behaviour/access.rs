//! Beginning, handing out, ending, closing.

use crate::support::*;
use domain::{Provider, SignedDuration};
use lifecycle::Rejection;
use lifecycle::access::{
    activate, close, credential_duration_max, elapse, fail, issue_credentials, lose_eligibility, may_chain,
    may_issue, open_console, revoke,
};
use lifecycle::event::{
    Activated, Bound, Closed, ClosedHow, Ended, EndedBecause, RequestEvent, Requested, Revoked, RevokedAs,
};
use lifecycle::state::{Phase, Status};

fn from_1000(requested: Requested) -> Requested {
    Requested { asked: from_for(1000, HOUR), ..requested }
}

fn ended(because: EndedBecause) -> RequestEvent {
    RequestEvent::Ended(Ended { because })
}

fn revoked() -> RequestEvent {
    RequestEvent::Revoked(Revoked { capacity: RevokedAs::Approver, comment: None, signal: None })
}

/// Active credentials, whose user was told of the hour that chained sessions live.
fn chaining() -> Story {
    let bound = Bound { at_end: at(3700 + HOUR), after_early_end: secs(2 * HOUR), chained: secs(HOUR) };
    let activated = Activated { provider: Provider::Sts, bound, standing: false };
    and(approved(sts()), RequestEvent::Activated(activated), 110)
}

fn closing(story: Story, how: ClosedHow, when: i64) -> Result<RequestEvent, Rejection> {
    close(&given(story).request(), how, at(when))
}

#[test]
fn access_begins_inside_the_window() {
    let activates = |when| {
        given(approved(from_1000(requested())))
            .when(move |request| activate(request, bound(), false, at(when)))
    };
    activates(999).refused(Rejection::WindowNotBegun);
    activates(1000).then(activated(Provider::IdentityCenter, false));
    activates(4599).then(activated(Provider::IdentityCenter, false));
    activates(4600).refused(Rejection::WindowOver);
}

#[test]
fn access_begins_once() {
    given(active(requested(), 110))
        .when(|request| activate(request, bound(), false, at(120)))
        .refused(Rejection::AlreadyActive);
    let twice = and(active(requested(), 110), activated(Provider::IdentityCenter, true), 120);
    let Phase::Approved { active: Some(active), .. } = given(twice).request().phase else {
        panic!("not active")
    };
    assert_eq!((active.at, active.activated.standing), (at(110), false));
}

#[test]
fn credentials_live_no_longer_than_the_rule_says_nor_than_was_told() {
    let story = given(active(sts(), 110)).request();
    let (_, active) = may_issue(&story, at(120)).unwrap();
    for (rule, longest) in [(900, 900), (HOUR, HOUR), (12 * HOUR, HOUR)] {
        assert_eq!(credential_duration_max(active, secs(rule)), secs(longest));
    }
}

#[test]
fn credentials_chain_if_the_rule_says_so_and_it_was_told() {
    for (story, told) in [(active(sts(), 110), false), (chaining(), true)] {
        let request = given(story).request();
        let (_, active) = may_issue(&request, at(120)).unwrap();
        assert_eq!((may_chain(active, true), may_chain(active, false)), (told, false));
        assert_eq!(credential_duration_max(active, secs(12 * HOUR)), secs(HOUR), "the hour is not for them");
    }
}

#[test]
fn credentials_are_handed_out_inside_the_window_of_active_sts_access() {
    let active = || given(active(from_1000(sts()), 1010));
    let issue = credentials(1910);
    active()
        .when(|request| issue_credentials(request, issue.clone(), at(1020)))
        .then(RequestEvent::CredentialsIssued(issue.clone()));
    active()
        .when(|r| open_console(r, console(1910), at(1020)))
        .then(RequestEvent::ConsoleOpened(console(1910)));
    active()
        .when(|request| issue_credentials(request, issue.clone(), at(4600)))
        .refused(Rejection::WindowOver);
    active().when(|request| open_console(request, console(1910), at(4600))).refused(Rejection::WindowOver);
    given(approved(from_1000(sts())))
        .when(|request| issue_credentials(request, issue.clone(), at(999)))
        .refused(Rejection::WindowNotBegun);
    given(approved(sts())).when(|r| issue_credentials(r, issue, at(110))).refused(Rejection::NotActive);
}

#[test]
fn what_does_not_come_as_credentials_is_not_handed_out() {
    let request = given(active(requested(), 110)).request();
    assert_eq!(may_issue(&request, at(120)).unwrap_err(), Rejection::NoCredentials);
    assert_eq!(open_console(&request, console(900), at(120)), Err(Rejection::NoCredentials));
}

/// broker: the strings of `MM/DD/YY` compare the same a year later, and access was valid again.
#[test]
fn broker_mm_dd_yy_access_is_not_valid_again_next_year() {
    let year = 365 * DAY;
    for later in [HOUR, DAY, year, year + 10, 10 * year] {
        given(active(sts(), 110))
            .when(|request| issue_credentials(request, credentials(later), at(100 + later)))
            .refused(Rejection::WindowOver);
        assert!(!given(approved(sts())).request().is_live(at(100 + later)));
    }
}

#[test]
fn access_is_revoked_from_the_moment_of_raising_until_it_is_over() {
    for story in [pending(requested()), approved(requested()), active(requested(), 110)] {
        given(story).when(|request| revoke(request, RevokedAs::Approver, None)).then(revoked());
    }
    given(and(approved(requested()), revoked(), 120))
        .when(|request| revoke(request, RevokedAs::Administrator, None))
        .refused(Rejection::Over);
}

/// TEAM #195, Teleport #62578: what was revoked is refused from that instant.
#[test]
fn team_195_nothing_is_handed_out_after_a_revoke() {
    let story = and(active(sts(), 110), revoked(), 120);
    given(story.clone())
        .when(|request| issue_credentials(request, credentials(900), at(120)))
        .refused(Rejection::Over);
    assert!(!given(story).request().is_live(at(120)));
}

#[test]
fn a_window_elapses_at_its_end_and_not_before() {
    let elapses = |when| given(active(requested(), 110)).when(move |request| elapse(request, at(when)));
    elapses(3699).refused(Rejection::WindowNotOver);
    elapses(3700).then(ended(EndedBecause::Elapsed));
    given(approved(requested())).when(|request| elapse(request, at(3700))).then_status(Status::Ended);
}

#[test]
fn time_never_goes_back_for_access() {
    // Approved at 100 by another replica; this one's clock is behind.
    given(approved(requested()))
        .when(|request| activate(request, bound(), false, at(97)))
        .then(activated(Provider::IdentityCenter, false));
    // Issued at 3700 by a replica whose clock is ahead: the window is over in this story.
    let story = and(active(sts(), 110), RequestEvent::CredentialsIssued(credentials(4000)), 3700);
    given(story.clone())
        .when(|request| issue_credentials(request, credentials(4000), at(3698)))
        .refused(Rejection::WindowOver);
    given(story).when(|request| elapse(request, at(3698))).then(ended(EndedBecause::Elapsed));
}

#[test]
fn only_what_never_became_active_fails() {
    let reason = || String::from("ConflictException");
    given(approved(requested()))
        .when(|request| fail(request, reason()))
        .then(ended(EndedBecause::Failed { reason: reason() }));
    given(active(requested(), 110)).when(|r| fail(r, reason())).refused(Rejection::AlreadyActive);
}

#[test]
fn access_ends_when_somebody_no_longer_qualifies() {
    let reason = || String::from("requester left operators");
    for story in [approved(requested()), active(requested(), 110)] {
        given(story)
            .when(|request| lose_eligibility(request, reason()))
            .then(ended(EndedBecause::NoLongerEligible { reason: reason() }));
    }
}

#[test]
fn only_what_is_over_is_closed_and_only_once() {
    assert_eq!(closing(pending(requested()), ClosedHow::NothingCreated, 5), Err(Rejection::NotOver));
    assert_eq!(closing(active(requested(), 110), ClosedHow::Deleted, 5), Err(Rejection::NotOver));
    let story = and(active(requested(), 110), revoked(), 120);
    let closed = closing(story.clone(), ClosedHow::Deleted, 130).unwrap();
    let story = and(story, closed, 130);
    assert!(!given(story.clone()).request().is_closing());
    assert_eq!(closing(story, ClosedHow::Deleted, 140), Err(Rejection::AlreadyClosed));
}

/// For how long access was left that ended at 120 s and is closed at 500 s.
fn past_end(story: Story, closed: impl Into<Closed>) -> Option<SignedDuration> {
    let story = and(story, revoked(), 120);
    assert_eq!(given(story.clone()).request().past_end(), None, "it is not closed");
    let closed = close(&given(story.clone()).request(), closed, at(500)).unwrap();
    given(and(story, closed, 500)).request().past_end()
}

#[test]
fn access_is_left_past_its_end_until_its_removal_was_confirmed_however_late_it_is_closed() {
    let story = || active(requested(), 110);
    let removed = |when| Closed { how: ClosedHow::Deleted, removed_at: Some(at(when)) };
    assert_eq!(past_end(story(), removed(125)), Some(secs(5)));
    assert_eq!(past_end(story(), removed(115)), Some(secs(0)), "someone else removed it before");
    for how in [ClosedHow::Deleted, ClosedHow::Abandoned] {
        assert_eq!(past_end(story(), how), Some(secs(380)), "as events say it from before that was recorded");
    }
    for how in [ClosedHow::CarriedBy(request_id("r2")), ClosedHow::Standing] {
        assert_eq!(past_end(story(), how), None, "it left nothing of its own");
    }
    assert_eq!(past_end(approved(requested()), ClosedHow::NothingCreated), None);
}

#[test]
fn credentials_are_left_past_an_early_end_until_they_are_worthless() {
    let issued =
        |expires| and(active(sts(), 110), RequestEvent::CredentialsIssued(credentials(expires)), 115);
    assert_eq!(past_end(issued(400), ClosedHow::CredentialsExpired), Some(secs(280)));
    assert_eq!(past_end(issued(118), ClosedHow::CredentialsExpired), Some(secs(0)));
    // The window is over at 3700 s: then their session policy refuses everything.
    let story = and(issued(4000), revoked(), 3600);
    let closed = RequestEvent::Closed(ClosedHow::CredentialsExpired.into());
    assert_eq!(given(and(story, closed, 4010)).request().past_end(), Some(secs(100)));
}

#[test]
fn a_request_revoked_while_pending_closes_with_nothing_created() {
    let story = and(pending(requested()), revoked(), 120);
    assert!(given(story.clone()).request().is_closing());
    assert!(closing(story, ClosedHow::NothingCreated, 130).is_ok());
}

#[test]
fn outstanding_credentials_keep_a_request_from_closing() {
    let story = || {
        let issued = and(active(sts(), 110), RequestEvent::CredentialsIssued(credentials(900)), 120);
        let opened = and(issued, RequestEvent::ConsoleOpened(console(1000)), 130);
        and(opened, revoked(), 140)
    };
    let every_other = [
        ClosedHow::CredentialsExpired,
        ClosedHow::NothingCreated,
        ClosedHow::Deleted,
        ClosedHow::Standing,
        ClosedHow::CarriedBy(request_id("r2")),
    ];
    for how in every_other {
        assert_eq!(closing(story(), how, 999), Err(Rejection::NotClosable));
    }
    assert!(closing(story(), ClosedHow::CredentialsExpired, 1000).is_ok());
    assert_eq!(closing(story(), ClosedHow::NothingCreated, 1000), Err(Rejection::NotClosable));
    assert!(closing(story(), ClosedHow::Abandoned, 999).is_ok(), "the account is gone, as two people say");
}

#[test]
fn what_may_have_been_chained_keeps_a_request_from_closing() {
    // At the last moment of the credentials; of the window, if that is sooner.
    for (expires, dead) in [(900, 900 + HOUR), (4000, 3700 + HOUR)] {
        let issued = and(chaining(), RequestEvent::CredentialsIssued(credentials(expires)), 120);
        let story = || and(issued.clone(), revoked(), 140);
        assert_eq!(given(story()).request().issues_work_until(), Some(at(dead)));
        let how = ClosedHow::CredentialsExpired;
        assert_eq!(closing(story(), how.clone(), dead - 1), Err(Rejection::NotClosable));
        assert!(closing(story(), how, dead).is_ok());
    }
}

#[test]
fn credentials_that_were_never_handed_out_cannot_have_expired() {
    let story = and(active(sts(), 110), revoked(), 140);
    assert_eq!(closing(story.clone(), ClosedHow::CredentialsExpired, DAY), Err(Rejection::NotClosable));
    assert!(closing(story, ClosedHow::NothingCreated, 141).is_ok());
}

#[test]
fn an_assignment_that_was_confirmed_is_not_nothing() {
    let story = and(active(requested(), 110), revoked(), 120);
    assert_eq!(closing(story, ClosedHow::NothingCreated, 130), Err(Rejection::NotClosable));
    let standing = and(approved(requested()), activated(Provider::IdentityCenter, true), 110);
    assert!(closing(and(standing, revoked(), 120), ClosedHow::NothingCreated, 130).is_ok());
}

/// TEAM #104: the first of two overlapping requests ends; the other carries the assignment on.
#[test]
fn team_104_the_other_of_two_overlapping_requests_carries_the_assignment() {
    let story = || and(active(requested(), 110), revoked(), 120);
    assert!(closing(story(), ClosedHow::CarriedBy(request_id("r2")), 130).is_ok());
    let itself = ClosedHow::CarriedBy(request_id("r1"));
    assert_eq!(closing(story(), itself, 130), Err(Rejection::NotClosable));
}
