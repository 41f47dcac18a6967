//! A service that was taken over, with its own credential, against what the table cannot show: effects in a roundabout way.

use crate::given::{OTHERS, Written, daypass, set_up};
use crate::matrix::publishers;
use crate::wire::Wire;
use domain::PersonId;
use journal::key_store::KeyStoreError;
use serde_json::{Value, json};
use service_runtime::clock::SystemEntropy;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wiring::{KeysSection, key_store};

const KEY: &str = "$KV.DAYPASS_KEYS.0123456789abcdef0123456789abcdef";

async fn state(wire: &mut Wire, stream: &str) -> Value {
    let info = wire.ask(&format!("$JS.API.STREAM.INFO.{stream}"), "").await.unwrap();
    json!([
        info["state"]["messages"],
        info["state"]["last_seq"],
        info["state"]["num_subjects"],
        info["config"]
    ])
}

/// Has the log delivered to where others write, and to where streams are deleted: the server publishes as itself. Returns once the log,
/// which has a first event of `request`, would have been delivered to all of them.
pub(crate) async fn deliver_to_others(request: &mut Wire) {
    let own_inbox = format!("{}.consumer", request.inbox());
    request.listen(&own_inbox).await;
    for (target, headers_only) in [
        ("daypass.log.approval.request.x", false),
        (KEY, false),
        ("$JS.API.STREAM.DELETE.KV_DAYPASS_KEYS", true),
        ("$JS.API.STREAM.DELETE.DAYPASS_LOG", true),
        ("$JS.API.STREAM.PURGE.DAYPASS_LOG", true),
        // Made last: once it is served, the others would have been.
        (own_inbox.as_str(), false),
    ] {
        let config = json!({
            "deliver_subject": target, "deliver_policy": "all", "ack_policy": "none", "replay_policy": "instant",
            "headers_only": headers_only, "idle_heartbeat": 100_000_000, "flow_control": true,
        });
        let create = json!({ "stream_name": "DAYPASS_LOG", "config": config }).to_string();
        let answer = request.ask("$JS.API.CONSUMER.CREATE.DAYPASS_LOG", &create).await.unwrap();
        assert_eq!(
            answer["error"].is_null(),
            target != "daypass.log.approval.request.x",
            "{target}: {answer}"
        );
    }
    // What is delivered keeps its subject.
    assert_eq!(request.delivered("daypass.log.request.request.x").await.unwrap(), b"{}");
}

#[tokio::test]
async fn a_compromised_service_cannot_write_anothers_events() {
    let written = Written::new(&OTHERS);
    let server = set_up(&written).await;
    let mut request = Wire::sign_in(server.address(), &written.seed("log-request")).await.unwrap();
    let own = request.ask("daypass.log.request.request.x", "{}").await.unwrap();
    assert_eq!(own["seq"], 1);
    let refused = request.ask("daypass.log.approval.request.x", "{}").await.unwrap_err();
    assert!(refused.contains("Permissions Violation"), "{refused}");
    deliver_to_others(&mut request).await;
    assert_eq!(request.ask("daypass.log.request.request.x", "{}").await.unwrap()["seq"], 2);
    let (log, keys) =
        (state(&mut request, "DAYPASS_LOG").await, state(&mut request, "KV_DAYPASS_KEYS").await);
    assert_eq!(json!([log[0], log[1], log[2]]), json!([2, 2, 1]));
    assert_eq!(json!([keys[0], keys[1]]), json!([0, 0]));
}

const STREAMS: [(&str, &[&str]); 2] = [
    ("log-setup", &["DAYPASS_LOG", "KV_DAYPASS_KEYS"]),
    ("bus-setup", &["DAYPASS_EVENTS", "DAYPASS_SIGNALS", "DAYPASS_PARKED"]),
];

/// When each stream was made, and its subjects with how many messages they have, by the stream's name.
pub(crate) type Streams = BTreeMap<&'static str, (Value, Value)>;

pub(crate) async fn streams(server: SocketAddr, written: &Written) -> Streams {
    let mut streams = BTreeMap::new();
    for (maker, names) in STREAMS {
        let mut wire = Wire::sign_in(server, &written.seed(maker)).await.unwrap();
        for name in names {
            let asked = json!({ "subjects_filter": ">" }).to_string();
            let info = wire.ask(&format!("$JS.API.STREAM.INFO.{name}"), &asked).await.unwrap();
            streams.insert(*name, (info["created"].clone(), info["state"]["subjects"].clone()));
        }
    }
    streams
}

/// Subjects at which an answer would do harm in one of the two accounts that hold streams.
pub(crate) fn hostile_replies() -> Vec<String> {
    let mut hostile: Vec<String> = [
        "daypass.log.request.request.forged",
        "daypass.log.approval.request.forged",
        "daypass.log.activation.assignment.forged",
        "daypass.log.audit.duty.forged",
        "$KV.DAYPASS_KEYS.forged",
        "daypass.events.v1.request.forged",
        "daypass.signals.v1.itsm.forged",
        "daypass.parked.v1.forged",
        "daypass.replay.v1.forged",
    ]
    .map(str::to_owned)
    .into();
    for stream in STREAMS.iter().flat_map(|(_, names)| names.iter()) {
        hostile.extend(["DELETE", "PURGE"].map(|call| format!("$JS.API.STREAM.{call}.{stream}")));
    }
    hostile
}

