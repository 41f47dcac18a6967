//! `google.protobuf.Struct`, which protobuf uses for JSON objects, from and to `serde_json`.
//!
//! Numbers are doubles there: whole numbers beyond 2^53 lose digits. Write such numbers as text.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

/// The struct of a JSON object.
pub fn from_json(object: serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: object.into_iter().map(|(name, value)| (name, value_from_json(value))).collect() }
}

/// The JSON object of a struct. What JSON cannot say (NaN, infinity) becomes null.
pub fn to_json(object: Struct) -> serde_json::Map<String, serde_json::Value> {
    object.fields.into_iter().map(|(name, value)| (name, value_to_json(value))).collect()
}

fn value_from_json(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => number.as_f64().map_or(Kind::NullValue(0), Kind::NumberValue),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(value_from_json).collect() })
        }
        Json::Object(object) => Kind::StructValue(from_json(object)),
    };
    Value { kind: Some(kind) }
}

fn value_to_json(value: Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(value),
        Some(Kind::NumberValue(number)) => whole(number)
            .map(Json::from)
            .or_else(|| serde_json::Number::from_f64(number).map(Json::Number))
            .unwrap_or(Json::Null),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(value_to_json).collect()),
        Some(Kind::StructValue(object)) => Json::Object(to_json(object)),
    }
}

/// Whole numbers are written without a fraction.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the exact range of a double")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_round_trip() {
        let json =
            serde_json::json!({"a": [1, -2.5, null, true], "b": {"c": "ü"}, "n": 9_007_199_254_740_992_i64});
        let object = json.as_object().unwrap().clone();
        assert_eq!(to_json(from_json(object.clone())), object);
    }
}
