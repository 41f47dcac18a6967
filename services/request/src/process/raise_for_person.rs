//! Signals by which something is to be raised for a person, and was not when they came: this process ended, or something was not
//! available.
//!
//! INVARIANT: nothing here is remembered that the log does not say. Every replica may do it at once: the request of a signal has
//! one id.

use crate::RequestService;
use journal::Stream;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest pause: faults pass, and what was not in time is to be settled.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Signals that are looked up at a time.
const CHUNK: usize = 64;

/// Does it until `shutdown`.
pub(crate) async fn run(service: &RequestService, shutdown: &CancellationToken) {
    let projection = service.views.requests.projection();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return,
        // What is history by now was raised or refused long ago.
        () = projection.caught_up() => {}
    }
    let mut changes = projection.changes();
    loop {
        changes.mark_unchanged();
        let left = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            left = raise(service) => left,
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN), if left => {}
            // The sender lives as long as the views.
            _ = changes.changed() => {}
        }
    }
}

/// Says whether something is left, or may be.
async fn raise(service: &RequestService) -> bool {
    let found = match service.views.requests.to_be_raised(CHUNK) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "what signals have raised is held up; tried again soon");
            return true;
        }
    };
    let mut left = found.len() == CHUNK;
    for received in found {
        let Stream::Signal(id) = &received.event.stream else { continue };
        let raised = service.raise_for_person(id, &received.event, &received.signal).await;
        if let Err(error) = raised {
            tracing::debug!(signal = id, %error, "nothing was raised");
            left = true;
        }
    }
    left
}
