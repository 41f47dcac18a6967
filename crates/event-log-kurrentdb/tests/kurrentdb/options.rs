//! What nodes tell of how they are set up, and what is made of it.

use crate::given::{config, in_time};
use event_log::LogError;
use event_log_kurrentdb::{KurrentDbConfig, KurrentDbLog, User};
use kurrentdb_double::Double;
use std::net::{Ipv4Addr, TcpListener};
use wiremock::matchers::{basic_auth, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// As KurrentDB answers: all its options, of which few matter here; every value is text.
fn options(in_memory: &str, no_flush: &str) -> String {
    let of = |name: &str, value: &str| {
        format!(
            r#"{{"name":"{name}","description":"…","group":"DatabaseOptions","value":"{value}","configurationSource":"Default","deprecationMessage":null,"schema":{{}}}}"#
        )
    };
    let [port, in_memory, no_flush] =
        [of("NodePort", "2113"), of("MemDb", in_memory), of("UnsafeDisableFlushToDisk", no_flush)];
    format!("[{port},{in_memory},{no_flush}]")
}

fn safe() -> String {
    options("False", "False")
}

/// A node that answers so to whoever asks.
async fn node(status: u16, body: &str) -> MockServer {
    let node = MockServer::start().await;
    answer(&node, status, body).await;
    node
}

async fn answer(node: &MockServer, status: u16, body: &str) {
    let answer = ResponseTemplate::new(status).set_body_raw(body.as_bytes().to_vec(), "application/json");
    Mock::given(method("GET")).and(path("/info/options")).respond_with(answer).mount(node).await;
}

/// Where nobody listens.
fn down() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn opened(server: &Double, node_urls: &[String], asserted: bool) -> Result<KurrentDbLog, LogError> {
    let node_urls = node_urls.to_vec();
    let operator_asserts_flush_to_disk = asserted;
    KurrentDbLog::open(KurrentDbConfig { node_urls, operator_asserts_flush_to_disk, ..config(server) }).await
}

fn refusal(opened: Result<KurrentDbLog, LogError>) -> String {
    match opened.err() {
        Some(LogError::Unsafe(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_say_that_they_flush_need_no_word_of_the_operator() {
    in_time(async {
        let server = Double::start().unwrap();
        let nodes = [node(200, &safe()).await, node(200, &safe()).await];
        opened(&server, &nodes.each_ref().map(MockServer::uri), false).await.unwrap();
        for node in nodes {
            assert_eq!(node.received_requests().await.unwrap().len(), 1, "each was asked");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_that_could_forget_is_refused_whatever_the_operator_says() {
    in_time(async {
        let server = Double::start().unwrap();
        for (wrong, name) in
            [(options("True", "False"), "MemDb"), (options("False", "True"), "UnsafeDisableFlushToDisk")]
        {
            let nodes = [node(200, &safe()).await, node(200, &safe()).await, node(200, &wrong).await];
            for asserted in [false, true] {
                let urls = nodes.each_ref().map(MockServer::uri);
                let why = refusal(opened(&server, &urls, asserted).await);
                assert!(why.contains(name), "{why}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_are_told_to_who_signs_in() {
    in_time(async {
        let server = Double::start().unwrap();
        let node = MockServer::start().await;
        let allowed = Mock::given(path("/info/options")).and(basic_auth("log", "canary"));
        let answer = ResponseTemplate::new(200).set_body_raw(safe().into_bytes(), "application/json");
        allowed.respond_with(answer).with_priority(1).mount(&node).await;
        Mock::given(path("/info/options")).respond_with(ResponseTemplate::new(401)).mount(&node).await;
        let as_user = |user: Option<User>| {
            let mut config = config(&server);
            (config.user, config.node_urls) = (user, vec![node.uri()]);
            config.operator_asserts_flush_to_disk = false;
            config
        };
        let user = User { name: "log".to_owned(), password: "canary".to_owned() };
        KurrentDbLog::open(as_user(Some(user))).await.unwrap();
        let why = refusal(KurrentDbLog::open(as_user(None)).await);
        assert!(why.contains("401"), "{why}");
        let stranger = User { name: "log".to_owned(), password: "another canary".to_owned() };
        let why = refusal(KurrentDbLog::open(as_user(Some(stranger))).await);
        assert!(why.contains("401") && !why.contains("canary"), "{why}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_another_shape_is_told_and_needs_the_word_of_the_operator() {
    in_time(async {
        let server = Double::start().unwrap();
        for shape in [r#"{"MemDb":"False","UnsafeDisableFlushToDisk":"False"}"#, "<html></html>", ""] {
            let odd = node(200, shape).await;
            // Not even among others that are safe: it is there, and takes part.
            let urls = [odd.uri(), node(200, &safe()).await.uri(), down()];
            let why = refusal(opened(&server, &urls, false).await);
            assert!(why.contains("another shape"), "{why}");
            opened(&server, &urls, true).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_down_keeps_no_process_from_starting_where_most_are_seen() {
    in_time(async {
        let server = Double::start().unwrap();
        let (one, two) = (node(200, &safe()).await, node(200, &safe()).await);
        let busy = node(503, "").await;
        opened(&server, &[one.uri(), two.uri(), down()], false).await.unwrap();
        opened(&server, &[busy.uri(), one.uri(), two.uri()], false).await.unwrap();
        // Of half of them it is not known.
        for few in [&[one.uri(), down()][..], &[one.uri(), down(), busy.uri()]] {
            match opened(&server, few, false).await.err() {
                Some(LogError::Unavailable(why)) => assert!(why.contains("seen on 1 of"), "{why}"),
                other => panic!("not waited for: {other:?}"),
            }
            opened(&server, few, true).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_changed_is_seen_by_the_next_look() {
    in_time(async {
        let server = Double::start().unwrap();
        let node = node(200, &safe()).await;
        let log = opened(&server, &[node.uri()], false).await.unwrap();
        assert_eq!(log.look_again().await, Ok(()));
        for (status, body, seen_wrong) in [
            (200, options("False", "True"), true),
            (200, options("True", "False"), true),
            // Not seen any more: nothing is wrong that is known.
            (401, String::new(), false),
            (503, String::new(), false),
            (200, "[]".to_owned(), false),
        ] {
            node.reset().await;
            answer(&node, status, &body).await;
            match log.look_again().await.unwrap_err() {
                LogError::Unsafe(why) => assert!(seen_wrong, "{status} {body}: {why}"),
                LogError::Unavailable(why) => assert!(!seen_wrong, "{status} {body}: {why}"),
                LogError::Corrupt(why) => panic!("{why}"),
            }
        }
        node.reset().await;
        answer(&node, 200, &safe()).await;
        assert_eq!(log.look_again().await, Ok(()), "set back");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_down_is_looked_at_when_it_is_back() {
    in_time(async {
        let server = Double::start().unwrap();
        let (one, two, back) = (node(200, &safe()).await, node(200, &safe()).await, node(503, "").await);
        let log = opened(&server, &[one.uri(), two.uri(), back.uri()], false).await.unwrap();
        assert_eq!(log.look_again().await, Ok(()), "it acknowledges nothing");
        back.reset().await;
        answer(&back, 200, &options("True", "False")).await;
        let seen = log.look_again().await;
        assert!(matches!(&seen, Err(LogError::Unsafe(why)) if why.contains("MemDb")), "{seen:?}");
    })
    .await;
}
