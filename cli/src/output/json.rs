//! Messages as JSON, the way protobuf defines it (<https://protobuf.dev/programming-guides/json>): names in lowerCamelCase, instants in
//! RFC 3339, 64-bit numbers as text. Empty texts and lists, zero and false are written as well; a message that is not set is left out.

use crate::error::Error;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// `message`, which is a `name`: "daypass.types.v1.Request".
pub(crate) fn object<M: prost::Message>(name: &str, message: &M) -> Result<Value, Error> {
    static DESCRIPTORS: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let fault = || Error::Failed(format!("{name}: cannot be written as JSON"));
    let descriptors = DESCRIPTORS.get_or_init(|| DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).ok());
    let descriptor =
        descriptors.as_ref().and_then(|pool| pool.get_message_by_name(name)).ok_or_else(fault)?;
    let message =
        DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(|_| fault())?;
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|_| fault())
}

/// All of `messages`, each of which is a `name`.
pub(crate) fn array<'a, M: prost::Message + 'a>(
    name: &str,
    messages: impl IntoIterator<Item = &'a M>,
) -> Result<Value, Error> {
    messages.into_iter().map(|message| object(name, message)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// The object with one more field.
pub(crate) fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
    object
}

/// The text of `value`, indented. What could drive a terminal or turn its text around is escaped; to a program it is the same.
pub(crate) fn text(value: &Value) -> String {
    let plain = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut safe = String::with_capacity(plain.len());
    for c in plain.chars() {
        // Outside of strings there is only ASCII, and in strings line breaks are escaped already.
        if c != '\n' && super::text::is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_values_are_written_and_messages_that_are_not_set_are_not() {
        let empty = object("daypass.types.v1.Ask", &api::types::v1::Ask::default()).unwrap();
        let expected = json!({"justification": "", "ticket": "", "ruleId": "", "extendsRequestId": "", "emergency": false});
        assert_eq!(empty, expected);
    }

    #[test]
    fn names_and_values_are_those_of_protobuf() {
        let window = api::types::v1::AskedWindow {
            start: Some(prost_types::Timestamp { seconds: 1_795_226_400, nanos: 0 }),
            duration: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        };
        let expected = json!({"start": "2026-11-21T02:00:00Z", "duration": "3600s"});
        assert_eq!(object("daypass.types.v1.AskedWindow", &window).unwrap(), expected);
    }

    #[test]
    fn escaped_text_means_the_same_to_a_program() {
        let value = json!({"text": "a\u{9b}31m\u{7f}\u{202e}b\n\u{e0041}ü"});
        let text = text(&value);
        assert!(!text.chars().any(|c| c != '\n' && crate::output::text::is_unsafe(c)), "{text}");
        assert!(text.contains('ü'));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
