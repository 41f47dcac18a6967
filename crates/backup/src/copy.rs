//! Every event of one log, in another.

use crate::error::{ANOTHER_TARGET, BackupError};
use crate::histories::{Cut, Histories};
use domain::ports::Entropy;
use event_log::{AppendError, EventLog, Expected, LogError, Recorded, Revision, StreamName};
use futures::TryStreamExt as _;
use std::collections::BTreeMap;

/// How many events there are, how many of them were not there before, and which streams end early.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Events that both logs have now.
    pub all: u64,
    /// Those that the target had not.
    pub new: u64,
    /// The streams that end early, for what comes next in them no log can hold.
    pub cut_short: BTreeMap<StreamName, Cut>,
}

/// Appends every event of `source` that `target` lacks, but what no log can hold. An event that differs is an error: the target is
/// another history.
pub async fn copy(
    source: &dyn EventLog,
    target: &dyn EventLog,
    entropy: &dyn Entropy,
) -> Result<Copied, BackupError> {
    let mut events = Histories::of(source, entropy);
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
async fn put(target: &dyn EventLog, event: &Recorded) -> Result<Put, BackupError> {
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
            Err(BackupError::Refused(format!("{stream}: the target holds another history. {ANOTHER_TARGET}")))
        }
        Err(error) => Err(not_written(target, event, &error).await),
    }
}

/// Whether a stream has nothing after a revision.
async fn is_free(
    log: &dyn EventLog,
    stream: &StreamName,
    after: Option<Revision>,
) -> Result<bool, BackupError> {
    Ok(log.read_stream(stream, after).try_next().await?.is_none())
}

/// Why an event was not written. Where the target's stream is damaged, trying again does not help, and that is said.
async fn not_written(target: &dyn EventLog, event: &Recorded, error: &AppendError) -> BackupError {
    let read: Result<Vec<Recorded>, LogError> = target.read_stream(&event.stream, None).try_collect().await;
    BackupError::Refused(match read {
        Err(LogError::Corrupt(why)) => format!(
            "{}: the target holds there what is no event ({why}), so it takes nothing more of this stream. {ANOTHER_TARGET}",
            event.stream
        ),
        Ok(_) | Err(LogError::Unavailable(_) | LogError::Unsafe(_)) => {
            format!("{} at revision {}: {error}", event.stream, event.revision.0)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{Counting, append, backup, envelope, log};

    #[tokio::test]
    async fn a_copy_to_another_history_is_refused_with_what_to_do() {
        let backup = backup(3).await;
        let (memory, target) = log(2);
        // Another event in the place of the second, which has the id of the third.
        append(target.as_ref(), 0).await;
        let stream: StreamName = "duty-x".parse().unwrap();
        target.append(&stream, Expected::Exact(Revision(0)), envelope(102, "other")).await.unwrap();
        for has_it_further_on in [false, true] {
            if has_it_further_on {
                target.append(&stream, Expected::Exact(Revision(1)), envelope(101, "1")).await.unwrap();
            }
            let copied = copy(backup.as_ref(), target.as_ref(), &Counting::default()).await;
            let refused = copied.unwrap_err().to_string();
            assert!(refused.contains("another history") && refused.contains(ANOTHER_TARGET), "{refused}");
        }
        assert_eq!(memory.recorded().len(), 3);
    }
}
