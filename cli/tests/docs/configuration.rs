//! docs/configuration.md against what reads configurations.

use crate::{Block, blocks, quoted, read, rows};
use policy::Policy;
use service_runtime::config::{Loader, Problems};
use std::collections::BTreeSet;
use std::process::Command;
use wiring::Settings;

const PAGE: &str = "docs/configuration.md";
const GUIDE: &str = "docs/guides/administrator.md";

/// Where configurations and policies are read from.
pub(crate) const PAGES: [&str; 2] = [PAGE, GUIDE];

/// Everything that must be there.
const LEAST: &str = "\
[server]\nlisten = \"127.0.0.1:0\"\n\
[data]\nfolder = \"data\"\n\
[[issuers]]\nissuer = \"https://idp.example\"\naudiences = [\"daypass\"]\nalgorithms = [\"RS256\"]\n";
const SQLITE: &str = "[log]\nengine = \"sqlite\"\npath = \"log.db\"\n";
const JETSTREAM: &str = "[log]\nengine = \"jetstream\"\nservers = [\"nats://localhost\"]\n";

/// Tables within a section; everything else is a value. With them, what the section cannot do without.
const TABLES: [(&str, &str); 33] = [
    ("server", "listen = \"127.0.0.1:0\""),
    ("server.tls", ""),
    ("server.web", ""),
    ("server.limits", ""),
    ("issuers", ""),
    ("issuers.workloads", ""),
    ("issuers.groups", ""),
    ("issuers.keys", ""),
    ("issuers.network", ""),
    ("roles", ""),
    ("log", "engine = \"sqlite\""),
    ("log", "engine = \"jetstream\""),
    ("log", "engine = \"kurrentdb\""),
    ("bus", "servers = [\"nats://localhost\"]"),
    ("data", ""),
    ("keys", "engine = \"sqlite\""),
    ("keys", "engine = \"jetstream\""),
    ("aws", ""),
    ("clock", ""),
    ("telemetry", ""),
    ("policy", ""),
    ("requests", ""),
    ("raisers", ""),
    ("signals", ""),
    ("signals.sources", ""),
    ("signals.sources.token", ""),
    ("signals.sources.signature", ""),
    ("activation", ""),
    ("neighbours", ""),
    ("neighbours.request", ""),
    ("client_credentials", ""),
    ("client_certificate", ""),
    ("upgrade", ""),
];

fn load(toml: &str) -> Result<Settings, Problems> {
    let secret = ("DAYPASS_CLIENT_SECRET".to_owned(), "a secret".to_owned());
    Settings::from_loader(Loader::new(toml, [secret]))
}

#[test]
fn every_example_can_be_used() {
    let page = read(PAGE);
    let examples: Vec<Block> =
        blocks(&page).into_iter().filter(|block| block.info.starts_with("toml")).collect();
    let mut base = String::new();
    let mut whole = String::new();
    for example in &examples {
        let text = example.text();
        if example.info == "toml add" {
            whole.push_str(&text);
            for configuration in [format!("{base}{text}"), whole.clone()] {
                load(&configuration).unwrap_or_else(|problems| panic!("{problems}\n{configuration}"));
            }
        } else if text.contains("[server]") {
            load(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            base.clone_from(&text);
            whole = text;
        } else {
            Policy::from_toml(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        }
    }
    assert!(examples.len() >= 6, "only {} examples found", examples.len());
}

#[test]
fn the_policies_of_the_guide_can_be_used() {
    let page = read(GUIDE);
    let examples: Vec<Block> = blocks(&page).into_iter().filter(|block| block.info == "toml").collect();
    assert!(!examples.is_empty());
    for example in examples {
        let text = example.text();
        Policy::from_toml(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    }
}

/// The fields of a table, as the program tells them when there is one that it does not know.
fn fields(table: &str, given: &str) -> Vec<String> {
    let unknown = "zzz = 1\n";
    let toml = match table {
        "log" => format!("{LEAST}[log]\n{given}\n{unknown}"),
        "keys" => format!("{LEAST}{SQLITE}[keys]\n{given}\n{unknown}"),
        "server" | "data" => {
            LEAST.replace(&format!("[{table}]\n"), &format!("[{table}]\n{unknown}")) + SQLITE
        }
        "issuers" => format!("{LEAST}{unknown}{SQLITE}"),
        "signals.sources" => format!("{LEAST}{SQLITE}[[{table}]]\n{unknown}"),
        _ if table.starts_with("signals.sources.") => {
            format!("{LEAST}{SQLITE}[[signals.sources]]\n[{table}]\n{unknown}")
        }
        _ if table.starts_with("issuers.") => format!("{LEAST}[{table}]\n{unknown}{SQLITE}"),
        _ => format!("{LEAST}{JETSTREAM}[{table}]\n{unknown}"),
    };
    let problems = load(&toml).unwrap_err();
    let known = problems
        .0
        .iter()
        .find_map(|problem| problem.why.split_once("`zzz`; there are "))
        .map(|(_, known)| known);
    let known = known.unwrap_or_else(|| panic!("{table}: {problems}"));
    known.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_field_is_described_and_none_is_made_up() {
    let tables: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    let mut expected = BTreeSet::new();
    for (table, given) in TABLES {
        let paths = fields(table, given).into_iter().map(|field| format!("{table}.{field}"));
        expected.extend(paths.filter(|path| !tables.contains(path.as_str())));
    }
    let mut described = BTreeSet::new();
    for section in read(PAGE).split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap();
        let prefix = match quoted(heading).first() {
            Some(name) => format!("{}.", name.trim_matches(['[', ']'])),
            None => String::new(),
        };
        let rows = rows(section);
        let names =
            rows.iter().flat_map(|(first, _)| quoted(first)).filter(|name| !name.starts_with("DAYPASS_"));
        described.extend(names.map(|name| format!("{prefix}{name}")));
    }
    let missing: Vec<_> = expected.difference(&described).collect();
    let invented: Vec<_> = described.difference(&expected).collect();
    assert!(missing.is_empty(), "{PAGE} does not describe {missing:?}");
    assert!(invented.is_empty(), "there is no {invented:?} of {PAGE}");
}

#[test]
fn every_variable_of_the_command_line_is_described() {
    let help = Command::new(env!("CARGO_BIN_EXE_daypass")).args(["list", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let named = help.split("[env: ").skip(1).map(|rest| rest.split('=').next().unwrap());
    // Deliberately not an option: other users of the machine see options.
    let named: BTreeSet<&str> = named.chain(["DAYPASS_TOKEN"]).collect();
    let page = read(PAGE);
    let rows = rows(&page);
    let described =
        rows.iter().flat_map(|(first, _)| quoted(first)).filter(|name| name.starts_with("DAYPASS_"));
    assert_eq!(described.collect::<BTreeSet<_>>(), named);
}
