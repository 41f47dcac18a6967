//! What fails the build of this crate: its build script over protos that were written for the purpose.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![expect(clippy::wildcard_enum_match_arm, reason = "as in the build script")]

#[path = "../build/methods.rs"]
mod methods;
#[path = "../build/names.rs"]
mod names;
#[path = "../build/options.rs"]
mod options;
#[path = "../build/validate.rs"]
mod validate;

use prost_reflect::DescriptorPool;
use std::path::Path;

/// A proto with one RPC: its options, and the fields of what it asks.
fn proto(rpc: &str, fields: &str) -> String {
    format!(
        r#"syntax = "proto3";
package daypass.probe.v1;
import "buf/validate/validate.proto";
import "daypass/options/v1/options.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
service ProbeService {{
  rpc Probe(ProbeRequest) returns (ProbeResponse) {{ {rpc} }}
}}
message ProbeRequest {{ {fields} }}
message ProbeResponse {{}}
message Inner {{ string text = 1 [(buf.validate.field).string.max_len = 9]; }}
enum Colour {{
  COLOUR_UNSPECIFIED = 0;
  COLOUR_RED = 1;
}}
"#
    )
}

fn compiled(proto: &str) -> Result<DescriptorPool, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.proto");
    std::fs::write(&file, proto).unwrap();
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut compiler =
        protox::Compiler::new([folder.path().to_owned(), protos.clone(), protos.join("vendor")]).unwrap();
    compiler.include_imports(true).open_file(&file).map_err(|error| error.to_string())?;
    Ok(compiler.descriptor_pool())
}

const ACCESS: &str = "option (daypass.options.v1.access) = ACCESS_HUMAN;";

/// What the build says to an RPC with these options.
fn built(rpc: &str) -> Result<String, String> {
    methods::generate(&compiled(&proto(rpc, ""))?)
}

/// What the build says to a field `text` and the like.
fn checked(field: &str) -> Result<String, String> {
    validate::generate(&compiled(&proto(ACCESS, field)).unwrap())
}

#[test]
fn an_rpc_that_says_who_may_call_it_is_in_the_table() {
    let table = built(ACCESS).unwrap();
    assert!(table.contains("/daypass.probe.v1.ProbeService/Probe"), "{table}");
    assert!(table.contains("access: &[Access::Human]"), "{table}");
}

#[test]
fn an_rpc_that_does_not_say_who_may_call_it_fails_the_build() {
    for rpc in ["", "option (daypass.options.v1.planned) = true;", "option deprecated = true;"] {
        let why = built(rpc).unwrap_err();
        assert!(
            why.starts_with("/daypass.probe.v1.ProbeService/Probe does not say who may call it"),
            "{why}"
        );
    }
}

#[test]
fn an_access_that_is_not_known_fails_the_build() {
    let why = built("option (daypass.options.v1.access) = ACCESS_UNSPECIFIED;").unwrap_err();
    assert_eq!(why, "/daypass.probe.v1.ProbeService/Probe: unknown access 0");
    let among_others = format!("{ACCESS} option (daypass.options.v1.access) = ACCESS_UNSPECIFIED;");
    assert_eq!(built(&among_others).unwrap_err(), why);
    let why = built("option (daypass.options.v1.access) = ACCESS_EVERYONE;").unwrap_err();
    assert!(why.contains("ACCESS_EVERYONE"), "{why}");
}

#[test]
fn an_rpc_that_streams_its_requests_fails_the_build() {
    let proto = proto(ACCESS, "").replace("Probe(ProbeRequest)", "Probe(stream ProbeRequest)");
    let why = methods::generate(&compiled(&proto).unwrap()).unwrap_err();
    assert!(why.starts_with("/daypass.probe.v1.ProbeService/Probe streams its requests"), "{why}");
}

#[test]
fn a_field_with_constraints_is_checked() {
    for (field, check) in [
        ("string text = 1 [(buf.validate.field).string.max_len = 7];", "max_len: 7"),
        ("string text = 1 [(buf.validate.field).string.uuid = true];", "uuid: true"),
        ("string text = 1 [(buf.validate.field).string.pattern = '^[a-z]{1,9}$'];", "PATTERN_0"),
        ("bytes text = 1 [(buf.validate.field).bytes.max_len = 7];", "found.bytes(\"text\", &self.text, 7)"),
        ("uint32 text = 1 [(buf.validate.field).uint32.lte = 7];", "0, 7)"),
        ("uint64 text = 1 [(buf.validate.field).uint64.lte = 7];", "0, 7)"),
        ("int64 text = 1 [(buf.validate.field).int64 = {gte: -3, lte: 7}];", "-3, 7)"),
        ("Colour text = 1 [(buf.validate.field).enum.defined_only = true];", "found.enumeration(\"text\""),
        ("repeated Inner text = 1 [(buf.validate.field).repeated.max_items = 7];", "0, 7)"),
        ("Inner text = 1 [(buf.validate.field).required = true];", "found.required(\"text\")"),
        ("google.protobuf.Duration text = 1 [(buf.validate.field).duration.lte.seconds = 7];", ", 7))"),
        ("google.protobuf.Timestamp text = 1;", "found.timestamp(\"text\", value)"),
    ] {
        let code = checked(field).unwrap_or_else(|why| panic!("{field}: {why}"));
        assert!(code.contains(check), "{field}: {code}");
    }
}

