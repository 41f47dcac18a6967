//! The ledger of one assignment: attempts, outcomes, the fence, standing assignments, drift.

use crate::support::{at, target, user};
use domain::EventId;
use lifecycle::Rejection;
use lifecycle::assignment::{
    AssignmentEvent, AssignmentKey, Ledger, Operation, Presence, abandon, attempt, confirm, fail, notice,
    outlive, settle,
};

/// How long an attempt's call may take to have its effect.
const HORIZON: i64 = 900;

/// A ledger as a process sees it that looks and acts.
#[derive(Default)]
struct Story {
    ledger: Option<Ledger>,
    events: u32,
}

fn key() -> AssignmentKey {
    AssignmentKey { principal: user("aaaa"), target: target() }
}

fn create(when: i64) -> AssignmentEvent {
    AssignmentEvent::Attempted { key: key(), operation: Operation::Create, deadline: at(when + HORIZON) }
}

fn delete(when: i64) -> AssignmentEvent {
    AssignmentEvent::Attempted { key: key(), operation: Operation::Delete, deadline: at(when + HORIZON) }
}

impl Story {
    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn append(&mut self, event: &AssignmentEvent, when: i64) -> EventId {
        self.events += 1;
        let id = EventId::from_parts([self.events.to_be_bytes().as_slice()]);
        self.ledger = Ledger::evolve(self.ledger.take(), event, id, at(when));
        id
    }

    /// What to do next, having seen AWS.
    fn next(&self, desired: bool, seen: bool, when: i64) -> Result<AssignmentEvent, Rejection> {
        attempt(self.ledger.as_ref(), &key(), desired, seen, at(when + HORIZON))
    }

    /// Does it: intends what is to be done next.
    fn step(&mut self, desired: bool, seen: bool, when: i64) -> EventId {
        let event = self.next(desired, seen, when).unwrap();
        self.append(&event, when)
    }

    fn confirmed(mut self, attempt: EventId, when: i64) -> Self {
        let event = confirm(self.ledger(), attempt).unwrap();
        self.append(&event, when);
        self
    }

    fn failed(mut self, attempt: EventId, definite: bool, when: i64) -> Self {
        let event = fail(self.ledger(), attempt, "Throttled".into(), definite).unwrap();
        self.append(&event, when);
        self
    }

    fn settled(mut self, when: i64) -> Self {
        let event = settle(self.ledger(), at(when)).unwrap();
        self.append(&event, when);
        self
    }
}

/// Created, and confirmed, at 10 s.
fn ours() -> Story {
    let mut story = Story::default();
    let attempt = story.step(true, false, 0);
    story.confirmed(attempt, 10)
}

/// A create at 0 s whose outcome nobody learnt; its fence is at 900 s.
fn unknown() -> Story {
    let mut story = Story::default();
    let attempt = story.step(true, false, 0);
    story.failed(attempt, false, 30)
}

fn standing() -> Story {
    let mut story = Story::default();
    story.step(true, true, 0);
    story
}

#[test]
fn what_is_wanted_and_not_there_is_created() {
    let mut story = Story::default();
    assert_eq!(story.next(true, false, 0), Ok(create(0)));
    let attempt = story.step(true, false, 0);
    assert_eq!(story.ledger().attempt().unwrap().0, attempt);
    let story = story.confirmed(attempt, 10);
    assert_eq!(story.ledger().presence, Presence::Ours);
    assert_eq!(story.next(true, true, 20), Err(Rejection::AsItShouldBe));
}

#[test]
fn what_is_ours_and_not_wanted_is_deleted_whether_or_not_a_list_shows_it() {
    for seen in [true, false] {
        assert_eq!(ours().next(false, seen, 2000), Ok(delete(2000)));
    }
}

#[test]
fn a_confirmed_delete_settles_it() {
    let mut story = ours();
    let attempt = story.step(false, true, 2000);
    assert!(!story.ledger().is_settled_absent(), "only AWS's final status confirms");
    let story = story.confirmed(attempt, 2010);
    assert!(story.ledger().is_settled_absent());
    assert_eq!(story.next(false, false, 2020), Err(Rejection::AsItShouldBe));
}

#[test]
fn one_attempt_at_a_time() {
    let mut story = Story::default();
    story.step(true, false, 0);
    for (desired, seen) in [(true, true), (true, false), (false, true), (false, false)] {
        assert_eq!(story.next(desired, seen, 10), Err(Rejection::AttemptOpen));
    }
    assert_eq!(settle(story.ledger(), at(5000)), Err(Rejection::AttemptOpen));
}

