//! The ledger of what is denied in one account.

use crate::support::{at, request_id, target};
use domain::{AccountId, EventId};
use lifecycle::Rejection;
use lifecycle::denial::{DenialEvent, Denials, Denied, SetNames, abandon, attempt, confirm, drift, fail};

fn account() -> AccountId {
    target().account().clone()
}

fn wanted(names: &[&str]) -> Denied {
    names.iter().map(|name| (request_id(name), None)).collect()
}

/// Each has a permission set of its own.
fn called(names: &[&str]) -> SetNames {
    names.iter().map(|name| (request_id(name), format!("set-{name}"))).collect()
}

#[derive(Default)]
struct Story {
    denials: Option<Denials>,
    events: u32,
}

impl Story {
    fn append(&mut self, event: &DenialEvent, when: i64) -> EventId {
        self.events += 1;
        let id = EventId::from_parts([self.events.to_be_bytes().as_slice()]);
        self.denials = Denials::evolve(self.denials.take(), event, id, at(when));
        id
    }

    fn next(&self, names: &[&str]) -> Result<DenialEvent, Rejection> {
        attempt(self.denials.as_ref(), &account(), &wanted(names), &called(names), at(900))
    }

    fn deny(&mut self, names: &[&str], when: i64) -> EventId {
        let event = self.next(names).unwrap();
        self.append(&event, when)
    }

    fn confirmed(&mut self, attempt: EventId, when: i64) {
        let event = confirm(self.denials(), attempt).unwrap();
        self.append(&event, when);
    }

    fn denials(&self) -> &Denials {
        self.denials.as_ref().unwrap()
    }
}

#[test]
fn an_attempt_says_all_that_is_to_be_denied() {
    let mut story = Story::default();
    assert_eq!(
        story.next(&[]),
        Err(Rejection::AsItShouldBe),
        "where nothing was denied there is nothing to do"
    );
    let first = story.deny(&["a"], 0);
    assert_eq!(story.next(&["a", "b"]), Err(Rejection::AttemptOpen));
    story.confirmed(first, 5);
    assert_eq!(story.next(&["a"]), Err(Rejection::AsItShouldBe));
    let second = story.deny(&["a", "b"], 10);
    story.confirmed(second, 15);
    assert!(story.denials().is(&wanted(&["a", "b"])) && story.denials().may_deny(&request_id("b")));
    let longer = Denied::from([(request_id("a"), None), (request_id("b"), Some(at(15)))]);
    assert!(
        attempt(story.denials.as_ref(), &account(), &longer, &SetNames::new(), at(900)).is_ok(),
        "also another instant is a change"
    );
    let last = story.deny(&[], 20);
    story.confirmed(last, 25);
    assert!(story.denials().is(&Denied::new()) && !story.denials().may_deny(&request_id("b")));
}

#[test]
fn after_a_failure_or_a_change_by_others_nothing_is_taken_for_granted() {
    for spoil in [true, false] {
        let mut story = Story::default();
        let first = story.deny(&["a"], 0);
        story.confirmed(first, 5);
        let event = if spoil {
            let second = story.deny(&["a", "b"], 10);
            fail(story.denials(), second, "LimitExceeded".into()).unwrap()
        } else {
            drift(story.denials()).unwrap()
        };
        story.append(&event, 12);
        assert_eq!(story.denials().denied(), None);
        assert!(story.denials().may_deny(&request_id("a")), "it was denied");
        assert_eq!(story.denials().may_deny(&request_id("b")), spoil, "that was tried");
        assert!(!story.denials().may_deny(&request_id("z")), "nobody ever tried");
        assert!(!story.denials().is_settled());
        assert!(story.next(&["a"]).is_ok(), "it is written again");
        assert_eq!(drift(story.denials()), Err(Rejection::AsItShouldBe));
    }
}

