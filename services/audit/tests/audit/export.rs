//! History as a file.

use crate::support::{WORDS, World, filter, human, request_id};
use api::audit::v1::{EventFilter, ExportFormat, ExportRequest, ExportSummary};
use audit::CSV_COLUMNS;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::{Actor, RequestId};
use event_log::Position;
use event_log::memory::{AppendFault, Faults, ReadFault};
use event_log::{Envelope, StreamName};
use journal::{Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::duty::DutyClaimed;
use lifecycle::event::{Ended, EndedBecause};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use tonic::{Code, Status};
use uuid::Uuid;
use views::Story;

async fn export(
    world: &World,
    format: ExportFormat,
    filter: EventFilter,
) -> Result<(String, ExportSummary), Status> {
    let request = ExportRequest { format: format.into(), filter: Some(filter), ..Default::default() };
    let mut stream = world.client().export(request).await?.into_inner();
    let mut data = Vec::new();
    while let Some(message) = stream.message().await? {
        if let Some(summary) = message.summary {
            assert!(message.data.is_empty());
            assert!(stream.message().await?.is_none(), "something after the last message");
            assert_eq!(summary.sha256, Sha256::digest(&data).to_vec());
            return Ok((String::from_utf8(data).unwrap(), summary));
        }
        assert!((1..=256 * 1024).contains(&message.data.len()));
        data.extend(message.data);
    }
    panic!("neither an error nor a last message");
}

#[tokio::test]
async fn the_fold_of_an_exported_history_is_what_the_service_shows() {
    let world = World::new().await;
    world.history().await;
    let (text, summary) = export(&world, ExportFormat::JsonLines, filter()).await.unwrap();
    assert_eq!((summary.events, summary.complete_to), (20, world.token(20)));
    let mut requests: BTreeMap<RequestId, Vec<journal::Event>> = BTreeMap::new();
    for (line, recorded) in text.lines().zip(world.log.recorded()) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let body = BASE64.decode(line["envelope"].as_str().unwrap()).unwrap();
        assert_eq!(body, recorded.envelope.body.to_vec());
        assert_eq!(line["position"], world.token(recorded.position.0));
        assert_eq!(line["revision"], recorded.revision.0);
        assert!(line["payload"].is_object() && line.get("undecodable").is_none());
        let event = journal::decode(&body).unwrap();
        assert_eq!(line["type"], journal::types::type_name(&event.fact));
        if let Stream::Request(id) = event.stream {
            requests.entry(id).or_default().push(event);
        }
    }
    assert_eq!(requests.len(), 4);
    for (id, events) in requests {
        let story = world.views.requests.get(&id).unwrap().unwrap();
        assert_eq!(Story::fold(events, story.position), Some(story));
    }
}

#[tokio::test]
async fn exports_keep_sealed_text_sealed() {
    let world = World::new().await;
    world.history().await;
    for format in [ExportFormat::JsonLines, ExportFormat::Csv] {
        let (text, _) = export(&world, format, filter()).await.unwrap();
        assert!(text.contains("ciphertext") && !text.contains(WORDS), "{format:?}");
    }
}

#[tokio::test]
async fn large_exports_come_in_chunks() {
    let world = World::new().await;
    for n in 0..2_000 {
        let claimed = Fact::Duty(DutyClaimed { holder: format!("holder-{n}") });
        world.append(Stream::Duty(format!("d{n}")), Service::Audit, None, n, claimed).await;
    }
    let (text, summary) = export(&world, ExportFormat::JsonLines, filter()).await.unwrap();
    assert!(text.len() > 512 * 1024);
    assert_eq!((summary.events, text.lines().count()), (2_000, 2_000));
}

/// As RFC 4180 says, and nothing else; every cell is quoted.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut rest = text.chars().peekable();
    while let Some(opening) = rest.next() {
        assert_eq!(opening, '"');
        loop {
            match rest.next().unwrap() {
                '"' if rest.peek() == Some(&'"') => cell.push(rest.next().unwrap()),
                '"' => break,
                other => cell.push(other),
            }
        }
        row.push(std::mem::take(&mut cell));
        match rest.next().unwrap() {
            ',' => {}
            '\r' if rest.next() == Some('\n') => rows.push(std::mem::take(&mut row)),
            other => panic!("{other:?} after a cell"),
        }
    }
    assert!(row.is_empty(), "the last row has no end");
    rows
}

