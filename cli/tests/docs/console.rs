//! Commands of the docs, run in order against one `daypass dev`, on a free port, in a folder of its own.
//!
//! `$ ` begins a command; what follows is its output. `…` stands for lines that are left out; times and ids may differ. Where
//! no output is given, the exit code counts: 0, or what the block says (`exit=1`). A query is asked again until it answers as
//! shown: what happens by itself takes a moment.

use crate::{Block, blocks, read, root};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// In the order in which they are run.
pub(crate) const PAGES: [&str; 6] = [
    "README.md",
    "docs/guides/requester.md",
    "docs/guides/approver.md",
    "docs/guides/administrator.md",
    "docs/guides/auditor.md",
    "docs/guides/sre.md",
];

/// What is run. Each other first word must be among those that are skipped.
const RUN: [&str; 3] = ["buf", "daypass", "sed"];
const SKIPPED: [&str; 3] = ["export", "script/dev", "script/test"];

/// Verbs that change nothing, or nothing more when repeated.
const QUERIES: [&str; 7] = ["audit", "entitlements", "list", "log", "pending", "policy list", "show"];

/// A query may take 30 s to answer as shown: 600 × 50 ms.
const ASKED_MAX: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// A running `daypass dev`, and what was seen of it.
struct World {
    folder: TempDir,
    dev: Child,
    /// What it printed when it was ready.
    said: Vec<String>,
    server: String,
    /// Words of the docs, and what stands for them here.
    words: BTreeMap<String, String>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.dev.kill();
        let _ = self.dev.wait();
    }
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let errors = std::fs::File::create(folder.path().join("dev.log")).unwrap();
        let mut dev = Command::new(env!("CARGO_BIN_EXE_daypass"))
            .args(["dev", "--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let lines = BufReader::new(dev.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said: Vec<String> = Vec::new();
        for line in lines {
            let last = line.starts_with("Everything is kept in");
            said.push(line);
            if last {
                break;
            }
        }
        let greeting = said.first().cloned().unwrap_or_default();
        let server = greeting
            .split(' ')
            .find(|word| word.starts_with("http://"))
            .map(|word| word.trim_end_matches(','));
        let Some(server) = server.map(str::to_owned) else {
            let log = std::fs::read_to_string(folder.path().join("dev.log")).unwrap();
            panic!("`daypass dev` did not start: {log}");
        };
        Self { folder, dev, said, server, words: BTreeMap::new() }
    }

    /// Runs a line as a shell would, after replacing the words that stand for something.
    fn shell(&self, line: &str) -> Output {
        let word = |word: &str| self.words.get(word).cloned().unwrap_or_else(|| word.to_owned());
        let line = line.split(' ').map(word).collect::<Vec<_>>().join(" ");
        let binaries = Path::new(env!("CARGO_BIN_EXE_daypass")).parent().unwrap();
        let tools = root().join(".tools/venv/bin");
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DAYPASS_") {
                command.env_remove(name);
            }
        }
        command
            .args(["-c", &line])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{}:{path}", binaries.display(), tools.display()))
            .env("DAYPASS_SERVER", &self.server)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command of the docs, and remembers the id that it printed.
    fn run(&mut self, page: &str, line: &str, expected: &[String], code: i32) {
        let query = QUERIES.iter().any(|verb| line.starts_with(&format!("daypass {verb} ")));
        let mut asked = 0;
        let output = loop {
            let output = self.shell(line);
            asked += 1;
            let right = output.status.code() == Some(code) && answers(&output.stdout, expected, query);
            if right || !query || asked == ASKED_MAX {
                break output;
            }
            std::thread::sleep(PAUSE);
        };
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{page}: {line}\n{out}{err}");
        assert!(answers(&output.stdout, expected, query), "{page}: {line}\nprinted\n{out}{err}");
        self.learn(line, &out, expected);
    }

    fn learn(&mut self, line: &str, out: &str, expected: &[String]) {
        let Some(here) = id(out) else { return };
        if line.starts_with("daypass request ") {
            self.words.insert("ID".to_owned(), here.to_owned());
        }
        if line.starts_with("daypass policy propose ") {
            self.words.insert("PROPOSAL".to_owned(), here.to_owned());
        }
        if let Some(there) = expected.iter().find_map(|line| id(line)) {
            self.words.insert(there.to_owned(), here.to_owned());
            self.words.insert(there[..8].to_owned(), here[..8].to_owned());
        }
    }
}

