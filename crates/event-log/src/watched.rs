//! What is told of looks at a log that is in use, by engines on servers that others may change.
//!
//! INVARIANT: what lasts is told when it begins, once more when it has lasted, and when it is over; an unsafe log is told at each look.

use crate::LogError;
use std::time::Duration;
use tokio::time::Instant;

/// For so long it may stay unseen whether the log is safe before somebody is called. Elections and restarts, one server after the other,
/// pass sooner and by themselves. What lasts longer ends only if somebody sets it right, and what starts meanwhile waits for that.
const UNSEEN_MAX: Duration = Duration::from_mins(5);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watched {
    unseen: Option<Unseen>,
}

#[derive(Debug)]
struct Unseen {
    since: Instant,
    is_paged: bool,
}

impl Watched {
    /// Tells what a look that ended `now` has shown.
    pub fn tell(&mut self, looked: Result<(), LogError>, now: Instant) {
        match looked {
            Ok(()) => self.seen(),
            Err(LogError::Unsafe(why)) => {
                self.seen();
                tracing::error!(%why, "the log is not safe any more: it could lose events");
            }
            Err(error @ (LogError::Unavailable(_) | LogError::Corrupt(_))) => self.not_seen(&error, now),
        }
    }

    fn seen(&mut self) {
        if self.unseen.take().is_some() {
            tracing::info!("whether the log is safe is seen again");
        }
    }

    fn not_seen(&mut self, error: &LogError, now: Instant) {
        let Some(unseen) = &mut self.unseen else {
            self.unseen = Some(Unseen { since: now, is_paged: false });
            tracing::warn!(%error, "whether the log is safe cannot be seen");
            return;
        };
        if !unseen.is_paged && now.duration_since(unseen.since) >= UNSEEN_MAX {
            unseen.is_paged = true;
            tracing::error!(%error, "whether the log is safe cannot be seen: what starts now waits");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    /// The level and the text of every line.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

    impl Lines {
        fn take(&self) -> Vec<(Level, String)> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut message = Message::default();
            event.record(&mut message);
            self.0.lock().unwrap().push((*event.metadata().level(), message.0));
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[derive(Default)]
    struct Message(String);

    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }

    /// What is told while a look every 30 seconds, from `began` on, shows `looked`, `count` times.
    fn told(
        watched: &mut Watched,
        began: Instant,
        count: u32,
        looked: &Result<(), LogError>,
    ) -> Vec<(Level, String)> {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), || {
            for look in 0..count {
                watched.tell(looked.clone(), began + look * Duration::from_secs(30));
            }
        });
        lines.take()
    }

    #[test]
    fn a_log_that_cannot_be_looked_at_warns_once_and_pages_once_when_it_lasts() {
        let unseen = Err(LogError::Unavailable("seen on 2 of 3 servers".to_owned()));
        let begins = (Level::WARN, "whether the log is safe cannot be seen".to_owned());
        let lasts =
            (Level::ERROR, "whether the log is safe cannot be seen: what starts now waits".to_owned());
        let ends = (Level::INFO, "whether the log is safe is seen again".to_owned());
        let mut watched = Watched::default();
        let now = Instant::now();
        assert!(told(&mut watched, now, 3, &Ok(())).is_empty());
        assert_eq!(
            told(&mut watched, now, 10, &unseen),
            std::slice::from_ref(&begins),
            "for four and a half minutes"
        );
        let later = now + Duration::from_mins(5);
        assert_eq!(told(&mut watched, later, 20, &unseen), std::slice::from_ref(&lasts));
        assert_eq!(told(&mut watched, later, 3, &Ok(())), std::slice::from_ref(&ends));
        // Another time begins anew.
        assert_eq!(told(&mut watched, later, 10, &unseen), std::slice::from_ref(&begins));
        assert_eq!(told(&mut watched, later, 1, &Ok(())), std::slice::from_ref(&ends));
        assert_eq!(told(&mut watched, later, 11, &unseen), [begins, lasts]);
        // What is seen to be wrong is seen.
        let lossy = Err(LogError::Unsafe("sync_interval must be always".to_owned()));
        let lossy_line = (Level::ERROR, "the log is not safe any more: it could lose events".to_owned());
        assert_eq!(told(&mut watched, later, 2, &lossy), [ends, lossy_line.clone(), lossy_line]);
    }
}
