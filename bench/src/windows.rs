//! How late ends and starts are while many windows are open, and after a restart. AWS is simulated and has no limits, so that its
//! queue is never full; the clock is the machine's.

use crate::house::{House, Process, Story};
use crate::{Failed, Quantiles, logs, say};
use activation::Settings;
use aws::simulated::{Behaviour, Call};
use domain::ports::SharedClock;
use domain::{SignedDuration, Timestamp, Window};
use futures::{StreamExt as _, TryStreamExt as _};
use service_runtime::clock::SystemClock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use test_servers::nats::NatsOptions;

/// DESIGN §17.
const BUDGET: Duration = Duration::from_millis(100);
const RESTART_BUDGET: Duration = Duration::from_secs(1);
/// Accounts: one operation at a time in each, so what is measured gets accounts of its own.
const ACCOUNTS: u64 = 5_000;
/// Ends, starts and overdue ends that are measured, each.
const SAMPLES: u64 = 1_000;
/// Over how long they are spread.
const SPREAD: SignedDuration = SignedDuration::from_secs(30);
/// For writing the history and taking it up.
const PREPARATION: SignedDuration = SignedDuration::from_secs(60);

pub(crate) async fn run(open: u64, nats: bool) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let server = logs::nats_server(nats, NatsOptions::default()).await?;
    let log = logs::open(server.as_ref(), folder.path()).await?;
    let clock: SharedClock = Arc::new(SystemClock);
    let behaviour = Behaviour { operation_time: SignedDuration::from_millis(50), ..Behaviour::default() };
    let settings = Settings {
        calls_per_second: 100_000,
        outstanding_max: 10_000,
        replica: Some("bench".to_owned()),
        ..Settings::default()
    };
    let users = open / ACCOUNTS + 1;
    let house = House::new(log, clock.clone(), behaviour, settings, (ACCOUNTS, users)).await?;
    let began = clock.now();
    let far = Window::new(began, began.checked_add(SignedDuration::from_hours(20))?)?;
    say(&format!("{}: writing {open} open windows", logs::engine(nats)));
    write(&house, began, (3 * SAMPLES..open + 3 * SAMPLES).map(|n| Story::new(n, ACCOUNTS, far, true)))
        .await?;
    let first = clock.now().checked_add(PREPARATION)?;
    let spread = |n: u64| -> Result<Timestamp, Failed> {
        let share = SPREAD.as_millis() * i128::from(n) / i128::from(SAMPLES);
        Ok(first.checked_add(SignedDuration::from_millis(i64::try_from(share)?))?)
    };
    let ends = (0..SAMPLES).map(|n| Story::new(n, ACCOUNTS, Window::new(began, spread(n)?)?, true));
    let starts =
        (0..SAMPLES).map(|n| Story::new(SAMPLES + n, ACCOUNTS, Window::new(spread(n)?, far.end())?, false));
    let sampled: Vec<Story> = ends.chain(starts).collect::<Result<_, Failed>>()?;
    write(&house, began, sampled.iter().cloned().map(Ok)).await?;
    let process = house.start(Some(&folder.path().join("views"))).await?;
    let caught_up = tokio::time::Instant::now();
    process.views.requests.projection().caught_up().await;
    say(&format!("read model filled in {:.1?}", caught_up.elapsed()));
    let calls = calls_until(&house, spread(SAMPLES)?.checked_add(SignedDuration::from_secs(5))?).await?;
    let (ends, starts) = sampled.split_at(usize::try_from(SAMPLES)?);
    lateness(&format!("end → removal called for, {open} windows open"), ends, &calls, |story| {
        story.window.end()
    });
    lateness(&format!("start → creation called for, {open} windows open"), starts, &calls, |story| {
        story.window.start()
    });
    after_a_restart(&house, process, folder.path(), began).await
}

/// What ends while nobody runs is called for as soon as somebody does, before all that is open is read.
async fn after_a_restart(
    house: &House,
    process: Process,
    folder: &std::path::Path,
    began: Timestamp,
) -> Result<(), Failed> {
    process.stop().await;
    let end = house.clock.now().checked_add(SignedDuration::from_secs(2))?;
    let overdue: Vec<Story> = (2 * SAMPLES..3 * SAMPLES)
        .map(|n| Story::new(n, ACCOUNTS, Window::new(began, end)?, true))
        .collect::<Result<_, Failed>>()?;
    write(house, began, overdue.iter().cloned().map(Ok)).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    house.aws.take_calls();
    let process = house.start(Some(&folder.join("views"))).await?;
    process.views.requests.projection().caught_up().await;
    let ready = house.clock.now();
    let calls = calls_until(house, ready.checked_add(SignedDuration::from_secs(20))?).await?;
    lateness("after a restart: ready → overdue removal called for", &overdue, &calls, |_| ready);
    say(&format!("budget: p99 {BUDGET:?} of ends; all overdue within {RESTART_BUDGET:?} of ready"));
    process.stop().await;
    Ok(())
}

async fn write(
    house: &House,
    at: Timestamp,
    stories: impl Iterator<Item = Result<Story, Failed>>,
) -> Result<(), Failed> {
    futures::stream::iter(stories)
        .map(async |story| house.write(&story?, at).await)
        .buffer_unordered(256)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// When each assignment was first asked for to be changed.
async fn calls_until(
    house: &House,
    until: Timestamp,
) -> Result<BTreeMap<aws::AssignmentKey, Timestamp>, Failed> {
    let mut calls = BTreeMap::new();
    while house.clock.now() < until {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for record in house.aws.take_calls() {
            if let Call::Create(key, _) | Call::Delete(key, _) = record.call {
                calls.entry(key).or_insert(record.at);
            }
        }
    }
    Ok(calls)
}

fn lateness(
    what: &str,
    stories: &[Story],
    calls: &BTreeMap<aws::AssignmentKey, Timestamp>,
    due: impl Fn(&Story) -> Timestamp,
) {
    let called = stories.iter().filter_map(|story| {
        let at = calls.get(&story.aws_key())?;
        Duration::try_from(at.duration_since(due(story)).max(SignedDuration::ZERO)).ok()
    });
    let late: Vec<Duration> = called.collect();
    let count = late.len();
    say(&format!("{what}: {}  ({count} of {})", Quantiles::of(late), stories.len()));
}
