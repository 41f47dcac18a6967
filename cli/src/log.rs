//! `daypass log`: the same events, byte for byte, in another engine ([`copy`](LogCommand::Copy)), or in a new log that goes on after
//! the old one was lost ([`restore`](LogCommand::Restore)).

mod histories;
mod places;

use crate::error::complain;
use crate::place::NatsServers;
use command::aggregate::LogAggregate;
use command::{Command, Commander};
use domain::{EventId, LogId};
use event_log::{AppendError, EventLog, Expected, LogError, Position, Recorded, Revision, StreamName};
use futures::TryStreamExt as _;
use histories::{Cut, Histories};
use journal::{Fact, Service, Stream};
use lifecycle::log::LogEvent;
use service_runtime::clock::SystemEntropy;
use service_runtime::config::LogConfig;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use wiring::{StartError, engine};

/// What to do about a target that holds what the copy must not: a log forgets nothing.
const ANOTHER_TARGET: &str = "Nothing is taken away from a log: make a new one (another file, or NATS servers on empty volumes), let nobody else write to it, and begin again";

/// Works on logs themselves.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(clap::Subcommand)]
enum LogCommand {
    /// Copies every event of one log to another, in order. What the other holds already is skipped, so that a copy that was cut
    /// short can be run again. A log is a file of SQLite, or `nats://host:port`. What is no event, or has the id of one before it, and
    /// what follows it in its stream, is left out: standard error names the stream.
    Copy {
        /// The log to read.
        from: String,
        /// The log to write; made where there is none.
        to: String,
        #[command(flatten)]
        servers: NatsServers,
    },
    /// Makes a new log out of a backup: the same events in a log with an id of its own, which says that it was restored. Services
    /// on it look through AWS before they grant anything. None may run on it before this is done.
    Restore {
        /// The copy of the log that was lost.
        backup: String,
        /// The new log; made where there is none. It must have no events.
        target: String,
        /// Go on with a restore of the same backup to the same log that was cut short.
        #[arg(long)]
        resume: bool,
        #[command(flatten)]
        servers: NatsServers,
    },
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        LogCommand::Copy { from, to, servers } => copy(&servers.log(&from), &servers.log(&to)).await,
        LogCommand::Restore { backup, target, resume, servers } => {
            restore(&servers.log(&backup), &servers.log(&target), resume).await
        }
    };
    match done {
        Ok(told) => {
            say(&told);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error),
    }
}

async fn copy(from: &LogConfig, to: &LogConfig) -> Result<String, StartError> {
    let entropy = SystemEntropy;
    let source = engine::open_read_only(from, &entropy).await?;
    let target = engine::open(to, &entropy).await?;
    let copied = copy_events(source.as_ref(), target.log.as_ref()).await;
    target.close().await;
    copied.map(|copied| format!("{} events copied{}", copied.new, copied.warn_of_cuts()))
}

/// How many events there are, how many of them were not there before, and which streams end early.
struct Copied {
    all: u64,
    new: u64,
    cut_short: BTreeMap<StreamName, Cut>,
}

impl Copied {
    /// Names each stream that ends early on standard error, and gives what is to be said of them after the number of events. The copy
    /// is as good as it can be, so nothing failed; whoever reads what a nightly job printed must see what it lacks.
    fn warn_of_cuts(&self) -> String {
        for (stream, cut) in &self.cut_short {
            crate::output::warn(&format!(
                "{stream}: cut short, {cut}; that and what follows it there is not copied"
            ));
        }
        match self.cut_short.len() {
            0 => String::new(),
            1 => "; 1 stream was cut short".to_owned(),
            many => format!("; {many} streams were cut short"),
        }
    }
}

