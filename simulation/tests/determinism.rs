//! The same seed gives the same trace: else a failing seed could not be looked at.

use simulation::{Config, run, sweep};
use std::collections::BTreeMap;

/// Seeds that are run twice: enough for every kind of fault to be among them.
const SEEDS: u64 = 30;

#[test]
fn the_same_seed_gives_the_same_trace() {
    let config = Config { steps: 25, plant: None };
    for seed in 1_000..1_005 {
        let (one, other) = (run(seed, &config), run(seed, &config));
        let differs = one.lines.iter().zip(&other.lines).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.digest, other.digest, "seed {seed}");
        assert_eq!(one.stats, other.stats, "seed {seed}");
    }
}

#[test]
fn threads_and_their_order_change_nothing() {
    let config = Config { steps: 20, plant: None };
    let digests = || {
        let mut digests = BTreeMap::new();
        sweep(2_000, SEEDS, &config, |report| {
            digests.insert(report.seed, (report.digest, report.stats));
        });
        digests
    };
    let (one, other) = (digests(), digests());
    for (seed, first) in &one {
        assert_eq!(Some(first), other.get(seed), "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_trace() {
    let config = Config { steps: 10, plant: None };
    assert_ne!(run(1, &config).digest, run(2, &config).digest);
}
