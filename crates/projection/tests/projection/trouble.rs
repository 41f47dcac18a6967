//! Poisoned events, a log that is down, a full disk; and with all of it, the fold of the log.

use crate::duties::{Duties, append_body, claim, claim_many, fold, follow, fresh_id, log, open, rows, stop};
use event_log::memory::{AppendFault, Faults, MemoryLog, ReadFault};
use event_log::{Envelope, Position, StreamName};
use journal::Stream;
use projection::Health;
use proptest::prelude::*;
use rusqlite::OptionalExtension as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn an_undecodable_event_reaches_the_model_and_holds_up_nobody() {
    let log = log();
    claim(&log, "a", "1").await;
    append_body(&log, &Stream::Duty("poisoned".to_owned()), fresh_id(), b"junk".to_vec()).await;
    claim(&log, "b", "2").await;
    let (projection, task) = follow(None, Duties::default(), &log);
    projection.caught_up().await;
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    let quarantined: String =
        projection.read(|db| db.query_row("SELECT stream FROM quarantined", [], |row| row.get(0))).unwrap();
    assert_eq!(quarantined, "duty-poisoned");
    assert_eq!(projection.set_aside_count().unwrap(), 1);
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_model_cannot_take_is_set_aside_and_holds_up_nobody() {
    let log = log();
    claim_many(&log, 10).await;
    let before = fold(&log);
    claim(&log, "poisoned", "unbearable").await;
    claim(&log, "last", "x").await;
    let (projection, task) = follow(None, Duties::default(), &log);
    projection.caught_up().await;
    let mut expected = before;
    expected.insert("duty-last".to_owned(), ("x".to_owned(), 1));
    assert_eq!(projection.read(rows).unwrap(), expected);
    assert_eq!(projection.set_aside_count().unwrap(), 1);
    let missing: Option<String> = projection
        .read(|db| {
            db.query_row("SELECT holder FROM duty WHERE name = 'duty-poisoned'", [], |row| row.get(0))
                .optional()
        })
        .unwrap();
    assert_eq!(missing, None);
    stop(task).await;
}

/// Every read fails while `down`; else every `n`th.
struct Flaky {
    down: Arc<AtomicBool>,
    every: u64,
    asked: u64,
}

impl Faults for Flaky {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        AppendFault::Proceed
    }
    fn read(&mut self) -> ReadFault {
        self.asked += 1;
        let broken = self.every > 0 && self.asked.is_multiple_of(self.every);
        if broken || self.down.load(Ordering::Relaxed) { ReadFault::Unavailable } else { ReadFault::Proceed }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_is_waited_for() {
    let log = log();
    let down = Arc::new(AtomicBool::new(true));
    log.set_faults(Box::new(Flaky { down: down.clone(), every: 0, asked: 0 }));
    let (projection, task) = follow(None, Duties::default(), &log);
    let failing = |health: &Health| matches!(health, Health::Failing { .. });
    projection.health().wait_for(failing).await.unwrap();
    assert!(!projection.is_caught_up());
    down.store(false, Ordering::Relaxed);
    let position = claim(&log, "sweep", "a").await;
    projection.wait_for(position).await;
    assert_eq!(*projection.health().borrow(), Health::Following);
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_out() {
    let log = log();
    let model = Duties::default();
    let (projection, task) = follow(None, model.clone(), &log);
    projection.caught_up().await;
    model.disk_full.store(true, Ordering::Relaxed);
    let position = claim(&log, "sweep", "a").await;
    let failing = |health: &Health| matches!(health, Health::Failing { .. });
    projection.health().wait_for(failing).await.unwrap();
    assert!(projection.applied() < position);
    assert_eq!(projection.set_aside_count().unwrap(), 0, "the event is not at fault");
    let mut health = projection.health();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(failing(&health.borrow_and_update()), "whenever one looks, as long as nothing is applied");
    }
    model.disk_full.store(false, Ordering::Relaxed);
    projection.wait_for(position).await;
    assert_eq!(*projection.health().borrow(), Health::Following);
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    stop(task).await;
}

/// Nothing but a restart helped.
#[tokio::test(start_paused = true)]
async fn a_damaged_file_that_cannot_be_made_anew_yet_is_made_anew_later() {
    let log = log();
    let folder = tempfile::tempdir().unwrap();
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
    let position = claim(&log, "sweep", "a").await;
    projection.wait_for(position).await;
    stop(task).await;
    drop(projection);
    // The checkpoint is of another log, so the file is made anew; and where it should be is a folder that is not empty.
    let other = MemoryLog::with_id(uuid::Uuid::from_u128(77));
    let (projection, follower) = open(Some(folder.path()), Duties::default(), &other);
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let file = files.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "db")).unwrap();
    let aside = folder.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    std::fs::write(file.join("in the way"), "").unwrap();
    let task = tokio::spawn(follower.run(std::future::pending()));
    let failing = |health: &Health| matches!(health, Health::Failing { .. });
    projection.health().wait_for(failing).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!projection.is_caught_up());
    std::fs::remove_dir_all(&file).unwrap();
    let position = claim(&other, "sweep", "b").await;
    projection.wait_for(position).await;
    assert_eq!(projection.read(rows).unwrap(), fold(&other));
    stop(task).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// S9, with the log failing now and then, and a crash now and then.
    #[test]
    fn invariant_s9_a_read_model_equals_the_fold_of_the_log(
        history in proptest::collection::vec((0..5_u8, 0..50_u8, any::<bool>()), 0..120),
        every in 0..9_u64,
        restarts in 1..4_usize,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (folder, log) = (tempfile::tempdir().unwrap(), log());
            let mut last = Position::START;
            for part in history.chunks(history.len() / restarts + 1) {
                // A follower needs four undisturbed steps to get anywhere.
                log.set_faults(Box::new(Flaky { down: Arc::default(), every: if every < 5 { 0 } else { every }, asked: 0 }));
                let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
                for (duty, holder, wait) in part {
                    last = claim_or_junk(&log, *duty, *holder).await;
                    if *wait {
                        projection.wait_for(last).await;
                    }
                }
                stop(task).await;
            }
            log.clear_faults();
            let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
            projection.wait_for(last).await;
            assert_eq!(projection.read(rows).unwrap(), fold(&log));
            stop(task).await;
        });
    }
}

async fn claim_or_junk(log: &MemoryLog, duty: u8, holder: u8) -> Position {
    if holder > 0 {
        return claim(log, &duty.to_string(), &holder.to_string()).await;
    }
    append_body(log, &Stream::Duty(duty.to_string()), fresh_id(), b"junk".to_vec()).await
}