/// Every user but the makers of streams asks all that it may, at one of the servers after the other, and has it answered to others.
pub(crate) async fn have_others_answered(servers: &[SocketAddr], written: &Written, bodies: &[&str]) {
    let (table, hostile) = (publishers(), hostile_replies());
    let users = written.users();
    let users = users.iter().filter(|user| !user.ends_with("-setup"));
    for (user, server) in users.zip(servers.iter().cycle()) {
        let mut wire = Wire::sign_in(*server, &written.seed(user)).await.unwrap();
        let rights = table.iter().filter(|(_, who)| who.contains(&user.as_str()));
        for (subject, _) in rights {
            for reply in &hostile {
                for body in bodies {
                    wire.ask_for(reply, subject, body).await;
                }
            }
            wire.is_read().await;
        }
    }
}

/// Whoever makes the streams is in their account, and can have them answered to others. Returns what the streams are like once that has
/// shown, asked of each server: what was asked before would have shown by now.
pub(crate) async fn once_it_would_show(
    servers: &[SocketAddr],
    written: &Written,
    before: &Streams,
) -> Streams {
    let mut controls = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let control = format!("daypass.log.request.request.forged-by-setup-{number}");
        let mut setup = Wire::sign_in(*server, &written.seed("log-setup")).await.unwrap();
        setup.ask_for(&control, "$JS.API.STREAM.INFO.DAYPASS_LOG", "").await;
        setup.is_read().await;
        // The connection stays until the answer has come.
        controls.push((control, setup));
    }
    let made = |streams: &Streams| streams.get("DAYPASS_LOG").unwrap().0.clone();
    let showing = async {
        loop {
            let after = streams(servers[0], written).await;
            let subjects = &after.get("DAYPASS_LOG").unwrap().1;
            let have_shown = controls.iter().all(|(control, _)| subjects.get(control).is_some());
            // In a log that was deleted, nothing shows.
            if have_shown || made(&after) != made(before) {
                break after;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), showing).await.unwrap()
}

/// The streams are those that they were, with what was in them, and nothing of what was tried.
pub(crate) fn assert_untouched(before: &Streams, after: &Streams) {
    for (name, (made, subjects)) in before {
        let (made_now, subjects_now) = after.get(name).unwrap();
        assert_eq!(made_now, made, "{name} is another one");
        let forged: Vec<&String> = subjects_now
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
            .filter(|subject| subject.ends_with("forged"))
            .collect();
        assert!(forged.is_empty(), "{name}: {forged:?}");
        for subject in subjects.as_object().into_iter().flat_map(|all| all.keys()) {
            assert!(subjects_now.get(subject).is_some(), "{name} has lost {subject}");
        }
    }
}

/// A server publishes its answers as itself, and asks nobody whether who asked may publish to the reply that they name.
#[tokio::test]
async fn an_answer_to_a_hostile_reply_reaches_nobody_else() {
    let written = Written::new(&OTHERS);
    let server = set_up(&written).await;
    // Something to answer with.
    let mut request = Wire::sign_in(server.address(), &written.seed("log-request")).await.unwrap();
    request.ask("daypass.log.request.request.x", "{}").await.unwrap();
    let servers = [server.address()];
    let before = streams(server.address(), &written).await;
    let bodies = ["", "{\"seq\":1}", "{\"seq\":99999}", "{\"batch\":1,\"no_wait\":true}"];
    have_others_answered(&servers, &written, &bodies).await;
    assert_untouched(&before, &once_it_would_show(&servers, &written, &before).await);
}

/// Removals are done by whoever has that duty, and a ledger in which something stands that is no event goes no further.
#[tokio::test]
async fn a_compromised_service_cannot_keep_activation_from_its_work() {
    let written = Written::new(&OTHERS);
    let server = set_up(&written).await;
    for name in ["log-audit", "log-request", "log-approval"] {
        let writer = name.strip_prefix("log-").unwrap();
        let mut wire = Wire::sign_in(server.address(), &written.seed(name)).await.unwrap();
        for stream in ["duty.activation", "assignment.x", "denial.111111111111", "log.main"] {
            let refused = wire.ask(&format!("daypass.log.{writer}.{stream}"), "{}").await.unwrap_err();
            assert!(refused.contains("Permissions Violation"), "{name} to {stream}: {refused}");
        }
    }
    let mut activation = Wire::sign_in(server.address(), &written.seed("log-activation")).await.unwrap();
    assert_eq!(activation.ask("daypass.log.activation.duty.activation", "{}").await.unwrap()["seq"], 1);
}

