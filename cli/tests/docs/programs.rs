//! Commands of the docs for our other programs: those that are cheap are run, in little; of the others, every word is looked up.

use crate::fences::pages;
use crate::{blocks, quoted, read, root};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A program of this workspace, as `cargo build --workspace --bins` leaves it beside the one under test.
fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_daypass")).parent().unwrap().join(name);
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name)).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The names of our packages.
fn packages() -> BTreeSet<String> {
    let metadata =
        cargo_metadata::MetadataCommand::new().no_deps().other_options(vec!["--offline".into()]).exec();
    metadata.unwrap().packages.into_iter().map(|package| package.name.to_string()).collect()
}

/// Simulates what is shown, of as many seeds one. A planted bug is found, which is a failure.
fn simulate(line: &str, arguments: &[&str]) {
    let mut fewer: Vec<&str> = arguments.to_vec();
    for pair in 1..fewer.len() {
        if fewer[pair - 1] == "--seeds" {
            fewer[pair] = "1";
        }
    }
    let expected = i32::from(arguments.contains(&"--plant"));
    let output = run("simulation", &fewer);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(expected), "{line}\n{said}");
    assert!(!said.is_empty(), "{line} says nothing");
}

/// Whether there is such a measurement with such options. Measurements take minutes, and mean nothing beside tests.
fn look_up_measurement(line: &str, arguments: &[&str]) {
    assert!(!arguments.is_empty(), "{line} measures nothing");
    look_up_options(line, "bench", arguments);
}

/// Whether a program has such a verb, if one is named, with such options.
fn look_up_options(line: &str, name: &str, arguments: &[&str]) {
    let verbs = arguments.iter().copied().take_while(|word| !word.starts_with('-'));
    let help = run(name, &verbs.chain(["--help"]).collect::<Vec<_>>());
    let help_text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success(), "{line}: {}", String::from_utf8_lossy(&help.stderr));
    let known: BTreeSet<&str> =
        help_text.split([' ', ',', '\n']).filter(|word| word.starts_with("--")).collect();
    for option in arguments.iter().filter(|word| word.starts_with("--")) {
        assert!(known.contains(option), "{line}: {name} knows {known:?}");
    }
}

/// Whether cargo would find what it is to work on.
fn look_up_packages(line: &str, arguments: &[&str]) {
    let packages = packages();
    for pair in arguments.windows(2).filter(|pair| ["-p", "--package"].contains(&pair[0])) {
        assert!(packages.contains(pair[1]), "{line}: there is no package {}", pair[1]);
    }
}

/// Runs a line, or looks up its words.
fn check(line: &str) {
    let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().collect();
    // Settings of this call alone: `NAME=value program …`.
    let words = &words[words.iter().take_while(|word| word.contains('=')).count()..];
    let (cargo, own) = match words.iter().position(|word| *word == "--") {
        Some(at) => (&words[..at], &words[at + 1..]),
        None => (words, &[][..]),
    };
    match cargo {
        ["cargo", "run", rest @ ..] => {
            look_up_packages(line, rest);
            match rest.iter().position(|word| *word == "-p").map(|at| rest[at + 1]) {
                Some("simulation") => simulate(line, own),
                Some("bench") => look_up_measurement(line, own),
                Some(_) | None => panic!("nobody runs {line}"),
            }
        }
        [program, rest @ ..] if program.split('-').next() == Some("daypass") => {
            look_up_options(line, program, rest);
        }
        ["cargo", "build" | "test", rest @ ..] => look_up_packages(line, rest),
        ["target/release/bench", rest @ ..] => look_up_measurement(line, rest),
        [script, ..] if script.starts_with("script/") || script.starts_with(".ci/") => {
            assert!(root().join(script).is_file(), "there is no {script}");
        }
        _ => panic!("nobody runs {line}"),
    }
}

#[test]
fn commands_for_our_other_programs_work() {
    let mut checked = 0;
    for page in pages() {
        for block in blocks(&read(&page)).iter().filter(|block| block.info == "sh") {
            for line in block.lines.iter().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                check(line);
                checked += 1;
            }
        }
    }
    assert!(checked >= 9, "only {checked} commands found");
}

#[test]
fn commands_in_running_text_name_what_is_there() {
    let mut checked = 0;
    for page in pages() {
        let text = read(&page);
        for command in text.lines().flat_map(quoted) {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["cargo", rest @ ..] => look_up_packages(command, rest),
                [script, ..] if script.starts_with("script/") => {
                    assert!(root().join(script).exists(), "{page}: there is no {script}");
                }
                _ => continue,
            }
            checked += 1;
        }
    }
    assert!(checked >= 15, "only {checked} commands found");
}

/// A cluster of which one server alone was looked at is refused: nobody should learn that during a restore.
#[test]
fn a_log_on_servers_is_opened_with_the_monitoring_of_each() {
    let mut checked = 0;
    for page in pages() {
        for block in blocks(&read(&page)).iter().filter(|block| block.info == "sh") {
            for line in &block.lines {
                let line = line.trim_start();
                let opens = line.starts_with("daypass log ") || line.starts_with("daypass nats setup ");
                if opens && line.contains("tls://") {
                    assert_eq!(line.matches("monitoring http://").count(), 3, "{page}: {line}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked >= 4, "only {checked} commands found");
}
