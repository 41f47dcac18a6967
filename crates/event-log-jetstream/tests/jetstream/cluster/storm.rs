//! A cluster in trouble: in every round one server is killed, paused, cut off, parted from the others, or deposed, while writers
//! race and readers read. What the callers saw of each stream must be linearizable, and all readers must have read one order.
//!
//! A round is mostly waiting for an election, so some clusters weather their storms beside each other.

#![expect(clippy::indexing_slicing, reason = "tests")]

use super::{QUIET, open, start, step_down};
use crate::following::{follow, next};
use crate::given::{all, assert_whole, stream};
use event_log::conformance::history::{Call, What, check};
use event_log::{
    AppendError, Appended, Envelope, EventLog, Expected, Position, Recorded, Revision, StreamName, Writer,
};
use event_log_jetstream::{JetStreamLog, STREAM};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::nats_cluster::NatsCluster;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Storms at a time.
const CLUSTERS: u64 = 4;
/// Clients that write, and the fewer streams that they race for.
const WRITERS: u64 = 4;
const STREAMS: u64 = 3;
/// What takes longer has hung.
const ROUND_MAX: Duration = Duration::from_mins(3);
/// Between two calls of a writer.
const PACE: Duration = Duration::from_millis(8);

/// Chance by a seed.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Killed,
    Paused,
    CutOff,
    Parted,
    Deposed,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::Killed, Trouble::Paused, Trouble::CutOff, Trouble::Parted, Trouble::Deposed];

/// What was called in one round, by everyone.
struct History {
    /// The clock that all callers share.
    now: Arc<AtomicU64>,
    calls: Mutex<BTreeMap<StreamName, Vec<Call>>>,
    acknowledged: Mutex<Vec<(Uuid, StreamName, Appended)>>,
    /// What went wrong last, in case that it goes wrong for ever.
    went_wrong: Arc<Mutex<String>>,
}

impl History {
    async fn rest(&self, why: String) {
        *self.went_wrong.lock().unwrap() = why;
        tokio::time::sleep(PACE).await;
    }

    fn tick(&self) -> u64 {
        self.now.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, stream: &StreamName, call: Call) {
        self.calls.lock().unwrap().entry(stream.clone()).or_default().push(call);
    }

    /// Reads a stream, until that works.
    async fn read(&self, log: &JetStreamLog, stream: &StreamName) -> Vec<Uuid> {
        let invoked = self.tick();
        let events = loop {
            match log.read_stream(stream, None).try_collect::<Vec<_>>().await {
                Ok(events) => break events,
                Err(error @ event_log::LogError::Unavailable(_)) => {
                    self.rest(format!("{stream}: {error}")).await;
                }
                Err(error) => panic!("{stream}: {error}"),
            }
        };
        let ids: Vec<_> = events.iter().map(|event| event.envelope.event_id).collect();
        let returned = Some(self.tick());
        self.note(stream, Call { invoked, returned, what: What::Read(ids.clone()) });
        ids
    }

    /// Appends, until the answer is definite; one that gives up leaves it open what an unknown outcome was. Says what the
    /// stream's last revision was, if that is known.
    async fn append(
        &self,
        log: &JetStreamLog,
        stream: &StreamName,
        expected: Expected,
        envelope: Envelope,
        gives_up: bool,
    ) -> Option<Option<Revision>> {
        let (invoked, event_id) = (self.tick(), envelope.event_id);
        let call =
            |returned, answer| Call { invoked, returned, what: What::Append { event_id, expected, answer } };
        loop {
            match log.append(stream, expected, envelope.clone()).await {
                Ok(place) => {
                    self.note(stream, call(Some(self.tick()), Ok(place.revision)));
                    self.acknowledged.lock().unwrap().push((event_id, stream.clone(), place));
                    return Some(Some(place.revision));
                }
                Err(AppendError::Conflict { actual }) => {
                    self.note(stream, call(Some(self.tick()), Err(actual)));
                    return Some(actual);
                }
                Err(AppendError::Unknown(_)) if gives_up => {
                    self.note(stream, call(None, Err(None)));
                    return None;
                }
                Err(error @ (AppendError::Unknown(_) | AppendError::Unavailable(_))) => {
                    self.rest(format!("{stream}: {error}")).await;
                }
                Err(error @ (AppendError::IdTaken | AppendError::TooLarge { .. })) => {
                    panic!("{stream}: {error}")
                }
            }
        }
    }
}