#[test]
fn an_outcome_is_recorded_once() {
    let mut story = Story::default();
    let attempt = story.step(true, false, 0);
    let story = story.confirmed(attempt, 10);
    let ledger = story.ledger();
    assert_eq!(abandon(ledger, attempt), Err(Rejection::NoSuchAttempt));
    assert_eq!(confirm(ledger, attempt), Err(Rejection::NoSuchAttempt));
    assert_eq!(fail(ledger, attempt, "late".into(), true), Err(Rejection::NoSuchAttempt));
}

#[test]
fn a_call_that_was_not_made_leaves_nothing_behind() {
    let mut story = Story::default();
    let attempt = story.step(true, false, 0);
    let event = abandon(story.ledger(), attempt).unwrap();
    story.append(&event, 5);
    assert!(story.ledger().is_settled_absent());
}

#[test]
fn failures_are_counted_until_one_succeeds() {
    let mut story = Story::default();
    for when in [0, 10, 20] {
        let attempt = story.step(true, false, when);
        story = story.failed(attempt, true, when + 1);
    }
    assert_eq!((story.ledger().failures, story.ledger().last_failure.as_deref()), (3, Some("Throttled")));
    assert_eq!(story.ledger().failed_at, Some(at(21)));
    assert!(story.ledger().is_settled_absent(), "AWS said definitely no");
    let attempt = story.step(true, false, 30);
    let story = story.confirmed(attempt, 31);
    assert_eq!((story.ledger().failures, story.ledger().last_failure.clone()), (0, None));
    assert_eq!(story.ledger().failed_at, None);
}

/// TEAM #255, #513: five failed tries, and the access stayed.
#[test]
fn team_255_a_removal_is_retried_without_limit() {
    let mut story = ours();
    for when in 0..50 {
        let attempt = story.step(false, true, 2000 + when);
        story = story.failed(attempt, when % 2 == 0, 2000 + when);
        assert!(!story.ledger().is_settled_absent());
    }
    assert_eq!(story.next(false, true, 3000), Ok(delete(3000)));
}

/// TEAM: a standing assignment was "granted", and deleted at the end.
#[test]
fn team_standing_assignment_deleted_at_the_end() {
    let story = standing();
    assert_eq!(story.ledger().presence, Presence::Standing);
    assert_eq!(story.next(true, true, 10), Err(Rejection::AsItShouldBe));
    for seen in [true, false] {
        assert_eq!(story.next(false, seen, 10), Err(Rejection::Standing));
    }
    assert!(story.ledger().is_settled_absent(), "nothing of ours");
    assert_eq!(settle(story.ledger(), at(10)), Err(Rejection::AsItShouldBe));
}

#[test]
fn a_standing_assignment_that_someone_took_away_is_made_ours_while_it_is_wanted() {
    let mut story = standing();
    assert_eq!(story.next(true, false, 10), Ok(AssignmentEvent::DriftFound { present: false }));
    story.step(true, false, 10);
    assert_eq!(story.next(true, false, 20), Ok(create(20)));
    let attempt = story.step(true, false, 20);
    assert_eq!(story.confirmed(attempt, 30).next(false, true, 2000), Ok(delete(2000)));
}

#[test]
fn what_others_make_after_ours_is_gone_is_theirs() {
    let mut story = ours();
    let attempt = story.step(false, true, 2000);
    let mut story = story.confirmed(attempt, 2010);
    assert_eq!(story.next(false, true, 9000), Err(Rejection::AsItShouldBe));
    story.step(true, true, 9000);
    assert_eq!(story.next(false, true, 9010), Err(Rejection::Standing));
}

#[test]
fn a_removal_of_unknown_outcome_may_still_take_what_a_later_request_needs() {
    let mut story = ours();
    let removal = story.step(false, true, 100);
    let story = story.failed(removal, false, 160);
    assert_eq!(story.ledger().presence, Presence::Ours);
    assert_eq!(story.ledger().late_removal, Some(at(100 + HORIZON)));
    // The next one is confirmed, and what is made after it is not safe from the first one either.
    let mut story = story;
    let again = story.step(false, true, 170);
    let mut story = story.confirmed(again, 180);
    let early = story.step(true, false, 200);
    let mut story = story.confirmed(early, 210);
    assert_eq!(story.ledger().late_removal, Some(at(100 + HORIZON)));
    story.step(true, false, 300);
    let late = story.step(true, false, 300);
    let story = story.confirmed(late, 100 + HORIZON);
    assert_eq!(story.ledger().late_removal, None, "nothing made now can be taken by it");
}