#[test]
fn what_is_denied_is_unknown_since_the_first_failure_until_it_is_confirmed() {
    let mut story = Story::default();
    for (nth, when) in [(0, 10), (1, 20)] {
        let attempt = story.deny(&["a"], when);
        assert_eq!(story.denials().undone_since, (nth > 0).then(|| at(12)), "trying is not failing");
        let event = fail(story.denials(), attempt, "Throttled".into()).unwrap();
        story.append(&event, when + 2);
        assert_eq!(story.denials().undone_since, Some(at(12)));
    }
    let attempt = story.deny(&["a"], 30);
    story.confirmed(attempt, 31);
    assert_eq!(story.denials().undone_since, None);
    let event = drift(story.denials()).unwrap();
    story.append(&event, 40);
    assert_eq!(story.denials().undone_since, Some(at(40)));
}

#[test]
fn what_was_never_denied_is_undenied_since_it_was_due_and_the_rest_since_it_is_not_known() {
    let mut story = Story::default();
    let first = story.deny(&["a"], 0);
    story.confirmed(first, 5);
    let since = |story: &Story, name: &str| story.denials().undenied_since(&request_id(name), at(7));
    assert_eq!((since(&story, "a"), since(&story, "b")), (None, Some(at(7))));
    let second = story.deny(&["a", "b"], 90);
    let event = fail(story.denials(), second, "Throttled".into()).unwrap();
    story.append(&event, 92);
    assert_eq!((since(&story, "a"), since(&story, "b")), (Some(at(92)), Some(at(7))));
    let third = story.deny(&["a", "b"], 100);
    story.confirmed(third, 101);
    assert_eq!((since(&story, "a"), since(&story, "b")), (None, None));
}

#[test]
fn what_others_change_again_within_minutes_is_denied_in_vain_until_it_stands() {
    let mut story = Story::default();
    let first = story.deny(&["a"], 0);
    story.confirmed(first, 5);
    // In vain since when: as it is told after each change, and later.
    for (changed_at, since) in [(100, None), (900, Some(100)), (1_700, Some(100)), (2_600, None)] {
        let event = drift(story.denials()).unwrap();
        story.append(&event, changed_at);
        let again = story.deny(&["a"], changed_at + 1);
        story.confirmed(again, changed_at + 2);
        assert_eq!(
            story.denials().in_vain_since(at(changed_at + 800)),
            since.map(at),
            "changed at {changed_at}"
        );
        assert_eq!(story.denials().in_vain_since(at(changed_at + 900)), None, "it stands");
    }
}

#[test]
fn names_are_known_for_as_long_as_what_they_name_may_be_denied() {
    let mut story = Story::default();
    let first = story.deny(&["a"], 0);
    story.confirmed(first, 5);
    assert_eq!(story.denials().names, called(&["a"]));
    let second = story.deny(&["b"], 10);
    assert_eq!(story.denials().names, called(&["a", "b"]));
    let event = fail(story.denials(), second, "Throttled".into()).unwrap();
    story.append(&event, 12);
    assert_eq!(story.denials().names, called(&["a", "b"]), "part of it may be in force");
    // As it was written before names were.
    let event =
        attempt(story.denials.as_ref(), &account(), &wanted(&["b"]), &SetNames::new(), at(900)).unwrap();
    let third = story.append(&event, 20);
    story.confirmed(third, 25);
    assert_eq!(story.denials().names, called(&["b"]), "nobody has said otherwise");
}

#[test]
fn an_attempt_that_was_not_made_changes_nothing() {
    let mut story = Story::default();
    let first = story.deny(&["a"], 0);
    let event = abandon(story.denials(), first).unwrap();
    story.append(&event, 11);
    assert!(story.denials().open.is_none() && story.denials().is(&wanted(&[])));
    assert_eq!(confirm(story.denials(), first), Err(Rejection::NoSuchAttempt));
}

#[test]
fn a_story_begins_with_an_attempt() {
    let id = EventId::from_parts([b"x".as_slice()]);
    for event in [DenialEvent::Confirmed { attempt: id }, DenialEvent::DriftFound] {
        assert_eq!(Denials::evolve(None, &event, id, at(0)), None);
    }
}
