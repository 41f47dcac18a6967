//! Measurements against limits that are taken in the same run. `docs/benchmarks.md` has figures and how they were got.
//!
//! ```text
//! cargo run --release -p bench -- create              durable CreateRequest, SQLite; --nats for JetStream
//! cargo run --release -p bench -- credentials         STS credentials, each recorded before it leaves; --nats for JetStream
//! cargo run --release -p bench -- active              from a request to its access on STS, 100,000 others active; --nats for JetStream
//! cargo run --release -p bench -- rebuild             the read model of requests from a log on SQLite; --nats from JetStream
//! cargo run --release -p bench -- relay               events for others, from SQLite; --nats from JetStream
//! cargo run --release -p bench -- relay --day         the relay after a day of downtime: time, and the order on the bus
//! cargo run --release -p bench -- windows             lateness of ends and starts, 100,000 windows open; --nats for JetStream
//! cargo run --release -p bench -- append              appends to JetStream beside publishing alone; --cluster on three servers
//! cargo run --release -p bench -- changes             1,200 changes under AWS's limits, as shipped, beside what else calls
//! cargo run --release -p bench -- memory              idle memory of a process; --nats: of each service as a process of its own
//! cargo run --release -p bench -- subjects            memory and start-up of a nats-server by streams
//! cargo run --release -p bench -- ready               from the start of a process until it serves
//! cargo run --release -p bench -- history             start, memory, reads and lists with a million requests; --nats for JetStream
//! ```

#![expect(clippy::disallowed_methods, reason = "load comes from tasks of their own")]