#[tokio::test]
async fn csv_has_its_columns_and_a_row_for_each_event() {
    let world = World::new().await;
    world.history().await;
    let (text, summary) = export(&world, ExportFormat::Csv, filter()).await.unwrap();
    assert_eq!(summary.events, 20);
    let rows = parse(&text);
    assert_eq!(rows[0], CSV_COLUMNS);
    assert_eq!(rows.len(), 21);
    assert!(rows.iter().all(|row| row.len() == CSV_COLUMNS.len()));
    let approved = &rows[3];
    assert_eq!(approved[1], format!("request-{}", request_id("a")));
    assert_eq!(approved[4], "request.approved.v1");
    assert_eq!((approved[8].as_str(), approved[11].as_str()), ("bob", "111111111111"));
    let nothing = EventFilter { stream: "request-none".into(), ..filter() };
    let (text, summary) = export(&world, ExportFormat::Csv, nothing).await.unwrap();
    assert_eq!((parse(&text).len(), summary.events), (1, 0));
}

/// "CSV formulas (`= + - @`, tab, CR, leading blanks)", and control characters: in every field that the log takes them in.
#[tokio::test]
async fn csv_formulas_and_control_characters_never_reach_a_spreadsheet() {
    let world = World::new().await;
    let hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "  =1+1", "a\",\"=1+1", "=HYPERLINK(\"http://x\")", "＝1"];
    let controls =
        ["\t=1", "\r=1", "a\r\n=1+1", "\u{0}x", "\u{1b}[2J", "\u{202e}=1", "\u{2028}=1", "\u{85}=1"];
    for (n, text) in (0..).zip(hostile.iter().chain(&controls)) {
        let name = format!("h{n}");
        // Where a value passes as a person's, it is one; in any case it is some service's word, which the log takes as it is.
        let actor = Actor { client_id: Some((*text).to_owned()), ..human("ada") };
        world.raise(&name, "ada", "111111111111", n).await;
        let because = EndedBecause::Failed { reason: (*text).to_owned() };
        let ended = RequestEvent::Ended(Ended { because });
        world.on_request(&name, Service::Activation, Some(actor), n, ended).await;
        let mut claimed = Vec::from(text.as_bytes());
        claimed.push(0xff);
        world
            .append_bytes(&format!("duty-{n}"), "audit", Uuid::from_u128(n.unsigned_abs().into()), claimed)
            .await;
    }
    let end: Position = world.settle().await;
    let (text, summary) = export(&world, ExportFormat::Csv, filter()).await.unwrap();
    assert_eq!(summary.events, end.0);
    let unsafe_character = |character: char| {
        (character.is_control() && character != '\r' && character != '\n')
            || ('\u{2028}'..='\u{202e}').contains(&character)
    };
    assert_eq!(text.chars().find(|character| unsafe_character(*character)), None);
    let rows = parse(&text);
    assert_eq!(rows.len() as u64, end.0 + 1);
    for cell in rows.iter().flatten() {
        assert!(!cell.contains(['\r', '\n']), "{cell:?}");
        assert!(!cell.trim_start().starts_with(['=', '+', '-', '@', '＝']), "{cell:?}");
    }
}

struct BreakAfter(usize);
impl Faults for BreakAfter {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        AppendFault::Proceed
    }
    fn read(&mut self) -> ReadFault {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                ReadFault::Proceed
            }
            None => ReadFault::Unavailable,
        }
    }
}

#[tokio::test]
async fn an_export_that_is_cut_short_has_no_summary() {
    let world = World::new().await;
    world.history().await;
    for steps in [0, 1, 5, 20] {
        world.log.set_faults(Box::new(BreakAfter(steps)));
        let broken = export(&world, ExportFormat::JsonLines, filter()).await.unwrap_err();
        assert_eq!(broken.code(), Code::Unavailable);
    }
}

#[tokio::test]
async fn an_export_says_what_it_cannot_decode() {
    let world = World::new().await;
    world.append_bytes("duty-x", "audit", Uuid::from_u128(1), vec![0xff; 9]).await;
    let (text, _) = export(&world, ExportFormat::JsonLines, filter()).await.unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["stream"], "duty-x");
    assert_eq!(line["envelope"], BASE64.encode([0xff; 9]));
    assert!(!line["undecodable"].as_str().unwrap().is_empty());
}
