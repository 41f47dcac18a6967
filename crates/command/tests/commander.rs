//! The promises of the commander, on the in-memory log: races, repeats, lost answers, stale memory, unreliable history.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use command::aggregate::DutyAggregate;
use command::{CachedSource, Command, CommandError, Commander, Corrupt, LoadError, Loaded, Outcome};
use domain::ports::Clock;
use domain::{EventId, Timestamp};
use event_log::memory::{AppendFault, Faults, MemoryLog, ReadFault};
use event_log::{
    AppendError, Appended, Envelope, EventLog, EventStream, Expected, LogError, Position, Recorded, Revision,
    StreamName, Writer,
};
use futures::{StreamExt as _, TryStreamExt as _};
use journal::{Event, Fact, Service, Stream};
use lifecycle::duty::{Duty, DutyClaimed};
use proptest::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

struct SetClock(AtomicI64);

impl SetClock {
    fn at(milliseconds: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(milliseconds)))
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        // A fraction of a millisecond, which must not be stored.
        Timestamp::from_microsecond(self.0.load(Ordering::Relaxed) * 1_000 + 7).unwrap()
    }
}

fn log() -> MemoryLog {
    MemoryLog::with_id(Uuid::from_u128(1))
}

fn on(log: &MemoryLog) -> Commander {
    Commander::new(Arc::new(log.clone()), Service::Audit, SetClock::at(1_000))
}

fn remembering_on(log: &MemoryLog) -> Commander {
    on(log).with_source(Arc::new(CachedSource::new(10)))
}

fn duty() -> Stream {
    Stream::Duty("sweep".to_owned())
}

fn command(n: u8) -> Command {
    Command {
        event_id: EventId::from_parts([[n].as_slice()]),
        actor: None,
        digest: Some([n; 32]),
        trace: None,
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("held by {0}")]
struct Held(String);

/// Takes the duty, whoever has it.
fn take(holder: &str) -> impl FnMut(&Loaded<Duty>, Timestamp) -> Result<Fact, Held> {
    move |_, _| Ok(Fact::Duty(DutyClaimed { holder: holder.to_owned() }))
}

/// Takes the duty, if nobody has it.
fn take_if_free(holder: &str) -> impl FnMut(&Loaded<Duty>, Timestamp) -> Result<Fact, Held> {
    move |loaded, _| match &loaded.state {
        None => Ok(Fact::Duty(DutyClaimed { holder: holder.to_owned() })),
        Some(duty) => Err(Held(duty.holder.clone())),
    }
}

/// Takes the duty from this holder only.
fn take_from(from: &str, holder: &str) -> impl FnMut(&Loaded<Duty>, Timestamp) -> Result<Fact, Held> {
    move |loaded, _| match &loaded.state {
        Some(duty) if duty.holder == from => Ok(Fact::Duty(DutyClaimed { holder: holder.to_owned() })),
        other => Err(Held(other.as_ref().map(|duty| duty.holder.clone()).unwrap_or_default())),
    }
}

async fn run(
    commander: &Commander,
    n: u8,
    decide: impl FnMut(&Loaded<Duty>, Timestamp) -> Result<Fact, Held>,
) -> Result<Outcome<Duty>, CommandError<Held>> {
    commander.execute::<DutyAggregate, Held>(duty(), command(n), decide).await
}

fn holders(log: &MemoryLog) -> Vec<String> {
    let holder = |recorded: Recorded| {
        let Fact::Duty(claimed) = journal::decode(&recorded.envelope.body).unwrap().fact else {
            panic!("not a duty");
        };
        claimed.holder
    };
    log.recorded().into_iter().map(holder).collect()
}

#[tokio::test]
async fn of_two_that_race_one_wins_and_the_other_decides_again() {
    let log = log();
    let (one, other) = (on(&log), on(&log));
    let (first, second) = tokio::join!(run(&one, 1, take_if_free("a")), run(&other, 2, take_if_free("b")));
    assert_eq!(holders(&log).len(), 1);
    let winner = holders(&log)[0].clone();
    let refused = [first, second].into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused, CommandError::Refused(Held(winner)));
}

#[tokio::test]
async fn everyone_who_looks_again_gets_a_turn() {
    let log = log();
    let commander = remembering_on(&log);
    let all = (0..8).map(|n| {
        let commander = commander.clone();
        async move { run(&commander, n, take(&n.to_string())).await.unwrap() }
    });
    let outcomes = futures::future::join_all(all).await;
    let mut revisions: Vec<_> = outcomes.iter().map(|outcome| outcome.revision.0).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (0..8).collect::<Vec<_>>());
    assert!(on(&log).load::<DutyAggregate>(&duty()).await.is_ok());
}

