//! Whether a process is ready: once it has read history and knows the directory, and as long as its log answers and its read models follow it. What ends access, or tells
//! what was, needs no directory: a process that does such things is ready without one if its neighbour is gone for longer than a start takes.
//!
//! Without the log no command is answered, and what read models show grows old, as it does where they cannot be written (a full disk); another
//! replica may be better off. INVARIANT: nothing ends
//! for it. A process that is not ready goes on, and is ready again by itself.

use event_log::{EventLog, Position};
use projection::{Health, Projection};
use service_runtime::Readiness;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use views::Views;

/// How often it is said again what is waited for.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// How often the log is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// For how long the log may be silent: twice as long as a cluster of NATS servers takes to elect a leader, nine seconds at most.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// How long a directory is waited for by whoever can do without: longer than it takes where it can be had, also where one replica of the
/// neighbour hangs (20 seconds) before another is asked.
const DIRECTORY_WITHIN: Duration = Duration::from_secs(45);

/// For how long a read model may be behind what the log had: as long as the log may be silent.
const BEHIND_MAX: Duration = SILENT_MAX;

/// Keeps `readiness` up to date, for ever. `read_models`: those of this process beside that of requests.
pub(crate) async fn keep(
    views: Views,
    read_models: Vec<Projection>,
    readiness: Readiness,
    without_directory: bool,
) {
    let requests = views.requests.projection().clone();
    let read_models: Vec<Projection> = [requests].into_iter().chain(read_models).collect();
    for read_model in &read_models {
        said_while("history is being read", read_model.caught_up()).await;
    }
    let mut snapshots = views.directory.watch();
    let known = said_while("the directory is not known", snapshots.wait_for(Option::is_some));
    if !without_directory {
        if known.await.is_err() {
            return;
        }
    } else if timeout(DIRECTORY_WITHIN, known).await.is_err() {
        tracing::warn!("the directory is not known: ready for what needs none");
    }
    readiness.set(true).await;
    tracing::info!("ready");
    let (fit, mut changes) = watch::channel(true);
    let tell = async {
        while changes.changed().await.is_ok() {
            let ready = *changes.borrow_and_update();
            readiness.set(ready).await;
        }
    };
    let mut watched: Vec<Followed> = read_models.into_iter().map(Followed::new).collect();
    tokio::join!(ask(&views.log, &mut watched, &fit), tell);
}

/// A read model, and whether it follows the log.
struct Followed {
    read_model: Projection,
    /// What the log had that is not applied yet, and when it was seen.
    missing: Option<(Position, Instant)>,
    /// How far it was when it was looked at last.
    seen: Position,
    follows: bool,
}

impl Followed {
    fn new(read_model: Projection) -> Self {
        Self { read_model, missing: None, seen: Position::START, follows: true }
    }

    /// Looks once more, while the log ends at `head`; says whether it follows.
    fn look(&mut self, head: Position) -> bool {
        let applied = self.read_model.applied();
        self.missing = self.missing.filter(|(position, _)| applied < *position);
        if self.missing.is_none() && applied < head {
            self.missing = Some((head, Instant::now()));
        }
        let follows = self.missing.is_none_or(|(_, seen_at)| seen_at.elapsed() < BEHIND_MAX);
        let model = self.read_model.name();
        if self.follows && !follows {
            let why = match &*self.read_model.health().borrow() {
                Health::Failing { why } => why.clone(),
                Health::Idle | Health::Following if applied == self.seen => "no events come".to_owned(),
                Health::Idle | Health::Following => {
                    format!("it reads history: at {} of {}", applied.0, head.0)
                }
            };
            tracing::error!(model, why, "a read model does not follow the log: not ready");
        } else if !self.follows && follows {
            tracing::info!(model, "the read model follows the log again");
        }
        self.seen = applied;
        self.follows = follows;
        follows
    }
}

