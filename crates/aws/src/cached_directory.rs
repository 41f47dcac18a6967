//! Keeps the last snapshot of the directory, and renews it in the background.
//!
//! INVARIANT: a reader never waits for AWS; it gets the last snapshot, and judges its age. What someone else read takes the place of
//! nothing newer: of a neighbour's replicas, each reads AWS by itself, and one that is behind may be asked after one that is not.

use crate::{AwsError, Directory, DirectorySource, ErrorKind};
use domain::ports::{SharedClock, SharedEntropy};
use domain::{Partition, SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How far clocks may be apart before an age is no age: the same as for grants.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(5);

/// How often the directory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefreshPace {
    /// From the end of a good reading to the next.
    pub interval: Duration,
    /// After the first failure; doubled with each further one.
    pub backoff_min: Duration,
    /// The longest wait after failures.
    pub backoff_max: Duration,
}

impl Default for RefreshPace {
    /// Every five minutes; after a failure 2 s, 4 s … 5 min, each with up to half of it taken off by chance.
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(5),
            backoff_min: Duration::from_secs(2),
            backoff_max: Duration::from_mins(5),
        }
    }
}

/// The directory as last read.
pub struct CachedDirectory {
    source: Arc<dyn DirectorySource>,
    clock: SharedClock,
    entropy: SharedEntropy,
    pace: RefreshPace,
    partition: Option<Partition>,
    latest: watch::Sender<Option<Arc<Directory>>>,
    reading: Mutex<()>,
}

impl std::fmt::Debug for CachedDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fetched_at = self.snapshot().map(|directory| directory.fetched_at());
        f.debug_struct("CachedDirectory").field("fetched_at", &fetched_at).finish_non_exhaustive()
    }
}

impl CachedDirectory {
    /// An empty cache in front of `source`. [`CachedDirectory::run`] fills it.
    pub fn new(
        source: Arc<dyn DirectorySource>,
        clock: SharedClock,
        entropy: SharedEntropy,
        pace: RefreshPace,
    ) -> Self {
        let latest = watch::Sender::new(None);
        Self { source, clock, entropy, pace, partition: None, latest, reading: Mutex::new(()) }
    }

    /// The same, of an organisation that is in `partition`.
    #[must_use]
    pub fn in_partition(self, partition: Partition) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// The partition that the organisation is in, where it was told. There is one to an organisation.
    pub fn partition(&self) -> Option<Partition> {
        self.partition
    }

    /// The last snapshot; `None` before the first good reading.
    pub fn snapshot(&self) -> Option<Arc<Directory>> {
        self.latest.borrow().clone()
    }

    /// How old the snapshot is at `now`. `None`: there is none; or it is from the future by more than clocks may be apart, as
    /// after a clock was set back: then its age cannot be told, and is not zero.
    pub fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        let fetched_at = self.latest.borrow().as_ref()?.fetched_at();
        (!is_ahead(fetched_at, now)).then(|| now.duration_since(fetched_at).max(SignedDuration::ZERO))
    }

    /// Follows the snapshots, beginning with the one that is there.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Directory>>> {
        self.latest.subscribe()
    }

    /// Reads the directory now. The last snapshot stays when that fails, and when someone else's is no newer. Its age counts from
    /// before the reading. Of callers at the same time one reads after the other.
    pub async fn refresh(&self) -> Result<Arc<Directory>, AwsError> {
        let _one_at_a_time = self.reading.lock().await;
        let began_at = self.clock.now();
        // What is dated ahead of now, by a clock that was wrong, says nothing of what is newer: whatever is read takes its place.
        let held = self.snapshot().filter(|held| !is_ahead(held.fetched_at(), began_at));
        let contents = match &held {
            None => self.source.fetch().await?,
            Some(held) => match self.source.fetch_newer(held.fetched_at()).await? {
                None => return Ok(Arc::clone(held)),
                Some(contents) => contents,
            },
        };
        if let (Some(held), Some(as_of)) = (held, contents.as_of) {
            if as_of <= held.fetched_at() {
                return Ok(held);
            }
            // Compared with the time after the reading, which may have taken longer than clocks may be apart.
            if is_ahead(as_of, self.clock.now()) {
                return Err(from_the_future(as_of));
            }
        }
        // A snapshot of a snapshot is as old as the first, whose clock may be another.
        let true_at = contents.as_of.unwrap_or(began_at);
        let directory = Arc::new(Directory::new(true_at, contents));
        self.latest.send_replace(Some(Arc::clone(&directory)));
        Ok(directory)
    }

    /// Reads the directory again and again, and never ends by itself. `on_failure` hears of every failed reading.
    pub async fn run(&self, mut on_failure: impl FnMut(&AwsError) + Send) {
        let mut failures = 0;
        loop {
            let wait = match self.refresh().await {
                Ok(_) => {
                    failures = 0;
                    self.pace.interval
                }
                Err(error) => {
                    on_failure(&error);
                    failures += 1;
                    self.backoff(failures)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Doubles from `backoff_min` to `backoff_max`, less up to a half by chance, so that replicas do not march in step.
    fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.pace.backoff_min.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let longest = doubled.min(self.pace.backoff_max);
        let mut chance = [0_u8; 4];
        self.entropy.fill(&mut chance);
        let share = f64::from(u32::from_be_bytes(chance)) / f64::from(u32::MAX);
        longest.mul_f64(1.0 - share / 2.0)
    }
}

/// Whether something is dated later than it can be, however far clocks may be apart.
fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now) > SKEW_MAX
}

fn from_the_future(as_of: Timestamp) -> AwsError {
    let why = format!(
        "the directory is dated {as_of}, which is yet to come: the clock of whoever read it is ahead"
    );
    AwsError::new(ErrorKind::Invalid, "FromTheFuture", &why)
}
