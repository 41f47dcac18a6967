//! One append, until its answer is definite.

use event_log::{AppendError, Appended, Envelope, EventLog, Expected, StreamName};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

/// How long a lost answer is asked for again. Callers' own deadlines are shorter for most commands; this bounds the rest.
pub(crate) const UNKNOWN_HORIZON: Duration = Duration::from_secs(15);
/// The first pause before asking again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A definite answer, or `Unknown` after the horizon.
pub(crate) struct Answer {
    pub(crate) result: Result<Appended, AppendError>,
    /// Whether an answer was lost on the way: then a repeat may be a repeat of our own.
    pub(crate) lost_before: bool,
}

/// Appends `envelope`; where an answer is lost, appends the very same again. A late first call is harmless: it is the same
/// event, or meets a stream that has moved on.
pub(crate) async fn append(
    log: &dyn EventLog,
    stream: &StreamName,
    expected: Expected,
    envelope: Envelope,
) -> Answer {
    let span = tracing::info_span!("append", otel.kind = "producer", messaging.destination.name = %stream);
    appended(log, stream, expected, envelope).instrument(span).await
}

async fn appended(log: &dyn EventLog, stream: &StreamName, expected: Expected, envelope: Envelope) -> Answer {
    let started = Instant::now();
    let (mut pause, mut lost) = (PAUSE_MIN, None);
    loop {
        match log.append(stream, expected, envelope.clone()).await {
            Err(AppendError::Unknown(why)) => {
                tracing::debug!(%stream, why, "the answer to an append was lost");
                lost = Some(why);
            }
            // Says nothing about the call whose answer was lost.
            Err(AppendError::Unavailable(_)) if lost.is_some() => {}
            result => return Answer { result, lost_before: lost.is_some() },
        }
        if let Some(why) = lost.as_ref().filter(|_| started.elapsed() + pause >= UNKNOWN_HORIZON) {
            tracing::warn!(%stream, why, "it is not known whether an event was written");
            return Answer { result: Err(AppendError::Unknown(why.clone())), lost_before: true };
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
