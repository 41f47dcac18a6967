//! The program as it is handed out: against each engine, and what it says of servers that it cannot use.
#![expect(clippy::unwrap_used, reason = "tests")]

use event_log::conformance::cases;
use kurrentdb_double::Double;
use std::process::{Command, Output};
use test_servers::nats::{NatsOptions, NatsServer};

async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn assert_all_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let all = format!("{} passed, 0 failed", cases().len());
    assert!(output.status.success() && text.lines().last() == Some(all.as_str()), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().to_str().unwrap();
    assert_all_passed(&run(&["--engine", "sqlite", "--url", url]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_server_keeps_the_contract_and_its_log_unless_told_to_erase_it() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let (url, monitoring) = (server.url(), server.monitoring_url().unwrap());
    let arguments = ["--engine", "jetstream", "--url", &url, "--monitoring", &monitoring];
    assert_all_passed(&run(&arguments).await);
    let refused = run(&arguments).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("--erase"), "{refused:?}");
    let one = [&arguments[..], &["--erase", "--case", "an_empty_log"]].concat();
    let output = run(&one).await;
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("1 passed, 0 failed\n"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_kurrentdbs_protocol_keeps_the_contract() {
    let server = Double::start().await.unwrap();
    let connection = server.connection();
    let arguments = ["--engine", "kurrentdb", "--url", &connection];
    let unproved = run(&arguments).await;
    assert_eq!(unproved.status.code(), Some(2), "{unproved:?}");
    assert_all_passed(&run(&[&arguments[..], &["--asserts-flush-to-disk"]].concat()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_run_is_not_success() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().to_str().unwrap();
    let output = run(&["--engine", "sqlite", "--url", url, "--case", "no such case"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
#[cfg(target_feature = "crt-static")]
fn it_needs_no_libraries() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_conformance")).unwrap();
    let names_a_loader = program.windows(9).any(|bytes| bytes == b"/ld-linux");
    assert!(!names_a_loader, "it names a dynamic loader");
}
