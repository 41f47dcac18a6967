//! `docs/regressions.md`, checked: every failure and attack has a test that is there, or says of which feature it becomes one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// As many failures and attacks as are known; a line may be added and none lost.
const KNOWN_MIN: usize = 30 + 34;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A row of a table: where, what happened, our rule, and the cell of tests.
struct Row {
    what: String,
    tests: String,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/regressions.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [place, what, rule, tests] = cells.as_slice() else { panic!("not four cells: {line}") };
        assert!(!what.is_empty() && !rule.is_empty(), "{line}");
        Row { what: format!("{place}: {what}"), tests: (*tests).to_owned() }
    });
    rows.filter(|row| !row.tests.starts_with("---") && row.tests != "tests").collect()
}

/// The `path::test` names of a cell.
fn tests(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    cell.split('`').skip(1).step_by(2).map(|name| name.rsplit_once("::").unwrap_or_else(|| panic!("{name}")))
}

/// The tests of a file: functions that an attribute of testing stands before.
fn tests_of(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
            if marked {
                found.insert(rest.split(['(', '<']).next().unwrap().to_owned());
            }
            marked = false;
        }
    }
    found
}

/// Where the file is compiled: itself, as a file or the `main.rs` of a folder in `tests`, or a file beside or above it that says `mod <its name>;`.
fn is_compiled(file: &Path) -> bool {
    let folder = file.parent().unwrap();
    let holds_targets = |folder: &Path| {
        folder.file_name().unwrap() == "tests" && folder.parent().unwrap().join("Cargo.toml").exists()
    };
    if holds_targets(folder) || (file.ends_with("main.rs") && holds_targets(folder.parent().unwrap())) {
        return true;
    }
    let module = format!("mod {};", file.file_stem().unwrap().to_str().unwrap());
    let beside = [folder.join("main.rs"), folder.join("lib.rs"), folder.with_extension("rs")];
    beside.iter().any(|parent| std::fs::read_to_string(parent).is_ok_and(|text| text.contains(&module)))
}

#[test]
fn every_failure_and_attack_has_a_test_or_a_feature_to_come() {
    let rows = rows();
    for row in &rows {
        let to_come = row.tests.split_once("not built yet: ").is_some_and(|(_, feature)| feature.len() > 5);
        assert!(to_come || tests(&row.tests).next().is_some(), "{} has neither", row.what);
    }
    assert!(rows.len() >= KNOWN_MIN, "{} rows: is one lost, or written in another way?", rows.len());
}

#[test]
fn every_test_that_is_named_exists() {
    let mut missing = Vec::new();
    for row in rows() {
        for (path, test) in tests(&row.tests) {
            let file: PathBuf = root().join(path);
            if !tests_of(&file).contains(test) || !is_compiled(&file) {
                missing.push(format!("{path}::{test} ({})", row.what));
            }
        }
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
}