/// One client: appends to and reads the streams of a round until it is over.
async fn write(
    log: JetStreamLog,
    history: Arc<History>,
    streams: Vec<StreamName>,
    mut chance: Chance,
    over: Arc<AtomicBool>,
    writer: u64,
) {
    let mut seen = vec![None; streams.len()];
    let mut number = (u128::from(chance.below(1 << 50)) << 64) | (u128::from(writer) << 48);
    while !over.load(Ordering::SeqCst) {
        let which = usize::try_from(chance.below(STREAMS)).unwrap();
        let stream = &streams[which];
        if chance.below(4) == 0 {
            let ids = history.read(&log, stream).await;
            seen[which] = ids.len().checked_sub(1).map(|last| Revision(last as u64));
        } else {
            // Mostly what was seen last; now and then what somebody would say who is ahead or behind.
            let expected = match chance.below(12) {
                0 => Expected::after(seen[which].map(|Revision(last)| Revision(last + 1 + chance.below(3)))),
                1 => Expected::after(chance.below(20).checked_sub(1).map(Revision)),
                _ => Expected::after(seen[which]),
            };
            number += 1;
            let event_id = Uuid::from_u128(number);
            let body = event_id.to_string().into();
            let envelope = Envelope { event_id, writer: Writer::new("request").unwrap(), body };
            let gives_up = chance.below(6) == 0;
            if let Some(last) = history.append(&log, stream, expected, envelope, gives_up).await {
                seen[which] = last;
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

/// One cluster, and who uses it.
struct Storm {
    number: u64,
    cluster: NatsCluster,
    chance: Chance,
    writers: Vec<JetStreamLog>,
    followers: Vec<UnboundedReceiver<Recorded>>,
    now: Arc<AtomicU64>,
    acknowledged: Vec<(Uuid, StreamName, Appended)>,
    seen: Seen,
    went_wrong: Arc<Mutex<String>>,
}

/// What a storm was like.
#[derive(Debug, Default)]
struct Seen {
    troubles: BTreeMap<Trouble, u64>,
    calls: usize,
    acknowledged: usize,
    conflicts: usize,
    left_unknown: usize,
}

impl Storm {
    async fn begin(number: u64, seed: u64) -> Self {
        let cluster = start().await;
        let (mut writers, mut followers) = (Vec::new(), Vec::new());
        for _ in 0..WRITERS {
            writers.push(open(&cluster).await);
        }
        for _ in 0..2 {
            followers.push(follow(&open(&cluster).await));
        }
        let chance = Chance(((seed << 8) | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let now = Arc::default();
        let went_wrong = Arc::default();
        let (acknowledged, history) = (Vec::new(), Seen::default());
        Self { number, cluster, chance, writers, followers, now, acknowledged, seen: history, went_wrong }
    }

    async fn round(&mut self, round: u64) {
        let names: Vec<_> = (0..STREAMS).map(|which| stream(&format!("round-{round}-{which}"))).collect();
        let (calls, acknowledged) = (Mutex::default(), Mutex::default());
        let (now, went_wrong) = (Arc::clone(&self.now), Arc::clone(&self.went_wrong));
        let history = Arc::new(History { now, calls, acknowledged, went_wrong });
        let over = Arc::new(AtomicBool::new(false));
        let mut writing = JoinSet::new();
        for (log, writer) in self.writers.iter().zip(0..) {
            let chance = Chance(self.chance.below(u64::MAX) | 1);
            writing.spawn(write(log.clone(), history.clone(), names.clone(), chance, over.clone(), writer));
        }
        let trouble = self.trouble().await;
        self.cluster.until_healthy().await.unwrap();
        over.store(true, Ordering::SeqCst);
        while let Some(ended) = writing.join_next().await {
            ended.unwrap();
        }
        for name in &names {
            let held = history.read(&self.writers[0], name).await;
            let calls = history.calls.lock().unwrap().remove(name).unwrap_or_default();
            if let Err(why) = check(&held, &calls) {
                panic!("storm {} round {round}, {trouble:?}: {name} is not linearizable: {why}", self.number);
            }
            self.note(&calls);
        }
        *self.seen.troubles.entry(trouble).or_default() += 1;
        self.acknowledged.append(&mut history.acknowledged.lock().unwrap());
    }

    fn note(&mut self, calls: &[Call]) {
        self.seen.calls += calls.len();
        for call in calls {
            match call.what {
                What::Append { .. } if call.returned.is_none() => self.seen.left_unknown += 1,
                What::Append { answer: Ok(_), .. } => self.seen.acknowledged += 1,
                What::Append { answer: Err(_), .. } => self.seen.conflicts += 1,
                What::Read(_) => {}
            }
        }
    }

    /// Something befalls one server, and passes.
    async fn trouble(&mut self) -> Trouble {
        let chance = &mut self.chance;
        let victim = match chance.below(4) {
            0 | 1 => self.cluster.stream_leader(STREAM).await.unwrap(),
            2 => self.cluster.meta_leader().await.unwrap(),
            _ => u8::try_from(chance.below(3)).unwrap(),
        };
        let trouble = TROUBLES[usize::try_from(chance.below(TROUBLES.len() as u64)).unwrap()];
        tokio::time::sleep(chance.millis(20, 200)).await;
        // Two in five last until others have been elected.
        let lasts = if chance.below(5) < 2 { chance.millis(4_500, 7_500) } else { chance.millis(20, 900) };
        match trouble {
            Trouble::Killed => self.cluster.kill(victim),
            Trouble::Paused => self.cluster.pause(victim).unwrap(),
            Trouble::CutOff => self.cluster.cut_off(victim).unwrap(),
            Trouble::Parted => self.cluster.part(victim).unwrap(),
            Trouble::Deposed => {
                step_down(&self.cluster, victim).await;
                return trouble;
            }
        }
        tokio::time::sleep(lasts).await;
        match trouble {
            Trouble::Killed => self.cluster.restart(victim).unwrap(),
            Trouble::Paused => self.cluster.resume(victim).unwrap(),
            Trouble::CutOff | Trouble::Parted => self.cluster.join(victim).unwrap(),
            Trouble::Deposed => {}
        }
        trouble
    }

    /// What was acknowledged is there, where it was said to be, and all readers have read the same.
    async fn end(mut self) -> Seen {
        let events = all(&open(&self.cluster).await).await;
        assert_whole(&events);
        let by_id: BTreeMap<_, _> = events.iter().map(|event| (event.envelope.event_id, event)).collect();
        assert_eq!(by_id.len(), events.len(), "an event is there once");
        for (id, stream, place) in &self.acknowledged {
            let event =
                by_id.get(id).unwrap_or_else(|| panic!("acknowledged and lost: {id} {stream} {place:?}"));
            assert_eq!(
                (&event.stream, event.revision, event.position),
                (stream, place.revision, place.position)
            );
        }
        assert!(
            !self.acknowledged.is_empty()
                && events.last().is_some_and(|last| last.position > Position::START)
        );
        for follower in &mut self.followers {
            assert_eq!(next(follower, events.len()).await, events, "one order for all readers");
        }
        self.seen
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_in_trouble_keeps_every_acknowledged_event_in_one_order() {
    let _alone = QUIET.write().await;
    let number =
        |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (rounds, seed) = (number("DAYPASS_ROUNDS", 100), number("DAYPASS_SEED", 1));
    let mut storms = JoinSet::new();
    for storm in 0..CLUSTERS.min(rounds) {
        storms.spawn(async move {
            let mut weather = Storm::begin(storm, seed).await;
            for round in (storm..rounds).step_by(usize::try_from(CLUSTERS).unwrap()) {
                let passed = tokio::time::timeout(ROUND_MAX, weather.round(round)).await;
                let why = weather.went_wrong.lock().unwrap().clone();
                assert!(passed.is_ok(), "storm {storm} of seed {seed}: round {round} hangs; lately: {why}");
                if (round + 1).is_multiple_of(100) {
                    println!("storm {storm} is through round {}", round + 1);
                }
            }
            tokio::time::timeout(ROUND_MAX, weather.end()).await.expect("the end hangs")
        });
    }
    while let Some(seen) = storms.join_next().await {
        println!("{:?}", seen.unwrap());
    }
}
