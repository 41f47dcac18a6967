//! What a server takes up when it reads its configuration again, and after how many reloads. docs/operations.md tells operators so.

use crate::given::{OTHERS, Written, set_up};
use crate::wire::Wire;
use serde_json::{Value, json};
use test_servers::nats::{NatsOptions, NatsServer};

/// Gives the server the accounts as they are written now.
async fn reload(server: &mut NatsServer, written: &Written) {
    let extra = written.text("accounts.conf");
    server.reload(NatsOptions { extra, ..NatsOptions::default() }).await.unwrap();
}

async fn sign_in(server: &NatsServer, written: &Written, user: &str) -> Wire {
    Wire::sign_in(server.address(), &written.seed(user)).await.unwrap()
}

/// Asks what everybody may ask who reads the log.
async fn reads_the_log(wire: &mut Wire) -> Result<bool, String> {
    let info = wire.ask("$JS.API.STREAM.INFO.DAYPASS_LOG", "").await?;
    Ok(info["config"]["name"] == "DAYPASS_LOG")
}

#[tokio::test]
async fn who_is_new_is_let_in_by_the_second_reload_and_nobody_else_notices() {
    let written = Written::new(&[]);
    let mut server = set_up(&written).await;
    let mut request = sign_in(&server, &written, "log-request").await;
    assert!(written.again(&OTHERS).status.success());
    for reloads in 1..=2 {
        reload(&mut server, &written).await;
        let mut signal = sign_in(&server, &written, "signal-itsm").await;
        let stored = signal.ask("daypass.signals.v1.itsm.ticket", "{}").await.unwrap();
        let mut subscriber = sign_in(&server, &written, "bus-subscriber-siem").await;
        let told = subscriber.ask("$JS.API.STREAM.INFO.DAYPASS_EVENTS", "").await.unwrap();
        // No responders: an answer without a body.
        let (stored, told) = (&stored["stream"], &told["config"]["name"]);
        if reloads == 1 {
            assert_eq!(
                (stored, told),
                (&Value::Null, &Value::Null),
                "one reload is enough: the docs say two"
            );
        } else {
            assert_eq!((stored, told), (&json!("DAYPASS_SIGNALS"), &json!("DAYPASS_EVENTS")));
        }
        assert!(reads_the_log(&mut request).await.unwrap());
    }
}

#[tokio::test]
async fn a_key_that_is_rotated_is_the_only_one_after_one_reload() {
    let written = Written::new(&OTHERS);
    let mut server = set_up(&written).await;
    let mut request = sign_in(&server, &written, "log-request").await;
    request.ask("daypass.log.request.request.x", "{}").await.unwrap();
    let old = written.seed("log-approval");
    let mut connected = sign_in(&server, &written, "log-approval").await;
    assert!(reads_the_log(&mut connected).await.unwrap());
    assert!(written.again(&[&OTHERS[..], &["--rotate", "log-approval"]].concat()).status.success());
    reload(&mut server, &written).await;

    assert!(reads_the_log(&mut connected).await.is_err(), "the connection is closed");
    let refused = Wire::sign_in(server.address(), &old).await.err().unwrap();
    assert!(refused.contains("Authorization Violation"), "{refused}");
    let mut approval = sign_in(&server, &written, "log-approval").await;
    assert!(reads_the_log(&mut approval).await.unwrap());
    // What the log delivers comes to a subject of the new key.
    let inbox = format!("{}.consumer", approval.inbox());
    approval.listen(&inbox).await;
    let config = json!({
        "deliver_subject": inbox, "deliver_policy": "all", "ack_policy": "none", "replay_policy": "instant",
        "flow_control": true, "idle_heartbeat": 100_000_000,
    });
    let create = json!({ "stream_name": "DAYPASS_LOG", "config": config }).to_string();
    let made = approval.ask("$JS.API.CONSUMER.CREATE.DAYPASS_LOG", &create).await.unwrap();
    assert!(made["error"].is_null(), "{made}");
    assert_eq!(approval.delivered("daypass.log.request.request.x").await.unwrap(), b"{}");
    assert!(reads_the_log(&mut request).await.unwrap());
}

#[tokio::test]
async fn changed_rights_hold_after_one_reload_for_who_is_connected_too() {
    let written = Written::new(&OTHERS);
    let mut server = set_up(&written).await;
    let (old, new) = ("daypass.log.audit.duty.relay", "daypass.log.audit.duty.other");
    let mut audit = sign_in(&server, &written, "log-audit").await;
    assert_eq!(audit.ask(old, "{}").await.unwrap()["seq"], 1);
    // As a release does that writes to other streams: the right, and what crosses by it.
    let changed = written.text("accounts.conf").replace(old, new);
    std::fs::write(written.path("accounts.conf"), changed).unwrap();
    reload(&mut server, &written).await;

    assert_eq!(audit.ask(new, "{}").await.unwrap()["seq"], 2);
    let refused = audit.ask(old, "{}").await.unwrap_err();
    assert!(refused.contains("Permissions Violation"), "{refused}");
}

#[tokio::test]
async fn who_leaves_is_out_after_one_reload_and_everybody_else_stays() {
    let written = Written::new(&OTHERS);
    let mut server = set_up(&written).await;
    let mut subscriber = sign_in(&server, &written, "bus-subscriber-siem").await;
    let mut signal = sign_in(&server, &written, "signal-itsm").await;
    assert!(written.again(&["--signal-source", "itsm"]).status.success());
    reload(&mut server, &written).await;

    assert!(subscriber.ask("$JS.API.STREAM.INFO.DAYPASS_EVENTS", "").await.is_err(), "it is closed");
    let refused = Wire::sign_in(server.address(), &written.seed("bus-subscriber-siem")).await.err().unwrap();
    assert!(refused.contains("Authorization Violation"), "{refused}");
    let stored = signal.ask("daypass.signals.v1.itsm.ticket", "{}").await.unwrap();
    assert_eq!(stored["stream"], "DAYPASS_SIGNALS");
}
