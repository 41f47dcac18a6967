//! docs/asyncapi.yaml and the table of docs/events.md, made from the shapes that are published: a test compares, so they cannot
//! drift. `DAYPASS_WRITE_DOCS=1 cargo test -p audit --lib document` writes them anew.

mod signals;

use super::data;
use super::{PREFIX, cloud_event, public_type};
use domain::LogId;
use event_log::{Envelope, Position, Recorded, Revision, StreamName, Writer};
use journal::types::TYPES;
use projection::Item;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use test_servers::tools::workspace;
use uuid::Uuid;

/// A public type: what it is called without its prefix, what it says in one sentence, the schema of its details.
struct Described {
    name: String,
    summary: &'static str,
    schema: Schema,
}

type Shape = fn(&mut SchemaGenerator) -> Schema;

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Every stored type, as others see it.
const DESCRIPTIONS: &[(&str, &str, Shape)] = &[
    ("request.requested.v1", "A request was raised.", shape::<data::Requested<'static>>),
    ("request.withdrawn.v1", "Its requester took it back.", shape::<data::Nothing>),
    ("request.endorsed.v1", "An approver agreed; more must.", shape::<data::Endorsed<'static>>),
    ("request.approved.v1", "Everyone agreed who must.", shape::<data::Approved<'static>>),
    ("request.rejected.v1", "Someone, or the rules, said no.", shape::<data::Rejected>),
    ("request.expired.v1", "Nobody decided in time.", shape::<data::Expired>),
    ("request.activated.v1", "The access exists.", shape::<data::Activated>),
    ("request.credentials_issued.v1", "Credentials were handed out.", shape::<data::Issued<'static>>),
    ("request.console_opened.v1", "A console session was handed out.", shape::<data::Issued<'static>>),
    ("request.revoked.v1", "Someone ended it early.", shape::<data::Revoked>),
    ("request.ended.v1", "It ended by itself.", shape::<data::Ended>),
    ("request.closed.v1", "Nothing of it is left in AWS.", shape::<data::Closed>),
    ("request.reviewed_after.v1", "The review that an emergency owes was done.", shape::<data::Reviewed>),
    ("assignment.attempted.v1", "A change of an assignment is intended.", shape::<data::Attempted<'static>>),
    ("assignment.attempt_abandoned.v1", "The change was not made.", shape::<data::Outcome>),
    ("assignment.confirmed.v1", "The change is made.", shape::<data::Outcome>),
    ("assignment.failed.v1", "The change failed.", shape::<data::Failed>),
    ("assignment.standing_found.v1", "It was there before Daypass.", shape::<data::Assignment<'static>>),
    ("assignment.drift_found.v1", "AWS is not as the ledger says.", shape::<data::Drift>),
    ("assignment.adopted.v1", "An administrator made it Daypass's.", shape::<data::Assignment<'static>>),
    ("assignment.abandon_asked.v1", "One person gives it up.", shape::<data::Abandoned<'static>>),
    ("assignment.abandoned.v1", "The second person gave it up.", shape::<data::Abandoned<'static>>),
    (
        "denial.attempted.v1",
        "A change of what is denied is intended.",
        shape::<data::DenialAttempted<'static>>,
    ),
    ("denial.attempt_abandoned.v1", "The change was not made.", shape::<data::Outcome>),
    ("denial.confirmed.v1", "The change is made.", shape::<data::Outcome>),
    ("denial.failed.v1", "The change failed.", shape::<data::DenialFailed>),
    ("denial.drift_found.v1", "Someone else changed what is denied.", shape::<data::Nothing>),
    ("policy.proposed.v1", "Someone wants another policy.", shape::<data::PolicyProposed<'static>>),
    ("policy.applied.v1", "Another policy applies.", shape::<data::PolicyApplied<'static>>),
    ("policy.discarded.v1", "A proposal will not be applied.", shape::<data::PolicyDiscarded>),
    ("duty.claimed.v1", "A replica took over work that only one does.", shape::<data::DutyClaimed<'static>>),
    ("signal.received.v1", "A signal was recorded.", shape::<data::SignalReceived<'static>>),
    ("signal.refused.v1", "What a signal asked for was not raised.", shape::<data::SignalRefused<'static>>),
    ("person.linked.v1", "Two identities are one human.", shape::<data::PersonLinked<'static>>),
    ("log.restored.v1", "The log was restored from a backup.", shape::<data::LogRestored>),
    ("log.swept.v1", "AWS was looked through since.", shape::<data::LogSwept>),
];

fn log_id() -> LogId {
    LogId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

/// The event of a stored type that is decodable for ever, as the log would give it back.
fn sample(stored: &str) -> Item {
    let file = workspace().join("crates/journal/tests/golden").join(format!("{stored}.hex"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("no golden file of {stored}"));
    let digits: Vec<char> = text.trim().chars().collect();
    let body: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect();
    let event = journal::decode(&body).unwrap();
    let envelope = Envelope {
        event_id: *event.id.as_uuid(),
        writer: Writer::new(event.writer.as_str()).unwrap(),
        body: body.into(),
    };
    let stream: StreamName = event.stream.to_string().parse().unwrap();
    let item = Item::new(Recorded { stream, revision: Revision(2), position: Position(40), envelope });
    assert!(item.event.is_ok(), "{stored}: {:?}", item.event);
    item
}

/// One that cannot be decoded.
fn damaged() -> Item {
    let envelope = Envelope {
        event_id: Uuid::from_u128(7),
        writer: Writer::new("request").unwrap(),
        body: b"no envelope".as_slice().into(),
    };
    let stream: StreamName = "request-0190".parse().unwrap();
    Item::new(Recorded { stream, revision: Revision(2), position: Position(40), envelope })
}

fn example(item: &Item) -> Value {
    serde_json::to_value(cloud_event(log_id(), item)).unwrap()
}

fn described(generator: &mut SchemaGenerator) -> Vec<(Described, Value)> {
    let mut all: Vec<(Described, Value)> = DESCRIPTIONS
        .iter()
        .map(|(stored, summary, schema)| {
            let name = public_type(stored).strip_prefix(PREFIX).unwrap().to_owned();
            (Described { name, summary, schema: schema(generator) }, example(&sample(stored)))
        })
        .collect();
    let undecodable = Described {
        name: "undecodable".to_owned(),
        summary: "An event is there, and what it says cannot be told.",
        schema: shape::<data::Undecodable<'static>>(generator),
    };
    all.push((undecodable, example(&damaged())));
    all
}

/// The whole document, AsyncAPI 3.0; `page` is docs/events.md.
fn document(page: &str) -> Value {
    let mut generator = SchemaSettings::draft07()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .for_serialize()
        .into_generator();
    let actor = shape::<data::Actor<'static>>(&mut generator);
    let (mut messages, mut of_channel) = (Map::new(), Map::new());
    for (Described { name, summary, schema }, example) in described(&mut generator) {
        of_channel.insert(name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }));
        let mut data = json!({
            "type": "object",
            "required": ["details"],
            "additionalProperties": false,
            "properties": { "details": schema },
        });
        if name != "undecodable" {
            data["properties"]["actor"] = actor.clone().to_value();
        }
        let message = json!({
            "name": format!("{PREFIX}{name}"),
            "summary": summary,
            "contentType": "application/cloudevents+json",
            "headers": { "$ref": "#/components/schemas/Headers" },
            "payload": {
                "allOf": [{ "$ref": "#/components/schemas/CloudEvent" }],
                "properties": { "type": { "const": format!("{PREFIX}{name}") }, "data": data },
            },
            "examples": [{ "payload": example }],
        });
        messages.insert(name, message);
    }
    let mut schemas = Map::from_iter([
        ("CloudEvent".to_owned(), cloud_event_schema()),
        ("Headers".to_owned(), headers_schema()),
    ]);
    schemas.extend(generator.take_definitions(true));
    let signals = signals::signals(page);
    messages.extend(signals.messages);
    schemas.extend(signals.schemas);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Events and signals of Daypass",
            "version": "1.0.0",
            "description": "What Daypass tells others, and what they tell it, as CloudEvents 1.0 on NATS JetStream. docs/events.md says what holds for all of them.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "events": {
                "address": format!("{PREFIX}{{type}}"),
                "description": "The JetStream stream DAYPASS_EVENTS, in the order of Daypass's log.",
                "parameters": { "type": { "description": "The event's type without its prefix, which has dots." } },
                "messages": of_channel,
            },
            "signals": signals.channel,
        },
        "operations": {
            "publishEvents": { "action": "send", "channel": { "$ref": "#/channels/events" } },
            "takeSignals": { "action": "receive", "channel": { "$ref": "#/channels/signals" } },
        },
        "components": { "messages": messages, "schemas": schemas },
    })
}

fn cloud_event_schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "minLength": 1, "description": description });
    json!({
        "type": "object",
        "description": "CloudEvents 1.0, in JSON.",
        "required": ["specversion", "id", "source", "type", "subject", "sequence", "datacontenttype", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": text("The event's id in the log: who sees it twice sees one event twice."),
            "source": text("The log: urn:uuid: and its id."),
            "type": text("What happened; also the subject on the bus."),
            "subject": text("The stream: the request, assignment or other thing that it happened to."),
            "time": { "type": "string", "format": "date-time", "description": "When; absent where that cannot be read." },
            "sequence": { "type": "string", "pattern": "^[0-9]{10,}$", "description": "The event's ordinal in its stream, from zero, without gaps." },
            "traceparent": text("The trace of the call that caused it (W3C Trace Context)."),
            "datacontenttype": { "const": "application/json" },
            "data": { "type": "object" },
        },
    })
}

fn headers_schema() -> Value {
    json!({
        "type": "object",
        "required": ["Nats-Msg-Id", "Daypass-Log-Id", "Daypass-Position", "Content-Type"],
        "properties": {
            "Nats-Msg-Id": { "type": "string", "description": "The event's id." },
            "Daypass-Log-Id": { "type": "string", "description": "The log's id." },
            "Daypass-Position": { "type": "string", "description": "The event's place in the log; for the relay alone." },
            "Content-Type": { "const": "application/cloudevents+json" },
        },
    })
}

/// The table of docs/events.md.
fn table() -> String {
    let mut generator = SchemaSettings::draft07().into_generator();
    let rows = described(&mut generator).into_iter().map(|(described, example)| {
        let details = example["data"]["details"].as_object().unwrap();
        let fields: BTreeSet<String> = details.keys().map(|key| format!("`{key}`")).collect();
        let fields = fields.into_iter().collect::<Vec<_>>().join(", ");
        format!("| `{}` | {} | {fields} |\n", described.name, described.summary)
    });
    "| type | | details |\n| --- | --- | --- |\n".to_owned() + &rows.collect::<String>()
}

/// JSON as YAML: blocks, with every text quoted as in JSON.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            // Sorted, whatever order the map has.
            for (key, value) in map.iter().collect::<BTreeMap<_, _>>() {
                let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
                let key = if plain { key.clone() } else { json!(key).to_string() };
                write!(out, "\n{indent}{key}:").unwrap();
                yaml(value, depth + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut nested = String::new();
                yaml(item, depth + 1, &mut nested);
                // The first line of what is nested stands beside the dash.
                write!(out, "\n{indent}- {}", nested.trim_start()).unwrap();
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => write!(out, " {value}").unwrap(),
    }
}

fn asyncapi(page: &str) -> String {
    let mut text = "# Made from services/audit/src/public; a test compares. See docs/events.md.".to_owned();
    yaml(&document(page), 0, &mut text);
    text + "\n"
}

const BEGIN: &str = "<!-- types: made from services/audit/src/public/document.rs -->\n";
const END: &str = "<!-- end of types -->\n";

#[test]
fn the_documents_say_what_is_published() {
    let (document, page) = (workspace().join("docs/asyncapi.yaml"), workspace().join("docs/events.md"));
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (rows, after) = rest.split_once(END).unwrap();
    if std::env::var_os("DAYPASS_WRITE_DOCS").is_some() {
        std::fs::write(&document, asyncapi(&text)).unwrap();
        std::fs::write(&page, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    let hint = "run with DAYPASS_WRITE_DOCS=1";
    assert_eq!(std::fs::read_to_string(&document).unwrap(), asyncapi(&text), "docs/asyncapi.yaml: {hint}");
    assert_eq!(rows, table(), "docs/events.md: {hint}");
}

#[test]
fn every_stored_type_is_described() {
    let described: Vec<&str> = DESCRIPTIONS.iter().map(|(name, _, _)| *name).collect();
    let stored: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
    assert_eq!(described, stored);
}

#[test]
fn nothing_that_was_written_freely_is_published() {
    for (stored, _, _) in DESCRIPTIONS {
        let item = sample(stored);
        let text = example(&item).to_string();
        for hidden in ["justification", "comment", "ciphertext", "digest"] {
            assert!(!text.contains(hidden), "{stored} says {hidden}: {text}");
        }
        // What AWS answered is its own text. Why nothing was raised is a word of ours.
        assert_eq!(text.contains("reason\""), *stored == "signal.refused.v1", "{text}");
    }
}

#[test]
fn one_that_cannot_be_decoded_names_itself_and_nothing_of_what_it_holds() {
    let example = example(&damaged());
    assert_eq!(example["type"], "daypass.events.v1.undecodable");
    assert_eq!(example["id"], Uuid::from_u128(7).to_string());
    assert_eq!(
        example["data"],
        json!({ "details": { "stream": "request-0190", "revision": 2, "writer": "request", "reason": "malformed" } })
    );
}
