//! What people say about an assignment: adopted, given up.

use crate::support::{at, giving_up, human, person, target, user, workload};
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
    let asked = give_up(Some(&stuck()), giving_up("carol")).unwrap();
    assert!(matches!(&asked, AssignmentEvent::AbandonAsked { by, .. } if *by == human("carol")));
    let ledger = then(stuck(), &asked);
    assert_eq!(ledger.presence, Presence::Ours, "one alone gives nothing up");
    let abandoned = give_up(Some(&ledger), giving_up("dave")).unwrap();
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
        assert_eq!(give_up(Some(&ledger), again), Err(Rejection::SecondPersonNeeded));
    }
}

#[test]
fn nothing_is_given_up_that_is_needed_can_be_removed_or_is_not_there() {
    let stuck = stuck();
    let cases = [
        (Abandon { needed: true, ..giving_up("carol") }, Rejection::StillNeeded),
        (Abandon { account_gone: false, ..giving_up("carol") }, Rejection::AccountNotGone),
        (Abandon { by: workload("ci"), ..giving_up("carol") }, Rejection::NotAPerson),
    ];
    for (command, rejection) in cases {
        assert_eq!(give_up(Some(&stuck), command), Err(rejection));
    }
    let standing = fold(&[AssignmentEvent::StandingFound { key: key() }]);
    for ledger in [None, Some(&standing)] {
        assert_eq!(give_up(ledger, giving_up("carol")), Err(Rejection::AsItShouldBe));
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