/// Appends every event of `source` that `target` lacks, but what no log can hold. An event that differs is an error: the target is
/// another history.
async fn copy_events(source: &dyn EventLog, target: &dyn EventLog) -> Result<Copied, StartError> {
    let mut events = Histories::of(source);
    let (mut all, mut new) = (0, 0);
    while let Some(event) = events.next().await? {
        let put = put(target, &event).await?;
        if matches!(put, Put::IdTwice) {
            events.end_before(&event);
        } else {
            all += 1;
            new += u64::from(matches!(put, Put::New));
        }
    }
    Ok(Copied { all, new, cut_short: events.into_cut_short() })
}

/// What became of an event of the source.
enum Put {
    New,
    /// The target had it already.
    There,
    /// The target has its id from an event before it, so it takes no second one.
    IdTwice,
}

/// Appends an event to the target, which has what comes before it in its stream as the source has it.
async fn put(target: &dyn EventLog, event: &Recorded) -> Result<Put, StartError> {
    let before = event.revision.0.checked_sub(1).map(Revision);
    let answer = target.append(&event.stream, Expected::after(before), event.envelope.clone()).await;
    let is_twice = match &answer {
        Ok(first) => first.revision < event.revision,
        // If its place is free, what has the id is further back too; or in another stream, if the target is a file of SQLite's format 1.
        Err(AppendError::IdTaken) => is_free(target, &event.stream, before).await?,
        Err(
            AppendError::Conflict { .. }
            | AppendError::TooLarge { .. }
            | AppendError::Unknown(_)
            | AppendError::Unavailable(_),
        ) => false,
    };
    if is_twice {
        return Ok(Put::IdTwice);
    }
    match answer {
        Ok(appended) if appended.revision == event.revision => {
            Ok(if appended.repeated { Put::There } else { Put::New })
        }
        Ok(_) | Err(AppendError::IdTaken | AppendError::Conflict { .. }) => {
            let stream = &event.stream;
            Err(StartError::Other(format!("{stream}: the target holds another history. {ANOTHER_TARGET}")))
        }
        Err(error) => Err(not_written(target, event, &error).await),
    }
}

/// Whether a stream has nothing after a revision.
async fn is_free(
    log: &dyn EventLog,
    stream: &StreamName,
    after: Option<Revision>,
) -> Result<bool, StartError> {
    Ok(log.read_stream(stream, after).try_next().await?.is_none())
}

/// Why an event was not written. Where the target's stream is damaged, trying again does not help, and that is said.
async fn not_written(target: &dyn EventLog, event: &Recorded, error: &AppendError) -> StartError {
    let read: Result<Vec<Recorded>, LogError> = target.read_stream(&event.stream, None).try_collect().await;
    StartError::Other(match read {
        Err(LogError::Corrupt(why)) => format!(
            "{}: the target holds there what is no event ({why}), so it takes nothing more of this stream. {ANOTHER_TARGET}",
            event.stream
        ),
        Ok(_) | Err(LogError::Unavailable(_) | LogError::Unsafe(_)) => {
            format!("{} at revision {}: {error}", event.stream, event.revision.0)
        }
    })
}

async fn restore(backup: &LogConfig, target: &LogConfig, resume: bool) -> Result<String, StartError> {
    let entropy = SystemEntropy;
    let source = engine::open_read_only(backup, &entropy).await?;
    let open = engine::open(target, &entropy).await?;
    let restored = restore_events(source.as_ref(), &open.log, resume).await;
    open.close().await;
    restored
}

