//! `daypass dev --aws-endpoint`: the AWS SDK over HTTP against a third-party emulator, from asking to active.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;
use test_servers::moto::Moto;
use test_servers::organisation::Organisation;
use tokio::time::Instant;

const DAYPASS: &str = env!("CARGO_BIN_EXE_daypass");

struct Dev {
    child: Child,
    url: String,
    _output: BufReader<ChildStdout>,
}

impl Dev {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(DAYPASS)
            .args(["dev", "--listen", "127.0.0.1:0", "--dev-folder"])
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let url = url.trim_end_matches(',').to_owned();
        Self { child, url, _output: output }
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(DAYPASS);
        command.args(arguments).env("DAYPASS_SERVER", &self.url).env("DAYPASS_DEV_FOLDER", folder);
        command.output().unwrap()
    }

    /// The JSON that a command prints; asked again for a minute until `wanted` of it.
    fn until(
        &self,
        folder: &Path,
        arguments: &[&str],
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let output = self.run(folder, arguments);
            if let Ok(json) = serde_json::from_slice(&output.stdout)
                && wanted(&json)
            {
                return json;
            }
            assert!(Instant::now() < end, "{arguments:?}: {output:?}");
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_is_used_against_an_emulator() {
    let moto = Moto::start().await.unwrap();
    let organisation = Organisation::fill(moto.endpoint()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let endpoint = moto.endpoint().to_owned();
    let arguments = [
        "--aws-endpoint",
        endpoint.as_str(),
        "--aws-instance-arn",
        &organisation.instance_arn,
        "--aws-identity-store-id",
        &organisation.identity_store_id,
    ];
    let dev = Dev::start(folder.path(), &arguments);
    let folder = folder.path();
    let account = organisation.accounts.payments_prod.clone();
    let set = organisation.permission_sets.read_only.clone();
    let ask = ["request", "--as", "ada", "--account", &account, "--entitlement", &set, "--for", "5m"];
    let ask: Vec<&str> = ask.into_iter().chain(["--because", "try it", "--output", "json"]).collect();
    let asked = dev.until(folder, &ask, |json| json["requestId"].is_string() || json["request"].is_object());
    let request = asked.get("request").unwrap_or(&asked);
    let id = request["requestId"].as_str().unwrap().to_owned();
    let approved = dev.run(folder, &["approve", "--as", "bob", &id]);
    assert!(approved.status.success(), "{approved:?}");
    dev.until(folder, &["show", "--as", "ada", &id, "--output", "json"], |json| {
        json.to_string().contains("ACCESS_PHASE_ACTIVE")
    });
}
