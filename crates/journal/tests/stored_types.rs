//! What was once written is decodable for ever: one golden file per stored type, and the codec's refusals.
#![expect(clippy::unwrap_used, reason = "tests")]

mod samples;

use journal::{DecodeError, Event, Fact, Service, Stream, decode, encode, types};
use prost::Message as _;
use std::path::PathBuf;

fn golden(type_name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{type_name}.hex"))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A new type's file is written by `DAYPASS_WRITE_GOLDEN=1`, once; an existing file is never written again.
#[test]
fn every_stored_type_has_golden_bytes_that_decode_for_ever() {
    let samples = samples::one_of_each();
    let mut seen = Vec::new();
    for event in samples {
        let name = types::type_name(&event.fact);
        let path = golden(name);
        if !path.exists() && std::env::var_os("DAYPASS_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, domain::hex(&encode(&event)) + "\n").unwrap();
        }
        let stored =
            from_hex(&std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no golden file of {name}")));
        assert_eq!(decode(&stored).unwrap(), event, "{name}");
        assert_eq!(encode(&event), stored, "{name}: what is written has changed");
        seen.push(name);
    }
    let known: Vec<&str> = types::TYPES.iter().map(|(name, _)| *name).collect();
    assert_eq!(seen, known, "one sample of every stored type, in the table's order");
}

/// Written by `DAYPASS_WRITE_GOLDEN=1`, once, as those of types are.
#[test]
fn fields_that_came_later_have_golden_bytes_of_their_own() {
    for (name, event) in samples::with_later_fields() {
        let path = golden(name);
        if !path.exists() && std::env::var_os("DAYPASS_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, domain::hex(&encode(&event)) + "\n").unwrap();
        }
        let stored =
            from_hex(&std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no golden file of {name}")));
        assert_eq!(decode(&stored).unwrap(), event, "{name}");
        assert_eq!(encode(&event), stored, "{name}: what is written has changed");
    }
}

#[test]
fn every_stored_type_has_a_readable_view() {
    for event in samples::one_of_each() {
        let name = types::type_name(&event.fact);
        let json = journal::json::view(&encode(&event)).unwrap();
        assert_eq!(json["type"], name);
        assert!(json["payload"].is_object(), "{name}: {json}");
    }
}

#[test]
fn an_event_of_a_writer_that_does_not_own_its_type_is_refused() {
    for event in samples::one_of_each() {
        let name = types::type_name(&event.fact);
        let mut envelope = journal::proto::Envelope::decode(encode(&event).as_slice()).unwrap();
        envelope.writer = "audit".to_owned();
        let decoded = decode(&envelope.encode_to_vec());
        if name == "duty.claimed.v1" {
            assert!(decoded.is_ok());
        } else {
            assert!(matches!(decoded, Err(DecodeError::NotOwner { .. })), "{name}");
        }
        envelope.writer = "nobody".to_owned();
        assert!(matches!(decode(&envelope.encode_to_vec()), Err(DecodeError::NotOwner { .. })), "{name}");
    }
}

#[test]
fn a_claim_to_the_duty_of_another_service_is_refused() {
    let claim =
        samples::one_of_each().into_iter().find(|event| matches!(event.stream, Stream::Duty(_))).unwrap();
    for (duty, owner) in types::DUTIES {
        for writer in [Service::Request, Service::Approval, Service::Activation, Service::Audit] {
            let event = Event { stream: Stream::Duty((*duty).to_owned()), writer, ..claim.clone() };
            let decoded = decode(&encode(&event));
            assert_eq!(decoded.is_ok(), writer == *owner, "{writer} claims {duty}: {decoded:?}");
        }
    }
}

#[test]
fn a_type_of_a_later_release_is_unknown_and_not_skipped() {
    let event = samples::one_of_each().remove(0);
    let mut envelope = journal::proto::Envelope::decode(encode(&event).as_slice()).unwrap();
    envelope.r#type = "request.requested.v2".to_owned();
    assert_eq!(
        decode(&envelope.encode_to_vec()),
        Err(DecodeError::UnknownType("request.requested.v2".to_owned()))
    );
}

#[test]
fn damaged_bytes_are_an_error_and_never_a_panic() {
    for event in samples::one_of_each() {
        let stored = encode(&event);
        for cut in 0..stored.len() {
            let _ = decode(stored.split_at(cut).0);
        }
        for place in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[place] ^= 0xff;
            if let Ok(other) = decode(&damaged) {
                assert_ne!(other, event, "a changed byte changes the event");
            }
        }
    }
}

#[test]
fn free_text_is_stored_sealed_only() {
    for event in samples::one_of_each() {
        let view = journal::json::view(&encode(&event)).unwrap().to_string();
        assert!(!view.contains(samples::WORDS), "{view}");
        if let Fact::Request(lifecycle::RequestEvent::Requested(_)) = event.fact {
            assert!(view.contains("ciphertext"));
        }
    }
}
