//! CSV (RFC 4180): one event per row, for people and their spreadsheets. What must verify is exported as JSON Lines.
//!
//! INVARIANT: no cell is a formula, whatever the log holds, and one event is one line. Following OWASP ("CSV Injection"): every
//! cell is quoted, quotes are doubled, and a cell whose first character after blanks is one of `= + - @` (or their full-width
//! forms) gets a `'` before it. Control characters (tab, CR and LF among them), line separators and characters that change the
//! direction of text are written as `\u{…}`.

use crate::read_model::events::About;
use crate::stored::Stored;
use domain::hex;
use journal::proto;
use std::fmt::Write as _;

/// The columns, in order. New ones are added at the end.
pub const COLUMNS: [&str; 17] = [
    "position",
    "stream",
    "revision",
    "event_id",
    "event_type",
    "happened_at",
    "writer",
    "actor_issuer",
    "actor_subject",
    "actor_kind",
    "actor_client_id",
    "account_id",
    "previous_event_id",
    "trace_parent",
    "payload",
    "undecodable",
    "envelope_sha256",
];

/// The first row, with its end.
pub(crate) fn heading() -> String {
    row(&COLUMNS.map(str::to_owned))
}

/// The row of an event, with its end. The payload is JSON; sealed text stays sealed.
pub(crate) fn event(stored: &Stored, position: &str, about: &About) -> String {
    let recorded = &stored.recorded;
    let envelope = stored.envelope.clone().unwrap_or_default();
    let actor = envelope.actor.unwrap_or_default();
    let person = actor.person.unwrap_or_default();
    let payload = journal::json::payload(&envelope.r#type, &envelope.payload);
    row(&[
        position.to_owned(),
        recorded.stream.to_string(),
        recorded.revision.0.to_string(),
        recorded.envelope.event_id.to_string(),
        envelope.r#type,
        stored.happened_at().map(|at| at.to_string()).unwrap_or_default(),
        recorded.envelope.writer.to_string(),
        person.issuer,
        person.subject,
        match proto::ActorKind::try_from(actor.kind) {
            Ok(proto::ActorKind::Human) => "human".to_owned(),
            Ok(proto::ActorKind::Workload) => "workload".to_owned(),
            Ok(proto::ActorKind::Unspecified) | Err(_) => String::new(),
        },
        actor.client_id,
        match about {
            About::Account(account) => account.to_string(),
            About::Nothing | About::NotIndexed => String::new(),
        },
        envelope.previous_event_id,
        envelope.trace_parent,
        payload.map(|payload| payload.to_string()).unwrap_or_default(),
        stored.undecodable(),
        hex(&sha256(&recorded.envelope.body)),
    ])
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

fn row(cells: &[String; COLUMNS.len()]) -> String {
    let mut row = cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",");
    row.push_str("\r\n");
    row
}

/// A cell that is text and nothing else.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len() + 2);
    cell.push('"');
    if text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        cell.push('\'');
    }
    for character in text.chars() {
        if character == '"' {
            cell.push_str("\"\"");
        } else if is_unsafe(character) {
            // Writing to a text cannot fail.
            let _ = write!(cell, "\\u{{{:x}}}", u32::from(character));
        } else {
            cell.push(character);
        }
    }
    cell.push('"');
    cell
}

/// Control characters, separators of lines and paragraphs, marks of direction, and the byte order mark.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "CSV formulas (`= + - @`, tab, CR, leading blanks)"
    #[test]
    fn csv_formulas() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "=cmd|' /C calc'!A0",
            " =1+1",
            "\u{a0}\u{3000}=1+1",
            "＝1+1",
            "\u{2003}@x",
            "\u{b}=1",
        ] {
            let cell = cell(formula);
            let inner = cell.strip_prefix('"').unwrap();
            assert!(inner.starts_with('\''), "{formula:?} became {cell}");
        }
        assert_eq!(cell("\t=1"), "\"'\\u{9}=1\"");
        assert_eq!(cell("\r=1"), "\"'\\u{d}=1\"");
        assert_eq!(cell("\u{0}=1"), "\"\\u{0}=1\"");
        assert_eq!(cell("\u{feff}=1"), "\"\\u{feff}=1\"");
    }

    #[test]
    fn a_cell_ends_where_it_ends() {
        assert_eq!(cell("a\",\"=1+1"), "\"a\"\",\"\"=1+1\"");
        assert_eq!(cell("a\r\n=1+1"), "\"a\\u{d}\\u{a}=1+1\"");
        assert_eq!(cell("\u{1b}[2J\u{202e}\u{2028}"), "\"\\u{1b}[2J\\u{202e}\\u{2028}\"");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(cell("arn:aws:iam::1:role/Ünïcode - x"), "\"arn:aws:iam::1:role/Ünïcode - x\"");
    }
}
