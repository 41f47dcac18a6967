//! Requests.

use crate::history::{Command, Step, What, history, humans, live};
use domain::Person;
use lifecycle::event::{ApprovalBasis, ClosedHow};
use lifecycle::state::{Phase, Status};
use lifecycle::{Request, RequestEvent};
use proptest::prelude::*;

/// Whether anybody behind `person` is known, at this command, to have requested or raised it.
fn involved(request: &Request, command: &Command, person: &Person) -> bool {
    let raiser = &request.raised.raiser;
    command.same(person, &request.raised.requester)
        || (raiser.is_human() && command.same(person, &raiser.person))
        || *person == raiser.person
}

fn is_terminal(status: Status) -> bool {
    match status {
        Status::Expired | Status::Rejected | Status::Ended => true,
        Status::Requested | Status::Approved => false,
    }
}

fn count(steps: &[Step], of: impl Fn(&RequestEvent) -> bool) -> usize {
    steps.iter().filter(|step| of(&step.event)).count()
}

proptest! {
    #[test]
    fn invariant_what_is_over_stays_over(history in history()) {
        for step in live(history) {
            if is_terminal(step.before.status()) {
                prop_assert_eq!(step.before.status(), step.after.status());
                prop_assert_eq!(step.before.window(), step.after.window());
                prop_assert!(!step.after.is_live(step.at));
                let follows = matches!(step.event, RequestEvent::Closed(_) | RequestEvent::ReviewedAfter(_));
                prop_assert!(follows, "{:?}", step.event);
            }
        }
    }

    #[test]
    fn invariant_every_accepted_command_is_seen_in_the_state(history in history()) {
        for step in live(history) {
            let same_but_time = Request { last_at: step.after.last_at, ..step.before.clone() };
            prop_assert_ne!(same_but_time, step.after, "{:?} was ignored", step.event);
        }
    }

    #[test]
    fn invariant_nobody_decides_on_what_they_requested_or_raised(history in history()) {
        for step in live(history) {
            let decided = if let RequestEvent::Approved(approved) = &step.event {
                approved.approvers.iter().map(|yes| yes.approver.clone()).collect()
            } else if matches!(step.command.what, What::Approve | What::Reject | What::ReviewAfter) {
                vec![step.command.actor().actor]
            } else {
                Vec::new()
            };
            for actor in decided {
                prop_assert!(actor.is_human());
                prop_assert!(!involved(&step.before, &step.command, &actor.person), "{:?}", actor.person);
            }
        }
    }

    #[test]
    fn invariant_approvers_are_distinct_humans_who_meet_both_plans(history in history()) {
        for step in live(history) {
            let RequestEvent::Approved(approved) = &step.event else { continue };
            for (i, one) in approved.approvers.iter().enumerate() {
                for other in &approved.approvers[..i] {
                    prop_assert!(!step.command.same(&one.approver.person, &other.approver.person));
                }
            }
            for plan in [&step.before.raised.grounds.plan, step.command.current(&step.before)] {
                let now: Vec<_> = approved
                    .approvers
                    .iter()
                    .map(|yes| (&yes.approver.person, step.command.groups_of(&yes.approver.person)))
                    .collect();
                prop_assert!(plan.is_met_by(now.iter().map(|(person, groups)| (*person, groups.known().unwrap()))));
                let distinct = humans(now.iter().map(|(person, _)| *person)).len();
                prop_assert!(distinct >= plan.people_needed() || !step.command.links);
            }
            match approved.basis {
                ApprovalBasis::People => prop_assert!(!approved.approvers.is_empty()),
                ApprovalBasis::Rule | ApprovalBasis::BreakGlass => prop_assert!(approved.approvers.is_empty()),
                ApprovalBasis::Signal => prop_assert!(false, "nothing here is approved by a signal"),
            }
            let owes = approved.basis == ApprovalBasis::BreakGlass;
            prop_assert_eq!(owes, approved.approvers.is_empty() && step.before.raised.emergency);
            prop_assert_eq!(step.after.owes_review(), owes);
        }
    }

    #[test]
    fn invariant_a_window_is_never_more_than_was_asked_for(history in history()) {
        for step in live(history) {
            let RequestEvent::Approved(approved) = &step.event else { continue };
            let asked = step.before.raised.asked;
            prop_assert!(approved.window.start() >= step.at);
            prop_assert!(approved.window.duration() <= asked.duration);
            prop_assert!(step.at < step.before.decide_until());
            if let Some(start) = asked.start {
                prop_assert!(approved.window.start() >= start);
                prop_assert_eq!(approved.window.end(), start.checked_add(asked.duration).unwrap());
            }
        }
    }

    #[test]
    fn invariant_nothing_begins_or_is_handed_out_outside_the_window(history in history()) {
        for step in live(history) {
            if matches!(
                step.event,
                RequestEvent::CredentialsIssued(_) | RequestEvent::ConsoleOpened(_) | RequestEvent::Activated(_)
            ) {
                prop_assert!(step.before.window().unwrap().contains(step.at));
                prop_assert!(step.before.is_live(step.at));
            }
        }
    }

    #[test]
    fn invariant_time_never_goes_back(history in history()) {
        for step in live(history) {
            prop_assert!(step.before.last_at <= step.at);
            prop_assert_eq!(step.after.last_at, step.at);
        }
    }

    #[test]
    fn invariant_each_turn_is_taken_at_most_once(history in history()) {
        let steps = live(history);
        prop_assert!(count(&steps, |event| matches!(event, RequestEvent::Approved(_))) <= 1);
        prop_assert!(count(&steps, |event| matches!(event, RequestEvent::Activated(_))) <= 1);
        prop_assert!(count(&steps, |event| matches!(event, RequestEvent::Closed(_))) <= 1);
        prop_assert!(count(&steps, |event| matches!(event, RequestEvent::ReviewedAfter(_))) <= 1);
        prop_assert!(count(&steps, RequestEvent::ends) <= 1);
    }

    #[test]
    fn invariant_only_what_is_over_and_has_left_nothing_is_closed(history in history()) {
        for step in live(history) {
            let RequestEvent::Closed(closed) = &step.event else { continue };
            prop_assert_eq!(step.before.status(), Status::Ended);
            prop_assert!(step.before.is_closing() && !step.after.is_closing());
            prop_assert!(step.before.issues.iter().all(|issue| issue.expires_at <= step.at));
            if closed.how == ClosedHow::NothingCreated {
                prop_assert!(step.before.issues.is_empty());
            }
        }
    }

    #[test]
    fn invariant_a_replay_comes_to_the_same(history in history()) {
        let (requested, _) = &history;
        let raised = RequestEvent::Requested(Box::new(requested.clone()));
        let steps = live(history);
        let Some(last) = steps.last() else { return Ok(()) };
        let start = last.after.raised_at;
        let story = std::iter::once((&raised, start)).chain(steps.iter().map(|step| (&step.event, step.at)));
        prop_assert_eq!(Request::fold(story), Some(last.after.clone()));
    }
}

/// Properties of histories in which nothing happens prove nothing: all turns are taken by some.
#[test]
fn random_histories_take_every_turn() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    let mut active_at_end = 0;
    for _ in 0..300 {
        let steps = live(history().new_tree(&mut runner).unwrap().current());
        for step in &steps {
            let name = format!("{:?}", step.event);
            seen.insert(name.split(|c: char| !c.is_alphabetic()).next().unwrap().to_owned());
        }
        if let Some(Phase::Ended { active: Some(_), .. }) = steps.last().map(|step| step.after.phase.clone())
        {
            active_at_end += 1;
        }
    }
    let all = [
        "Activated",
        "Approved",
        "Closed",
        "ConsoleOpened",
        "CredentialsIssued",
        "Ended",
        "Endorsed",
        "Expired",
        "Rejected",
        "ReviewedAfter",
        "Revoked",
        "Withdrawn",
    ];
    assert_eq!(seen, all.map(str::to_owned).into());
    assert!(active_at_end > 15, "{active_at_end}");
}
