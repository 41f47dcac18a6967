//! One event as others see it: CloudEvents 1.0, in its JSON format ("structured mode").
//!
//! Source: CloudEvents 1.0.2, `spec.md` and `formats/json-format.md`. Of the format, binary data (`data_base64`) is left out:
//! Daypass neither says nor understands it.

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The only version of the specification that is spoken.
const SPEC_VERSION: &str = "1.0";
/// What `data` is.
const DATA_CONTENT_TYPE: &str = "application/json";

/// An event with data `D`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEvent<D = Value> {
    /// Unique within `source`; whoever sees an id twice sees one event twice.
    pub id: String,
    /// Whose event it is: a URI reference.
    pub source: String,
    /// What happened.
    pub type_name: String,
    /// What it happened to, within the source.
    pub subject: Option<String>,
    /// When.
    pub time: Option<Timestamp>,
    /// Where the schema of `data` is: a URI.
    pub data_schema: Option<String>,
    /// Attributes beyond those of the specification, by names of `a` to `z` and `0` to `9`.
    pub extensions: BTreeMap<String, String>,
    /// What there is to say about it.
    pub data: Option<D>,
}

/// Why something is no event that is understood here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCloudEvent {
    /// Not JSON, or not an object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A required attribute that is absent or empty.
    #[error("{0} is missing or empty")]
    Missing(&'static str),
    /// An attribute of the wrong type or form.
    #[error("{0:?} is not what an attribute of this name can be")]
    Attribute(String),
    /// Another version of the specification.
    #[error("specversion is not {SPEC_VERSION}")]
    SpecVersion,
    /// Data that is not JSON.
    #[error("its data is not JSON")]
    NotJsonData,
}

impl<D: Serialize> Serialize for CloudEvent<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", SPEC_VERSION)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", &self.type_name)?;
        if let Some(subject) = &self.subject {
            map.serialize_entry("subject", subject)?;
        }
        if let Some(time) = &self.time {
            map.serialize_entry("time", time)?;
        }
        for (name, value) in &self.extensions {
            map.serialize_entry(name, value)?;
        }
        if let Some(data) = &self.data {
            map.serialize_entry("datacontenttype", DATA_CONTENT_TYPE)?;
            if let Some(schema) = &self.data_schema {
                map.serialize_entry("dataschema", schema)?;
            }
            map.serialize_entry("data", data)?;
        }
        map.end()
    }
}

impl CloudEvent<Value> {
    /// Reads an event. Extensions that are numbers or booleans are read as their text.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidCloudEvent> {
        let Ok(Value::Object(mut map)) = serde_json::from_slice(text) else {
            return Err(InvalidCloudEvent::NotAnObject);
        };
        if text_of(&mut map, "specversion")?.as_deref() != Some(SPEC_VERSION) {
            return Err(InvalidCloudEvent::SpecVersion);
        }
        let mut required = |name: &'static str| {
            text_of(&mut map, name)?.filter(|text| !text.is_empty()).ok_or(InvalidCloudEvent::Missing(name))
        };
        let (id, source, type_name) = (required("id")?, required("source")?, required("type")?);
        let subject = text_of(&mut map, "subject")?;
        let time = text_of(&mut map, "time")?
            .map(|text| text.parse().map_err(|_| InvalidCloudEvent::Attribute("time".to_owned())))
            .transpose()?;
        let data_schema = text_of(&mut map, "dataschema")?;
        let content_type = text_of(&mut map, "datacontenttype")?;
        if map.contains_key("data_base64") || !content_type.as_deref().is_none_or(is_json) {
            return Err(InvalidCloudEvent::NotJsonData);
        }
        let data = map.remove("data").filter(|data| !data.is_null());
        let extensions = map.into_iter().filter_map(extension).collect::<Result<_, _>>()?;
        Ok(Self { id, source, type_name, subject, time, data_schema, extensions, data })
    }
}

