//! The in-memory log: the port's meaning in its plainest form, for simulation and fast tests.
//!
//! INVARIANT: deterministic. No threads, clock or randomness; one lock, ordered maps; the same calls in the same order give
//! the same answers. Tasks can interleave before an append takes effect and before its answer is seen, as with a real engine.

use crate::{
    AppendError, Appended, BODY_BYTES_MAX, Envelope, EventLog, EventStream, Expected, LogError, Position,
    Recorded, Revision, StreamName,
};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// A log in memory. Clones share it, as clients share a server; it lives as long as its last clone or reader.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

/// What a test or a simulation does to a [`MemoryLog`].
pub trait Faults: Send {
    /// Asked once for every append, before it is looked at.
    fn append(&mut self, stream: &StreamName, envelope: &Envelope) -> AppendFault;

    /// Asked at each step of a read: for every event, at the end, and for `head`, `id` and `event_at`.
    fn read(&mut self) -> ReadFault {
        ReadFault::Proceed
    }
}

/// What happens to one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFault {
    /// Nothing unusual.
    Proceed,
    /// The append is carried out (or conflicts), but its answer is lost: [`AppendError::Unknown`].
    LoseAnswer,
    /// The call is lost on its way there, so it has no effect: [`AppendError::Unknown`] as well.
    LoseCall,
    /// The log is down, and says so: [`AppendError::Unavailable`], no effect.
    Unavailable,
}

/// What happens to one step of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// Nothing unusual.
    Proceed,
    /// The step fails with [`LogError::Unavailable`], and the stream ends.
    Unavailable,
}

struct Shared {
    id: Uuid,
    state: Mutex<State>,
    /// How many events there are, which is also the position of the last.
    count: watch::Sender<u64>,
    faults: Mutex<Option<Box<dyn Faults>>>,
}

#[derive(Default)]
struct State {
    /// In log order; the event at index `i` has position `i + 1`.
    events: Vec<Recorded>,
    /// Indices into `events`, by stream and revision.
    streams: BTreeMap<StreamName, Vec<usize>>,
    /// Indices into `events`, by stream and event id.
    ids: BTreeMap<(StreamName, Uuid), usize>,
}

impl MemoryLog {
    /// An empty log with this identity.
    pub fn with_id(id: Uuid) -> Self {
        Self {
            shared: Arc::new(Shared {
                id,
                state: Mutex::default(),
                count: watch::Sender::new(0),
                faults: Mutex::new(None),
            }),
        }
    }

    /// From now on, asks `faults` what goes wrong.
    pub fn set_faults(&self, faults: Box<dyn Faults>) {
        *lock(&self.shared.faults) = Some(faults);
    }

    /// From now on, nothing goes wrong.
    pub fn clear_faults(&self) {
        *lock(&self.shared.faults) = None;
    }

    /// Everything recorded so far, in log order, whatever the faults: what is true, for checks of invariants.
    pub fn recorded(&self) -> Vec<Recorded> {
        lock(&self.shared.state).events.clone()
    }

    /// What was recorded after a position; for checks of invariants that look at each event once.
    pub fn recorded_after(&self, after: Position) -> Vec<Recorded> {
        let state = lock(&self.shared.state);
        state.events.get(index(after.0)..).unwrap_or_default().to_vec()
    }

    fn append_fault(&self, stream: &StreamName, envelope: &Envelope) -> AppendFault {
        lock(&self.shared.faults)
            .as_mut()
            .map_or(AppendFault::Proceed, |faults| faults.append(stream, envelope))
    }

    fn read_step(&self) -> Result<(), LogError> {
        let fault = lock(&self.shared.faults).as_mut().map_or(ReadFault::Proceed, |faults| faults.read());
        match fault {
            ReadFault::Proceed => Ok(()),
            ReadFault::Unavailable => Err(LogError::Unavailable("planted fault".into())),
        }
    }

    fn append_now(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        let mut state = lock(&self.shared.state);
        let appended = state.append(stream, expected, envelope)?;
        // Told under the lock, so that the count never runs backwards.
        self.shared.count.send_replace(state.events.len() as u64);
        Ok(appended)
    }

    fn event(&self, index: usize) -> Option<Recorded> {
        lock(&self.shared.state).events.get(index).cloned()
    }
}

impl State {
    fn append(
        &mut self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        if envelope.body.len() > BODY_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes: envelope.body.len() });
        }
        let named = (stream.clone(), envelope.event_id);
        if let Some(known) = self.ids.get(&named).and_then(|index| self.events.get(*index)) {
            return if known.envelope.body == envelope.body {
                Ok(Appended { revision: known.revision, position: known.position, repeated: true })
            } else {
                Err(AppendError::IdTaken)
            };
        }
        let length = self.streams.get(stream).map_or(0, Vec::len) as u64;
        let actual = length.checked_sub(1).map(Revision);
        if expected != Expected::after(actual) {
            return Err(AppendError::Conflict { actual });
        }
        let index = self.events.len();
        let (revision, position) = (expected.revision_of_next(), Position(index as u64 + 1));
        self.ids.insert(named, index);
        self.streams.entry(stream.clone()).or_default().push(index);
        self.events.push(Recorded { stream: stream.clone(), revision, position, envelope });
        Ok(Appended { revision, position, repeated: false })
    }
}

