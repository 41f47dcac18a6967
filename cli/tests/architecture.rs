//! The plan of the house, checked against what cargo says: who may depend on whom.
#![expect(clippy::unwrap_used, reason = "tests")]

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};

/// The arrows of ARCHITECTURE.md. What a crate may use is what it points at, and what those may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("lifecycle", &["domain"]),
    ("policy", &["domain"]),
    ("journal", &["domain", "lifecycle", "policy"]),
    ("api", &[]),
    ("event-log", &[]),
    ("event-log-sqlite", &["event-log"]),
    ("nats-connection", &[]),
    ("event-log-jetstream", &["event-log", "nats-connection"]),
    ("event-log-kurrentdb", &["event-log"]),
    ("conformance", &["event-log-sqlite", "event-log-jetstream", "event-log-kurrentdb"]),
    ("key-store-jetstream", &["journal", "nats-connection"]),
    ("command", &["event-log", "journal"]),
    ("backup", &["command"]),
    ("projection", &["event-log", "journal"]),
    ("messaging", &["nats-connection"]),
    ("identity", &["domain"]),
    ("aws", &["domain"]),
    ("aws-sdk", &["aws"]),
    ("service-runtime", &["identity", "api"]),
    ("views", &["command", "projection", "aws", "identity", "api"]),
    (
        "wiring",
        &[
            "views",
            "service-runtime",
            "messaging",
            "event-log-sqlite",
            "event-log-jetstream",
            "event-log-kurrentdb",
            "key-store-jetstream",
            "aws-sdk",
        ],
    ),
];

/// Only programs choose engines and adapters.
const SERVICE_MAY_USE: &[&str] = &["views", "service-runtime", "messaging"];

/// Crates that hold rules and nothing else.
const PURE: &[&str] = &["domain", "lifecycle", "policy"];

/// What a pure crate never names.
const IMPURE: &[&str] = &["tokio", "tonic", "async-nats", "rusqlite", "reqwest", "hyper", "futures"];

fn packages() -> BTreeMap<String, Package> {
    let metadata = MetadataCommand::new().no_deps().other_options(vec!["--offline".into()]).exec().unwrap();
    metadata.packages.into_iter().map(|package| (package.name.to_string(), package)).collect()
}

/// Dependencies of a package's library and programs, not of its tests.
fn uses(package: &Package) -> BTreeSet<&str> {
    let built_in = |kind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
    package.dependencies.iter().filter(|d| built_in(d.kind)).map(|d| d.name.as_str()).collect()
}

fn reachable(from: &[&str]) -> BTreeSet<String> {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = from.to_vec();
    while let Some(next) = open.pop() {
        if found.insert(next.to_owned()) {
            open.extend(arrows.get(next).copied().unwrap_or_default());
        }
    }
    found
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let packages = packages();
    for (name, arrows) in ARROWS {
        let allowed = reachable(arrows);
        let package =
            packages.get(*name).unwrap_or_else(|| panic!("{name} is in the plan and not in the house"));
        for used in uses(package).into_iter().filter(|used| packages.contains_key(*used)) {
            assert!(allowed.contains(used), "{name} may not depend on {used}");
        }
    }
}

#[test]
fn services_never_import_each_other() {
    let packages = packages();
    let allowed = reachable(SERVICE_MAY_USE);
    for name in ["request", "approval", "activation", "audit"] {
        for used in uses(&packages[name]).into_iter().filter(|used| packages.contains_key(*used)) {
            let own_wiring = used == "wiring"; // named by main.rs alone; see the next test
            assert!(allowed.contains(used) || own_wiring, "{name} may not depend on {used}");
        }
    }
}

#[test]
fn only_main_files_choose_engines_and_adapters() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for service in ["request", "approval", "activation", "audit"] {
        for file in rust_files(&root.join("services").join(service).join("src")) {
            let text = std::fs::read_to_string(&file).unwrap();
            if file.file_name().unwrap() != "main.rs" {
                for word in [
                    "wiring::",
                    "event_log_sqlite",
                    "event_log_jetstream",
                    "event_log_kurrentdb",
                    "key_store_jetstream",
                    "nats_connection",
                    "messaging::nats",
                    "aws_sdk",
                ] {
                    assert!(!text.contains(word), "{} names {word}", file.display());
                }
            }
        }
    }
}

#[test]
fn rules_name_no_runtime_network_or_cloud() {
    let packages = packages();
    for name in PURE {
        for used in uses(&packages[*name]) {
            assert!(!IMPURE.contains(&used) && !used.starts_with("aws"), "{name} may not depend on {used}");
        }
    }
}

#[test]
fn every_crate_is_in_the_plan() {
    let planned: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let elsewhere = [
        "request",
        "approval",
        "activation",
        "audit",
        "daypass",
        "simulation",
        "bench",
        "test-servers",
        "kurrentdb-double",
    ];
    for name in packages().keys() {
        assert!(
            planned.contains(name.as_str()) || elsewhere.contains(&name.as_str()),
            "{name} has no place in the plan"
        );
    }
}

#[test]
fn the_files_that_architecture_md_names_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let looks_like_a_path =
        |word: &&str| word.contains('/') && !word.contains([' ', '<', '*', ':', '{', '(']);
    let mut checked = 0;
    for word in text.split('`').skip(1).step_by(2).filter(looks_like_a_path) {
        assert!(root.join(word).exists(), "ARCHITECTURE.md names {word}, which is not there");
        checked += 1;
    }
    assert!(checked > 20, "only {checked} paths found: has the way they are written changed?");
}

fn rust_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}
