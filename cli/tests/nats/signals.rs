//! Signals on a real nats-server, by users that have the rights of `daypass nats config` and no others.

use crate::given::{Written, daypass, set_up};
use crate::wire::Wire;
use messaging::{Incoming, IncomingBus};
use serde_json::{Value, json};
use std::sync::Arc;
use test_servers::nats::NatsServer;
use wiring::BusSection;

/// As `request` signs in.
async fn receiver(written: &Written, server: &NatsServer) -> Arc<dyn IncomingBus> {
    let section = BusSection {
        nkey_seed_file: Some(written.seed_file("bus-request")),
        ..BusSection::of_one(&server.url())
    };
    wiring::bus::incoming(&section).await.unwrap()
}

async fn next(bus: &Arc<dyn IncomingBus>) -> Incoming {
    loop {
        // Until it is connected, it says that it is not.
        if let Ok(Some(incoming)) = bus.next().await {
            return incoming;
        }
        tokio::task::yield_now().await;
    }
}

/// `daypass signals parked …` as the operator.
fn parked(written: &Written, server: &NatsServer, words: &[&str]) -> (bool, String) {
    let (url, seed) = (server.url(), written.seed_file("bus-operator").display().to_string());
    let way = ["--server", &url, "--seed", &seed];
    let output = daypass(["signals", "parked"].iter().chain(words).chain(&way));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), said)
}

fn list(written: &Written, server: &NatsServer) -> Value {
    let (_, said) = parked(written, server, &["list", "--output", "json"]);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"))
}

#[tokio::test]
async fn a_signal_comes_under_the_name_of_its_source_and_is_gone_when_it_is_done() {
    let written = Written::new(&["--signal-source", "hr"]);
    let server = set_up(&written).await;
    let mut hr = Wire::sign_in(server.address(), &written.seed("signal-hr")).await.unwrap();
    let stored = hr.ask("daypass.signals.v1.hr.person_left", "{}").await.unwrap();
    assert_eq!(stored["stream"], "DAYPASS_SIGNALS");
    let refused = hr.ask("daypass.signals.v1.itsm.person_left", "{}").await.unwrap_err();
    assert!(refused.contains("Permissions Violation"), "{refused}");
    let bus = receiver(&written, &server).await;
    let incoming = next(&bus).await;
    assert_eq!(incoming.message.subject, "daypass.signals.v1.hr.person_left");
    bus.done(&incoming).await.unwrap();
    let mut request = Wire::sign_in(server.address(), &written.seed("bus-request")).await.unwrap();
    let info = request.ask("$JS.API.STREAM.INFO.DAYPASS_SIGNALS", "").await.unwrap();
    assert_eq!(info["state"]["messages"], 0);
}

#[tokio::test]
async fn a_source_with_an_underscore_and_a_long_name_tells_under_it() {
    let name = format!("service_now-{}", "x".repeat(52));
    let written = Written::new(&["--signal-source", name.as_str()]);
    let server = set_up(&written).await;
    let mut source = Wire::sign_in(server.address(), &written.seed(&format!("signal-{name}"))).await.unwrap();
    let subject = format!("daypass.signals.v1.{name}.person_left");
    assert_eq!(source.ask(&subject, "{}").await.unwrap()["stream"], "DAYPASS_SIGNALS");
    let bus = receiver(&written, &server).await;
    assert_eq!(next(&bus).await.message.subject, subject);
}

/// No client understands such headers: whoever is brought the message loses the connection.
#[tokio::test]
async fn a_signal_with_headers_that_nobody_can_read_is_taken_with_the_rights_that_request_has() {
    let written = Written::new(&["--signal-source", "hr", "--signal-source", "itsm"]);
    let server = set_up(&written).await;
    let mut itsm = Wire::sign_in(server.address(), &written.seed("signal-itsm")).await.unwrap();
    let headers = "NATS/1.0\r\nno colon\r\n\r\n";
    itsm.tell_with("daypass.signals.v1.itsm.incident_closed", headers, "poison").await;
    itsm.is_read().await;
    let mut hr = Wire::sign_in(server.address(), &written.seed("signal-hr")).await.unwrap();
    hr.ask("daypass.signals.v1.hr.person_left", "{}").await.unwrap();
    let bus = receiver(&written, &server).await;
    for expected in ["poison", "{}"] {
        let incoming = next(&bus).await;
        assert_eq!(incoming.message.body, expected);
        bus.done(&incoming).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_parked_is_seen_replayed_and_discarded_by_the_operator() {
    let written = Written::new(&["--signal-source", "hr"]);
    let server = set_up(&written).await;
    let (done, said) = parked(&written, &server, &["list"]);
    assert!(done && said == "nothing is parked\n", "{said}");
    let mut hr = Wire::sign_in(server.address(), &written.seed("signal-hr")).await.unwrap();
    let bus = receiver(&written, &server).await;
    for body in ["{\"id\": \"1\"}", "no \u{1b}[31mJSON"] {
        hr.ask("daypass.signals.v1.hr.person_left", body).await.unwrap();
        let incoming = next(&bus).await;
        let read_at = "2026-11-27T16:00:00Z".parse().unwrap();
        bus.park(&incoming, &incoming.message, "MESSAGE_INVALID: it is not", read_at).await.unwrap();
        bus.done(&incoming).await.unwrap();
    }
    let listed = list(&written, &server);
    assert_eq!(listed[0]["body"], json!({ "id": "1" }));
    assert_eq!(listed[0]["readAt"], "2026-11-27T16:00:00Z");
    let numbers = [0, 1].map(|index| listed[index]["number"].to_string());
    let (_, table) = parked(&written, &server, &["list"]);
    assert!(
        table.contains("daypass.signals.v1.hr.person_left") && table.contains("MESSAGE_INVALID"),
        "{table}"
    );
    let (done, shown) = parked(&written, &server, &["show", &numbers[1]]);
    assert!(done && shown.contains("JSON") && !shown.contains('\u{1b}'), "{shown}");

    assert!(parked(&written, &server, &["replay", &numbers[0]]).0);
    let asked = next(&bus).await;
    assert_eq!(asked.message.subject, format!("daypass.replay.v1.{}", numbers[0]));
    let number = numbers[0].parse().unwrap();
    assert_eq!(bus.find(number).await.unwrap().unwrap().message.body, "{\"id\": \"1\"}");
    bus.remove(number).await.unwrap();
    bus.done(&asked).await.unwrap();
    assert!(parked(&written, &server, &["discard", &numbers[1]]).0);
    assert_eq!(list(&written, &server), json!([]));
    let (done, said) = parked(&written, &server, &["replay", &numbers[0]]);
    assert!(!done && said.contains("there is no parked message"), "{said}");
}

#[tokio::test]
async fn an_operator_tells_nothing_in_the_name_of_a_source() {
    let written = Written::new(&["--signal-source", "hr"]);
    let server = set_up(&written).await;
    let mut operator = Wire::sign_in(server.address(), &written.seed("bus-operator")).await.unwrap();
    for subject in ["daypass.signals.v1.hr.person_left", "daypass.parked.v1.hr"] {
        let refused = operator.ask(subject, "{}").await.unwrap_err();
        assert!(refused.contains("Permissions Violation"), "{refused}");
    }
}
