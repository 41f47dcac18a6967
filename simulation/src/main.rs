//! `cargo run -p simulation -- --seeds 300`: simulates, and tells the story of every seed in which an invariant did not hold.

use clap::Parser;
use simulation::{Config, Plant, Report, STEPS, Stats, run, sweep};
use std::process::ExitCode;

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
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = Config { steps: arguments.steps, plant: arguments.plant };
    let mut failed = 0_u64;
    if let Some(seed) = arguments.seed {
        let report = run(seed, &config);
        if arguments.story {
            report.lines.iter().for_each(|line| println!("{line}"));
        } else {
            tell(&report, &config);
        }
        println!("seed {seed}: trace {}, {}", report.digest, summary(&report.stats));
        failed += u64::from(report.violation.is_some());
    } else {
        let mut done = 0_u64;
        let mut stats = Stats::default();
        sweep(arguments.from, arguments.seeds, &config, |report| {
            done += 1;
            stats.add(&report.stats);
            failed += u64::from(report.violation.is_some());
            tell(&report, &config);
            if done.is_multiple_of(50) || done == arguments.seeds {
                println!("{done} of {} seeds, {failed} failed", arguments.seeds);
            }
        });
        println!("{}", summary(&stats));
        stats.types.iter().for_each(|(name, count)| println!("  {count:>7} {name}"));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn summary(stats: &Stats) -> String {
    format!(
        "{} requests, {} answers, {} crashes, {} changes in AWS, {} polls",
        stats.requests, stats.answers, stats.crashes, stats.changes, stats.polls
    )
}

/// The last part of the story of a seed in which something did not hold, and how to see it again.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn tell(report: &Report, config: &Config) {
    let Some(violation) = &report.violation else { return };
    println!("\nseed {}: {violation}", report.seed);
    let skipped = report.lines.len().saturating_sub(STORY_LINES);
    report.lines.iter().skip(skipped).for_each(|line| println!("  {line}"));
    let plant = config.plant.map(|plant| format!(" --plant {}", value(plant))).unwrap_or_default();
    println!(
        "again: cargo run -p simulation -- --seed {} --steps {}{plant} --story\n",
        report.seed, config.steps
    );
}

fn value(plant: Plant) -> String {
    clap::ValueEnum::to_possible_value(&plant).map(|value| value.get_name().to_owned()).unwrap_or_default()
}
