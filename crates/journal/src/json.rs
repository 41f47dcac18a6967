//! A readable view of a stored event, by its descriptor: nobody has to know the codec to read history.

use crate::{proto, types};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use std::sync::LazyLock;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/log.binpb")).as_slice())
        .unwrap_or_default()
});

/// The envelope as JSON (protobuf's own mapping, field names as in the proto), with the payload decoded in its place. A type
/// that is not known keeps its payload in base64. `None` when the bytes are no envelope.
pub fn view(body: &[u8]) -> Option<serde_json::Value> {
    let envelope = proto::Envelope::decode(body).ok()?;
    let mut json = to_json("daypass.log.v1.Envelope", body)?;
    if let Some(payload) = to_json(&types::message_name(&envelope.r#type), &envelope.payload) {
        json.as_object_mut()?.insert("payload".to_owned(), payload);
    }
    Some(json)
}

/// The payload of an envelope alone, as JSON.
pub fn payload(type_name: &str, payload: &[u8]) -> Option<serde_json::Value> {
    to_json(&types::message_name(type_name), payload)
}

fn to_json(message: &str, bytes: &[u8]) -> Option<serde_json::Value> {
    let descriptor = POOL.get_message_by_name(message)?;
    let message = DynamicMessage::decode(descriptor, bytes).ok()?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).ok()
}
