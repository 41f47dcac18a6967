//! Where the state that a decision begins from is remembered between commands.

use event_log::Revision;
use journal::Stream;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A folded stream, whatever it folds into: a [`crate::Loaded`] of its aggregate's state.
#[derive(Clone)]
pub struct Remembered {
    /// How far it goes.
    pub revision: Revision,
    /// The `Loaded<State>`.
    pub loaded: Arc<dyn Any + Send + Sync>,
}

/// What is remembered of streams. May be behind the log, never beside it: it is only ever told what the log holds.
pub trait StateSource: Send + Sync + 'static {
    /// What is remembered; `None`: read the stream from its beginning.
    fn recall(&self, stream: &Stream) -> Option<Remembered>;

    /// Remembers, unless something later is remembered already.
    fn keep(&self, stream: &Stream, remembered: Remembered);
}

/// Nothing is remembered: every state comes from the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSource;

impl StateSource for LogSource {
    fn recall(&self, _: &Stream) -> Option<Remembered> {
        None
    }
    fn keep(&self, _: &Stream, _: Remembered) {}
}

/// The most recently used streams, in memory.
pub struct CachedSource {
    streams_max: usize,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    entries: BTreeMap<Stream, Entry>,
    /// Streams by when they were last used; the first is dropped first.
    by_use: BTreeMap<u64, Stream>,
    uses: u64,
}

struct Entry {
    remembered: Remembered,
    used: u64,
}

impl CachedSource {
    /// Remembers up to `streams_max` streams (a request takes about 4 KiB).
    pub fn new(streams_max: usize) -> Self {
        Self { streams_max, cache: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Cache) -> T) -> T {
        work(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StateSource for CachedSource {
    fn recall(&self, stream: &Stream) -> Option<Remembered> {
        self.with(|cache| {
            let remembered = cache.entries.get(stream)?.remembered.clone();
            cache.touch(stream, remembered.clone());
            Some(remembered)
        })
    }

    fn keep(&self, stream: &Stream, remembered: Remembered) {
        self.with(|cache| {
            let known = cache.entries.get(stream).map(|entry| entry.remembered.revision);
            if known.is_some_and(|known| known > remembered.revision) {
                return;
            }
            cache.touch(stream, remembered);
            while cache.entries.len() > self.streams_max {
                let Some((_, oldest)) = cache.by_use.pop_first() else { break };
                cache.entries.remove(&oldest);
            }
        });
    }
}

impl Cache {
    fn touch(&mut self, stream: &Stream, remembered: Remembered) {
        self.uses += 1;
        let used = self.uses;
        if let Some(before) = self.entries.insert(stream.clone(), Entry { remembered, used }) {
            self.by_use.remove(&before.used);
        }
        self.by_use.insert(used, stream.clone());
    }
}

impl std::fmt::Debug for CachedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CachedSource({} of {} streams)", self.with(|cache| cache.entries.len()), self.streams_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(n: u8) -> Stream {
        Stream::Duty(n.to_string())
    }

    fn remembered(revision: u64) -> Remembered {
        Remembered { revision: Revision(revision), loaded: Arc::new(revision) }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let source = CachedSource::new(2);
        source.keep(&stream(1), remembered(0));
        source.keep(&stream(2), remembered(0));
        assert!(source.recall(&stream(1)).is_some());
        source.keep(&stream(3), remembered(0));
        assert!(source.recall(&stream(2)).is_none());
        assert!(source.recall(&stream(1)).is_some() && source.recall(&stream(3)).is_some());
    }

    #[test]
    fn the_later_state_is_kept() {
        let source = CachedSource::new(2);
        source.keep(&stream(1), remembered(5));
        source.keep(&stream(1), remembered(4));
        assert_eq!(source.recall(&stream(1)).unwrap().revision, Revision(5));
    }
}