/// Asks the log now and then, for ever; tells when it has been silent, or a read model behind it, for too long, and when all is well again.
async fn ask(log: &Arc<dyn EventLog>, watched: &mut [Followed], fit: &watch::Sender<bool>) {
    let mut heard_at = Instant::now();
    let mut silent = false;
    loop {
        sleep(ASK_EVERY).await;
        let answer = match timeout(ANSWER_WITHIN, log.head()).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        match answer {
            Ok(head) => {
                heard_at = Instant::now();
                if std::mem::take(&mut silent) {
                    tracing::info!("the log answers again");
                    // What it had before it was silent could not be followed.
                    for model in watched.iter_mut().filter(|model| model.follows) {
                        model.missing = None;
                    }
                }
                // Each is looked at, whatever the others do.
                let behind = watched.iter_mut().map(|model| usize::from(!model.look(head))).sum::<usize>();
                let follow = behind == 0;
                fit.send_if_modified(|ready| std::mem::replace(ready, follow) != follow);
            }
            Err(why) => {
                tracing::warn!(why, "the log does not answer");
                if heard_at.elapsed() >= SILENT_MAX && !std::mem::replace(&mut silent, true) {
                    tracing::error!(why, "the log does not answer: not ready");
                    fit.send_if_modified(|ready| std::mem::replace(ready, false));
                }
            }
        }
    }
}

/// Waits for `work`, and says again and again what for.
async fn said_while<T>(why: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        if let Ok(done) = timeout(SAY_AGAIN, &mut work).await {
            return done;
        }
        tracing::info!(why, "not ready yet");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_log::memory::{AppendFault, Faults, MemoryLog, ReadFault};
    use event_log::{Envelope, Expected, StreamName, Writer};
    use views::RequestsModel;

    struct Away;

    impl Faults for Away {
        fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
            AppendFault::Unavailable
        }

        fn read(&mut self) -> ReadFault {
            ReadFault::Unavailable
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_is_not_ready_while_its_log_is_silent_for_longer_than_an_election() {
        let memory = MemoryLog::with_id(uuid::Uuid::from_u128(1));
        let log: Arc<dyn EventLog> = Arc::new(memory.clone());
        let (fit, mut changes) = watch::channel(true);
        let began = Instant::now();
        let mut told = Vec::new();
        let story = async {
            sleep(Duration::from_secs(12)).await;
            memory.set_faults(Box::new(Away));
            sleep(Duration::from_secs(9)).await;
            memory.clear_faults();
            sleep(Duration::from_mins(1)).await;
            memory.set_faults(Box::new(Away));
            sleep(Duration::from_mins(1)).await;
            memory.clear_faults();
            sleep(Duration::from_mins(1)).await;
        };
        let listening = async {
            while changes
                .wait_for(|ready| *ready != told.last().is_none_or(|(ready, _)| *ready))
                .await
                .is_ok()
            {
                told.push((*changes.borrow(), began.elapsed().as_secs()));
            }
        };
        tokio::select! {
            () = ask(&log, &mut [], &fit) => {}
            () = listening => {}
            () = story => {}
        }
        // An election at 12 s; heard last at 80 s, away from 81 s to 141 s.
        assert_eq!(told, [(false, 100), (true, 145)]);
    }

    /// Access stayed past its end without a word, where the disk of the read models was full.
    #[tokio::test(start_paused = true)]
    async fn a_process_is_not_ready_while_a_read_model_stands_still() {
        let memory = MemoryLog::with_id(uuid::Uuid::from_u128(1));
        let log: Arc<dyn EventLog> = Arc::new(memory.clone());
        let (read_model, follower) =
            Projection::open(None, RequestsModel::default(), Arc::clone(&log)).unwrap();
        let mut watched = [Followed::new(read_model)];
        let (fit, changes) = watch::channel(true);
        let began = Instant::now();
        let is_ready = async |second: u64| {
            sleep(Duration::from_secs(second).saturating_sub(began.elapsed())).await;
            *changes.borrow()
        };
        let story = async {
            assert!(is_ready(61).await, "there is nothing to follow");
            let envelope = Envelope {
                event_id: uuid::Uuid::from_u128(7),
                writer: Writer::new("activation").unwrap(),
                body: "anything".into(),
            };
            let stream = "duty-activation".parse().unwrap();
            log.append(&stream, Expected::NoStream, envelope).await.unwrap();
            assert!(is_ready(84).await, "it may be about to follow");
            assert!(!is_ready(91).await);
            memory.set_faults(Box::new(Away));
            assert!(!is_ready(200).await);
            memory.clear_faults();
            assert!(!is_ready(210).await, "that the log answers again is not enough");
        };
        tokio::select! {
            () = ask(&log, &mut watched, &fit) => {}
            () = story => {}
        }
        let again = async {
            sleep(Duration::from_secs(10)).await;
            assert!(*changes.borrow());
        };
        tokio::select! {
            () = ask(&log, &mut watched, &fit) => {}
            () = follower.run(std::future::pending()) => {}
            () = again => {}
        }
    }
}