#[tokio::test]
async fn a_key_once_made_is_overwritten_and_deleted_by_no_service() {
    let written = Written::new(&OTHERS);
    let server = set_up(&written).await;
    let mut request = Wire::sign_in(server.address(), &written.seed("log-request")).await.unwrap();
    assert_eq!(request.ask(KEY, "first").await.unwrap()["seq"], 1);
    let mut approval = Wire::sign_in(server.address(), &written.seed("log-approval")).await.unwrap();
    let second = approval.ask(KEY, "second").await.unwrap();
    assert!(second["error"]["code"].is_number(), "{second}");
    let delete = approval.ask("$JS.API.STREAM.MSG.DELETE.KV_DAYPASS_KEYS", "{\"seq\":1}").await.unwrap_err();
    assert!(delete.contains("Permissions Violation"), "{delete}");
    let which = json!({ "last_by_subj": KEY }).to_string();
    let found = approval.ask("$JS.API.STREAM.MSG.GET.KV_DAYPASS_KEYS", &which).await.unwrap();
    assert_eq!(found["message"]["data"], "Zmlyc3Q=");
    let mut setup = Wire::sign_in(server.address(), &written.seed("log-setup")).await.unwrap();
    let erased = setup.ask("$JS.API.STREAM.MSG.DELETE.KV_DAYPASS_KEYS", "{\"seq\":1}").await.unwrap();
    assert_eq!(erased["success"], true);
}

/// Whoever may make keys may store what is none. It is told to those who may find keys, and taken away by those who may erase.
#[tokio::test]
async fn what_a_compromised_service_stores_for_a_key_is_about_its_person_alone() {
    let written = Written::new(&OTHERS);
    let server = set_up(&written).await;
    let mut approval = Wire::sign_in(server.address(), &written.seed("log-approval")).await.unwrap();
    assert_eq!(approval.ask(KEY, "x").await.unwrap()["seq"], 1);
    std::fs::write(written.path("wrapping.keys"), "1".repeat(64)).unwrap();
    let section = KeysSection::Jetstream {
        servers: vec![server.url()],
        credentials_file: None,
        nkey_seed_file: Some(written.seed_file("log-request")),
        ca_file: None,
        replicas: 1,
        dev: true,
        wrapping_keys_file: written.path("wrapping.keys"),
    };
    let keys = key_store::open_existing(&section, Arc::new(SystemEntropy)).await.unwrap();
    let person = PersonId::new(KEY.rsplit('.').next().unwrap()).unwrap();
    let unusable = keys.obtain(&person).await.unwrap_err();
    assert!(matches!(unusable, KeyStoreError::Unusable { .. }), "{unusable}");
    keys.obtain(&PersonId::new("a".repeat(32)).unwrap()).await.unwrap();

    let (url, wrapping) = (server.url(), written.path("wrapping.keys").display().to_string());
    let run = |verb: &str, user: &str, more: &[&str]| {
        let seed = written.seed_file(user).display().to_string();
        let words = ["keys", verb, &url, "--nats-dev", "--wrapping-keys", &wrapping, "--nats-seed", &seed];
        daypass(words.iter().chain(more))
    };
    let checked = run("check", "log-audit", &[]);
    let told = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(told.contains(person.as_str()) && told.contains("2 keys, 1 cannot be used"), "{told}");
    let one = ["--person", person.as_str()];
    assert!(!run("discard", "log-request", &one).status.success(), "a service erases nothing");
    let discarded = run("discard", "log-setup", &one);
    assert!(discarded.status.success(), "{}", String::from_utf8_lossy(&discarded.stderr));
    keys.obtain(&person).await.unwrap();
}

#[tokio::test]
async fn a_source_of_signals_reaches_its_own_subject_of_the_bus_and_nothing_else() {
    let written = Written::new(&["--signal-source", "itsm", "--signal-source", "siem"]);
    let server = set_up(&written).await;
    let mut bus = Wire::sign_in(server.address(), &written.seed("bus-request")).await.unwrap();
    let mut itsm = Wire::sign_in(server.address(), &written.seed("signal-itsm")).await.unwrap();
    // Acknowledged: it is stored.
    assert_eq!(itsm.ask("daypass.signals.v1.itsm.ticket", "{}").await.unwrap()["stream"], "DAYPASS_SIGNALS");
    for subject in ["daypass.signals.v1.siem.finding", "daypass.events.v1.request.approved"] {
        assert!(itsm.ask(subject, "{}").await.unwrap_err().contains("Permissions Violation"), "{subject}");
    }
    assert_eq!(state(&mut bus, "DAYPASS_SIGNALS").await[0], 1);
}

#[tokio::test]
async fn nobody_signs_in_without_a_key_that_the_servers_know() {
    let written = Written::new(&OTHERS);
    let old = written.seed("log-approval");
    assert!(written.again(&[&OTHERS[..], &["--rotate", "log-approval"]].concat()).status.success());
    let server = set_up(&written).await;
    assert!(Wire::sign_in(server.address(), &written.seed("log-approval")).await.is_ok());
    for seed in [old, nkeys::KeyPair::new_user().seed().unwrap()] {
        let refused = Wire::sign_in(server.address(), &seed).await.err().unwrap();
        assert!(refused.contains("Authorization Violation"), "{refused}");
    }
}
