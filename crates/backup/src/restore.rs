//! A new log that goes on after the old one was lost.

use crate::copy::{Copied, copy};
use crate::error::{ANOTHER_TARGET, BackupError};
use crate::histories::Histories;
use command::aggregate::LogAggregate;
use command::{Command, Commander};
use domain::ports::{Entropy, SharedClock, SharedEntropy};
use domain::{Actor, EventId, LogId};
use event_log::{EventLog, LogError, Position, Recorded};
use futures::TryStreamExt as _;
use journal::{Fact, Service, Stream};
use lifecycle::log::LogEvent;
use std::convert::Infallible;
use std::sync::Arc;

/// Who restores a log.
pub struct Restorer {
    /// As the log will name it.
    pub actor: Actor,
    /// Tells when it was restored.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: SharedEntropy,
}

/// A log that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new log.
    pub id: LogId,
    /// What was copied; `None`: it was restored from this backup before, and nothing was left to do.
    pub copied: Option<Copied>,
}

/// Copies a backup to a new log, and has it say that it was restored. A target with events is refused, but with `resume`, if they are
/// the beginning of this backup.
pub async fn restore(
    backup: &dyn EventLog,
    target: &Arc<dyn EventLog>,
    restorer: Restorer,
    resume: bool,
) -> Result<Restored, BackupError> {
    let Restorer { actor, clock, entropy } = restorer;
    let (from, id) = (LogId::from_uuid(backup.id().await?), LogId::from_uuid(target.id().await?));
    let event_id = EventId::from_parts([
        b"log restored".as_slice(),
        from.as_bytes().as_slice(),
        id.as_bytes().as_slice(),
    ]);
    if !resume && target.head().await? != Position::START {
        return Err(BackupError::Refused(
            "the target has events: a backup is restored to a new log. If this restore was cut short: --resume"
                .to_owned(),
        ));
    }
    if is_restored(backup, target.as_ref(), event_id, entropy.as_ref()).await? {
        return Ok(Restored { id, copied: None });
    }
    let copied = copy(backup, target.as_ref(), entropy.as_ref()).await?;
    let events = copied.all;
    let command = Command { event_id, actor: Some(actor), digest: None, trace: None };
    Commander::new(Arc::clone(target), Service::Activation, clock)
        .execute::<LogAggregate, Infallible>(Stream::Log, command, |_, _| {
            Ok(Fact::Log(LogEvent::Restored { backup: from, events }))
        })
        .await
        .map_err(|error| BackupError::Refused(error.to_string()))?;
    Ok(Restored { id, copied: Some(copied) })
}

/// Whether the target says already that it was restored from the backup. Whatever else it holds must be the beginning of what is
/// copied of the backup: nothing is written to a log that is another one.
async fn is_restored(
    backup: &dyn EventLog,
    target: &dyn EventLog,
    restored: EventId,
    entropy: &dyn Entropy,
) -> Result<bool, BackupError> {
    let mut expected = Histories::of(backup, entropy);
    let mut found = target.read_all(Position::START);
    while let Some(found) = found.try_next().await? {
        if found.envelope.event_id == *restored.as_uuid() {
            return Ok(true);
        }
        if !is_next(&mut expected, &found, target).await? {
            return Err(BackupError::Refused(format!(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{append, backup, envelope, log, restorer};
    use event_log::{Expected, StreamName};
    use uuid::Uuid;

    /// How many events were copied; none: there was nothing left to do.
    async fn restored(
        backup: &dyn EventLog,
        target: &Arc<dyn EventLog>,
        resume: bool,
    ) -> Result<Option<u64>, String> {
        let restored = restore(backup, target, restorer(), resume).await;
        restored.map(|restored| restored.copied.map(|copied| copied.all)).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_restored_log_has_the_same_bytes_says_so_and_has_an_id_of_its_own() {
        let (memory, target) = log(2);
        let backup = backup(3).await;
        let told = restore(backup.as_ref(), &target, restorer(), false).await.unwrap();
        assert_eq!(told.id, LogId::from_uuid(Uuid::from_u128(2)));
        assert_eq!(told.copied.map(|copied| (copied.all, copied.new)), Some((3, 3)));
        let events = memory.recorded();
        let originals: Vec<_> = backup.read_all(Position::START).try_collect().await.unwrap();
        assert_eq!(events[..3], originals);
        let last = journal::decode(&events[3].envelope.body).unwrap();
        let from = LogId::from_uuid(Uuid::from_u128(1));
        assert_eq!(last.fact, Fact::Log(LogEvent::Restored { backup: from, events: 3 }));
        assert_eq!(events.len(), 4);
    }

    #[tokio::test]
    async fn a_log_with_events_is_no_target_and_one_that_was_cut_short_is_when_that_is_said() {
        let backup = backup(3).await;
        let (memory, target) = log(2);
        append(target.as_ref(), 0).await;
        let refused = restored(backup.as_ref(), &target, false).await.unwrap_err();
        assert!(refused.contains("has events") && refused.contains("--resume"), "{refused}");
        assert_eq!(memory.recorded().len(), 1);
        assert_eq!(restored(backup.as_ref(), &target, true).await, Ok(Some(3)));
        assert_eq!(memory.recorded().len(), 4);
        // Once more, after services have written to it.
        append(target.as_ref(), 3).await;
        assert_eq!(restored(backup.as_ref(), &target, true).await, Ok(None));
        assert_eq!(memory.recorded().len(), 5);
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_log_that_is_another_one() {
        let backup = backup(3).await;
        for number in [0, 7] {
            let (memory, target) = log(2);
            let stream: StreamName = "duty-y".parse().unwrap();
            target.append(&stream, Expected::NoStream, envelope(number, "")).await.unwrap();
            let refused = restored(backup.as_ref(), &target, true).await.unwrap_err();
            assert!(refused.contains("another log"), "{refused}");
            assert_eq!(memory.recorded().len(), 1);
        }
        // The whole backup, and more.
        let (memory, target) = log(2);
        for number in 0..4 {
            append(target.as_ref(), number).await;
        }
        assert!(restored(backup.as_ref(), &target, true).await.is_err());
        assert_eq!(memory.recorded().len(), 4);
    }
}