#[tokio::test]
async fn an_outcome_is_what_the_log_holds() {
    let log = log();
    let outcome = run(&on(&log), 1, take("a")).await.unwrap();
    let recorded = log.recorded().pop().unwrap();
    assert_eq!(journal::decode(&recorded.envelope.body).unwrap(), outcome.event);
    assert_eq!((outcome.revision, outcome.position), (recorded.revision, recorded.position));
    assert_eq!(outcome.state.unwrap().holder, "a");
    assert!(!outcome.repeated);
    assert_eq!(outcome.event.at, Timestamp::from_millisecond(1_000).unwrap());
}

#[tokio::test]
async fn a_repeated_command_is_one_event() {
    let log = log();
    let commander = remembering_on(&log);
    let first = run(&commander, 1, take_if_free("a")).await.unwrap();
    run(&on(&log), 2, take("b")).await.unwrap();
    for commander in [commander, on(&log), remembering_on(&log)] {
        let again = run(&commander, 1, take_if_free("a")).await.unwrap();
        assert!(again.repeated);
        assert_eq!((again.event, again.position), (first.event.clone(), first.position));
        assert_eq!(again.state.unwrap().holder, "b", "the state as it is now");
    }
    assert_eq!(holders(&log), ["a", "b"]);
}

#[tokio::test]
async fn the_same_command_through_two_replicas_at_once_is_one_event() {
    let log = log();
    let other = Commander::new(Arc::new(log.clone()), Service::Audit, SetClock::at(2_000));
    let one = on(&log);
    let (first, second) = tokio::join!(run(&one, 1, take("a")), run(&other, 1, take("a")));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.event, second.event);
    assert!(first.repeated != second.repeated);
    assert_eq!(holders(&log), ["a"]);
}

#[tokio::test]
async fn a_key_used_for_another_command_is_refused() {
    let log = log();
    let commander = remembering_on(&log);
    run(&commander, 1, take("a")).await.unwrap();
    let other_body = Command { digest: Some([9; 32]), ..command(1) };
    for commander in [commander.clone(), on(&log)] {
        let reused = commander
            .execute::<DutyAggregate, Held>(duty(), other_body.clone(), take("a"))
            .await
            .unwrap_err();
        assert_eq!(reused, CommandError::KeyReused);
    }
    assert_eq!(holders(&log), ["a"]);
    // Ids are compared within a stream: in another one it is another command.
    let elsewhere = Stream::Duty("relay".to_owned());
    commander.execute::<DutyAggregate, Held>(elsewhere, command(1), take("b")).await.unwrap();
    assert_eq!(holders(&log), ["a", "b"]);
}

/// Faults in the order given, then none; reads fail while `reads_fail`.
struct Script {
    appends: std::vec::IntoIter<AppendFault>,
    reads_fail: bool,
}

impl Script {
    fn plant(log: &MemoryLog, appends: Vec<AppendFault>) {
        log.set_faults(Box::new(Self { appends: appends.into_iter(), reads_fail: false }));
    }
}

impl Faults for Script {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        self.appends.next().unwrap_or(AppendFault::Proceed)
    }
    fn read(&mut self) -> ReadFault {
        if self.reads_fail { ReadFault::Unavailable } else { ReadFault::Proceed }
    }
}

