//! It follows the log, and says where it is.

use crate::duties::{Duties, claim, claim_many, fold, follow, log, open, rows, stop};
use event_log::Position;
use journal::Fact;
use lifecycle::duty::DutyClaimed;
use projection::Health;
use rusqlite::OptionalExtension as _;
use std::sync::atomic::Ordering;

#[tokio::test(start_paused = true)]
async fn it_follows_the_log() {
    let log = log();
    let (projection, task) = follow(None, Duties::default(), &log);
    projection.caught_up().await;
    for n in 0..5 {
        let position = claim(&log, "sweep", &n.to_string()).await;
        projection.wait_for(position).await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        assert_eq!(projection.applied(), position);
    }
    assert_eq!(projection.lag().await.unwrap(), 0);
    assert_eq!(*projection.health().borrow(), Health::Following);
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_position_waits() {
    let log = log();
    let (projection, task) = follow(None, Duties::default(), &log);
    let waiting = tokio::spawn({
        let projection = projection.clone();
        async move { projection.wait_for(Position(2)).await }
    });
    let position = claim(&log, "sweep", "a").await;
    projection.wait_for(position).await;
    assert!(!waiting.is_finished());
    claim(&log, "sweep", "b").await;
    waiting.await.unwrap();
    assert_eq!(projection.applied(), Position(2));
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_it_in_peace() {
    let log = log();
    let (projection, follower) = open(None, Duties::default(), &log);
    let (shut_down, signal) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(follower.run(async move { drop(signal.await) }));
    projection.caught_up().await;
    shut_down.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(*projection.health().borrow(), Health::Idle);
}

#[tokio::test(start_paused = true)]
async fn events_are_heard_that_are_written_while_it_follows_and_no_others() {
    let log = log();
    claim(&log, "sweep", "before").await;
    let (projection, follower) = open(None, Duties::default(), &log);
    let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    let follower = follower.hearing(move |event| drop(heard.send(event.fact.clone())));
    let mut listening = projection.heard();
    let task = tokio::spawn(follower.run(std::future::pending()));
    projection.caught_up().await;
    let position = claim(&log, "sweep", "after").await;
    projection.wait_for(position).await;
    let after = Fact::Duty(DutyClaimed { holder: "after".to_owned() });
    assert_eq!(hearing.try_recv(), Ok(after.clone()));
    assert!(hearing.try_recv().is_err());
    assert_eq!(listening.try_recv().map(|event| event.fact.clone()), Ok(after));
    assert!(listening.try_recv().is_err());
    stop(task).await;
}

#[tokio::test]
async fn readers_see_whole_states_while_it_is_written() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
    for n in 0..200 {
        let position = claim(&log, "sweep", &n.to_string()).await;
        let (holder, events) = projection
            .read(|db| {
                let holder: Option<String> =
                    db.query_row("SELECT holder FROM duty", [], |row| row.get(0)).optional()?;
                let events: Option<i64> =
                    db.query_row("SELECT events FROM duty", [], |row| row.get(0)).optional()?;
                Ok((holder, events))
            })
            .unwrap();
        assert_eq!(holder.map(|holder| holder.parse::<i64>().unwrap() + 1), events);
        if n % 10 == 0 {
            projection.wait_for(position).await;
        }
    }
    stop(task).await;
}

#[tokio::test]
async fn it_goes_on_from_its_checkpoint_without_gap_or_repeat() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    let model = Duties::default();
    for round in 1..=4 {
        // More than one batch, and cut off wherever it is.
        let end = claim_many(&log, 6_000).await;
        let (projection, task) = follow(Some(folder.path()), model.clone(), &log);
        if round % 2 == 0 {
            projection.changes().wait_for(|position| *position > Position::START).await.unwrap();
        } else {
            projection.wait_for(end).await;
        }
        stop(task).await;
    }
    let (projection, task) = follow(Some(folder.path()), model.clone(), &log);
    projection.caught_up().await;
    assert_eq!(projection.read(rows).unwrap(), fold(&log));
    assert_eq!(model.applied.load(Ordering::Relaxed), 24_000, "each event once");
    stop(task).await;
}