mod active;
mod apart;
mod append;
mod changes;
mod create;
mod credentials;
mod daypass;
mod engine;
mod history;
mod house;
mod limits;
mod logs;
mod memory;
mod publish;
mod ready;
mod rebuild;
mod relay;
mod rules;
mod shipped;
mod stories;
mod subjects;
mod unary;
mod windows;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Measures Daypass against limits of the same machine, in the same run.")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Durable CreateRequest through the whole stack: token, policy of 1,000 rules, append, projection on.
    Create {
        /// Callers at a time.
        #[arg(long, default_value_t = 64)]
        callers: usize,
        /// Rules of the policy.
        #[arg(long, default_value_t = 1_000)]
        rules: usize,
        /// Seconds per part.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Keep the log on a NATS server that is started for this, instead of SQLite.
        #[arg(long)]
        nats: bool,
    },
    /// STS credentials through the whole stack: token, eligibility, AssumeRole (simulated, at once), append.
    Credentials {
        /// Callers at a time.
        #[arg(long, default_value_t = 64)]
        callers: usize,
        /// Requests that are active, whose requesters take turns.
        #[arg(long, default_value_t = 2_000)]
        requests: usize,
        /// Seconds per part.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Keep the log on a NATS server that is started for this, instead of SQLite.
        #[arg(long)]
        nats: bool,
    },
    /// From the raising of a request, over its approval, to access on STS (simulated, at once), beside many that are active.
    Active {
        /// Other requests that are active.
        #[arg(long, default_value_t = 100_000)]
        live: u64,
        /// Requests per part: of one caller, and of several at a time.
        #[arg(long, default_value_t = 1_000)]
        requests: usize,
        /// Callers at a time, in the second part.
        #[arg(long, default_value_t = 8)]
        callers: usize,
        /// Keep the log on a NATS server that is started for this, instead of SQLite.
        #[arg(long)]
        nats: bool,
    },
    /// Filling the read model of requests from the log.
    Rebuild {
        /// Events in the log.
        #[arg(long, default_value_t = 300_000)]
        events: u64,
        /// Keep the log on a NATS server that is started for this, instead of SQLite.
        #[arg(long)]
        nats: bool,
    },
    /// Catching up of the relay, beside acknowledged publishing alone.
    Relay {
        /// Events in the log.
        #[arg(long, default_value_t = 200_000)]
        events: u64,
        /// Keep the log on the NATS server, too, instead of SQLite.
        #[arg(long)]
        nats: bool,
        /// Let the server sync before it acknowledges, as a log needs it.
        #[arg(long)]
        sync_always: bool,
        /// Instead: the relay was up to date, and down while a day's events (two million) were written.
        #[arg(long, conflicts_with = "events")]
        day: bool,
    },
    /// How late ends and starts are with many windows open, and after a restart.
    Windows {
        /// Windows that are open.
        #[arg(long, default_value_t = 100_000)]
        open: u64,
        /// Keep the log on a NATS server that is started for this, instead of SQLite.
        #[arg(long)]
        nats: bool,
    },
    /// Assignment changes under AWS's limits with the settings as shipped, in simulated time, beside the best schedule.
    Changes {
        /// Half of them creations, half removals.
        #[arg(long, default_value_t = 1_200)]
        changes: u64,
        /// Other requests that are active meanwhile, whose assignments are looked at.
        #[arg(long, default_value_t = 600)]
        others: u64,
        /// Accounts that all of them are in.
        #[arg(long, default_value_t = 200)]
        accounts: u64,
        /// Accounts among these that have half of the changes, and of the other requests, between them; 0: all have as many.
        #[arg(long, default_value_t = 6)]
        busy: u64,
    },
    /// Resident memory of an idle process with all services.
    Memory {
        /// Of each service as a process of its own instead, on a NATS server that is started for this; idle, and after requests.
        #[arg(long)]
        nats: bool,
    },
    /// Appends to JetStream, beside acknowledged publishing alone.
    Append {
        /// Callers at a time, in the first part.
        #[arg(long, default_value_t = 64)]
        callers: usize,
        /// Seconds per part.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// On a cluster of three servers on this machine, each message on all of them. Needs root: each has a network of its own.
        #[arg(long)]
        cluster: bool,
    },
    /// Memory and start-up of a nats-server that holds many streams of events, and what it is like to use.
    Subjects {
        /// Streams, of one event each.
        #[arg(long, default_value_t = 1_000_000)]
        streams: u64,
    },
    /// From the start of a process with all services until it serves.
    Ready {
        /// Starts on an empty folder; each is followed by one on the same folder.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// A process with all services on a log with history: catching up, start, memory, reads and lists. Ten million requests, which the
    /// design counts with, need 40 to 80 GB of TMPDIR; what a run took is said.
    History {
        /// Requests in the log, each with its whole story.
        #[arg(long, default_value_t = 1_000_000)]
        requests: u64,
        /// Keep the log on a NATS server that is started for this, instead of SQLite.
        #[arg(long)]
        nats: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Create { callers, rules, seconds, nats } => {
            create::run(callers, rules, Duration::from_secs(seconds), nats).await
        }
        What::Credentials { callers, requests, seconds, nats } => {
            credentials::run(callers, requests, Duration::from_secs(seconds), nats).await
        }
        What::Active { live, requests, callers, nats } => active::run(live, requests, callers, nats).await,
        What::Rebuild { events, nats } => rebuild::run(events, nats).await,
        What::Relay { events, nats, sync_always, day } => relay::run(events, nats, sync_always, day).await,
        What::Windows { open, nats } => windows::run(open, nats).await,
        What::Append { callers, seconds, cluster } => {
            append::run(callers, Duration::from_secs(seconds), cluster).await
        }
        What::Changes { changes, others, accounts, busy } => {
            let spread = changes::Spread { accounts, busy };
            let simulated = tokio::task::spawn_blocking(move || changes::run(changes, others, spread));
            simulated.await.unwrap_or_else(|error| Err(error.into()))
        }
        What::Memory { nats } => memory::run(nats).await,
        What::Subjects { streams } => subjects::run(streams).await,
        What::Ready { runs } => ready::run(runs).await,
        What::History { requests, nats } => history::run(requests, nats).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("the measurement failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Whatever went wrong; a measurement is not taken twice.
type Failed = Box<dyn Error + Send + Sync>;

#[expect(clippy::print_stdout, reason = "results are what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

/// The median of some durations, what all but a hundredth of them stay within, and the longest.
struct Quantiles {
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Quantiles {
    /// Of none: zero.
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |share: usize| durations.get(durations.len().saturating_sub(1) * share / 100).copied();
        Self {
            p50: at(50).unwrap_or_default(),
            p99: at(99).unwrap_or_default(),
            max: at(100).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max } = self;
        write!(f, "p50 {p50:.1?}  p99 {p99:.1?}  max {max:.1?}")
    }
}

/// How long calls took, and how many there were.
struct Measured {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

impl Measured {
    /// From the durations of all calls that were made in `within`.
    fn new(durations: Vec<Duration>, within: Duration) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
        let count = durations.len() as f64;
        let Quantiles { p50, p99, .. } = Quantiles::of(durations);
        Self { per_second: count / within.as_secs_f64(), p50, p99 }
    }

    fn say(&self, what: &str) {
        say(&format!(
            "{what:<44} {:>9.0}/s   p50 {:>9.1?}   p99 {:>9.1?}",
            self.per_second, self.p50, self.p99
        ));
    }
}

/// Calls `call` over and over from `callers` tasks for `within`. A call gets the number of its caller and its own number.
async fn hammer<F>(
    callers: usize,
    within: Duration,
    call: impl Fn(usize, u64) -> F,
) -> Result<Measured, Failed>
where
    F: Future<Output = Result<(), Failed>> + Send + 'static,
{
    let end = tokio::time::Instant::now() + within;
    let durations = load(callers, |_| tokio::time::Instant::now() < end, call).await?;
    Ok(Measured::new(durations, within))
}

/// The same, so many `calls` in all.
async fn hammer_times<F>(
    callers: usize,
    calls: u64,
    call: impl Fn(usize, u64) -> F,
) -> Result<Measured, Failed>
where
    F: Future<Output = Result<(), Failed>> + Send + 'static,
{
    let each = calls.div_ceil(u64::try_from(callers.max(1))?);
    let began = tokio::time::Instant::now();
    let durations = load(callers, |number| number < each, call).await?;
    Ok(Measured::new(durations, began.elapsed()))
}

/// The durations of all calls that `callers` tasks make, each for as long as it `goes_on` with the number of its next call.
async fn load<F>(
    callers: usize,
    goes_on: impl Fn(u64) -> bool,
    call: impl Fn(usize, u64) -> F,
) -> Result<Vec<Duration>, Failed>
where
    F: Future<Output = Result<(), Failed>> + Send + 'static,
{
    let (goes_on, call) = (&goes_on, &call);
    let tasks = (0..callers).map(|caller| async move {
        let mut durations = Vec::new();
        let mut number = 0;
        while goes_on(number) {
            let began = tokio::time::Instant::now();
            // A task of its own, so that callers use both cores.
            tokio::spawn(call(caller, number)).await??;
            durations.push(began.elapsed());
            number += 1;
        }
        Ok::<_, Failed>(durations)
    });
    let durations = futures::future::try_join_all(tasks).await?;
    Ok(durations.into_iter().flatten().collect())
}