const ID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

/// What differs from run to run, longest first. `x` is a hexadecimal digit, `0` a decimal one.
const VARYING: [&str; 3] = [ID, "0000-00-00T00:00:00Z", "xxxxxxxx"];

fn fits(pattern: &str, text: &str) -> bool {
    let digit = |(pattern, byte): (u8, u8)| match pattern {
        b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        b'0' => byte.is_ascii_digit(),
        exact => byte == exact,
    };
    text.len() >= pattern.len() && pattern.bytes().zip(text.bytes()).all(digit)
}

/// The first id in a text.
fn id(text: &str) -> Option<&str> {
    let starts = text.char_indices().map(|(place, _)| &text[place..]);
    starts.filter(|rest| fits(ID, rest)).map(|rest| &rest[..ID.len()]).next()
}

/// A line without what differs from run to run, and without the width of columns.
fn normal(line: &str) -> String {
    let mut normal = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let found = VARYING.iter().find(|pattern| fits(pattern, rest));
        let taken = found.map_or(first.len_utf8(), |pattern| pattern.len());
        normal.push_str(found.map_or(&rest[..taken], |pattern| pattern));
        rest = &rest[taken..];
    }
    normal.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a program printed what the docs show. What is on its way may have arrived already, unless it is asked for.
fn answers(stdout: &[u8], expected: &[String], exact: bool) -> bool {
    let arrived = |line: String| {
        if exact { line } else { line.replace("activating", "active").replace("closing", "closed") }
    };
    let stdout = String::from_utf8_lossy(stdout);
    let printed: Vec<String> = stdout.lines().map(|line| arrived(normal(line))).collect();
    let expected: Vec<String> = expected.iter().map(|line| arrived(normal(line))).collect();
    expected.is_empty() || alike(&printed, &expected)
}

fn alike(printed: &[String], expected: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "…" => {
            (0..=printed.len()).any(|skipped| alike(&printed[skipped..], rest))
        }
        Some((line, rest)) => printed.first() == Some(line) && alike(&printed[1..], rest),
    }
}

/// The commands of a block, each with the output that is shown.
fn commands(block: &Block) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push(line.clone()),
            (None, None) => panic!("output before the first command: {line}"),
        }
    }
    commands
}

#[test]
fn the_commands_of_readme_and_guides_do_what_is_shown() {
    let mut world = World::start();
    let configuration = read("docs/configuration.md");
    let example = blocks(&configuration).into_iter().find(|block| block.info == "toml").unwrap();
    std::fs::write(world.folder.path().join("daypass.toml"), example.text()).unwrap();
    let mut run = 0;
    for page in PAGES {
        for block in blocks(&read(page)).iter().filter(|block| block.info.starts_with("console")) {
            let code = block.info.split_once("exit=").map_or(0, |(_, code)| code.parse().unwrap());
            for (line, output) in commands(block) {
                let program = line.split(' ').next().unwrap();
                if SKIPPED.contains(&program) {
                    continue;
                }
                assert!(RUN.contains(&program), "{page}: nobody runs {line}");
                world.run(page, &line, &output, code);
                run += 1;
            }
        }
    }
    assert!(run > 50, "only {run} commands found");
}

#[test]
fn what_dev_prints_can_be_copied() {
    let mut world = World::start();
    let program = format!("  {}", env!("CARGO_BIN_EXE_daypass"));
    let lines: Vec<String> = world
        .said
        .iter()
        .filter_map(|line| line.strip_prefix(&program))
        .map(|rest| format!("daypass{rest}"))
        .collect();
    assert!(lines.len() >= 7, "{:?}", world.said);
    for line in lines {
        world.run("daypass dev", &line, &[], 0);
    }
}