#[async_trait::async_trait]
impl EventLog for MemoryLog {
    async fn id(&self) -> Result<Uuid, LogError> {
        self.read_step()?;
        Ok(self.shared.id)
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        // Others may run between the decision and its append, and between the append and its answer.
        tokio::task::yield_now().await;
        let answer = match self.append_fault(stream, &envelope) {
            AppendFault::Proceed => self.append_now(stream, expected, envelope),
            AppendFault::LoseAnswer => {
                // Even a conflict is not heard of.
                drop(self.append_now(stream, expected, envelope));
                Err(AppendError::Unknown("planted fault: the answer is lost".into()))
            }
            AppendFault::LoseCall => Err(AppendError::Unknown("planted fault: the call is lost".into())),
            AppendFault::Unavailable => Err(AppendError::Unavailable("planted fault".into())),
        };
        tokio::task::yield_now().await;
        answer
    }

    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        let indices = {
            let state = lock(&self.shared.state);
            let from = after.map_or(0, |revision| index(revision.0.saturating_add(1)));
            let all = state.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
            all.get(from..).unwrap_or_default().to_vec()
        };
        let log = self.clone();
        steps(indices.into_iter(), move |mut left| {
            let log = log.clone();
            async move {
                log.read_step()?;
                let event = left.next().and_then(|index| log.event(index));
                Ok(event.map(|event| (event, left)))
            }
        })
    }

    fn read_all(&self, after: Position) -> EventStream {
        let end = index(*self.shared.count.borrow());
        let log = self.clone();
        steps(index(after.0), move |index| {
            let log = log.clone();
            async move {
                log.read_step()?;
                let event = if index < end { log.event(index) } else { None };
                Ok(event.map(|event| (event, index + 1)))
            }
        })
    }

    fn subscribe(&self, after: Position) -> EventStream {
        let log = self.clone();
        steps(index(after.0), move |index| {
            let log = log.clone();
            async move {
                let mut count = log.shared.count.subscribe();
                if count.wait_for(|count| *count > index as u64).await.is_err() {
                    return Ok(None); // Cannot be: `log` holds the sender.
                }
                log.read_step()?;
                Ok(log.event(index).map(|event| (event, index + 1)))
            }
        })
    }

    async fn head(&self) -> Result<Position, LogError> {
        self.read_step()?;
        Ok(Position(*self.shared.count.borrow()))
    }

    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.read_step()?;
        Ok(position.0.checked_sub(1).and_then(|before| self.event(index(before))))
    }
}

/// A stream that goes from state to state by `step`, and ends with `None` or after the first error.
fn steps<S, F, Next>(first: S, step: F) -> EventStream
where
    S: Send + 'static,
    F: Fn(S) -> Next + Send + 'static,
    Next: Future<Output = Result<Option<(Recorded, S)>, LogError>> + Send + 'static,
{
    futures::stream::unfold((Some(first), step), |(state, step)| async move {
        match step(state?).await {
            Ok(Some((event, next))) => Some((Ok(event), (Some(next), step))),
            Ok(None) => None,
            Err(error) => Some((Err(error), (None, step))),
        }
    })
    .boxed()
}

/// As an index; what is beyond memory is beyond every list.
fn index(ordinal: u64) -> usize {
    usize::try_from(ordinal).unwrap_or(usize::MAX)
}

/// Nothing here panics while it holds a lock, but for a planted fault, which has changed nothing then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryLog({}, {} events)", self.shared.id, *self.shared.count.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writer;
    use futures::TryStreamExt;

    struct Script(Vec<AppendFault>, Vec<ReadFault>);

    impl Faults for Script {
        fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
            self.0.pop().unwrap_or(AppendFault::Proceed)
        }
        fn read(&mut self) -> ReadFault {
            self.1.pop().unwrap_or(ReadFault::Proceed)
        }
    }

    fn envelope(n: u128) -> Envelope {
        Envelope {
            event_id: Uuid::from_u128(n),
            writer: Writer::new("request").unwrap(),
            body: n.to_be_bytes().to_vec().into(),
        }
    }

    #[tokio::test]
    async fn a_lost_answer_has_its_effect_and_a_lost_call_has_none() {
        let log = MemoryLog::with_id(Uuid::nil());
        let stream: StreamName = "thing-1".parse().unwrap();
        for (fault, written) in
            [(AppendFault::LoseCall, 0), (AppendFault::Unavailable, 0), (AppendFault::LoseAnswer, 1)]
        {
            log.set_faults(Box::new(Script(vec![fault], vec![])));
            let answer = log.append(&stream, Expected::NoStream, envelope(1)).await;
            let unavailable = fault == AppendFault::Unavailable;
            assert_eq!(matches!(answer, Err(AppendError::Unavailable(_))), unavailable);
            assert_eq!(matches!(answer, Err(AppendError::Unknown(_))), !unavailable);
            assert_eq!(log.recorded().len(), written);
        }
        let again = log.append(&stream, Expected::NoStream, envelope(1)).await;
        assert!(again.unwrap().repeated);
    }

    #[tokio::test]
    async fn a_read_breaks_where_the_fault_is_and_ends_there() {
        let log = MemoryLog::with_id(Uuid::nil());
        let stream: StreamName = "thing-1".parse().unwrap();
        for n in 0..3_u64 {
            let expected = Expected::after(n.checked_sub(1).map(Revision));
            log.append(&stream, expected, envelope(n.into())).await.unwrap();
        }
        log.set_faults(Box::new(Script(vec![], vec![ReadFault::Unavailable, ReadFault::Proceed])));
        let seen: Vec<_> = log.read_all(Position::START).collect().await;
        assert_eq!(seen.len(), 2);
        assert!(seen[0].is_ok() && seen[1].is_err());
        log.clear_faults();
        let rest: Vec<_> = log.read_all(Position(1)).try_collect().await.unwrap();
        assert_eq!(rest, log.recorded_after(Position(1)));
    }
}
