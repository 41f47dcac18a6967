//! The model, exhausted; and each planted bug, found by the shortest way there is.

use super::bounds::Bounds;
use super::plant::Plant;
use super::state::State;
use super::{Reconciler, rules, ways};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;

/// Exhausts `bounds`: no rule is broken, and everything of `reached` happens somewhere (a model in which nothing happens breaks
/// no rule).
fn holds(bounds: Bounds, reached: &[&str]) {
    let checker = Reconciler::new(bounds, None)
        .checker()
        .threads(2)
        .symmetry_fn(State::representative)
        .spawn_dfs()
        .join();
    println!(
        "{bounds:?}: {} states, {} of them different, {} steps deep",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
    );
    for rule in rules::ALL {
        if let Some(path) = checker.discovery(rule) {
            panic!("{rule}: {:#?}", path.into_actions());
        }
    }
    let found: BTreeSet<&str> = checker.discoveries().into_keys().collect();
    for way in reached {
        assert!(found.contains(way), "never happens: {way}");
    }
}

/// The shortest story in which `rule` is broken.
fn finds(plant: Plant, bounds: Bounds, rule: &'static str) {
    let checker = Reconciler::new(bounds, Some(plant))
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AllOf([rule].into()))
        .spawn_bfs()
        .join();
    let Some(path) = checker.discovery(rule) else { panic!("{plant:?} is not found: {rule}") };
    println!("{plant:?}: {rule:?} is broken, found among {} states", checker.unique_state_count());
    for action in path.into_actions() {
        println!("  {action:?}");
    }
}

/// `small` in every run; `large`, which contains it, where `DAYPASS_MODEL` asks for that: minutes, see `docs/testing.md`.
fn chosen(small: Bounds, large: Bounds) -> Bounds {
    match std::env::var("DAYPASS_MODEL").as_deref() {
        Err(_) => small,
        Ok("large") => large,
        Ok(other) => panic!("DAYPASS_MODEL is `large` or unset, not {other:?}"),
    }
}

#[test]
fn one_request_whatever_aws_and_a_crash_do() {
    holds(Bounds::FAULTS, &[ways::CLOSED, ways::LATE_CREATION]);
}

#[test]
fn two_requests_whatever_a_view_has_not_seen_yet() {
    let bounds = chosen(Bounds::OVERLAP, Bounds::OVERLAP_AND_FAULTS);
    holds(bounds, &[ways::CLOSED, ways::CARRIED, ways::BOTH_ACTIVE]);
}

#[test]
fn two_requests_on_a_standing_assignment() {
    let bounds = chosen(Bounds::STANDING, Bounds::STANDING_AND_REPLICAS);
    holds(bounds, &[ways::CLOSED, ways::BOTH_ACTIVE, ways::STANDING]);
}

#[test]
fn two_replicas_whatever_they_have_not_seen_yet() {
    let bounds = chosen(Bounds::REPLICAS, Bounds::REPLICAS_AND_FAULTS);
    holds(bounds, &[ways::CLOSED, ways::TAKE_OVER, ways::LATE_CREATION]);
}

#[test]
fn two_requests_and_two_replicas() {
    let bounds = chosen(Bounds::OVERTAKEN, Bounds::OVERLAP_AND_REPLICAS);
    holds(bounds, &[ways::CLOSED, ways::CARRIED, ways::TAKE_OVER]);
}

/// Known, and bounded by how often an assignment is looked at: `docs/simulation.md` says why.
#[test]
fn a_late_removal_may_take_a_newer_access_away_until_the_next_look() {
    holds(Bounds::LATE_REMOVAL, &[ways::AWAY]);
}

#[test]
fn without_a_fence_what_is_closed_comes_back() {
    finds(Plant::NoFence, Bounds::ZOMBIE, rules::CLOSED);
}

#[test]
fn without_compare_and_set_two_attempts_are_open() {
    finds(Plant::NoCompareAndSet, Bounds { attempts: 2, ..Bounds::REPLICAS }, rules::ONE_ATTEMPT);
}

#[test]
fn whoever_looks_at_one_request_alone_takes_the_other_ones_access() {
    finds(Plant::OneRequestAlone, Bounds::OVERLAP, rules::S3);
}

#[test]
fn without_observation_a_creation_is_made_twice() {
    finds(Plant::NoObservation, Bounds::FAULTS, rules::S7);
}

#[test]
fn without_a_second_decision_a_stale_view_creates_for_nobody() {
    finds(Plant::NoSecondDecision, Bounds::OVERLAP, rules::S1);
}

#[test]
fn whoever_does_not_look_for_standing_ones_removes_them() {
    finds(Plant::NoLookForStanding, Bounds { attempts: 2, ..Bounds::STANDING }, rules::STANDING);
}

#[test]
fn a_carrier_that_only_a_stale_view_shows_leaves_access_behind() {
    finds(Plant::StaleNeed, Bounds::OVERLAP, rules::CLOSED);
}

#[test]
fn closing_what_is_newer_than_the_ledger_leaves_access_behind() {
    finds(Plant::LateClosing, Bounds::OVERTAKEN, rules::CLOSED);
}
