//! Tables of the docs against the code: reasons, planned RPCs, words, error lines.

use crate::{code, every_rust_file, quoted, read, root, rows, rust_files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where a reason may be given.
const GIVERS: [&str; 7] = [
    "crates/views/src",
    "crates/service-runtime/src",
    "crates/identity/src/error.rs",
    "services/request/src",
    "services/approval/src",
    "services/activation/src",
    "services/audit/src",
];

/// Words in capitals that are no reasons: a status of AWS, the prefix of variables.
const NOT_REASONS: [&str; 3] = ["FAILED", "DAYPASS_", "DAYPASS_WRITE_DOCS"];

fn files(place: &str) -> Vec<PathBuf> {
    let path = root().join(place);
    if path.is_dir() { rust_files(&path) } else { vec![path] }
}

fn is_reason(text: &str) -> bool {
    text.len() > 2 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// `FailedPrecondition` and `failed_precondition` are `FAILED_PRECONDITION`.
fn screaming(name: &str) -> String {
    let mut words = String::new();
    for (place, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && place > 0 {
            words.push('_');
        }
        words.push(letter.to_ascii_uppercase());
    }
    words
}

/// The code beside a reason: the argument, or half of the pair, before it; else the helper that takes it.
fn code_before(text: &str) -> Option<String> {
    let text = text.trim_end();
    let text = text.strip_suffix(',').or_else(|| text.strip_suffix('('))?;
    let name = text.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    let code = screaming(name);
    CODES.contains(&code.as_str()).then_some(code)
}

const CODES: [&str; 14] = [
    "ABORTED",
    "ALREADY_EXISTS",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
];

/// Every reason in the code, with its codes.
fn given() -> BTreeMap<String, BTreeSet<String>> {
    let mut given: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in GIVERS.iter().flat_map(|place| files(place)) {
        let text = code(&file);
        let of_identity = file.ends_with("crates/identity/src/error.rs");
        for (place, _) in text.match_indices('"') {
            let Some((literal, _)) = text[place + 1..].split_once('"') else { continue };
            if !is_reason(literal) || NOT_REASONS.contains(&literal) {
                continue;
            }
            let codes = given.entry(literal.to_owned()).or_default();
            match code_before(&text[..place]) {
                Some(code) => drop(codes.insert(code)),
                // Of tokens; the gate makes one of two codes of them.
                None if of_identity => {}
                None => panic!("{}: which code has {literal}?", file.display()),
            }
        }
    }
    given
}

#[test]
fn status_codes_lists_every_reason_with_its_codes() {
    let page = read("docs/status-codes.md");
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (first, second) in rows(&page) {
        if let [reason] = quoted(&first)[..] {
            let codes = quoted(&second).into_iter().map(str::to_owned).collect();
            assert!(listed.insert(reason.to_owned(), codes).is_none(), "{reason} is listed twice");
        }
    }
    let given = given();
    let names = |table: &BTreeMap<String, BTreeSet<String>>| table.keys().cloned().collect::<BTreeSet<_>>();
    let (listed_names, given_names) = (names(&listed), names(&given));
    let missing: Vec<_> = given_names.difference(&listed_names).collect();
    let invented: Vec<_> = listed_names.difference(&given_names).collect();
    assert!(missing.is_empty(), "docs/status-codes.md lacks {missing:?}");
    assert!(invented.is_empty(), "nothing gives {invented:?} of docs/status-codes.md");
    for (reason, codes) in given.iter().filter(|(_, codes)| !codes.is_empty()) {
        assert!(
            codes.is_subset(&listed[reason]),
            "{reason} comes with {codes:?}, listed are {:?}",
            listed[reason]
        );
        let of_token = reason.starts_with("TOKEN_");
        assert!(of_token || codes == &listed[reason], "{reason} comes with {codes:?} alone");
    }
}

#[test]
fn planned_lists_what_is_declared_and_not_served() {
    let planned = api::METHODS.iter().filter(|method| method.planned);
    let planned: Vec<&str> = planned.map(|method| method.path.trim_start_matches('/')).collect();
    let page = read("docs/planned.md");
    let rows = rows(&page);
    let listed: Vec<&str> = rows.iter().flat_map(|(first, _)| quoted(first)).collect();
    assert_eq!(listed, planned);
}

#[test]
fn the_glossary_has_each_word_once_and_in_order() {
    let page = read("docs/glossary.md");
    let words: Vec<String> =
        rows(&page).into_iter().map(|(word, _)| word).filter(|word| word != "word").collect();
    let mut sorted = words.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(words, sorted);
    for (stored, _) in journal::types::TYPES {
        let kind = stored.split('.').next().unwrap();
        assert!(words.iter().any(|word| word == kind), "{kind} is stored and not in the glossary");
    }
}

#[test]
fn the_glossary_names_every_status_and_phase() {
    use api::types::v1::{AccessPhase, ClosurePhase, RequestStatus};
    let page = read("docs/glossary.md");
    let names = (1..=5).filter_map(|n| RequestStatus::try_from(n).ok()).map(|it| it.as_str_name());
    let names = names.chain((1..=3).filter_map(|n| AccessPhase::try_from(n).ok()).map(|it| it.as_str_name()));
    let names =
        names.chain((1..=2).filter_map(|n| ClosurePhase::try_from(n).ok()).map(|it| it.as_str_name()));
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), 10);
    for name in names {
        let word = name.rsplit('_').next().unwrap().to_ascii_lowercase();
        assert!(page.contains(&word), "{word} is not in the glossary");
    }
}

/// The text of every `tracing::error!`.
fn error_lines() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for place in ["crates", "services", "cli/src"] {
        for file in rust_files(&root().join(place)) {
            let shown = file.to_string_lossy().into_owned();
            if !shown.contains("/src/") || shown.contains("/test-servers/") {
                continue;
            }
            for call in code(&file).split("tracing::error!(").skip(1) {
                let statement = call.split(");").next().unwrap();
                let text =
                    statement.split('"').nth(1).unwrap_or_else(|| panic!("{shown}: no text in {statement}"));
                lines.insert(text.to_owned());
            }
        }
    }
    lines
}

#[test]
fn operations_explains_every_error_line() {
    let page = read("docs/operations.md");
    let table = page.split("| `error` |").nth(1).unwrap().split("\n## ").next().unwrap();
    let explained: BTreeSet<String> =
        rows(table).iter().flat_map(|(first, _)| quoted(first)).map(str::to_owned).collect();
    let logged = error_lines();
    let missing: Vec<_> = logged.difference(&explained).collect();
    let invented: Vec<_> = explained.difference(&logged).collect();
    assert!(missing.is_empty(), "docs/operations.md does not explain {missing:?}");
    assert!(invented.is_empty(), "nothing logs {invented:?} of docs/operations.md");
}

#[test]
fn testing_names_variables_that_tests_read() {
    let sources: String = ["crates", "services", "cli", "simulation"]
        .iter()
        .flat_map(|place| every_rust_file(&root().join(place)))
        .filter(|file| !file.ends_with("docs/tables.rs"))
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let page = read("docs/testing.md");
    let rows = rows(&page);
    let named: Vec<&str> = rows
        .iter()
        .flat_map(|(first, _)| quoted(first))
        .filter(|name| name.starts_with("DAYPASS_"))
        .collect();
    assert!(named.len() >= 4, "{named:?}");
    for name in named {
        assert!(sources.contains(&format!("\"{name}\"")), "no test reads {name}");
    }
}
