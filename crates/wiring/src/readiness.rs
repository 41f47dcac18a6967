//! Whether a process is ready: once it has read history and knows the directory, and as long as its log answers. What ends access, or tells
//! what was, needs no directory: a process that does such things is ready without one if its neighbour is gone for longer than a start takes.
//!
//! Without the log no command is answered, and what read models show grows old; another replica may reach it. INVARIANT: nothing ends
//! for it. A process that is not ready goes on, and is ready again by itself.

use event_log::EventLog;
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

/// Keeps `readiness` up to date, for ever.
pub(crate) async fn keep(views: Views, readiness: Readiness, without_directory: bool) {
    said_while("history is being read", views.requests.projection().caught_up()).await;
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
    let (answers, mut changes) = watch::channel(true);
    let tell = async {
        while changes.changed().await.is_ok() {
            let ready = *changes.borrow_and_update();
            readiness.set(ready).await;
        }
    };
    tokio::join!(ask(&views.log, &answers), tell);
}

/// Asks the log now and then, for ever; tells when it has been silent for too long, and when it answers again.
async fn ask(log: &Arc<dyn EventLog>, answers: &watch::Sender<bool>) {
    let mut heard_at = Instant::now();
    loop {
        sleep(ASK_EVERY).await;
        let why = match timeout(ANSWER_WITHIN, log.head()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        match why {
            None => {
                heard_at = Instant::now();
                if answers.send_if_modified(|ready| !std::mem::replace(ready, true)) {
                    tracing::info!("the log answers again: ready");
                }
            }
            Some(why) => {
                tracing::warn!(why, "the log does not answer");
                if heard_at.elapsed() >= SILENT_MAX
                    && answers.send_if_modified(|ready| std::mem::replace(ready, false))
                {
                    tracing::error!(why, "the log does not answer: not ready");
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
    use event_log::{Envelope, StreamName};

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
        let (answers, mut changes) = watch::channel(true);
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
            () = ask(&log, &answers) => {}
            () = listening => {}
            () = story => {}
        }
        // An election at 12 s; heard last at 80 s, away from 81 s to 141 s.
        assert_eq!(told, [(false, 100), (true, 145)]);
    }
}