/// Takes an attribute that is text; one that is null is absent.
fn text_of(map: &mut Map<String, Value>, name: &str) -> Result<Option<String>, InvalidCloudEvent> {
    match map.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidCloudEvent::Attribute(name.to_owned())),
    }
}

fn extension((name, value): (String, Value)) -> Option<Result<(String, String), InvalidCloudEvent>> {
    let named_well = !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    let text = match value {
        Value::Null => return None,
        Value::String(text) => Some(text),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    };
    Some(match text {
        Some(text) if named_well => Ok((name, text)),
        Some(_) | None => Err(InvalidCloudEvent::Attribute(name)),
    })
}

/// `application/json`, `text/json`, `application/anything+json`, with parameters or without (RFC 6839).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.split_once('/').is_some_and(|(_, kind)| kind == "json" || kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> CloudEvent {
        CloudEvent {
            id: "0190".into(),
            source: "urn:daypass:1".into(),
            type_name: "daypass.events.v1.request.approved".into(),
            subject: Some("request-7".into()),
            time: Some("2026-03-04T05:06:07.089Z".parse().unwrap()),
            data_schema: Some("urn:schema".into()),
            extensions: BTreeMap::from([("sequence".into(), "0000000002".into())]),
            data: Some(json!({ "a": [1, "two"] })),
        }
    }

    fn read(value: &Value) -> Result<CloudEvent, InvalidCloudEvent> {
        CloudEvent::from_json(value.to_string().as_bytes())
    }

    /// The event with one attribute changed.
    fn with(name: &str, value: Value) -> Value {
        let mut map = serde_json::to_value(event()).unwrap();
        map.as_object_mut().unwrap().insert(name.to_owned(), value);
        map
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(CloudEvent::from_json(&serde_json::to_vec(&event()).unwrap()), Ok(event()));
        let least = CloudEvent {
            subject: None,
            time: None,
            data_schema: None,
            extensions: BTreeMap::new(),
            data: None,
            ..event()
        };
        let value = serde_json::to_value(&least).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 4, "{value}");
        assert_eq!(read(&value), Ok(least));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for name in ["id", "source", "type"] {
            for nothing in [Value::Null, json!("")] {
                assert_eq!(read(&with(name, nothing)), Err(InvalidCloudEvent::Missing(name)));
            }
            assert_eq!(read(&with(name, json!(1))), Err(InvalidCloudEvent::Attribute(name.into())));
        }
        assert_eq!(read(&with("specversion", json!("0.3"))), Err(InvalidCloudEvent::SpecVersion));
        assert_eq!(read(&with("time", json!("noon"))), Err(InvalidCloudEvent::Attribute("time".into())));
        assert_eq!(read(&with("Bad_Name", json!("x"))), Err(InvalidCloudEvent::Attribute("Bad_Name".into())));
        assert_eq!(read(&with("nested", json!({}))), Err(InvalidCloudEvent::Attribute("nested".into())));
        assert_eq!(read(&with("data_base64", json!("AA=="))), Err(InvalidCloudEvent::NotJsonData));
        assert_eq!(read(&with("datacontenttype", json!("text/xml"))), Err(InvalidCloudEvent::NotJsonData));
        for text in ["", "[]", "{", "null"] {
            assert_eq!(CloudEvent::from_json(text.as_bytes()), Err(InvalidCloudEvent::NotAnObject), "{text}");
        }
    }

    #[test]
    fn other_ways_to_say_the_same_are_understood() {
        for content_type in ["application/json; charset=utf-8", "application/vnd.x+json", "text/JSON"] {
            assert_eq!(read(&with("datacontenttype", json!(content_type))), Ok(event()), "{content_type}");
        }
        assert_eq!(read(&with("number", json!(7))).unwrap().extensions["number"], "7");
        assert_eq!(read(&with("nothing", Value::Null)), Ok(event()));
    }
}
