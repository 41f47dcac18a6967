//! A process with all services on a log with much history, in a large organisation: how long it takes to catch up, to start, to read
//! and to list, and how much memory it takes.

mod calls;
mod past;

use crate::daypass::{Daypass, channels, with};
use crate::rebuild::rate;
use crate::{Failed, logs, ready, say, subjects, unary};
use api::audit::v1::ListEventsRequest;
use api::audit::v1::audit_service_client::AuditServiceClient;
use domain::LogId;
use event_log::EventLog;
use past::Past;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use test_servers::nats::{NatsOptions, NatsServer};
use tokio::time::Instant;
use tonic::Code;
use views::PositionToken;

/// DESIGN §17, per service.
const MEMORY_BUDGET_MIB: u32 = 300;
/// What catching up may take before it is given up: three hours, as ten million requests may need one.
const CAUGHT_UP_WITHIN: Duration = Duration::from_hours(3);
/// Starts that are measured.
const STARTS: usize = 3;
/// How long nothing is asked of a process before its memory is looked at.
const IDLE: Duration = Duration::from_secs(5);
/// For how long raw calls are measured.
const RAW_WITHIN: Duration = Duration::from_secs(3);

/// What was written, and where the log is.
struct Written {
    events: u64,
    /// The head of the log, as calls name it.
    head: String,
    /// Where the log is, if it is not in the folder.
    server: Option<NatsServer>,
}

pub(crate) async fn run(requests: u64, nats: bool) -> Result<(), Failed> {
    say(&format!(
        "{requests} requests with their whole stories on {}, load generator included",
        logs::engine(nats)
    ));
    let folder = Arc::new(tempfile::tempdir()?);
    let written = write(&folder, requests, nats).await?;
    let mut arguments = past::organisation();
    arguments.extend(written.server.iter().flat_map(logs::nats_arguments));

    let daypass = catch_up(&folder, &arguments, &written).await?;
    tokio::time::sleep(IDLE).await;
    say_memory("caught up", &daypass)?;
    say(&format!("the folder has {} MB", megabytes(folder.path())?));
    daypass.end().await?;
    let daypass = start(&folder, &arguments).await?;
    tokio::time::sleep(IDLE).await;
    say_memory("started again", &daypass)?;

    unary::run(calls::CALLERS, RAW_WITHIN).await?.say("raw unary");
    let channels = channels(&daypass.url, calls::CALLERS).await?;
    calls::run(&daypass, &channels, requests).await?;
    say_memory("after these calls", &daypass)
}

/// Writes the history, and lets go of the log.
async fn write(folder: &Arc<TempDir>, requests: u64, nats: bool) -> Result<Written, Failed> {
    // Filled without syncing, as that is not what is measured.
    let options =
        NatsOptions { sync_always: false, ready_within: subjects::START_MAX, ..NatsOptions::default() };
    let mut server = logs::nats_server(nats, options.clone()).await?;
    let log = logs::open(server.as_ref(), folder.path()).await?;
    let (events, head) = fill(&log, folder, requests).await?;
    // Closes it, as far as it is in the folder.
    drop(log);
    if let Some(server) = &mut server {
        server.set_options(NatsOptions { sync_always: true, ..options });
        server.stop().await?;
        server.restart().await?;
    }
    Ok(Written { events, head, server })
}

async fn fill(log: &Arc<dyn EventLog>, folder: &TempDir, requests: u64) -> Result<(u64, String), Failed> {
    let began = Instant::now();
    let past = Arc::new(Past::begin(log.as_ref(), folder.path(), requests).await?);
    let events = past::write(&past, log).await?;
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("{events} events written in {seconds:.0} s"));
    let head = PositionToken::new(LogId::from_uuid(log.id().await?), log.head().await?);
    Ok((events, head.to_string()))
}

/// The first start: read models are filled.
async fn catch_up(folder: &Arc<TempDir>, arguments: &[String], written: &Written) -> Result<Daypass, Failed> {
    let began = Instant::now();
    let daypass = Daypass::start_in(Arc::clone(folder), None, arguments).await?;
    daypass.ready_within(CAUGHT_UP_WITHIN).await?;
    say_caught_up("the read model of requests", written.events, began);
    tokio::time::timeout(CAUGHT_UP_WITHIN, until_indexed(&daypass, &written.head)).await??;
    say_caught_up("the index of events", written.events, began);
    Ok(daypass)
}

fn say_caught_up(what: &str, events: u64, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let rate = rate(events, began);
    say(&format!("{what} caught up after {seconds:.0} s: {rate:.0} events/s, beside the other"));
}

/// Returns once audit has come to `head`. One call waits for a few seconds.
async fn until_indexed(daypass: &Daypass, head: &str) -> Result<(), Failed> {
    let bearer = daypass.bearer("eve")?;
    let channel = channels(&daypass.url, 1).await?.pop().ok_or("no channel")?;
    let mut client = AuditServiceClient::new(channel);
    loop {
        let message = ListEventsRequest {
            page_size: 1,
            wait_for_position: head.to_owned(),
            ..ListEventsRequest::default()
        };
        match client.list_events(with(&bearer, message)).await {
            Ok(_) => return Ok(()),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {}
            Err(status) => return Err(status.into()),
        }
    }
}

/// Starts it some times, each after the one before has ended in an orderly way. The last one goes on.
async fn start(folder: &Arc<TempDir>, arguments: &[String]) -> Result<Daypass, Failed> {
    let mut took = Vec::new();
    loop {
        let began = Instant::now();
        let daypass = Daypass::start_in(Arc::clone(folder), None, arguments).await?;
        daypass.ready().await?;
        took.push(began.elapsed());
        if took.len() >= STARTS {
            ready::tell("with this history", took);
            return Ok(daypass);
        }
        daypass.end().await?;
    }
}

fn say_memory(when: &str, daypass: &Daypass) -> Result<(), Failed> {
    let (now, most) = daypass.memory()?;
    say(&format!(
        "memory of all four services in one process, {when}: {now:.0} MiB resident (at most {most:.0}); \
         budget: {MEMORY_BUDGET_MIB} MiB each"
    ));
    Ok(())
}

/// What is in the files of a folder.
fn megabytes(folder: &Path) -> Result<u64, Failed> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes / 1_000_000)
}
