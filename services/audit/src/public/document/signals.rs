//! The other direction: what others tell Daypass over the bus. Its examples are those of docs/events.md, which a test of `request`
//! has taken.

use api::request::v1::SignalKind;
use messaging::SIGNALS_PREFIX;
use serde_json::{Map, Value, json};

const KINDS: [(SignalKind, &str); 7] = [
    (SignalKind::TicketApproved, "A ticket was approved."),
    (SignalKind::IncidentOpened, "There is an incident."),
    (SignalKind::IncidentClosed, "An incident is over."),
    (SignalKind::PersonLeft, "Somebody has left: everything that they have ends."),
    (SignalKind::PersonReturned, "Somebody who had left is back."),
    (SignalKind::FindingRaised, "Something is wrong with a person or a target: what concerns it ends."),
    (SignalKind::RaiseForPerson, "A request is to be raised for a person."),
];

fn name_of(kind: SignalKind) -> String {
    // Without what every name of the enum begins with.
    kind.as_str_name().splitn(3, '_').last().unwrap_or_default().to_ascii_lowercase()
}

/// One message for each kind, and what they refer to.
pub(super) struct Signals {
    pub(super) channel: Value,
    pub(super) messages: Map<String, Value>,
    pub(super) schemas: Map<String, Value>,
}

/// What `page`, docs/events.md, says of them.
pub(super) fn signals(page: &str) -> Signals {
    let examples: Vec<Value> = page
        .split("\n## Signals")
        .nth(1)
        .into_iter()
        .flat_map(|signals| signals.split("```json\n").skip(1))
        .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
        .collect();
    let (mut messages, mut of_channel) = (Map::new(), Map::new());
    for (kind, summary) in KINDS {
        let kind = name_of(kind);
        let type_name = format!("{SIGNALS_PREFIX}{kind}");
        let component = format!("signal.{kind}");
        let of_kind = examples.iter().filter(|example| example["type"] == type_name.as_str());
        let of_kind: Vec<Value> = of_kind.map(|example| json!({ "payload": example })).collect();
        let mut message = json!({
            "name": type_name,
            "summary": summary,
            "contentType": "application/cloudevents+json",
            "headers": { "$ref": "#/components/schemas/SignalHeaders" },
            "payload": {
                "allOf": [{ "$ref": "#/components/schemas/Signal" }],
                "properties": { "type": { "const": type_name } },
            },
        });
        if !of_kind.is_empty() {
            message["examples"] = json!(of_kind);
        }
        of_channel.insert(component.clone(), json!({ "$ref": format!("#/components/messages/{component}") }));
        messages.insert(component, message);
    }
    let channel = json!({
        "address": format!("{SIGNALS_PREFIX}{{source}}.{{kind}}"),
        "description": "The JetStream stream DAYPASS_SIGNALS. Published through JetStream, and again until that answers.",
        "parameters": {
            "source": { "description": "The name by which the source is configured: signals.sources." },
            "kind": { "description": "The signal's type without its prefix." },
        },
        "messages": of_channel,
    });
    let schemas = Map::from_iter([
        ("Signal".to_owned(), signal_schema()),
        ("SignalData".to_owned(), data_schema()),
        ("SignalHeaders".to_owned(), headers_schema()),
    ]);
    Signals { channel, messages, schemas }
}

fn signal_schema() -> Value {
    json!({
        "type": "object",
        "description": "CloudEvents 1.0, in JSON, of at most 64 KiB.",
        "required": ["specversion", "id", "source", "type", "time"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "minLength": 1, "maxLength": 255, "description": "The source's own id: the same id and content is the same signal." },
            "source": { "type": "string", "pattern": "^[a-z0-9._-]{1,64}$", "description": "The configured name, as in the subject." },
            "type": { "type": "string" },
            "time": { "type": "string", "format": "date-time", "description": "When it happened." },
            "datacontenttype": { "const": "application/json" },
            "data": { "$ref": "#/components/schemas/SignalData" },
        },
    })
}

/// As protobuf reads JSON: fields of `IngestSignalRequest`, in `snake_case` or `lowerCamelCase`.
fn data_schema() -> Value {
    let of =
        |message: &str| json!({ "type": "object", "description": format!("daypass.types.v1.{message}") });
    json!({
        "type": "object",
        "description": "What the attributes do not say, as daypass.request.v1.IngestSignalRequest has it; nothing else.",
        "additionalProperties": false,
        "properties": {
            "about": of("Person"),
            "decided_by": of("Person"),
            "decidedBy": of("Person"),
            "target": of("Target"),
            "ticket": { "type": "string", "pattern": "^[A-Za-z0-9_.#/-]{1,64}$" },
            "ask": of("Ask"),
        },
    })
}

fn headers_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "Daypass-Signature": { "type": "string", "description": "A detached JWS of the body (RFC 7515, appendix F), where the source is configured with signature." },
        },
    })
}

#[test]
fn every_kind_is_described() {
    let described: Vec<i32> = KINDS.iter().map(|(kind, _)| *kind as i32).collect();
    let all: Vec<i32> = (1..100).take_while(|number| SignalKind::try_from(*number).is_ok()).collect();
    assert!(all.iter().all(|kind| described.contains(kind)), "{all:?} {described:?}");
}
