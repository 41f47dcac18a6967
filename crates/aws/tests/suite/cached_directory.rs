//! The cached directory renews itself, keeps what it has when AWS fails, and never makes a reader wait.

use crate::support::{Constant, TokioClock};
use aws::simulated::{Behaviour, Operation, SimulatedAws};
use aws::{AwsError, CachedDirectory, Contents, DirectorySource, RefreshPace};
use domain::SignedDuration;
use domain::ports::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