#[test]
fn what_a_removal_took_was_taken_by_us_until_it_is_made_or_found_there_anew() {
    let gone = || {
        let mut story = ours();
        let removal = story.step(false, true, 100);
        story.confirmed(removal, 110)
    };
    assert_eq!((gone().ledger().presence, gone().ledger().late_removal), (Presence::Absent, Some(at(110))));
    let mut story = gone();
    let again = story.step(true, false, 200);
    assert_eq!(story.confirmed(again, 210).ledger().late_removal, None);
    // What others make, and what somebody says is ours, was seen.
    let mut story = gone();
    story.step(true, true, 200);
    assert_eq!(story.ledger().late_removal, None);
    let mut story = gone();
    story.append(&AssignmentEvent::Adopted { key: key() }, 200);
    assert_eq!((story.ledger().presence, story.ledger().late_removal), (Presence::Ours, None));
}

#[test]
fn what_is_missing_was_taken_by_us_unless_it_was_seen_after_our_removal_could_take_it() {
    let until = 100 + HORIZON;
    for (seen, by_us) in [(None, true), (Some(until - 1), true), (Some(until), false)] {
        let mut story = ours();
        let removal = story.step(false, true, 100);
        let mut story = story.failed(removal, false, 160);
        if let Some(seen) = seen {
            let outlived = outlive(story.ledger(), at(seen));
            assert_eq!(outlived.is_ok(), seen >= until);
            if let Ok(event) = outlived {
                story.append(&event, seen);
            }
        }
        story.step(true, false, 10 * HORIZON);
        assert_eq!(story.ledger().presence, Presence::Absent);
        assert_eq!(story.ledger().late_removal.is_some(), by_us);
    }
    assert_eq!(outlive(ours().ledger(), at(until)), Err(Rejection::AsItShouldBe));
    // What others have made anew meanwhile cannot be taken any more either.
    let mut story = ours();
    let first = story.step(false, true, 100);
    let mut story = story.failed(first, false, 160);
    let second = story.step(false, true, 170);
    let mut story = story.confirmed(second, 180);
    story.step(true, true, 200);
    assert_eq!(story.ledger().presence, Presence::Standing);
    let event = outlive(story.ledger(), at(until)).unwrap();
    story.append(&event, until);
    assert_eq!((story.ledger().presence, story.ledger().late_removal), (Presence::Standing, None));
}

#[test]
fn a_removal_that_certainly_had_no_effect_takes_nothing_later() {
    let mut story = ours();
    let removal = story.step(false, true, 100);
    assert_eq!(story.failed(removal, true, 160).ledger().late_removal, None);
}

#[test]
fn absence_does_not_settle_before_the_fence() {
    let story = unknown();
    assert_eq!(story.next(false, false, 100), Err(Rejection::AsItShouldBe));
    assert_eq!(settle(story.ledger(), at(899)), Err(Rejection::NotClosable));
    assert!(!story.ledger().is_settled_absent());
}

#[test]
fn absence_does_not_settle_after_the_fence_either_until_someone_has_looked() {
    let story = unknown();
    assert!(!story.ledger().is_settled_absent(), "however much later it is");
    let story = story.settled(900);
    assert!(story.ledger().is_settled_absent());
    assert_eq!(settle(story.ledger(), at(901)), Err(Rejection::AsItShouldBe));
}

#[test]
fn a_create_of_unknown_outcome_that_shows_up_is_ours() {
    for when in [100, 5000] {
        for desired in [true, false] {
            let mut story = unknown();
            assert_eq!(story.next(desired, true, when), Ok(AssignmentEvent::DriftFound { present: true }));
            story.step(desired, true, when);
            assert_eq!(story.ledger().presence, Presence::Ours);
            assert_eq!(story.next(false, true, when), Ok(delete(when)));
        }
    }
}

#[test]
fn a_standing_assignment_made_long_after_a_settled_create_is_not_ours() {
    let story = unknown().settled(900);
    assert_eq!(story.next(true, true, 9000), Ok(AssignmentEvent::StandingFound { key: key() }));
}

#[test]
fn a_create_of_unknown_outcome_is_retried_once_it_was_not_seen() {
    assert_eq!(unknown().next(true, false, 40), Ok(create(40)));
}