async fn restore_events(
    backup: &dyn EventLog,
    target: &Arc<dyn EventLog>,
    resume: bool,
) -> Result<String, StartError> {
    let (from, id) = (LogId::from_uuid(backup.id().await?), LogId::from_uuid(target.id().await?));
    let event_id = EventId::from_parts([
        b"log restored".as_slice(),
        from.as_bytes().as_slice(),
        id.as_bytes().as_slice(),
    ]);
    if !resume && target.head().await? != Position::START {
        return Err(StartError::Other(
            "the target has events: a backup is restored to a new log. If this restore was cut short: --resume"
                .to_owned(),
        ));
    }
    if is_restored(backup, target.as_ref(), event_id).await? {
        return Ok(format!("the log {id} was restored from this backup before: nothing is left to do"));
    }
    let copied = copy_events(backup, target.as_ref()).await?;
    let all = copied.all;
    let command =
        Command { event_id, actor: Some(wiring::this_program("restore")?), digest: None, trace: None };
    let clock = wiring::machine_clock(views::clock_health::SKEW_MAX);
    Commander::new(Arc::clone(target), Service::Activation, clock)
        .execute::<LogAggregate, Infallible>(Stream::Log, command, |_, _| {
            Ok(Fact::Log(LogEvent::Restored { backup: from, events: all }))
        })
        .await
        .map_err(|error| StartError::Other(error.to_string()))?;
    Ok(format!(
        "{all} events restored to a new log, {id}; services look through AWS before they grant anything on it; \
         have sources tell again who left since the backup, and what else they told: the log does not know it{}",
        copied.warn_of_cuts()
    ))
}

/// Whether the target says already that it was restored from the backup. Whatever else it holds must be the beginning of what is
/// copied of the backup: nothing is written to a log that is another one.
async fn is_restored(
    backup: &dyn EventLog,
    target: &dyn EventLog,
    restored: EventId,
) -> Result<bool, StartError> {
    let mut expected = Histories::of(backup);
    let mut found = target.read_all(Position::START);
    while let Some(found) = found.try_next().await? {
        if found.envelope.event_id == *restored.as_uuid() {
            return Ok(true);
        }
        if !is_next(&mut expected, &found, target).await? {
            return Err(StartError::Other(format!(
                "the target has at position {} what the backup has not there, in {}: it is another log, or somebody else has written to it. \
                 {ANOTHER_TARGET}",
                found.position.0, found.stream
            )));
        }
    }
    Ok(false)
}

/// Whether `found` is what comes next of the backup, all of which before it the target has. What has an id a second time may have been
/// left out.
async fn is_next(
    expected: &mut Histories,
    found: &Recorded,
    target: &dyn EventLog,
) -> Result<bool, LogError> {
    while let Some(next) = expected.next().await? {
        if (&next.stream, next.revision, &next.envelope) == (&found.stream, found.revision, &found.envelope) {
            return Ok(true);
        }
        if !has_its_id(target, &next, found.position).await? {
            return Ok(false);
        }
        expected.end_before(&next);
    }
    Ok(false)
}

