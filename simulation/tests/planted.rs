//! Bugs, planted on purpose: a check that has never failed proves nothing.
//!
//! What matters is that a bug is found, by an invariant that knows nothing of it. Each test begins at a seed that found its bug when
//! this was written, and goes on from there; docs/simulation.md says how many seeds it takes from the first on.

use simulation::{Config, Plant, run};

/// Seeds that are tried: a change anywhere in the services makes other stories of the same seeds.
const SEEDS: u64 = 60;

/// One of these invariants finds it. What others find first depends on the mix of requests, and is passed over.
#[expect(clippy::print_stdout, reason = "what docs/simulation.md tells is read off here")]
fn finds(plant: Plant, from: u64, invariants: &[&str]) {
    let config = Config { plant: Some(plant), ..Config::default() };
    let seeds = (from..from + SEEDS).zip(1..);
    let mut violations = seeds.filter_map(|(seed, count)| Some((seed, count, run(seed, &config).violation?)));
    let found = violations.find(|(.., violation)| invariants.contains(&violation.invariant));
    assert!(found.is_some(), "{plant:?} is not found by the seeds {from} to {}", from + SEEDS - 1);
    let Some((seed, count, violation)) = found else { return };
    println!("{plant:?}: seed {seed}, the {count}. that was tried: {violation}");
}

/// A bug without a test would be one that nobody has seen found.
#[test]
fn every_bug_is_here() {
    let here = include_str!("planted.rs");
    let missing: Vec<_> =
        Plant::all().iter().filter(|plant| !here.contains(&format!("Plant::{plant:?},"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn team_104_279_overlapping() {
    finds(Plant::Overlap, 50, &["S3"]);
}

#[test]
fn team_standing() {
    finds(Plant::DeleteStanding, 2, &["S3"]);
}

#[test]
fn team_status_never_read() {
    finds(Plant::NoFinalStatus, 0, &["S1", "S2"]);
}

#[test]
fn team_255_513_five_tries() {
    finds(Plant::FiveTries, 12, &["S2", "L1"]);
}

#[test]
fn team_195_credentials_outlive_the_window() {
    finds(Plant::UnboundCredentials, 4, &["S2"]);
}

#[test]
fn team_507_a_record_is_passed_over() {
    finds(Plant::SkipRecord, 0, &["S9"]);
}

#[test]
fn team_one_rule_frees_others() {
    finds(Plant::RuleLeak, 0, &["S4"]);
}

#[test]
fn team_glide_frozen_approvers() {
    finds(Plant::FrozenApprovers, 14, &["S4"]);
}

#[test]
fn team_self_approval_by_e_mail() {
    finds(Plant::EmailSelfApproval, 40, &["S4"]);
}

#[test]
fn team_30_letter_case() {
    finds(Plant::LetterCase, 70, &["S6", "S4"]);
}

#[test]
fn team_149_upgrade_during_active_grants() {
    finds(Plant::StateInMemory, 0, &["S3", "S2", "L1"]);
}

#[test]
fn lambda_effective_before_recorded() {
    finds(Plant::EffectiveBeforeRecorded, 0, &["S1"]);
}

#[test]
fn lambda_hourly_sweep() {
    finds(Plant::HourlySweep, 0, &["S2", "L1"]);
}

#[test]
fn lambda_row_deleted_before_the_removal_is_known() {
    finds(Plant::TwoStreamsOutOfStep, 30, &["S2"]);
}

#[test]
fn zombie_create() {
    finds(Plant::ZombieCreate, 8, &["S2", "L1", "L3"]);
}

#[test]
fn lost_take_over() {
    finds(Plant::LostTakeOver, 0, &["S2", "L1", "L2"]);
}

#[test]
fn elevator_47_double_approval() {
    finds(Plant::DoubleApproval, 2, &["S6", "S4"]);
}

#[test]
fn teleport_13416_own_request() {
    finds(Plant::ApproveOwn, 0, &["S4"]);
}

#[test]
fn what_is_over_is_approved() {
    finds(Plant::ApproveEnded, 0, &["S6"]);
}

#[test]
fn an_acknowledged_event_is_lost() {
    finds(Plant::ForgetAcknowledged, 0, &["S5"]);
}

#[test]
fn a_justification_in_the_clear() {
    finds(Plant::StorePlainText, 0, &["S8"]);
}

#[test]
fn an_unknown_outcome_is_tried_again() {
    finds(Plant::BlindRetry, 0, &["S7"]);
}

#[test]
fn an_unreadable_policy_is_passed_over() {
    finds(Plant::SkipUnreadable, 0, &["S10"]);
}

#[test]
fn credentials_outlive_what_was_told() {
    finds(Plant::LongCredentials, 89, &["S2"]);
}

#[test]
fn credentials_chain_of_which_nobody_was_told() {
    finds(Plant::UntoldChaining, 0, &["S2"]);
}

#[test]
fn a_clock_that_is_ahead_begins_early() {
    finds(Plant::FastClocks, 0, &["S1"]);
}

#[test]
fn broker_an_end_without_its_year() {
    finds(Plant::YearlessEnds, 0, &["S2", "L1", "L4"]);
}

#[test]
fn glide_a_creation_fails_silently() {
    finds(Plant::SilentFailure, 0, &["S1"]);
}

#[test]
fn a_deny_that_hits_every_session() {
    finds(Plant::DenyEverything, 22, &["S3"]);
}

#[test]
fn a_deny_that_is_never_lifted() {
    finds(Plant::DenyForEver, 4, &["S2", "L1"]);
}

#[test]
fn what_was_denied_in_an_account_that_left_is_never_settled() {
    finds(Plant::DenyTheGone, 135, &["L1"]);
}

#[test]
fn what_is_missing_is_never_restored() {
    finds(Plant::NeverRestored, 443, &["S1"]);
}

#[test]
fn what_was_removed_is_still_listed() {
    finds(Plant::StaleLists, 8, &["S2"]);
}
