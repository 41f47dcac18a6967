//! The invariants hold for every seed. `DAYPASS_SEEDS` says how many: 1,000, unless told otherwise.
use simulation::{Config, Stats, sweep};

/// What must have happened in a thousand seeds, or the simulation has become blind.
const HAPPENS: [&str; 29] = [
    "request.requested.v1",
    "request.endorsed.v1",
    "request.approved.v1",
    "request.rejected.v1",
    "request.expired.v1",
    "request.withdrawn.v1",
    "request.activated.v1",
    "request.credentials_issued.v1",
    "request.console_opened.v1",
    "request.revoked.v1",
    "request.ended.v1",
    "request.closed.v1",
    "assignment.attempted.v1",
    "assignment.attempt_abandoned.v1",
    "assignment.confirmed.v1",
    "assignment.failed.v1",
    "assignment.standing_found.v1",
    "assignment.drift_found.v1",
    "assignment.abandon_asked.v1",
    "assignment.abandoned.v1",
    "denial.attempted.v1",
    "denial.confirmed.v1",
    "denial.failed.v1",
    "denial.drift_found.v1",
    "policy.proposed.v1",
    "policy.applied.v1",
    "policy.discarded.v1",
    "person.linked.v1",
    "duty.claimed.v1",
];

/// What must have struck, or happened beside the log.
const STRIKES: [&str; 47] = [
    "crash",
    "crash right after an append",
    "pause",
    "clock: jumps back",
    "clock: jumps forward",
    "log: answer lost",
    "log: append lost",
    "log: append refused",
    "log: full",
    "log: line cut",
    "log: read fails",
    "people: a look at everything",
    "people: a look at one assignment",
    "people: answer lost",
    "aws: FAILED",
    "aws: change of a control policy fails",
    "aws: answer lost, effect later or never",
    "aws: answer lost, effect now",
    "aws: conflict",
    "aws: directory out of reach",
    "aws: no connection",
    "aws: nothing found to delete",
    "aws: one machine is cut off, or not any more",
    "aws: removal from a lost account",
    "aws: request lost",
    "aws: slow operation",
    "aws: throttled",
    "aws: throttled for a time",
    "aws says ConflictException",
    "aws says DispatchFailure",
    "aws says RequestExpired",
    "aws says ThrottlingException",
    "aws says Timeout",
    "company: account closed while assigned",
    "company: no room for control policies",
    "damage: a forged approval",
    "damage: a ledger",
    "damage: a request",
    "damage: the duty",
    "damage: the policy",
    "drift: others' appears",
    "drift: others' vanishes",
    "drift: others write over a control policy",
    "drift: ours vanishes",
    "role assigned",
    "role chained from credentials",
    "role no longer assigned",
];

/// From how many seeds on all of that is expected.
const SEEDS_ENOUGH: u64 = 300;

/// Lines of a failing seed's story.
const STORY_LINES: usize = 60;

#[test]
fn invariants_hold() {
    let count = std::env::var("DAYPASS_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let mut failed = Vec::new();
    let mut stats = Stats::default();
    sweep(0, count, &Config::default(), |report| {
        stats.add(&report.stats);
        if let Some(violation) = &report.violation {
            let again = format!("cargo run --release -p simulation -- --seed {} --story", report.seed);
            let story = report.story(STORY_LINES).join("\n  ");
            println!("seed {}: {violation}\n  {story}\n  again: {again}\n", report.seed);
            failed.push(report.seed);
        }
    });
    assert!(failed.is_empty(), "invariants do not hold for the seeds {failed:?}");
    if count >= SEEDS_ENOUGH {
        for name in HAPPENS {
            assert!(stats.types.contains_key(name), "{name} never happened: {stats:?}");
        }
        for name in STRIKES {
            assert!(stats.faults.contains_key(name), "{name} never struck: {stats:?}");
        }
        assert!(stats.changes > 0 && stats.late > 0, "{stats:?}");
    }
}
