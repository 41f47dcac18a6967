//! The program as it is handed out: against each engine, and what it says of servers that it cannot use.
#![expect(clippy::unwrap_used, reason = "tests")]

use event_log::EventLog as _;
use event_log::conformance::cases;
use event_log_jetstream::{JetStreamConfig, JetStreamLog};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kurrentdb_double::{Double, Fault};
use nats_connection::Connection;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_servers::certificates::Authority;
use test_servers::nats::{NatsOptions, NatsServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(arguments).env_remove("KURRENTDB_PASSWORD");
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
    let one = [&arguments[..], &["--erase", "--case", "an_empty_log_reads"]].concat();
    let output = run(&one).await;
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("1 passed, 0 failed\n"), "{output:?}");
}

/// As a cluster does while it elects a leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_say_whether_it_has_a_log_keeps_it() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let log = async || {
        let config = JetStreamConfig {
            connection: Connection::to(server.url()),
            replicas: 1,
            dev: true,
            operator_asserts_sync_always: true,
            monitoring_urls: Vec::new(),
            new_id: Uuid::new_v4(),
        };
        let log = JetStreamLog::open(config).await.unwrap();
        log.id().await.unwrap()
    };
    let id = log().await;
    let output = run_without_answers(&server, |question| question == 0).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("cannot be told"), "{output:?}");
    assert_eq!(log().await, id);
}

/// As a cluster does while it elects a leader: before the first case, and in it. Question 0 is whether there is a log to erase.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_for_a_moment_is_asked_again() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let output = run_without_answers(&server, |question| question == 1 || question == 3).await;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("1 passed, 0 failed\n"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_no_log_any_more_breaks_no_promise() {
    let server = NatsServer::start(NatsOptions::default()).await.unwrap();
    let output = run_without_answers(&server, |question| question > 1).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("the server cannot be used") && text.lines().count() == 1, "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
}

/// Runs one case on a server that does not hear some of the questions about its stream, by their numbers from 0.
async fn run_without_answers(server: &NatsServer, is_lost: impl Fn(usize) -> bool) -> Output {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let arguments =
        ["--engine", "jetstream", "--url", &url, "--asserts-sync-always", "--case", "an_empty_log_reads"];
    tokio::select! {
        output = run(&arguments) => output,
        never = without_answers(&silent, server.address(), is_lost) => match never {},
    }
}

/// Passes everything on to `server`, but for the questions about the stream that are lost.
async fn without_answers(
    clients: &TcpListener,
    server: SocketAddr,
    is_lost: impl Fn(usize) -> bool,
) -> Infallible {
    const QUESTION: &[u8] = b"$JS.API.STREAM.INFO.DAYPASS_LOG";
    let asked = AtomicUsize::new(0);
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = clients.accept() => {
                let (mut client, _) = accepted.unwrap();
                let mut server = TcpStream::connect(server).await.unwrap();
                let (asked, is_lost) = (&asked, &is_lost);
                connections.push(async move {
                    let (mut from_client, mut to_client) = client.split();
                    let (mut from_server, mut to_server) = server.split();
                    let there = async {
                        let mut buffer = vec![0; 64 * 1024];
                        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                            let said = buffer.get(..length).unwrap();
                            let question = said.windows(QUESTION.len()).any(|part| part == QUESTION);
                            if !question || !is_lost(asked.fetch_add(1, Ordering::Relaxed)) {
                                to_server.write_all(said).await.unwrap();
                            }
                        }
                    };
                    let back = tokio::io::copy(&mut from_server, &mut to_client);
                    let _ = tokio::join!(there, back);
                });
            }
            Some(()) = connections.next() => {}
        }
    }
}

/// The engines bring two crypto providers between them, and rustls takes none of two by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_server_is_reached_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca").unwrap();
    let of_server =
        authority.issue("nats", &["localhost", "127.0.0.1"], &[], Duration::from_hours(1)).unwrap();
    let extra = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}",
        of_server.certificate.display(),
        of_server.key.display()
    );
    let server = NatsServer::start(NatsOptions { extra, ..NatsOptions::default() }).await.unwrap();
    let (url, monitoring) = (server.url().replace("nats://", "tls://"), server.monitoring_url().unwrap());
    let ca = authority.file.to_str().unwrap();
    let server = ["--engine", "jetstream", "--url", &url, "--monitoring", &monitoring, "--ca", ca];
    let output = run(&[&server[..], &["--case", "an_empty_log"]].concat()).await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_kurrentdbs_protocol_keeps_the_contract() {
    let server = Double::start().unwrap();
    let connection = server.connection();
    let arguments = ["--engine", "kurrentdb", "--url", &connection];
    let unproved = run(&arguments).await;
    assert_eq!(unproved.status.code(), Some(2), "{unproved:?}");
    assert_all_passed(&run(&[&arguments[..], &["--asserts-flush-to-disk"]].concat()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_promises_are_named_and_are_a_failure() {
    let server = Double::start().unwrap();
    let (connection, opened) = (server.connection(), server.len() + 1);
    let server_is = ["--engine", "kurrentdb", "--url", &connection, "--asserts-flush-to-disk"];
    let arguments = [&server_is[..], &["--case", "empty_log"]].concat();
    // The first of the two cases appends nothing but its log's identity.
    let refused = async {
        while server.len() <= opened {
            tokio::task::yield_now().await;
        }
        server.fail_next([Fault::Refused; 10]);
    };
    let (output, ()) = tokio::join!(run(&arguments), refused);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines: Vec<&str> = text.lines().collect();
    let told = [
        "ok     an_empty_log_reads_as_empty",
        "FAILED a_subscription_to_an_empty_log_waits_for_the_first_event",
        "1 passed, 1 failed",
    ];
    assert_eq!(lines, told, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_run_is_told_apart_from_what_failed() {
    let nowhere = "kurrentdb://127.0.0.1:1?tls=false";
    for (arguments, told) in [
        (&["--url", "x"][..], "--engine"),
        (&["--engine", "postgres", "--url", "x"], "[possible values: sqlite, jetstream, kurrentdb]"),
        (&["--engine", "sqlite"], "--url"),
        (&["--engine", "sqlite", "--url", "/dev/null/log"], "cannot be used"),
        (&["--engine", "jetstream", "--url", "nats://127.0.0.1:1"], "cannot be used"),
        (
            &["--engine", "kurrentdb", "--url", "http://log:canary@host", "--asserts-flush-to-disk"],
            "connection",
        ),
        (&["--engine", "kurrentdb", "--url", nowhere, "--asserts-flush-to-disk"], "cannot be used"),
        (&["--engine", "kurrentdb", "--url", nowhere, "--node", "http://127.0.0.1:1"], "cannot be used"),
        (&["--engine", "kurrentdb", "--url", nowhere, "--user", "log"], "KURRENTDB_PASSWORD"),
    ] {
        let output = run(arguments).await;
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(told) && !text.contains("canary"), "{arguments:?}: {text}");
    }
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
