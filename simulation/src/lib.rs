//! The simulation: all of Daypass, its people and its AWS on one thread with simulated time, where everything that can go wrong
//! does, as a seed says. The same seed gives the same trace, byte by byte.
//!
//! - [`run()`]: one seed to its [`Report`]; [`sweep()`]: many seeds on all cores.
//! - `schedule`, `seams`, `weather`: which task runs next, time and chance, faults;
//! - `machine`, `process`: where the services run, and they themselves, started anew after each crash; `witness`, `line`: the log
//!   and AWS as one machine reaches them; `mirage`: the log as a bug shows it;
//! - `people`, `workload`, `order`, `words`: who wants what, through the services' own APIs, and the trace of it;
//! - `truth`: the fold of the log; `invariant`: what always holds; [`Plant`]: bugs, to see that it is noticed when it does not.
//!
//! INVARIANT: no sockets, threads or machine clock below [`run()`]; nothing rests on the order of a hash map or of wake-ups.
//! docs/simulation.md has the table of invariants.

pub mod history;
mod inspector;
mod invariant;
mod line;
mod machine;
mod mirage;
mod order;
mod people;
mod plant;
mod process;
mod run;
mod schedule;
mod seams;
mod story;
mod sweep;
mod tally;
mod trace;
mod truth;
mod weather;
mod witness;
mod words;
mod workload;

pub use invariant::Violation;
pub use plant::Plant;
pub use sweep::sweep;

use domain::SignedDuration;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Steps of a simulation, unless told otherwise: some 15 minutes of Daypass's life.
pub const STEPS: u32 = 30;

/// How to simulate.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many times people and faults have their turn.
    pub steps: u32,
    /// A bug.
    pub plant: Option<Plant>,
}

impl Default for Config {
    fn default() -> Self {
        Self { steps: STEPS, plant: None }
    }
}

/// What happened, in numbers: a simulation in which nothing happens finds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were raised.
    pub requests: usize,
    /// Answers that people heard.
    pub answers: usize,
    /// Crashes of the process.
    pub crashes: usize,
    /// Assignments that came or went.
    pub changes: usize,
    /// Polls of tasks.
    pub polls: u64,
    /// Seeds.
    pub seeds: u64,
    /// Assignments that outlasted their end by ten seconds or more.
    pub late: u32,
    /// The longest that one did.
    pub latest: SignedDuration,
    /// Events, by stored type.
    pub types: BTreeMap<String, u32>,
    /// Faults, by kind.
    pub faults: BTreeMap<String, u32>,
}

impl Stats {
    /// Adds another simulation's.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.crashes += other.crashes;
        self.changes += other.changes;
        self.polls += other.polls;
        self.seeds += other.seeds;
        self.late += other.late;
        self.latest = self.latest.max(other.latest);
        for (counts, others) in [(&mut self.types, &other.types), (&mut self.faults, &other.faults)] {
            for (name, count) in others {
                *counts.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// SHA-256 of the trace.
    pub digest: String,
    /// The trace.
    pub lines: Vec<String>,
    /// What the violation is about, as it is written in the trace.
    pub subjects: Vec<String>,
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// In numbers.
    pub stats: Stats,
}

/// Simulates one seed.
pub fn run(seed: u64, config: &Config) -> Report {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let simulated = catch_unwind(AssertUnwindSafe(|| simulate(seed, config, &lines)));
    let (violation, subjects, stats) = simulated.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something");
        (Some(Violation { invariant: "X1", what: format!("panic: {what}") }), Vec::new(), Stats::default())
    });
    let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    Report { seed, digest: trace::digest(&lines), lines, subjects, violation, stats }
}

impl Report {
    /// The last `lines_max` lines about what did not hold, and about the world around it.
    pub fn story(&self, lines_max: usize) -> Vec<&str> {
        story::short(&self.lines, &self.subjects, lines_max)
    }
}

fn simulate(
    seed: u64,
    config: &Config,
    lines: &Arc<Mutex<Vec<String>>>,
) -> (Option<Violation>, Vec<String>, Stats) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let what = format!("no runtime: {error}");
            return (Some(Violation { invariant: "X1", what }), Vec::new(), Stats::default());
        }
    };
    runtime.block_on(async {
        let clock = Arc::new(seams::SimClock::new());
        let trace = trace::Trace::new(Arc::clone(&clock), Arc::clone(lines));
        let mut run = run::Run::new(seed, config, clock, trace.clone());
        let violation = run.steps(config.steps).await.err();
        if let Some(violation) = &violation {
            trace.note("VIOLATED", &violation.to_string());
        }
        let subjects = violation.as_ref().map(|violation| run.subjects(violation)).unwrap_or_default();
        (violation, subjects, run.stats())
    })
}
