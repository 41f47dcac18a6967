//! S5, S8, S9: what was acknowledged stays, what was written in confidence is not in the log, and read models say what it says.

use super::Violation;
use crate::order::CANARY;
use crate::truth::Truth;
use crate::witness::Promise;
use domain::RequestId;
use event_log::Recorded;
use views::Requests;

/// S5: every acknowledged event is in the log, unchanged, where its acknowledgement says.
pub(crate) fn kept(promises: Vec<Promise>, log: &[Recorded]) -> Result<(), Violation> {
    for promise in promises {
        let place = promise.appended;
        let found = log.iter().find(|recorded| recorded.position == place.position);
        let kept = found.is_some_and(|recorded| {
            recorded.stream == promise.stream
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
    for secret in told {
        if body.windows(secret.len()).any(|window| window == secret.as_bytes()) {
            let what = format!("{} holds in the clear what is confidential", recorded.stream);
            return Err(Violation::new("S8", what));
        }
    }
    Ok(())
}

/// S9: the read model shows each of `ids` as the log says.
pub(crate) fn shown<'a>(
    requests: &Requests,
    ids: impl IntoIterator<Item = &'a RequestId>,
    truth: &Truth,
) -> Result<(), Violation> {
    for id in ids {
        let shown =
            requests.get(id).map_err(|error| Violation::new("S9", format!("{}: {error}", truth.name(id))))?;
        let known = truth.requests.get(id).map(|known| &known.request);
        if shown.as_ref().map(|story| &story.request) != known {
            return Err(Violation::new("S9", format!("{} is not shown as the log says", truth.name(id))));
        }
    }
    Ok(())
}
