//! The same attacks on a cluster, where what is asked of one server is answered by another.
//!
//! A server delivers only to a subject that somebody there listens to. Whether anybody does where the request came from, it does not
//! know: so what one server alone keeps to itself, the servers of a cluster deliver.

use crate::attacks::{
    assert_untouched, deliver_to_others, have_others_answered, hostile_replies, once_it_would_show, streams,
};
use crate::given::{OTHERS, Written, set_up_three};
use crate::wire::Wire;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

const EVENT: &str = "daypass.events.v1.request.approved";
const CONSUMER: &str = "DAYPASS_EVENTS.subscriber-siem";

/// Has each server deliver one event of the bus to each hostile reply, and waits until those have delivered that do not have the consumer
/// themselves.
async fn pull_for_others(servers: &[SocketAddr], written: &Written) {
    let hostile = hostile_replies();
    let mut siem = Wire::sign_in(servers[0], &written.seed("bus-subscriber-siem")).await.unwrap();
    let config = json!({ "durable_name": "subscriber-siem", "ack_policy": "none", "deliver_policy": "all" });
    let create = json!({ "stream_name": "DAYPASS_EVENTS", "config": config }).to_string();
    let answer = siem.ask(&format!("$JS.API.CONSUMER.CREATE.{CONSUMER}"), &create).await.unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    for server in servers {
        let mut siem = Wire::sign_in(*server, &written.seed("bus-subscriber-siem")).await.unwrap();
        for reply in &hostile {
            let pull = "{\"batch\":1,\"no_wait\":true}";
            siem.ask_for(reply, &format!("$JS.API.CONSUMER.MSG.NEXT.{CONSUMER}"), pull).await;
        }
        siem.is_read().await;
    }
    let wanted = u64::try_from(hostile.len() * (servers.len() - 1)).unwrap();
    let delivering = async {
        loop {
            let info = siem.ask(&format!("$JS.API.CONSUMER.INFO.{CONSUMER}"), "").await.unwrap();
            if info["delivered"]["consumer_seq"].as_u64() >= Some(wanted) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), delivering).await.unwrap();
    let deleted = siem.ask(&format!("$JS.API.CONSUMER.DELETE.{CONSUMER}"), "").await.unwrap();
    assert_eq!(deleted["success"], true, "{deleted}");
}

/// Has the bus deliver its events, unasked, to each hostile reply.
async fn push_to_others(server: SocketAddr, written: &Written) {
    let mut siem = Wire::sign_in(server, &written.seed("bus-subscriber-siem")).await.unwrap();
    for target in hostile_replies() {
        let config = json!({
            "name": "subscriber-siem", "deliver_subject": target, "deliver_policy": "all", "ack_policy": "none",
            "idle_heartbeat": 100_000_000, "flow_control": true,
        });
        let create = json!({ "stream_name": "DAYPASS_EVENTS", "config": config }).to_string();
        let answer = siem.ask(&format!("$JS.API.CONSUMER.CREATE.{CONSUMER}"), &create).await.unwrap();
        // To subjects of the events themselves it is refused, as a cycle.
        assert_eq!(answer["error"].is_null(), !target.starts_with("daypass.events."), "{target}: {answer}");
        if answer["error"].is_null() {
            let info = siem.ask(&format!("$JS.API.CONSUMER.INFO.{CONSUMER}"), "").await.unwrap();
            assert_eq!(info["delivered"]["consumer_seq"], 0, "{target}: {info}");
            let deleted = siem.ask(&format!("$JS.API.CONSUMER.DELETE.{CONSUMER}"), "").await.unwrap();
            assert_eq!(deleted["success"], true, "{target}: {deleted}");
        }
    }
}

#[tokio::test]
async fn what_three_servers_answer_and_deliver_to_hostile_replies_reaches_nobody_else() {
    let written = Written::new(&[&OTHERS[..], &["--subscriber", "other"]].concat());
    let cluster = set_up_three(&written).await;
    let servers: Vec<SocketAddr> =
        cluster.urls().iter().map(|url| url.trim_start_matches("nats://").parse().unwrap()).collect();
    // Something to answer with, and to deliver.
    let mut request = Wire::sign_in(servers[1], &written.seed("log-request")).await.unwrap();
    request.ask("daypass.log.request.request.x", "{}").await.unwrap();
    let mut audit = Wire::sign_in(servers[0], &written.seed("bus-audit")).await.unwrap();
    for _ in 0..hostile_replies().len() * servers.len() {
        audit.ask(EVENT, "old").await.unwrap();
    }
    let mut other = Wire::sign_in(servers[2], &written.seed("bus-subscriber-other")).await.unwrap();
    other.listen("daypass.events.v1.>").await;
    other.is_read().await;

    let before = streams(servers[0], &written).await;
    deliver_to_others(&mut request).await;
    pull_for_others(&servers, &written).await;
    push_to_others(servers[1], &written).await;
    let bodies = ["{\"seq\":1}", "{\"batch\":1,\"no_wait\":true}"];
    // Nobody but `bus-audit` tells events, so it is the first that the other subscriber hears.
    audit.ask(EVENT, "new").await.unwrap();
    assert_eq!(other.delivered(EVENT).await.unwrap(), b"new");
    have_others_answered(&servers, &written, &bodies).await;
    assert_untouched(&before, &once_it_would_show(&servers, &written, &before).await);
}
