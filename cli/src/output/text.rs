//! Single values as people read them. Instants are in UTC, to the second.
//!
//! INVARIANT: text of others never reaches the terminal as it is: what could drive the terminal, hide, or turn the direction of
//! writing around is shown as what it is.

use api::types::v1 as wire;
use domain::{SignedDuration, Timestamp};
use prost_types::Struct;
use serde_json::Value;
use std::fmt::Write as _;

/// Whether a terminal might do something else with `c` than show it.
pub(crate) fn is_unsafe(c: char) -> bool {
    let turns_around =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let hides = matches!(c, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || turns_around || breaks_lines || hides
}

/// `text` on one line, with everything that [`is_unsafe`] spelled out.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            c if is_unsafe(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// `text` on as many lines as it has.
pub(crate) fn lines(text: &str) -> String {
    text.lines().map(|line| visible(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

/// An instant, or nothing.
pub(crate) fn time(at: Option<&prost_types::Timestamp>) -> String {
    at.and_then(|at| Timestamp::from_second(at.seconds).ok()).map(|at| at.to_string()).unwrap_or_default()
}

/// A length of time, or nothing.
pub(crate) fn duration(length: Option<&prost_types::Duration>) -> String {
    length
        .map(|length| policy::duration::format(SignedDuration::from_secs(length.seconds)))
        .unwrap_or_default()
}

/// What people call someone.
pub(crate) fn name(party: Option<&wire::Party>) -> String {
    let Some(party) = party else { return String::new() };
    let subject = party.person.as_ref().map(|person| person.subject.as_str()).unwrap_or_default();
    let names = [party.display_name.as_str(), party.user_name.as_str(), subject];
    visible(names.into_iter().find(|name| !name.is_empty()).unwrap_or_default())
}

/// Someone, with the identity that counts.
pub(crate) fn party(party: Option<&wire::Party>) -> String {
    let identity = party.and_then(|party| party.person.as_ref()).map(person).unwrap_or_default();
    let name = name(party);
    if name.is_empty() { identity } else { format!("{name} ({identity})") }
}

/// An identity.
pub(crate) fn person(person: &wire::Person) -> String {
    format!("{} at {}", visible(&person.subject), visible(&person.issuer))
}

/// The words of an enum's name: `ACCESS_PHASE_ACTIVE` without `ACCESS_PHASE_`; nothing where it is unspecified.
pub(crate) fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase().replace('_', " ");
    if word == "unspecified" { String::new() } else { word }
}

/// A status, with how far it has come: "approved, active", "ended (revoked), closing".
pub(crate) fn status(request: &wire::Request) -> String {
    let mut text = word(request.status().as_str_name(), "REQUEST_STATUS_");
    if text.is_empty() {
        "unknown".clone_into(&mut text);
    }
    let phase = word(request.access_phase().as_str_name(), "ACCESS_PHASE_");
    let reason = word(request.end_reason().as_str_name(), "END_REASON_");
    let closure = word(request.closure_phase().as_str_name(), "CLOSURE_PHASE_");
    if !reason.is_empty() {
        let _ = write!(text, " ({reason})");
    }
    for detail in [phase, closure] {
        if !detail.is_empty() {
            let _ = write!(text, ", {detail}");
        }
    }
    text
}

/// Who must agree: "2 of corp:leads, then 1 of corp:security".
pub(crate) fn plan(plan: Option<&wire::Plan>) -> String {
    let steps = plan.map(|plan| plan.steps.as_slice()).unwrap_or_default();
    if steps.is_empty() {
        return "nobody".to_owned();
    }
    let step = |step: &wire::Step| {
        let groups =
            step.groups.iter().map(|group| format!("{}:{}", visible(&group.source), visible(&group.id)));
        let people = step.people.iter().map(|person| visible(&person.subject));
        format!("{} of {}", step.count, groups.chain(people).collect::<Vec<_>>().join(", "))
    };
    steps.iter().map(step).collect::<Vec<_>>().join("; and ")
}

/// How access is brought about.
pub(crate) fn provider(provider: wire::Provider) -> String {
    match provider {
        wire::Provider::Unspecified => String::new(),
        wire::Provider::IdentityCenter => "Identity Center".to_owned(),
        wire::Provider::Sts => "STS".to_owned(),
        wire::Provider::AccountAccess => "Account Access Manager".to_owned(),
    }
}

/// An account, or an entitlement: its name if it has one, else its id.
pub(crate) fn named(name: &str, id: &str) -> String {
    visible(if name.is_empty() { id } else { name })
}

/// The beginning of an id, long enough to be typed instead of it.
pub(crate) fn short(id: &str) -> String {
    visible(id).chars().take(8).collect()
}

/// What an event says, a line for each value: "window.end: 2026-11-21T03:00:00Z".
pub(crate) fn details(object: Option<&Struct>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(object) = object {
        flatten("", &Value::Object(api::structs::to_json(object.clone())), &mut lines);
    }
    lines
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(&below(name), value, lines)),
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (place, item) in items.iter().enumerate() {
                flatten(&below(&(place + 1).to_string()), item, lines);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            if !items.is_empty() {
                lines.push(format!("{}: {}", visible(path), items.join(", ")));
            }
        }
        Value::String(text) if text.is_empty() => {}
        Value::String(_) | Value::Bool(_) | Value::Number(_) => {
            lines.push(format!("{}: {}", visible(path), plain(value)));
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| visible(&value.to_string()), visible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_drives_a_terminal_gets_through() {
        let attacks = [
            ("\u{1b}[2J\u{1b}]52;c;cm0gLXJm\u{7}", "\\u{1b}[2J\\u{1b}]52;c;cm0gLXJm\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("pay\u{202e}tsor", "pay\\u{202e}tsor"),
            ("\u{2066}a\u{2069}\u{200f}", "\\u{2066}a\\u{2069}\\u{200f}"),
            ("a\r\nb\tc\u{8}", "a\\r\\nb\\tc\\u{8}"),
            ("ad\u{200b}min\u{feff}", "ad\\u{200b}min\\u{feff}"),
            ("line\u{2028}line", "line\\u{2028}line"),
        ];
        for (text, expected) in attacks {
            assert_eq!(visible(text), expected);
            assert!(!visible(text).chars().any(is_unsafe));
            assert!(!lines(text).chars().any(|c| c != '\n' && is_unsafe(c)));
        }
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_alone() {
        for text in ["Zoë Müller", "山田 太郎", "نورا", "👩‍💻 on call", "C:\\temp"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn instants_are_shown_in_utc_to_the_second() {
        let at = prost_types::Timestamp { seconds: 1_795_226_400, nanos: 999_999_999 };
        assert_eq!(time(Some(&at)), "2026-11-21T02:00:00Z");
        assert_eq!(time(None), "");
    }

    #[test]
    fn lengths_are_shown_as_they_are_typed() {
        for text in ["1h30m", "45s", "1d12h"] {
            let seconds = policy::duration::parse(text).unwrap().as_secs();
            assert_eq!(duration(Some(&prost_types::Duration { seconds, nanos: 0 })), text);
        }
    }

    #[test]
    fn what_an_event_says_is_one_line_for_each_value() {
        let object = json!({"by": {"subject": "bob"}, "groups": ["a", "b"], "none": null, "n": 2,
                            "steps": [{"count": 1}, {"count": 2}], "text": "x\u{1b}[0m"});
        let object = api::structs::from_json(object.as_object().unwrap().clone());
        let expected = [
            "by.subject: bob",
            "groups: a, b",
            "n: 2",
            "steps.1.count: 1",
            "steps.2.count: 2",
            "text: x\\u{1b}[0m",
        ];
        assert_eq!(details(Some(&object)), expected);
    }
}
