//! The release before: programs of an older commit, built by `script/previous-release`, and what they understand of a configuration.

use crate::program::program;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use toml::{Table, Value};

/// Programs of another release.
pub(crate) struct Previous {
    /// Its `daypass`; the services are beside it.
    daypass: PathBuf,
}

impl Previous {
    /// The one whose `daypass` is at `DAYPASS_PREVIOUS`; `None`: the variable is not set.
    pub(crate) fn from_environment() -> Option<Self> {
        let daypass = PathBuf::from(std::env::var_os("DAYPASS_PREVIOUS")?);
        // Empty is what a build that failed leaves: this is not the test that somebody asked for.
        assert!(daypass.is_absolute(), "DAYPASS_PREVIOUS must be an absolute path: {}", daypass.display());
        Some(Self { daypass })
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.daypass.with_file_name(name);
        assert!(path.is_file(), "{} is not there", path.display());
        path
    }

    /// A copy of `file`, beside it, without what this release does not know: its own `config check` says what that is.
    #[expect(clippy::print_stdout, reason = "whoever tries an older release is told what it does without")]
    pub(crate) fn configuration(&self, file: &Path) -> PathBuf {
        let own = file.with_extension("previous.toml");
        let table: Table = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut settings = Value::Table(table);
        loop {
            std::fs::write(&own, toml::to_string(&settings).unwrap()).unwrap();
            let Some(complaints) = self.complaints(&own) else { return own };
            // Of a section it tells no more than the first field that it does not know.
            let left_out: Vec<&str> =
                complaints.lines().filter(|line| leave_out(&mut settings, line)).collect();
            assert!(!left_out.is_empty(), "the release before cannot use {}:\n{complaints}", own.display());
            println!("{} is without what it cannot read: {left_out:?}", own.display());
        }
    }

    /// What it says is wrong with a configuration; `None`: nothing.
    fn complaints(&self, file: &Path) -> Option<String> {
        let mut command = Command::new(self.program("daypass"));
        let output = command.args(["config", "check", "--config"]).arg(file).env_clear().output().unwrap();
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Removes what this line of `config check` does not know. Says whether it did.
fn leave_out(settings: &mut Value, line: &str) -> bool {
    let unknown_section = || Some((line.split_once(": is not a section of this program")?.0, None));
    let unknown_field = || {
        let (section, rest) = line.split_once(": has no field `")?;
        Some((section, Some(rest.split_once('`')?.0)))
    };
    let Some((path, field)) = unknown_field().or_else(unknown_section) else { return false };
    // `issuers[0].keys` and `signals.sources.0` are places in lists.
    let path = path.replace('[', ".").replace(']', "");
    let mut steps: Vec<&str> = path.split('.').collect();
    // The path ends with the field itself, but for a section that has kinds, where it ends with the section.
    let field = match field {
        Some(field) => {
            steps.pop_if(|last| *last == field);
            field
        }
        None => steps.pop().unwrap(),
    };
    let place = steps.into_iter().try_fold(settings, |place, step| match step.parse::<usize>() {
        Ok(index) => place.get_mut(index),
        Err(_) => place.get_mut(step),
    });
    place.is_some_and(|place| remove(place, field))
}

/// Removes the first of this name, here or below.
fn remove(settings: &mut Value, name: &str) -> bool {
    if let Some(table) = settings.as_table_mut() {
        return table.remove(name).is_some() || table.iter_mut().any(|(_, below)| remove(below, name));
    }
    settings.as_array_mut().is_some_and(|list| list.iter_mut().any(|below| remove(below, name)))
}

/// What a later release may be told, in lines of which those of `later` are unknown to this one.
const OF_A_LATER_RELEASE: &str = r#"
[server]
listen = "127.0.0.1:0"
later = true
[server.limits]
later = 1
[data]
folder = "data"
[[issuers]]
issuer = "https://idp.example"
audiences = ["daypass"]
algorithms = ["RS256"]
later = ["one"]
[log]
engine = "sqlite"
path = "log.db"
later = { of = "the log" }
[later]
is_later = true
"#;

#[test]
fn what_a_release_does_not_know_is_not_given_to_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("daypass.toml");
    std::fs::write(&file, OF_A_LATER_RELEASE).unwrap();
    let this = Previous { daypass: program("daypass") };
    let understood = std::fs::read_to_string(this.configuration(&file)).unwrap();
    let known: Vec<&str> = OF_A_LATER_RELEASE.lines().filter(|line| !line.contains("later")).collect();
    let parsed = |text: &str| toml::from_str::<Table>(text).unwrap();
    assert_eq!(parsed(&understood), parsed(&known.join("\n")));
}

#[test]
#[should_panic(expected = "lacks `folder`")]
fn what_a_release_cannot_do_without_is_not_made_up_for_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("daypass.toml");
    std::fs::write(&file, OF_A_LATER_RELEASE.replace("folder = \"data\"\n", "")).unwrap();
    Previous { daypass: program("daypass") }.configuration(&file);
}
