//! Bugs, planted on purpose: a check that has never failed proves nothing.

use simulation::{Config, Plant, run};

/// Seeds that are tried; most find a bug in the first.
const SEEDS: u64 = 12;

fn finds(plant: Plant, invariant: &str) {
    let config = Config { plant: Some(plant), ..Config::default() };
    let found: Vec<_> = (0..SEEDS).filter_map(|seed| run(seed, &config).violation).take(3).collect();
    assert!(!found.is_empty(), "{plant:?} is not found by {SEEDS} seeds");
    assert!(found.iter().all(|violation| violation.invariant == invariant), "{plant:?}: {found:?}");
}

#[test]
fn s1_finds_a_change_in_aws_without_an_attempt() {
    finds(Plant::CreateWithoutAttempt, "S1");
}

#[test]
fn s3_finds_the_removal_of_a_standing_assignment() {
    finds(Plant::DeleteStanding, "S3");
}

#[test]
fn s4_finds_a_requester_who_decides() {
    finds(Plant::ApproveOwn, "S4");
}

#[test]
fn s5_finds_an_acknowledged_event_that_is_lost() {
    finds(Plant::ForgetAcknowledged, "S5");
}

#[test]
fn s6_finds_the_approval_of_what_is_over() {
    finds(Plant::ApproveEnded, "S6");
}

#[test]
fn s8_finds_a_justification_in_the_clear() {
    finds(Plant::StorePlainText, "S8");
}
