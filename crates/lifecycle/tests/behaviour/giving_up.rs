//! What people say about an assignment: adopted, given up.

use crate::support::{DAY, at, giving_up, human, person, target, user, workload};
use domain::{EventId, Person};
use lifecycle::Rejection;
use lifecycle::assignment::{
    Abandon, AssignmentEvent, AssignmentKey, Ledger, Operation, Presence, adopt, attempt, give_up,
};
use lifecycle::state::Identities;
use std::collections::BTreeSet;

fn key() -> AssignmentKey {
    AssignmentKey { principal: user("aaaa"), target: target() }
}

fn id(name: &str) -> EventId {
    EventId::from_parts([name.as_bytes()])
}

fn fold(events: &[AssignmentEvent]) -> Ledger {
    let mut ledger = None;
    for (n, event) in events.iter().enumerate() {
        ledger = Ledger::evolve(ledger, event, id(&n.to_string()), at(10));
    }
    ledger.unwrap()
}

fn created() -> Vec<AssignmentEvent> {
    vec![
        AssignmentEvent::Attempted { key: key(), operation: Operation::Create, deadline: at(900) },
        AssignmentEvent::Confirmed { attempt: id("0") },
    ]
}

/// A creation that is confirmed, and a removal that AWS refuses.
fn stuck() -> Ledger {
    let mut events = created();
    events.push(AssignmentEvent::Attempted { key: key(), operation: Operation::Delete, deadline: at(900) });
    events.push(AssignmentEvent::Failed { attempt: id("2"), reason: "AccountGone".into(), definite: true });
    fold(&events)
}

fn then(ledger: Ledger, event: &AssignmentEvent) -> Ledger {
    Ledger::evolve(Some(ledger), event, id("then"), at(20)).unwrap()
}

#[test]
fn two_people_give_up_what_is_left_in_an_account_that_is_gone() {
    let asked = give_up(Some(&stuck()), giving_up("carol"), at(20)).unwrap();
    assert!(matches!(&asked, AssignmentEvent::AbandonAsked { by, .. } if *by == human("carol")));
    let ledger = then(stuck(), &asked);
    assert_eq!(ledger.presence, Presence::Ours, "one alone gives nothing up");
    let abandoned = give_up(Some(&ledger), giving_up("dave"), at(20)).unwrap();
    assert!(matches!(&abandoned, AssignmentEvent::Abandoned { by, .. } if *by == human("dave")));
    let ledger = then(ledger, &abandoned);
    assert!(ledger.is_settled_absent() && ledger.abandoned);
    assert_eq!(attempt(Some(&ledger), &key(), false, false, at(900)), Err(Rejection::AsItShouldBe));
}

#[test]
fn the_same_human_twice_is_one_under_whatever_identity() {
    let asked =
        AssignmentEvent::AbandonAsked { by: human("carol"), principal: Some(user("cccc")), comment: None };
    let ledger = then(stuck(), &asked);
    let by_link: BTreeSet<Person> = BTreeSet::from([person("carol2"), person("carol")]);
    let linked = Identities { people: by_link, principal: None };
    let same_user = Identities { principal: Some(user("cccc")), ..Identities::of(person("other")) };
    for identities in [linked, same_user] {
        let again = Abandon { identities, ..giving_up("carol2") };
        assert_eq!(give_up(Some(&ledger), again, at(20)), Err(Rejection::SecondPersonNeeded));
    }
}

/// Carol asked at 20 s.
fn asked() -> Ledger {
    then(stuck(), &give_up(Some(&stuck()), giving_up("carol"), at(20)).unwrap())
}

#[test]
fn what_one_person_asked_counts_for_seven_days() {
    let last = at(20 + 7 * DAY - 1);
    let abandoned = give_up(Some(&asked()), giving_up("dave"), last);
    assert!(matches!(abandoned, Ok(AssignmentEvent::Abandoned { .. })), "{abandoned:?}");
    assert_eq!(give_up(Some(&asked()), giving_up("carol"), last), Err(Rejection::SecondPersonNeeded));

    let late = at(20 + 7 * DAY);
    for who in ["carol", "dave"] {
        let anew = give_up(Some(&asked()), giving_up(who), late).unwrap();
        assert!(matches!(anew, AssignmentEvent::AbandonAsked { .. }), "{who} is the first again: {anew:?}");
        let ledger = Ledger::evolve(Some(asked()), &anew, id("anew"), late).unwrap();
        let second = give_up(Some(&ledger), giving_up("erin"), at(21 + 7 * DAY));
        assert!(matches!(second, Ok(AssignmentEvent::Abandoned { .. })), "{second:?}");
    }
}

