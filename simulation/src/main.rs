//! `cargo run -p simulation -- --seeds 300`: simulates, and tells a short story of every seed in which an invariant did not hold.

use clap::Parser;
use simulation::{Config, Plant, Report, STEPS, Stats, run, sweep};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Lines of a failing seed's story.
const STORY_LINES: usize = 40;

/// Simulates Daypass, its people, its AWS and what goes wrong.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Steps of each simulation.
    #[arg(long, default_value_t = STEPS)]
    steps: u32,
    /// One seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Tells everything that happened in it.
    #[arg(long, requires = "seed")]
    story: bool,
    /// Plants a bug, to see it found.
    #[arg(long)]
    plant: Option<Plant>,
    /// Plants one bug after the other, and prints by which invariant each is found, and after how many seeds.
    #[arg(long, conflicts_with_all = ["plant", "seed"])]
    detect: bool,
}

/// How often the command says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.detect {
        return if detect(&arguments) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let config = Config { steps: arguments.steps, plant: arguments.plant };
    let mut failed = 0_u64;
    if let Some(seed) = arguments.seed {
        let report = run(seed, &config);
        if arguments.story {
            report.lines.iter().for_each(|line| println!("{line}"));
        } else {
            tell(&report, &config);
        }
        println!("seed {seed}: trace {}", report.digest);
        count(&report.stats);
        failed += u64::from(report.violation.is_some());
    } else {
        let mut progress = Progress::begin(arguments.seeds);
        let mut stats = Stats::default();
        sweep(arguments.from, arguments.seeds, &config, |report| {
            stats.add(&report.stats);
            failed += u64::from(report.violation.is_some());
            tell(&report, &config);
            progress.one_more(failed);
        });
        println!("{failed} of {} seeds failed", arguments.seeds);
        count(&stats);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How far the command is.
struct Progress {
    began: Instant,
    told: Duration,
    done: u64,
    seeds: u64,
}

impl Progress {
    #[expect(clippy::disallowed_methods, reason = "tells whoever waits, and decides nothing")]
    fn begin(seeds: u64) -> Self {
        Self { began: Instant::now(), told: Duration::ZERO, done: 0, seeds }
    }

    #[expect(clippy::print_stderr, reason = "this is what the command is for")]
    #[expect(clippy::cast_precision_loss, reason = "told to one digit")]
    fn one_more(&mut self, failed: u64) {
        self.done += 1;
        let took = self.began.elapsed();
        if took < self.told + PROGRESS_EVERY && self.done < self.seeds {
            return;
        }
        self.told = took;
        let a_second = self.done as f64 / took.as_secs_f64().max(0.001);
        let left = (self.seeds - self.done) as f64 / a_second;
        eprintln!(
            "{} of {} seeds, {failed} violations, {a_second:.1} seeds/s, {} left",
            self.done,
            self.seeds,
            clock(left)
        );
    }
}

/// Minutes and seconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a human's patience")]
fn clock(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn count(stats: &Stats) {
    println!(
        "{} requests, {} answers, {} changes in AWS, {} late by up to {:#}, {} polls",
        stats.requests, stats.answers, stats.changes, stats.late, stats.latest, stats.polls
    );
    stats.types.iter().chain(&stats.faults).for_each(|(name, count)| println!("  {count:>8} {name}"));
}

/// The short story of a seed in which something did not hold, and how to see it again.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn tell(report: &Report, config: &Config) {
    let Some(violation) = &report.violation else { return };
    println!("\nseed {}: {violation}", report.seed);
    report.story(STORY_LINES).iter().for_each(|line| println!("  {line}"));
    let plant = config.plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
    println!(
        "again: cargo run --release -p simulation -- --seed {} --steps {}{plant} --story\n",
        report.seed, config.steps
    );
}

/// Every bug, over seeds until one is found: the table of docs/simulation.md. Says whether all are.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn detect(arguments: &Arguments) -> bool {
    println!("| planted | what it was | found by | seeds until then |\n| --- | --- | --- | --- |");
    let mut all = true;
    for plant in Plant::all() {
        let config = Config { steps: arguments.steps, plant: Some(*plant) };
        let seeds = arguments.from..arguments.from.saturating_add(arguments.seeds);
        let found = seeds.zip(1_u64..).find_map(|(seed, count)| Some((run(seed, &config).violation?, count)));
        all &= found.is_some();
        let (by, count) = match &found {
            Some((violation, count)) => (violation.invariant, count.to_string()),
            None => ("nothing", format!("more than {}", arguments.seeds)),
        };
        println!("| `{}` | {} | {by} | {count} |", plant.name(), plant.origin());
    }
    all
}