/// Refused, each by the name of its field and with words that say why.
fn refused(fields: &[(&str, &str)]) {
    for (field, expected) in fields {
        let why = checked(field).expect_err(field);
        assert!(why.starts_with("daypass.probe.v1.ProbeRequest.text: "), "{field}: {why}");
        assert!(why.contains(expected), "{field}: {why}");
    }
}

#[test]
fn a_constraint_that_cannot_be_enforced_fails_the_build() {
    refused(&[
        ("string text = 1 [(buf.validate.field).string.email = true];", "string.email is not supported"),
        ("string text = 1 [(buf.validate.field).string.pattern = '('];", "unclosed group"),
        ("string text = 1 [(buf.validate.field).uint32.lte = 7];", "uint32 rules on a string"),
        ("string text = 1 [(buf.validate.field).required = true];", "field without presence"),
        (
            "string text = 1 [(buf.validate.field).cel = {id: 'x', expression: 'true'}];",
            "cel is not supported",
        ),
        ("uint32 text = 1 [(buf.validate.field).uint32.lt = 7];", "uint32.lt is not supported"),
        ("bytes text = 1 [(buf.validate.field).bytes.min_len = 7];", "bytes in a request need max_len"),
        ("double text = 1 [(buf.validate.field).double.lte = 7];", "double are not supported"),
        ("repeated Inner text = 1 [(buf.validate.field).repeated.unique = true];", "repeated.unique"),
        ("map<string, Inner> text = 1 [(buf.validate.field).map.max_pairs = 7];", "maps in requests"),
        (
            "google.protobuf.Timestamp text = 1 [(buf.validate.field).timestamp.lt_now = true];",
            "rules on timestamps are not supported",
        ),
        (
            "google.protobuf.Duration text = 1 [(buf.validate.field).duration.lte = {seconds: 1, nanos: 5}];",
            "whole seconds",
        ),
    ]);
    let why = checked("option (buf.validate.message).cel = {id: 'x', expression: 'true'};").unwrap_err();
    assert_eq!(why, "daypass.probe.v1.ProbeRequest: rules on messages are not supported");
}

#[test]
fn a_field_without_a_constraint_fails_the_build() {
    refused(&[
        ("string text = 1;", "a string in a request needs"),
        ("optional string text = 1;", "a string in a request needs"),
        ("string text = 1 [(buf.validate.field).string.min_len = 7];", "a string in a request needs"),
        ("string text = 1 [(buf.validate.field).string.pattern = '^a+$'];", "a string in a request needs"),
        ("string text = 1 [(buf.validate.field).string.pattern = '[a-z]'];", "a string in a request needs"),
        ("repeated string text = 1 [(buf.validate.field).repeated.max_items = 7];", "a string in a request"),
        ("bytes text = 1;", "bytes in a request need max_len"),
        ("uint32 text = 1;", "a whole number in a request needs"),
        ("uint64 text = 1;", "a whole number in a request needs"),
        ("int64 text = 1 [(buf.validate.field).int64.lte = 7];", "a whole number in a request needs"),
        ("Colour text = 1;", "an enum in a request needs defined_only"),
        ("repeated Inner text = 1;", "a repeated field in a request needs max_items"),
        ("double text = 1;", "double are not supported"),
        ("google.protobuf.Duration text = 1;", "a duration in a request needs"),
    ]);
    let why = checked("oneof either { string text = 1; Inner inner = 2; }").unwrap_err();
    assert!(why.contains("ProbeRequest.either") && why.contains("a string in a request needs"), "{why}");
}

#[test]
fn every_field_that_is_wrong_is_named_at_once() {
    let why = checked("string text = 1; Inner inner = 2; bytes more = 3;").unwrap_err();
    assert!(why.contains("ProbeRequest.text: ") && why.contains("ProbeRequest.more: "), "{why}");
    let why = checked("Deeper deeper = 1; message Deeper { string text = 1; }").unwrap_err();
    assert!(why.starts_with("daypass.probe.v1.ProbeRequest.Deeper.text: "), "{why}");
}
