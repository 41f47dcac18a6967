//! The same seed gives the same trace: else a failing seed could not be looked at.

use simulation::{Config, run};

#[test]
fn the_same_seed_gives_the_same_trace() {
    let config = Config { steps: 25, plant: None };
    for seed in 1_000..1_010 {
        let (one, other) = (run(seed, &config), run(seed, &config));
        let differs = one.lines.iter().zip(&other.lines).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.digest, other.digest, "seed {seed}");
        assert_eq!(one.stats, other.stats, "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_trace() {
    let config = Config { steps: 10, plant: None };
    assert_ne!(run(1, &config).digest, run(2, &config).digest);
}
