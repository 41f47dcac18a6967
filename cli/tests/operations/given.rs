//! Parts of a deployment, and `daypass` run on them.

use serde_json::Value;
use service_runtime::clock::SystemEntropy;
use service_runtime::config::LogConfig;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use wiring::{KeysSection, engine, key_store};

const PATIENCE: Duration = Duration::from_mins(2);

/// Runs `daypass`: its exit code, what it printed, and what it complained of.
pub(crate) async fn daypass(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_daypass"));
    command.args(words).env_clear().kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What `daypass doctor` finds: each check with its state and words.
pub(crate) type Findings = Vec<(String, String, String)>;

/// What it finds with this configuration, and its exit code.
pub(crate) async fn doctor(folder: &Path, config: &str) -> (Option<i32>, Findings) {
    told(folder, config, &[]).await
}

/// The same in the place of a service.
pub(crate) async fn doctor_of(service: &str, folder: &Path, config: &str) -> (Option<i32>, Findings) {
    told(folder, config, &["--service", service]).await
}

async fn told(folder: &Path, config: &str, words: &[&str]) -> (Option<i32>, Findings) {
    let file = folder.join("doctor.toml");
    std::fs::write(&file, config).unwrap();
    let file = file.display().to_string();
    let (code, printed, complaints) =
        daypass(&[&["doctor", "--json", "--config", file.as_str()][..], words].concat()).await;
    let findings: Value =
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{complaints}"));
    let text = |finding: &Value, name: &str| finding.get(name).unwrap().as_str().unwrap().to_owned();
    let findings = findings.as_array().unwrap().iter();
    (code, findings.map(|it| (text(it, "check"), text(it, "state"), text(it, "what"))).collect())
}

/// The states of a check.
pub(crate) fn states<'a>(findings: &'a [(String, String, String)], check: &str) -> Vec<&'a str> {
    findings.iter().filter(|(of, ..)| of == check).map(|(_, state, _)| state.as_str()).collect()
}

/// The log on servers.
pub(crate) fn log_on(servers: Vec<String>, monitoring_urls: Vec<String>, replicas: usize) -> LogConfig {
    LogConfig::Jetstream {
        servers,
        credentials_file: None,
        nkey_seed_file: None,
        ca_file: None,
        replicas,
        dev: replicas == 1,
        operator_asserts_sync_always: false,
        monitoring_urls,
    }
}

/// Makes a log.
pub(crate) async fn make_log(config: &LogConfig) {
    engine::open(config, &SystemEntropy).await.unwrap();
}

/// Makes a key store, with the keys of so many people.
pub(crate) async fn make_keys(config: &KeysSection, people: u8) {
    let keys = key_store::open(config, Arc::new(SystemEntropy)).await.unwrap();
    for person in 0..people {
        keys.obtain(&domain::PersonId::new(format!("{person:032x}")).unwrap()).await.unwrap();
    }
}

/// The key store on one server.
pub(crate) fn keys_on(server: &str, wrapping_keys: &Path) -> KeysSection {
    KeysSection::Jetstream {
        servers: vec![server.to_owned()],
        credentials_file: None,
        nkey_seed_file: None,
        ca_file: None,
        replicas: 1,
        dev: true,
        wrapping_keys_file: wrapping_keys.to_owned(),
    }
}

/// A file of wrapping keys, for its owner alone.
pub(crate) fn wrapping_keys(folder: &Path, digit: char) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let file = folder.join(format!("wrapping-{digit}.keys"));
    std::fs::write(&file, digit.to_string().repeat(64)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// Something as TOML has a text.
pub(crate) fn quoted(text: impl Display) -> String {
    format!("{:?}", text.to_string())
}

/// Makes a log in a file, with one event.
pub(crate) async fn seed(file: &str) {
    let log = engine::open(&LogConfig::Sqlite { path: file.into() }, &SystemEntropy).await.unwrap();
    let event = journal::Event {
        id: domain::EventId::from_parts([b"test".as_slice()]),
        stream: journal::Stream::Duty("relay".to_owned()),
        at: domain::Timestamp::UNIX_EPOCH,
        writer: journal::Service::Audit,
        actor: None,
        previous: None,
        trace: None,
        command_digest: None,
        fact: journal::Fact::Duty(lifecycle::duty::DutyClaimed { holder: "one".to_owned() }),
    };
    let envelope = event_log::Envelope {
        event_id: *event.id.as_uuid(),
        writer: event_log::Writer::new("audit").unwrap(),
        body: journal::encode(&event).into(),
    };
    let stream = "duty-relay".parse().unwrap();
    log.log.append(&stream, event_log::Expected::NoStream, envelope).await.unwrap();
    log.close().await;
}
