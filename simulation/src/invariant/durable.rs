//! S5, S8, S9: what was acknowledged stays, what was written in confidence is not in the log, and read models say what it says.

use super::Violation;
use crate::order::CANARY;
use crate::truth::Truth;
use crate::witness::Promise;
use audit::Events;
use domain::RequestId;
use event_log::Recorded;
use views::Requests;

/// S5: every acknowledged event is in the log, unchanged, where its acknowledgement says.
pub(crate) fn kept(promises: Vec<Promise>, log: &[Recorded]) -> Result<(), Violation> {
    for promise in promises {
        let place = promise.appended;
        let index = usize::try_from(place.position.0).unwrap_or(usize::MAX).checked_sub(1);
        let found = index.and_then(|index| log.get(index));
        let kept = found.is_some_and(|recorded| {
            recorded.position == place.position
                && recorded.stream == promise.stream
                && recorded.revision == place.revision
                && recorded.envelope == promise.envelope
        });
        if !kept {
            let what =
                format!("{} at {:?} was acknowledged, and is not in the log", promise.stream, place.position);
            return Err(Violation::new("S5", what));
        }
    }
    Ok(())
}

/// S5: what was in the log before is there still, in the same order.
pub(crate) fn grown(truth: &Truth, log: &[Recorded]) -> Result<(), Violation> {
    if log.starts_with(&truth.seen) {
        Ok(())
    } else {
        Err(Violation::new("S5", "the log does not begin with what it held before".to_owned()))
    }
}

/// S8: neither what people wrote in confidence nor a secret that was handed out is in `recorded`.
pub(crate) fn confidential(recorded: &Recorded, secrets: &[String]) -> Result<(), Violation> {
    let body = recorded.envelope.body.as_ref();
    let told = std::iter::once(CANARY).chain(secrets.iter().map(String::as_str));
    // What is empty is everywhere, and no secret.
    for secret in told.filter(|secret| !secret.is_empty()) {
        if body.windows(secret.len()).any(|window| window == secret.as_bytes()) {
            let what = format!("{} holds in the clear what is confidential", recorded.stream);
            return Err(Violation::new("S8", what));
        }
    }
    Ok(())
}

/// S9: the read model of `machine` shows each of `ids` as the log says.
pub(crate) fn shown<'a>(
    requests: &Requests,
    ids: impl IntoIterator<Item = &'a RequestId>,
    truth: &Truth,
    machine: &str,
) -> Result<(), Violation> {
    // What cannot be read to its end is shown by nobody.
    for id in ids.into_iter().filter(|id| !truth.is_damaged(id)) {
        let name = truth.name(id);
        let shown =
            requests.get(id).map_err(|error| Violation::new("S9", format!("{machine}: {name}: {error}")))?;
        let known = truth.requests.get(id).map(|known| &known.request);
        if shown.as_ref().map(|story| &story.request) != known {
            return Err(Violation::new("S9", format!("{machine} does not show {name} as the log says")));
        }
    }
    Ok(())
}

/// S9: the index of events of `machine` has every event of the log, in its place.
pub(crate) fn indexed(index: &Events, truth: &Truth, machine: &str) -> Result<(), Violation> {
    let rows = index.projection().read(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT event.position, stream.name, event.revision FROM event JOIN stream ON stream.id = event.stream
             ORDER BY event.position",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    let rows =
        rows.map_err(|error| Violation::new("S9", format!("{machine}: the index of events: {error}")))?;
    let same = rows.len() == truth.seen.len()
        && rows.iter().zip(&truth.seen).all(|((position, stream, revision), recorded)| {
            position.unsigned_abs() == recorded.position.0
                && stream == recorded.stream.as_str()
                && revision.unsigned_abs() == recorded.revision.0
        });
    if same {
        Ok(())
    } else {
        let what = format!("{machine}: the index has {} events, and not those of the log", rows.len());
        Err(Violation::new("S9", what))
    }
}