#[test]
fn what_one_person_asked_is_over_when_the_assignment_is_made_anew_or_found_absent() {
    let create = AssignmentEvent::Attempted { key: key(), operation: Operation::Create, deadline: at(900) };
    let trying = Ledger::evolve(Some(asked()), &create, id("create"), at(20)).unwrap();
    let made = then(trying.clone(), &AssignmentEvent::Confirmed { attempt: id("create") });
    let gone = then(asked(), &AssignmentEvent::DriftFound { present: false });
    for ledger in [made, gone] {
        let anew = give_up(Some(&ledger), giving_up("dave"), at(30));
        assert!(matches!(anew, Ok(AssignmentEvent::AbandonAsked { .. })), "{anew:?}");
    }
    let failed =
        AssignmentEvent::Failed { attempt: id("create"), reason: "AccountGone".into(), definite: true };
    let second = give_up(Some(&then(trying, &failed)), giving_up("dave"), at(30));
    assert!(matches!(second, Ok(AssignmentEvent::Abandoned { .. })), "nothing has changed: {second:?}");
}

#[test]
fn nothing_is_given_up_that_is_needed_can_be_removed_or_is_not_there() {
    let stuck = stuck();
    let cases = [
        (Abandon { needed: true, ..giving_up("carol") }, Rejection::StillNeeded),
        (Abandon { gone: false, ..giving_up("carol") }, Rejection::AccountNotGone),
        (Abandon { by: workload("ci"), ..giving_up("carol") }, Rejection::NotAPerson),
    ];
    for (command, rejection) in cases {
        assert_eq!(give_up(Some(&stuck), command, at(20)), Err(rejection));
    }
    let standing = fold(&[AssignmentEvent::StandingFound { key: key() }]);
    for ledger in [None, Some(&standing)] {
        assert_eq!(give_up(ledger, giving_up("carol"), at(20)), Err(Rejection::AsItShouldBe));
    }
}

#[test]
fn what_was_given_up_and_comes_back_is_ours() {
    let abandoned = AssignmentEvent::Abandoned { by: human("dave"), principal: None, comment: None };
    let ledger = then(stuck(), &abandoned);
    let back = attempt(Some(&ledger), &key(), false, true, at(900)).unwrap();
    assert_eq!(back, AssignmentEvent::DriftFound { present: true });
    let ledger = then(ledger, &back);
    assert_eq!((ledger.presence, ledger.abandoned), (Presence::Ours, false));
    let removal = attempt(Some(&ledger), &key(), false, true, at(900)).unwrap();
    assert!(matches!(removal, AssignmentEvent::Attempted { operation: Operation::Delete, .. }));
}

#[test]
fn a_standing_assignment_is_removed_once_an_administrator_adopts_it() {
    let standing = fold(&[AssignmentEvent::StandingFound { key: key() }]);
    assert_eq!(attempt(Some(&standing), &key(), false, true, at(900)), Err(Rejection::Standing));
    let adopted = adopt(Some(&standing), &key(), &human("carol"), true).unwrap();
    let ledger = then(standing, &adopted);
    let removal = attempt(Some(&ledger), &key(), false, true, at(900)).unwrap();
    assert!(matches!(removal, AssignmentEvent::Attempted { operation: Operation::Delete, .. }));
}

#[test]
fn only_people_adopt_and_only_what_is_there_and_not_ours() {
    assert_eq!(adopt(None, &key(), &human("carol"), false), Err(Rejection::NotThere));
    assert_eq!(adopt(None, &key(), &workload("ci"), true), Err(Rejection::NotAPerson));
    assert_eq!(adopt(Some(&fold(&created())), &key(), &human("carol"), true), Err(Rejection::AsItShouldBe));
    assert_eq!(
        adopt(None, &key(), &human("carol"), true),
        Ok(AssignmentEvent::Adopted { key: key() }),
        "also what no ledger knows of"
    );
}