/// Whether a log has the id of an event before a position. It is read for that from the beginning: to keep the ids of 100 million events
/// would take gigabytes, and one that is there twice is rare.
async fn has_its_id(log: &dyn EventLog, event: &Recorded, before: Position) -> Result<bool, LogError> {
    let mut events = log.read_all(Position::START);
    while let Some(other) = events.try_next().await? {
        if other.position >= before {
            break;
        }
        if other.envelope.event_id == event.envelope.event_id {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use event_log::memory::MemoryLog;
    use event_log::{Envelope, Writer};
    use uuid::Uuid;

    fn log(id: u128) -> (MemoryLog, Arc<dyn EventLog>) {
        let log = MemoryLog::with_id(Uuid::from_u128(id));
        (log.clone(), Arc::new(log))
    }

    async fn append(log: &dyn EventLog, number: u128) {
        let stream: StreamName = "duty-x".parse().unwrap();
        let last = u64::try_from(number).unwrap().checked_sub(1).map(Revision);
        let envelope = Envelope {
            event_id: Uuid::from_u128(number + 100),
            writer: Writer::new("audit").unwrap(),
            body: Bytes::from(number.to_string()),
        };
        log.append(&stream, Expected::after(last), envelope).await.unwrap();
    }

    async fn backup(events: u128) -> Arc<dyn EventLog> {
        let (_, log) = log(1);
        for number in 0..events {
            append(log.as_ref(), number).await;
        }
        log
    }

    #[tokio::test]
    async fn a_restored_log_has_the_same_bytes_says_so_and_has_an_id_of_its_own() {
        let (memory, target) = log(2);
        let backup = backup(3).await;
        let told = restore_events(backup.as_ref(), &target, false).await.unwrap();
        assert!(
            told.starts_with("3 events restored") && told.contains(&Uuid::from_u128(2).to_string()),
            "{told}"
        );
        let events = memory.recorded();
        let originals: Vec<_> = backup.read_all(Position::START).try_collect().await.unwrap();
        assert_eq!(events[..3], originals);
        let last = journal::decode(&events[3].envelope.body).unwrap();
        let from = LogId::from_uuid(Uuid::from_u128(1));
        assert_eq!(last.fact, Fact::Log(LogEvent::Restored { backup: from, events: 3 }));
        assert_eq!(events.len(), 4);
    }

    /// Nothing in AWS tells who left, so nothing but a person can bring it back.
    #[tokio::test]
    async fn a_restore_reminds_of_the_departures_that_the_backup_does_not_know() {
        let (_, target) = log(2);
        let told = restore_events(backup(3).await.as_ref(), &target, false).await.unwrap();
        assert!(told.contains("tell again who left since the backup"), "{told}");
    }

    #[tokio::test]
    async fn a_log_with_events_is_no_target_and_one_that_was_cut_short_is_when_that_is_said() {
        let backup = backup(3).await;
        let (memory, target) = log(2);
        append(target.as_ref(), 0).await;
        let refused = restore_events(backup.as_ref(), &target, false).await.unwrap_err().to_string();
        assert!(refused.contains("has events") && refused.contains("--resume"), "{refused}");
        assert_eq!(memory.recorded().len(), 1);
        restore_events(backup.as_ref(), &target, true).await.unwrap();
        assert_eq!(memory.recorded().len(), 4);
        // Once more, after services have written to it.
        append(target.as_ref(), 3).await;
        let told = restore_events(backup.as_ref(), &target, true).await.unwrap();
        assert!(told.contains("nothing is left to do"), "{told}");
        assert_eq!(memory.recorded().len(), 5);
    }

    #[tokio::test]
    async fn a_copy_to_another_history_is_refused_with_what_to_do() {
        let backup = backup(3).await;
        let (memory, target) = log(2);
        let envelope = |id: u128, body: &'static str| Envelope {
            event_id: Uuid::from_u128(id),
            writer: Writer::new("audit").unwrap(),
            body: Bytes::from(body),
        };
        // Another event in the place of the second, which has the id of the third.
        append(target.as_ref(), 0).await;
        let stream: StreamName = "duty-x".parse().unwrap();
        target.append(&stream, Expected::Exact(Revision(0)), envelope(102, "other")).await.unwrap();
        for has_it_further_on in [false, true] {
            if has_it_further_on {
                target.append(&stream, Expected::Exact(Revision(1)), envelope(101, "1")).await.unwrap();
            }
            let refused = copy_events(backup.as_ref(), target.as_ref()).await.err().unwrap().to_string();
            assert!(refused.contains("another history") && refused.contains(ANOTHER_TARGET), "{refused}");
        }
        assert_eq!(memory.recorded().len(), 3);
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_log_that_is_another_one() {
        let backup = backup(3).await;
        for number in [0, 7] {
            let (memory, target) = log(2);
            let stream: StreamName = "duty-y".parse().unwrap();
            let envelope = Envelope {
                event_id: Uuid::from_u128(number),
                writer: Writer::new("audit").unwrap(),
                body: Bytes::new(),
            };
            target.append(&stream, Expected::NoStream, envelope).await.unwrap();
            let refused = restore_events(backup.as_ref(), &target, true).await.unwrap_err().to_string();
            assert!(refused.contains("another log"), "{refused}");
            assert_eq!(memory.recorded().len(), 1);
        }
        // The whole backup, and more.
        let (memory, target) = log(2);
        for number in 0..4 {
            append(target.as_ref(), number).await;
        }
        assert!(restore_events(backup.as_ref(), &target, true).await.is_err());
        assert_eq!(memory.recorded().len(), 4);
    }
}
