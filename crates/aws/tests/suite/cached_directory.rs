//! The cached directory renews itself, keeps what it has when AWS fails, and never makes a reader wait.

use crate::support::{Constant, TokioClock};
use aws::simulated::{Behaviour, Operation, SimulatedAws};
use aws::{AwsError, CachedDirectory, Contents, DirectorySource, RefreshPace};
use domain::ports::Clock;
use domain::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::time::{Duration, sleep};

struct Bench {
    clock: Arc<TokioClock>,
    aws: Arc<SimulatedAws>,
    cache: Arc<CachedDirectory>,
}

fn bench(behaviour: Behaviour) -> Bench {
    let clock = Arc::new(TokioClock::new());
    let aws =
        Arc::new(SimulatedAws::with_sample_organisation(clock.clone(), behaviour, "https://idp.example"));
    let pace = RefreshPace {
        interval: Duration::from_mins(5),
        backoff_min: Duration::from_secs(2),
        backoff_max: Duration::from_mins(1),
    };
    let cache = CachedDirectory::new(aws.clone(), clock.clone(), Arc::new(Constant(0)), pace);
    Bench { clock, aws, cache: Arc::new(cache) }
}

fn reads(bench: &Bench) -> usize {
    bench.aws.calls().len()
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_before_the_first_reading() {
    let bench = bench(Behaviour::default());
    assert!(bench.cache.snapshot().is_none());
    assert_eq!(bench.cache.age(bench.clock.now()), None);
    assert_eq!(reads(&bench), 0);
}

#[tokio::test(start_paused = true)]
async fn age_counts_from_before_the_reading() {
    let bench = bench(Behaviour { latency: Duration::from_mins(2), ..Behaviour::default() });
    bench.cache.refresh().await.unwrap();
    assert_eq!(bench.cache.age(bench.clock.now()), Some(SignedDuration::from_secs(120)));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_makes_no_snapshot_new() {
    let bench = bench(Behaviour::default());
    bench.cache.refresh().await.unwrap();
    let read_at = bench.clock.now();
    let set_back = |seconds| bench.cache.age(read_at - SignedDuration::from_secs(seconds));
    assert_eq!(set_back(5), Some(SignedDuration::ZERO));
    assert_eq!(set_back(6), None);
}

/// A directory that someone else read, by a clock that is ahead.
struct OfTheFuture(Arc<TokioClock>);

#[async_trait::async_trait]
impl DirectorySource for OfTheFuture {
    async fn fetch(&self) -> Result<Contents, AwsError> {
        let as_of = self.0.now() + SignedDuration::from_mins(10);
        Ok(Contents { as_of: Some(as_of), ..Contents::default() })
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_snapshot_by_a_clock_that_is_ahead_cannot_be_told() {
    let clock = Arc::new(TokioClock::new());
    let source = Arc::new(OfTheFuture(clock.clone()));
    let cache = CachedDirectory::new(source, clock.clone(), Arc::new(Constant(0)), RefreshPace::default());
    cache.refresh().await.unwrap();
    assert_eq!(cache.age(clock.now()), None);
}

/// A neighbour whose replicas each read AWS by themselves.
#[derive(Default)]
struct Neighbour {
    /// What the replica has that is asked next. It tells it to whoever has not exactly that.
    has: Mutex<Contents>,
    /// What it was told that we have, each time.
    asked: Mutex<Vec<Option<Timestamp>>>,
}

#[async_trait::async_trait]
impl DirectorySource for Neighbour {
    async fn fetch(&self) -> Result<Contents, AwsError> {
        self.asked.lock().unwrap().push(None);
        Ok(self.has.lock().unwrap().clone())
    }

    async fn fetch_newer(&self, newer_than: Timestamp) -> Result<Option<Contents>, AwsError> {
        self.asked.lock().unwrap().push(Some(newer_than));
        Ok(Some(self.has.lock().unwrap().clone()).filter(|has| has.as_of != Some(newer_than)))
    }
}

/// A clock that can be set: so many seconds ahead of the one that it has.
struct Set {
    right: Arc<TokioClock>,
    ahead: AtomicI64,
}

impl Clock for Set {
    fn now(&self) -> Timestamp {
        self.right.now() + SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed))
    }
}

struct Beside {
    clock: Arc<Set>,
    neighbour: Arc<Neighbour>,
    cache: CachedDirectory,
}

impl Beside {
    fn new() -> Self {
        let clock = Arc::new(Set { right: Arc::new(TokioClock::new()), ahead: AtomicI64::new(0) });
        let neighbour = Arc::new(Neighbour::default());
        let pace = RefreshPace::default();
        let cache = CachedDirectory::new(neighbour.clone(), clock.clone(), Arc::new(Constant(0)), pace);
        Self { clock, neighbour, cache }
    }

    /// Reads from a replica that has what was true then, and tells when that was true which is there now.
    async fn reads(&self, as_of: Timestamp) -> Result<Timestamp, AwsError> {
        *self.neighbour.has.lock().unwrap() = Contents { as_of: Some(as_of), ..Contents::default() };
        let read = self.cache.refresh().await.map(|directory| directory.fetched_at());
        if let Ok(read) = read {
            assert_eq!(self.cache.snapshot().unwrap().fetched_at(), read);
        }
        read
    }

    fn age(&self) -> Option<SignedDuration> {
        self.cache.age(self.clock.now())
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_the_newer_directory_stays_whichever_is_asked_next() {
    let beside = Beside::new();
    let newer = beside.clock.now() - SignedDuration::from_mins(1);
    let older = newer - SignedDuration::from_mins(4);
    for (read, there) in [(older, older), (newer, newer), (older, newer), (older, newer), (newer, newer)] {
        assert_eq!(beside.reads(read).await, Ok(there));
    }
    let asked = beside.neighbour.asked.lock().unwrap().clone();
    assert_eq!(asked, [None, Some(older), Some(newer), Some(newer), Some(newer)]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_cannot_read_aws_any_more_makes_no_directory_too_old() {
    let beside = Beside::new();
    let began_at = beside.clock.now();
    for reading in 0..360 {
        // The other one reads AWS every five minutes.
        let fresh = began_at + SignedDuration::from_mins(reading / 30 * 5);
        beside.reads(if reading % 2 == 0 { began_at } else { fresh }).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        let young = |age: SignedDuration| age <= SignedDuration::from_secs(320);
        assert!(beside.age().is_some_and(young), "{reading}: {:?}", beside.age());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_unchanged_keeps_its_age() {
    let beside = Beside::new();
    let read = beside.clock.now();
    beside.reads(read).await.unwrap();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(beside.reads(read).await, Ok(read));
    assert_eq!(beside.age(), Some(SignedDuration::from_mins(1)));
}

#[tokio::test(start_paused = true)]
async fn a_directory_dated_far_ahead_gives_way_to_whatever_is_read_next() {
    let beside = Beside::new();
    let now = beside.clock.now();
    let (ahead, earlier) = (now + SignedDuration::from_hours(1), now - SignedDuration::from_mins(4));
    assert_eq!(beside.reads(ahead).await, Ok(ahead), "there was nothing");
    assert_eq!(beside.age(), None);
    assert_eq!(beside.reads(earlier).await, Ok(earlier));
    assert_eq!(*beside.neighbour.asked.lock().unwrap(), [None, None], "all of it");
}

#[tokio::test(start_paused = true)]
async fn a_directory_dated_far_ahead_takes_the_place_of_none_whose_age_is_known() {
    let beside = Beside::new();
    let now = beside.clock.now();
    beside.reads(now).await.unwrap();
    let ahead = now + SignedDuration::from_mins(10);
    assert_eq!(beside.reads(ahead).await.unwrap_err().code, "FromTheFuture");
    assert_eq!(beside.age(), Some(SignedDuration::ZERO));
    let little = now + SignedDuration::from_secs(5);
    assert_eq!(beside.reads(little).await, Ok(little), "clocks may be apart by so much");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_while_our_own_clock_was_ahead_as_well_does_not_stay() {
    let beside = Beside::new();
    let right = beside.clock.now();
    beside.clock.ahead.store(3_600, Ordering::Relaxed);
    beside.reads(beside.clock.now()).await.unwrap();
    assert_eq!(beside.age(), Some(SignedDuration::ZERO));
    beside.clock.ahead.store(0, Ordering::Relaxed);
    assert_eq!(beside.age(), None);
    assert_eq!(beside.reads(right).await, Ok(right));
}

#[tokio::test(start_paused = true)]
async fn what_aws_itself_tells_is_taken_whatever_our_clock_showed_before() {
    for ahead in [4, 3_600] {
        let Bench { clock: right, aws, .. } = bench(Behaviour::default());
        let clock = Arc::new(Set { right, ahead: AtomicI64::new(ahead) });
        let cache =
            CachedDirectory::new(aws.clone(), clock.clone(), Arc::new(Constant(0)), RefreshPace::default());
        cache.refresh().await.unwrap();
        clock.ahead.store(0, Ordering::Relaxed);
        aws.change_directory(|contents| {
            contents.accounts.pop_first();
        });
        let now = clock.now();
        let read = cache.refresh().await.unwrap();
        assert_eq!((read.contents().accounts.len(), read.fetched_at()), (5, now), "{ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn team_423_a_changed_organisation_is_seen_at_the_next_interval() {
    let bench = bench(Behaviour::default());
    let cache = bench.cache.clone();
    let running = tokio::spawn(async move { cache.run(|_| ()).await });
    sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.cache.snapshot().unwrap().contents().accounts.len(), 6);
    bench.aws.change_directory(|contents| {
        contents.accounts.pop_first();
    });
    sleep(Duration::from_mins(5)).await;
    assert_eq!(bench.cache.snapshot().unwrap().contents().accounts.len(), 5);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_failed_reading_keeps_the_last_snapshot_and_backs_off() {
    let bench = bench(Behaviour::default());
    bench.cache.refresh().await.unwrap();
    bench.aws.throttle_next(Operation::FetchDirectory, 3);
    let failures = Arc::new(AtomicUsize::new(0));
    let (cache, heard) = (bench.cache.clone(), failures.clone());
    let running = tokio::spawn(async move {
        cache
            .run(|_| {
                heard.fetch_add(1, Ordering::Relaxed);
            })
            .await;
    });
    // Failures at 0 s, 2 s and 6 s; the fourth reading, at 14 s, succeeds.
    sleep(Duration::from_millis(13_900)).await;
    assert_eq!((failures.load(Ordering::Relaxed), reads(&bench)), (3, 4));
    assert_eq!(bench.cache.age(bench.clock.now()), Some(SignedDuration::from_millis(13_900)));
    sleep(Duration::from_millis(200)).await;
    assert_eq!((failures.load(Ordering::Relaxed), reads(&bench)), (3, 5));
    assert_eq!(bench.cache.age(bench.clock.now()), Some(SignedDuration::from_millis(100)));
    running.abort();
}
