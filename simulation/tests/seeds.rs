//! The invariants hold for every seed. `DAYPASS_SEEDS` says how many: 300, unless told otherwise.
use simulation::{Config, Stats, sweep};

/// What must have happened in 300 seeds, or the simulation has become blind.
const HAPPENS: [&str; 20] = [
    "request.requested.v1",
    "request.endorsed.v1",
    "request.approved.v1",
    "request.rejected.v1",
    "request.expired.v1",
    "request.withdrawn.v1",
    "request.activated.v1",
    "request.credentials_issued.v1",
    "request.revoked.v1",
    "request.ended.v1",
    "request.closed.v1",
    "assignment.attempted.v1",
    "assignment.attempt_abandoned.v1",
    "assignment.confirmed.v1",
    "assignment.failed.v1",
    "assignment.standing_found.v1",
    "assignment.drift_found.v1",
    "policy.proposed.v1",
    "policy.applied.v1",
    "policy.discarded.v1",
];

/// From how many seeds on all of that is expected.
const SEEDS_ENOUGH: u64 = 100;

#[test]
fn invariants_hold() {
    let count = std::env::var("DAYPASS_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let mut failed = Vec::new();
    let mut stats = Stats::default();
    sweep(0, count, &Config::default(), |report| {
        stats.add(&report.stats);
        if let Some(violation) = report.violation {
            let again = format!("cargo run -p simulation -- --seed {} --story", report.seed);
            println!(
                "seed {}: {violation}\n  {}\n  again: {again}\n",
                report.seed,
                report.lines.join("\n  ")
            );
            failed.push(report.seed);
        }
    });
    assert!(failed.is_empty(), "invariants do not hold for the seeds {failed:?}");
    if count >= SEEDS_ENOUGH {
        for name in HAPPENS {
            assert!(stats.types.contains_key(name), "{name} never happened: {stats:?}");
        }
        assert!(stats.crashes > 0 && stats.changes > 0, "{stats:?}");
    }
}
