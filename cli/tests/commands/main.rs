//! The program as a process, against a server that answers as it is told.
#![expect(clippy::unwrap_used, clippy::panic, clippy::unnecessary_wraps, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod assignments;
mod audit;
mod fake;
mod output;
mod refusals;
mod requests;

use fake::Fake;
use std::path::Path;
use std::process::Output;

/// A token that must appear nowhere but in the header.
const TOKEN: &str = "eyJhbGciOi.secret.token";

/// What the program did.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {}\n--- out\n{}\n--- err\n{}", self.code, self.out, self.err)
    }
}

/// Runs `daypass` against `fake`, signed in.
async fn daypass(fake: &Fake, arguments: &[&str]) -> Ran {
    run(Some(TOKEN), &fake.address, Path::new("."), arguments).await
}

async fn run(token: Option<&str>, server: &str, folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_daypass"));
    command.args(arguments).env_clear().env("DAYPASS_SERVER", server).current_dir(folder).kill_on_drop(true);
    if let Some(token) = token {
        command.env("DAYPASS_TOKEN", token);
    }
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let ran = Ran {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    };
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "the token was printed: {ran}");
    ran
}
