//! Files that are deleted, replaced, damaged, or of another log.

use crate::duties::{
    Duties, SCHEMA, append_body, claim, claim_many, fold, follow, fresh_id, log, open, rows, stop,
};
use event_log::memory::MemoryLog;
use journal::Stream;
use std::path::Path;
use std::sync::atomic::Ordering;
use uuid::Uuid;

fn files(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "db"))
        .collect();
    files.sort();
    files
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    let files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    folder.join(files.concat())
}

#[tokio::test]
async fn a_deleted_file_is_rebuilt() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    claim_many(&log, 50).await;
    for _ in 0..2 {
        let model = Duties::default();
        let (projection, task) = follow(Some(folder.path()), model.clone(), &log);
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        assert_eq!(model.applied.load(Ordering::Relaxed), 50);
        stop(task).await;
        drop(projection);
        std::fs::remove_file(only_file(folder.path())).unwrap();
    }
}

#[tokio::test]
async fn another_schema_is_another_file_and_the_old_one_goes_once_it_is_full() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    claim_many(&log, 20).await;
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
    projection.caught_up().await;
    stop(task).await;
    drop(projection);
    let first = only_file(folder.path());
    let bystander = folder.path().join("duties-other-0123456789abcdef.db");
    std::fs::write(&bystander, "").unwrap();

    let schema = SCHEMA.to_owned() + "CREATE INDEX duty_by_holder ON duty (holder);";
    let changed_schema = Duties { schema, ..Duties::default() };
    let changed_code = Duties { code_revision: 2, ..Duties::default() };
    let mut old = first;
    for changed in [changed_schema, changed_code] {
        let (projection, follower) = open(Some(folder.path()), changed, &log);
        assert!(old.exists(), "until the new one is full");
        let task = tokio::spawn(follower.run(std::future::pending()));
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        assert!(!old.exists());
        assert!(bystander.exists());
        stop(task).await;
        let mut left = files(folder.path());
        left.retain(|name| folder.path().join(name) != bystander);
        assert_eq!(left.len(), 1);
        old = folder.path().join(left.concat());
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_log_is_not_continued_from() {
    let folder = tempfile::tempdir().unwrap();
    let first = log();
    claim_many(&first, 30).await;
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &first);
    projection.caught_up().await;
    stop(task).await;
    drop(projection);

    let other_id = MemoryLog::with_id(Uuid::from_u128(2));
    claim_many(&other_id, 40).await;
    // The same id, as of a log restored from a backup: shorter, or with other events.
    let shorter = log();
    claim_many(&shorter, 3).await;
    let diverged = log();
    claim(&diverged, "other", "x").await;
    append_body(&diverged, &Stream::Duty("z".to_owned()), fresh_id(), b"junk".to_vec()).await;
    claim_many(&diverged, 5).await;
    for log in [other_id, shorter, diverged] {
        let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        stop(task).await;
    }
}

/// It was restored to what it was before the checkpoint, under its old name.
#[tokio::test]
async fn a_log_of_the_same_id_that_is_shorter_is_not_continued_from() {
    let (folder, long, shorter) = (tempfile::tempdir().unwrap(), log(), log());
    claim_many(&long, 30).await;
    claim_many(&shorter, 3).await;
    for log in [long, shorter] {
        let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        stop(task).await;
    }
}

#[tokio::test]
async fn a_damaged_file_is_made_anew() {
    let (folder, log) = (tempfile::tempdir().unwrap(), log());
    claim_many(&log, 30).await;
    let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
    projection.caught_up().await;
    stop(task).await;
    drop(projection);
    let path = only_file(folder.path());
    let whole = std::fs::read(&path).unwrap();
    for damage in
        [b"not a database, but long enough to look like one".repeat(200), whole[..whole.len() / 2].to_vec()]
    {
        std::fs::write(&path, damage).unwrap();
        let (projection, task) = follow(Some(folder.path()), Duties::default(), &log);
        projection.caught_up().await;
        assert_eq!(projection.read(rows).unwrap(), fold(&log));
        stop(task).await;
    }
}