fn append_fault() -> impl Strategy<Value = AppendFault> {
    prop_oneof![Just(AppendFault::LoseAnswer), Just(AppendFault::LoseCall), Just(AppendFault::Proceed)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn invariant_lost_answers_give_exactly_one_event_per_command(
        faults in proptest::collection::vec(append_fault(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let log = log();
            Script::plant(&log, faults);
            let (one, other) = (remembering_on(&log), on(&log));
            let (first, second) = tokio::join!(run(&one, 1, take("a")), run(&other, 2, take("b")));
            assert!(!first.unwrap().repeated && !second.unwrap().repeated);
            let mut holders = holders(&log);
            holders.sort();
            assert_eq!(holders, ["a", "b"]);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn unavailable_after_a_lost_answer_is_not_an_answer() {
    let log = log();
    Script::plant(&log, vec![AppendFault::LoseAnswer, AppendFault::Unavailable, AppendFault::Unavailable]);
    let outcome = run(&on(&log), 1, take("a")).await.unwrap();
    assert!(!outcome.repeated);
    assert_eq!(holders(&log), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stays_lost_is_told_as_unknown() {
    let log = log();
    Script::plant(&log, vec![AppendFault::LoseAnswer; 1_000]);
    let started = tokio::time::Instant::now();
    assert!(matches!(run(&on(&log), 1, take("a")).await, Err(CommandError::Unknown(_))));
    assert!(started.elapsed().as_secs() <= 15);
    log.clear_faults();
    assert!(run(&on(&log), 1, take("a")).await.unwrap().repeated);
    assert_eq!(holders(&log), ["a"]);
}

#[tokio::test]
async fn a_log_that_is_down_writes_nothing() {
    let log = log();
    Script::plant(&log, vec![AppendFault::Unavailable]);
    assert!(matches!(run(&on(&log), 1, take("a")).await, Err(CommandError::Unavailable(_))));
    log.set_faults(Box::new(Script { appends: vec![].into_iter(), reads_fail: true }));
    assert!(matches!(run(&on(&log), 1, take("a")).await, Err(CommandError::Unavailable(_))));
    assert!(log.recorded().is_empty());
}

#[tokio::test]
async fn a_no_on_stale_memory_is_decided_again() {
    let log = log();
    let commander = remembering_on(&log);
    run(&commander, 1, take("a")).await.unwrap();
    run(&on(&log), 2, take("b")).await.unwrap();
    let outcome = run(&commander, 3, take_from("b", "c")).await.unwrap();
    assert_eq!(outcome.state.unwrap().holder, "c");
    run(&on(&log), 4, take("d")).await.unwrap();
    assert_eq!(
        run(&commander, 5, take_from("c", "e")).await,
        Err(CommandError::Refused(Held("d".to_owned())))
    );
    assert_eq!(holders(&log), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_yes_on_stale_memory_meets_the_log_and_is_decided_again() {
    let log = log();
    let commander = remembering_on(&log);
    run(&commander, 1, take("a")).await.unwrap();
    run(&on(&log), 2, take("b")).await.unwrap();
    let refused = run(&commander, 3, take_from("a", "c")).await.unwrap_err();
    assert_eq!(refused, CommandError::Refused(Held("b".to_owned())));
    assert_eq!(holders(&log), ["a", "b"]);
}

#[tokio::test]
async fn a_yes_on_remembered_state_needs_no_read() {
    let log = log();
    let commander = remembering_on(&log);
    run(&commander, 1, take("a")).await.unwrap();
    log.set_faults(Box::new(Script { appends: vec![].into_iter(), reads_fail: true }));
    assert_eq!(run(&commander, 2, take("b")).await.unwrap().revision, Revision(1));
    assert!(
        matches!(run(&commander, 3, take_if_free("c")).await, Err(CommandError::Unavailable(_))),
        "a no needs one"
    );
}

/// `take`, for a command that begins the stream.
async fn begin(
    commander: &Commander,
    n: u8,
    mut decide: impl FnMut(&Loaded<Duty>, Timestamp) -> Result<Fact, Held>,
) -> Result<Outcome<Duty>, CommandError<Held>> {
    let decide = |loaded: Arc<Loaded<Duty>>, at| std::future::ready(decide(&loaded, at));
    commander.execute_first::<DutyAggregate, Held, _>(duty(), command(n), decide).await
}

#[tokio::test]
async fn a_command_that_begins_its_stream_needs_no_read() {
    let log = log();
    log.set_faults(Box::new(Script { appends: vec![].into_iter(), reads_fail: true }));
    assert_eq!(begin(&on(&log), 1, take("a")).await.unwrap().revision, Revision(0));
    let no = |_: &Loaded<Duty>, _| Err(Held("nobody".to_owned()));
    assert!(matches!(begin(&on(&log), 2, no).await, Err(CommandError::Unavailable(_))), "a no needs one");
}

#[tokio::test]
async fn a_stream_that_has_begun_is_found_out() {
    let log = log();
    let first = begin(&on(&log), 1, take_if_free("a")).await.unwrap();
    for decided in [begin(&on(&log), 1, take_if_free("a")).await, begin(&on(&log), 1, take("b")).await] {
        let again = decided.unwrap();
        assert!(again.repeated);
        assert_eq!((again.event, again.position), (first.event.clone(), first.position));
    }
    assert_eq!(
        begin(&on(&log), 2, take_if_free("b")).await,
        Err(CommandError::Refused(Held("a".to_owned())))
    );
    assert_eq!(holders(&log), ["a"]);
    assert_eq!(begin(&on(&log), 3, take("c")).await.unwrap().revision, Revision(1));
}

#[tokio::test]
async fn a_decision_may_fetch_what_it_needs_for_each_try() {
    let log = log();
    let commander = on(&log);
    let fetched = Arc::new(Mutex::new(0));
    let outcome = commander
        .execute_async::<DutyAggregate, Held, _>(duty(), command(1), |_, _| {
            let fetched = fetched.clone();
            async move {
                tokio::task::yield_now().await;
                *fetched.lock().unwrap() += 1;
                Ok(Fact::Duty(DutyClaimed { holder: "a".to_owned() }))
            }
        })
        .await;
    assert!(outcome.is_ok());
    assert_eq!(*fetched.lock().unwrap(), 1);
}

#[tokio::test]
async fn time_never_runs_backwards_in_a_stream() {
    let log = log();
    let later = Commander::new(Arc::new(log.clone()), Service::Audit, SetClock::at(9_000));
    let first = run(&later, 1, take("a")).await.unwrap();
    let second = run(&on(&log), 2, take("b")).await.unwrap();
    assert_eq!(second.event.at, first.event.at);
    assert_eq!(second.event.previous, Some(first.event.id));
}

#[tokio::test]
async fn what_this_service_may_not_write_is_not_written() {
    let log = log();
    let withdrawn = || Ok::<_, Held>(Fact::Request(lifecycle::RequestEvent::Withdrawn));
    let refused = run(&on(&log), 1, |_, _| withdrawn()).await.unwrap_err();
    assert_eq!(refused, CommandError::NotOurs { type_name: "request.withdrawn.v1" });
    let request = Commander::new(Arc::new(log.clone()), Service::Request, SetClock::at(0));
    let refused = run(&request, 1, |_, _| withdrawn()).await.unwrap_err();
    assert_eq!(
        refused,
        CommandError::NotOurs { type_name: "request.withdrawn.v1" },
        "in a stream of another kind"
    );
    assert!(log.recorded().is_empty());
}

fn claimed(n: u8, stream: Stream, previous: Option<EventId>) -> Event {
    Event {
        id: command(n).event_id,
        stream,
        at: Timestamp::from_millisecond(1_000).unwrap(),
        writer: Service::Audit,
        actor: None,
        previous,
        trace: None,
        command_digest: None,
        fact: Fact::Duty(DutyClaimed { holder: "x".to_owned() }),
    }
}

#[tokio::test]
async fn history_that_cannot_be_relied_on_is_corrupt_and_is_not_added_to() {
    let good = claimed(2, duty(), Some(command(1).event_id));
    let id = *good.id.as_uuid();
    let elsewhere = claimed(2, Stream::Duty("relay".to_owned()), good.previous);
    let fork = claimed(2, duty(), None);
    let mut early = good.clone();
    early.at = Timestamp::from_millisecond(0).unwrap();
    let cases: [(&str, Uuid, &str, Vec<u8>); 7] = [
        ("junk", id, "audit", b"junk".to_vec()),
        ("empty", id, "audit", vec![]),
        ("another stream", id, "audit", journal::encode(&elsewhere)),
        ("another writer", id, "request", journal::encode(&good)),
        ("another id", Uuid::from_u128(7), "audit", journal::encode(&good)),
        ("another history", id, "audit", journal::encode(&fork)),
        ("before its predecessor", id, "audit", journal::encode(&early)),
    ];
    for (what, event_id, writer, body) in cases {
        let log = log();
        let commander = remembering_on(&log);
        run(&commander, 1, take("a")).await.unwrap();
        let name: StreamName = duty().to_string().parse().unwrap();
        let envelope = Envelope { event_id, writer: Writer::new(writer).unwrap(), body: body.into() };
        log.append(&name, Expected::Exact(Revision(0)), envelope).await.unwrap();
        for commander in [commander, on(&log)] {
            let error = run(&commander, 3, take("b")).await.unwrap_err();
            assert!(
                matches!(&error, CommandError::Corrupt(corrupt) if corrupt.revision == Some(Revision(1))),
                "{what}"
            );
            let loaded = commander.load::<DutyAggregate>(&duty()).await;
            assert!(matches!(loaded, Err(LoadError::Corrupt(_))), "{what}");
        }
        assert_eq!(log.recorded().len(), 2, "{what}");
        let other = Stream::Duty("relay".to_owned());
        assert!(
            on(&log).execute::<DutyAggregate, Held>(other, command(9), take("b")).await.is_ok(),
            "{what}"
        );
    }
}

/// A log in which the second event of every stream has the first one's id.
struct Twice(MemoryLog);

#[async_trait::async_trait]
impl EventLog for Twice {
    async fn id(&self) -> Result<Uuid, LogError> {
        self.0.id().await
    }
    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        self.0.append(stream, expected, envelope).await
    }
    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        let forged = |mut recorded: Recorded| {
            if recorded.revision == Revision(1) {
                let event = claimed(1, duty(), Some(command(1).event_id));
                recorded.envelope.event_id = *event.id.as_uuid();
                recorded.envelope.body = journal::encode(&event).into();
            }
            recorded
        };
        self.0.read_stream(stream, after).map_ok(forged).boxed()
    }
    fn read_all(&self, after: Position) -> EventStream {
        self.0.read_all(after)
    }
    fn subscribe(&self, after: Position) -> EventStream {
        self.0.subscribe(after)
    }
    async fn head(&self) -> Result<Position, LogError> {
        self.0.head().await
    }
    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.0.event_at(position).await
    }
}

#[tokio::test]
async fn an_id_that_is_twice_in_a_stream_is_corrupt_and_answers_no_repeat() {
    let log = log();
    run(&on(&log), 1, take("a")).await.unwrap();
    run(&on(&log), 2, take("b")).await.unwrap();
    let forged = Commander::new(Arc::new(Twice(log.clone())), Service::Audit, SetClock::at(1_000));
    let corrupt = Corrupt {
        stream: duty().to_string(),
        revision: Some(Revision(1)),
        why: "an event before it has its id".to_owned(),
    };
    for number in [1, 3] {
        let error = run(&forged, number, take("a")).await.unwrap_err();
        assert_eq!(error, CommandError::Corrupt(corrupt.clone()), "command {number}");
    }
    assert_eq!(log.recorded().len(), 2);
}

/// Engines that read before they append take nothing then, and cannot say why.
#[tokio::test]
async fn a_stream_that_was_damaged_since_it_was_read_is_corrupt_and_not_unavailable() {
    let log = log();
    let commander = Commander::new(Arc::new(Twice(log.clone())), Service::Audit, SetClock::at(1_000))
        .with_source(Arc::new(CachedSource::new(10)));
    run(&commander, 1, take("a")).await.unwrap();
    Script::plant(&log, vec![AppendFault::Unavailable]);
    let unavailable = run(&commander, 2, take("b")).await.unwrap_err();
    assert!(matches!(unavailable, CommandError::Unavailable(_)), "{unavailable:?}");
    run(&on(&log), 2, take("b")).await.unwrap();
    Script::plant(&log, vec![AppendFault::Unavailable]);
    let damaged = run(&commander, 3, take("c")).await.unwrap_err();
    assert!(matches!(damaged, CommandError::Corrupt(_)), "{damaged:?}");
    assert_eq!(log.recorded().len(), 2);
}

/// A log on which somebody else is always first.
struct Rival(MemoryLog);

impl Rival {
    async fn be_first(&self) {
        let n = u8::try_from(self.0.recorded().len()).unwrap() + 100;
        run(&on(&self.0), n, take("rival")).await.unwrap();
    }
}

#[async_trait::async_trait]
impl EventLog for Rival {
    async fn id(&self) -> Result<Uuid, LogError> {
        self.0.id().await
    }
    async fn append(
        &self,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
    ) -> Result<Appended, AppendError> {
        self.be_first().await;
        self.0.append(stream, expected, envelope).await
    }
    fn read_stream(&self, stream: &StreamName, after: Option<Revision>) -> EventStream {
        self.0.read_stream(stream, after)
    }
    fn read_all(&self, after: Position) -> EventStream {
        self.0.read_all(after)
    }
    fn subscribe(&self, after: Position) -> EventStream {
        self.0.subscribe(after)
    }
    async fn head(&self) -> Result<Position, LogError> {
        self.0.head().await
    }
    async fn event_at(&self, position: Position) -> Result<Option<Recorded>, LogError> {
        self.0.event_at(position).await
    }
}

#[tokio::test]
async fn who_is_never_first_gives_way_in_the_end() {
    let log = log();
    let commander = Commander::new(Arc::new(Rival(log.clone())), Service::Audit, SetClock::at(1_000));
    assert_eq!(run(&commander, 1, take("a")).await, Err(CommandError::Contended));
    assert!(!holders(&log).contains(&"a".to_owned()));
}

#[test]
fn carrying_out_a_command_can_move_between_threads() {
    fn sendable(_: impl Send) {}
    let commander = on(&log());
    sendable(run(&commander, 1, take("a")));
    sendable(commander.execute_async::<DutyAggregate, Held, _>(duty(), command(1), |loaded, _| async move {
        tokio::task::yield_now().await;
        Err(Held(format!("{loaded:?}")))
    }));
}