/// Any system of this kind: a paused process creates an assignment after its removal was confirmed.
#[test]
fn a_paused_process_creates_after_the_removal_was_confirmed() {
    // The first create's process is paused; a second create succeeds; both are removed early, before the first one's fence.
    let mut story = unknown();
    let attempt = story.step(true, false, 40);
    let mut story = story.confirmed(attempt, 50);
    let attempt = story.step(false, true, 100);
    let mut story = story.confirmed(attempt, 110);
    assert!(!story.ledger().is_settled_absent());
    // It wakes up, and its call is accepted.
    assert_eq!(story.next(false, true, 200), Ok(AssignmentEvent::DriftFound { present: true }));
    story.step(false, true, 200);
    let attempt = story.step(false, true, 201);
    let story = story.confirmed(attempt, 210);
    assert!(!story.ledger().is_settled_absent());
    // What was seen at 50 s may have been the first create's doing, so the second one's deadline counts.
    assert_eq!(settle(story.ledger(), at(939)), Err(Rejection::NotClosable));
    assert!(story.settled(940).ledger().is_settled_absent());
}

#[test]
fn a_delete_intended_after_the_fence_settles_nothing_for_its_clock_may_have_been_ahead() {
    let mut story = unknown();
    story.step(false, true, 100);
    let attempt = story.step(false, true, 900);
    let story = story.confirmed(attempt, 910);
    assert!(!story.ledger().is_settled_absent());
    assert_eq!(
        story.next(false, true, 920),
        Ok(AssignmentEvent::DriftFound { present: true }),
        "what appears is ours"
    );
    assert!(story.settled(930).ledger().is_settled_absent());
}

#[test]
fn a_delete_intended_before_the_fence_does_not_settle_even_if_confirmed_after_it() {
    let mut story = unknown();
    story.step(false, true, 100);
    let attempt = story.step(false, true, 890);
    assert!(!story.confirmed(attempt, 910).ledger().is_settled_absent());
}

#[test]
fn ours_that_one_list_does_not_show_is_still_ours_when_the_next_one_does() {
    let mut story = ours();
    assert_eq!(story.next(true, false, 2000), Ok(AssignmentEvent::DriftFound { present: false }));
    story.step(true, false, 2000);
    assert!(!story.ledger().is_settled_absent(), "the list may have been stale");
    // Before it is created again, nobody wants it any more; and there it is.
    story.step(false, true, 2010);
    assert_eq!(story.next(false, true, 2020), Ok(delete(2020)));
}

#[test]
fn ours_that_is_really_gone_settles_with_a_second_look() {
    let mut story = ours();
    assert_eq!(settle(story.ledger(), at(2000)), Err(Rejection::NotClosable), "what is ours is deleted");
    story.step(true, false, 2000);
    assert!(story.settled(2010).ledger().is_settled_absent());
}

#[test]
fn what_others_made_is_noticed_again_once_it_was_found_to_be_gone() {
    let mut story = standing();
    assert_eq!(notice(Some(story.ledger()), &key()), Err(Rejection::AsItShouldBe), "noticed once");
    story.append(&AssignmentEvent::DriftFound { present: false }, 10);
    assert!(story.ledger().presence == Presence::Absent && story.ledger().is_settled_absent());
    let again = notice(Some(story.ledger()), &key());
    assert_eq!(again, Ok(AssignmentEvent::StandingFound { key: key() }));
    story.append(&again.unwrap(), 20);
    assert_eq!(story.next(false, true, 30), Err(Rejection::Standing), "it is theirs still");
}

#[test]
fn a_story_begins_with_an_attempt_or_with_what_stood_there() {
    let id = EventId::from_parts([b"x".as_slice()]);
    let cannot_begin = [
        AssignmentEvent::AttemptAbandoned { attempt: id },
        AssignmentEvent::Confirmed { attempt: id },
        AssignmentEvent::Failed { attempt: id, reason: String::new(), definite: true },
        AssignmentEvent::DriftFound { present: true },
    ];
    for event in cannot_begin {
        assert_eq!(Ledger::evolve(None, &event, id, at(0)), None);
    }
}

#[test]
fn finding_something_while_a_create_is_under_way_never_makes_it_standing() {
    let mut story = Story::default();
    story.step(true, false, 0);
    story.append(&AssignmentEvent::StandingFound { key: key() }, 10);
    assert_eq!(story.ledger().presence, Presence::Ours);
    story.append(&AssignmentEvent::StandingFound { key: key() }, 20);
    assert_eq!(story.ledger().presence, Presence::Ours);
}

#[test]
fn the_key_of_every_assignment_has_its_own_name() {
    let other = AssignmentKey { principal: user("bbbb"), ..key() };
    assert_eq!(key().digest().len(), 32);
    assert_ne!(key().digest(), other.digest());
}
