//! History, and that a part of it is never taken for the whole.

use crate::fake::Fake;
use crate::requests::ID;
use crate::{TOKEN, daypass, run};
use api::audit::v1::{Event, ExportRequest, ExportResponse, ExportSummary, ReplayRequest, ReplayResponse};
use aws_lc_rs::digest::{SHA256, digest};
use std::path::Path;
use tonic::Status;

const DATA: [&str; 2] = ["{\"event\":1}\n", "{\"event\":2}\n"];

fn data() -> Vec<Result<ExportResponse, Status>> {
    DATA.iter().map(|data| Ok(ExportResponse { data: data.as_bytes().to_vec(), summary: None })).collect()
}

fn last(sha256: &[u8]) -> Result<ExportResponse, Status> {
    let summary =
        ExportSummary { events: 2, complete_to: "0123456789ab.2".to_owned(), sha256: sha256.to_vec() };
    Ok(ExportResponse { data: Vec::new(), summary: Some(summary) })
}

async fn exporting(answers: Vec<Result<ExportResponse, Status>>) -> Fake {
    let fake = Fake::start().await;
    fake.on("export", move |_: &ExportRequest, _| Ok(answers.clone()));
    fake
}

async fn export(fake: &Fake, folder: &Path) -> crate::Ran {
    run(Some(TOKEN), &fake.address, folder, &["audit", "export", "--format", "jsonl", "--out", "h.jsonl"])
        .await
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn an_export_is_written_once_it_is_whole() {
    let whole = DATA.concat();
    let mut answers = data();
    answers.push(last(digest(&SHA256, whole.as_bytes()).as_ref()));
    let fake = exporting(answers).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = export(&fake, folder.path()).await;
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.out.starts_with("2 events in h.jsonl, SHA-256 "), "{ran}");
    assert_eq!(files(folder.path()), ["h.jsonl"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("h.jsonl")).unwrap(), whole);
}

#[tokio::test]
async fn an_export_that_is_cut_short_fails_and_leaves_nothing() {
    let mut broken = data();
    broken.push(Err(Status::unavailable("the log is not available")));
    for (answers, code) in [(data(), 1), (Vec::new(), 1), (broken, 5)] {
        let fake = exporting(answers).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("h.jsonl"), "the one of yesterday").unwrap();
        let ran = export(&fake, folder.path()).await;
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{ran}");
        assert_eq!(files(folder.path()), ["h.jsonl"]);
        let kept = std::fs::read_to_string(folder.path().join("h.jsonl")).unwrap();
        assert_eq!(kept, "the one of yesterday");
    }
}

#[tokio::test]
async fn an_export_that_changed_on_the_way_fails_and_leaves_nothing() {
    let mut answers = data();
    answers.push(last(digest(&SHA256, b"something else").as_ref()));
    let fake = exporting(answers).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = export(&fake, folder.path()).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(files(folder.path()).is_empty());
}

fn event(number: u64) -> Result<ReplayResponse, Status> {
    let event = Event {
        stream: format!("request-{ID}"),
        revision: number,
        event_type: "request.requested.v1".to_owned(),
        happened_at: Some(prost_types::Timestamp { seconds: 1_795_226_400, nanos: 0 }),
        writer: "request".to_owned(),
        payload: Some(api::structs::from_json(
            serde_json::json!({"target": {"account": "111122223333"}}).as_object().unwrap().clone(),
        )),
        ..Event::default()
    };
    Ok(ReplayResponse { event: Some(event), complete_to: String::new() })
}

async fn replaying(answers: Vec<Result<ReplayResponse, Status>>) -> Fake {
    let fake = Fake::start().await;
    fake.on("replay", move |_: &ReplayRequest, _| Ok(answers.clone()));
    fake
}

fn end() -> Result<ReplayResponse, Status> {
    Ok(ReplayResponse { event: None, complete_to: "0123456789ab.2".to_owned() })
}

#[tokio::test]
async fn a_replay_tells_the_story() {
    let fake = replaying(vec![event(1), event(2), end()]).await;
    let ran = daypass(&fake, &["audit", "replay", ID]).await;
    let line = |number| {
        format!(
            "2026-11-21T02:00:00Z  request.requested.v1  request, by itself  request-{ID} #{number}\n    \
             target.account: 111122223333\n"
        )
    };
    assert_eq!(ran.out, line(1) + &line(2), "{ran}");
    let sent = fake.messages::<ReplayRequest>("replay").remove(0);
    assert_eq!(sent.filter.unwrap().stream, format!("request-{ID}"));
    let events = daypass(&fake, &["audit", "replay", "-o", "json"]).await.json();
    assert_eq!(events[1]["revision"], "2");
}

#[tokio::test]
async fn a_replay_that_is_cut_short_fails() {
    let fake = replaying(vec![event(1), event(2)]).await;
    let ran = daypass(&fake, &["audit", "replay"]).await;
    assert_eq!(ran.code, 1, "{ran}");
    let ran = daypass(&fake, &["audit", "replay", "-o", "json"]).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(serde_json::from_str::<serde_json::Value>(&ran.out).is_err(), "a part is no whole array");
}

#[tokio::test]
async fn a_replay_of_nothing_is_an_empty_array() {
    let fake = replaying(vec![end()]).await;
    assert_eq!(daypass(&fake, &["audit", "replay", "-o", "json"]).await.json(), serde_json::json!([]));
}
