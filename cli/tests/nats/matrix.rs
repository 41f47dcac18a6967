//! Each credential × each subject: what the server grants is what the table says, and nothing else.

use crate::given::{OTHERS, Written, daypass, set_up};
use crate::wire::Wire;
use domain::PersonId;
use service_runtime::clock::SystemEntropy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wiring::{KeysSection, key_store};

/// Services that write, by the names of their users, and what they write.
const WRITERS: [(&str, &[&str]); 4] = [
    ("log-request", &["request", "signal", "person"]),
    ("log-approval", &["request", "policy"]),
    ("log-activation", &["request", "assignment", "denial", "log", "duty.activation"]),
    ("log-audit", &["duty.relay"]),
];
/// Who reads the log.
const READERS: [&str; 6] =
    ["log-request", "log-approval", "log-activation", "log-audit", "log-backup", "log-setup"];
/// Who makes keys for people.
const KEY_MAKERS: [&str; 3] = ["log-request", "log-approval", "log-activation"];
/// Who is on the bus.
const BUS_SERVICES: [&str; 2] = ["bus-request", "bus-audit"];

/// Who may publish to a subject. Whoever is not named may not.
pub(crate) type Publishers = Vec<(String, Vec<&'static str>)>;

pub(crate) fn publishers() -> Publishers {
    let mut table = Publishers::new();
    let mut row = |subject: &str, who: &[&'static str]| table.push((subject.to_owned(), who.to_vec()));
    for (user, own) in WRITERS {
        let writer = user.strip_prefix("log-").unwrap();
        for kind in ["request", "policy", "assignment", "denial", "signal", "person", "log"] {
            let who: &[&'static str] = if own.contains(&kind) { std::slice::from_ref(&user) } else { &[] };
            row(&format!("daypass.log.{writer}.{kind}.x"), who);
        }
        for duty in ["activation", "relay", "x"] {
            let who: &[&'static str] = if own.contains(&format!("duty.{duty}").as_str()) {
                std::slice::from_ref(&user)
            } else {
                &[]
            };
            row(&format!("daypass.log.{writer}.duty.{duty}"), who);
        }
        row(&format!("daypass.log.{writer}.request"), &[]);
        row(&format!("daypass.log.{writer}.request.x.more"), &[]);
    }
    row("daypass.log.stranger.request.x", &[]);

    // The log: read by those who read it, made by setup, and otherwise left alone by everybody.
    for call in ["STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE"] {
        row(&format!("$JS.API.{call}.DAYPASS_LOG"), &READERS);
    }
    row("$JS.FC.DAYPASS_LOG.c.x", &READERS);
    row("$JS.API.STREAM.CREATE.DAYPASS_LOG", &["log-setup"]);

    // Keys: found by services, made by those who seal, erased and backed up by setup.
    let finders = [&KEY_MAKERS[..], &["log-audit", "log-setup"]].concat();
    for call in ["STREAM.INFO", "STREAM.MSG.GET"] {
        row(&format!("$JS.API.{call}.KV_DAYPASS_KEYS"), &finders);
    }
    row("$KV.DAYPASS_KEYS.0123456789abcdef0123456789abcdef", &KEY_MAKERS);
    row("$KV.DAYPASS_KEYS.a.b", &[]);
    for call in ["STREAM.CREATE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT"] {
        row(&format!("$JS.API.{call}.KV_DAYPASS_KEYS"), &["log-setup"]);
    }
    row("$JS.API.DIRECT.GET.KV_DAYPASS_KEYS", &[]);
    row("$JS.API.CONSUMER.CREATE.KV_DAYPASS_KEYS", &[]);

    // Events: published by audit, consumed by each subscriber under its own name.
    row("daypass.events.v1.request.approved", &["bus-audit"]);
    row("$JS.API.STREAM.INFO.DAYPASS_EVENTS", &["bus-audit", "bus-setup", "bus-subscriber-siem"]);
    row("$JS.API.STREAM.MSG.GET.DAYPASS_EVENTS", &["bus-audit"]);
    row("$JS.API.STREAM.CREATE.DAYPASS_EVENTS", &["bus-setup"]);
    for call in [
        "CONSUMER.CREATE",
        "CONSUMER.DURABLE.CREATE",
        "CONSUMER.INFO",
        "CONSUMER.MSG.NEXT",
        "CONSUMER.DELETE",
    ] {
        row(&format!("$JS.API.{call}.DAYPASS_EVENTS.subscriber-siem"), &["bus-subscriber-siem"]);
        row(&format!("$JS.API.{call}.DAYPASS_EVENTS.subscriber-other"), &[]);
    }
    row("$JS.ACK.DAYPASS_EVENTS.subscriber-siem.1.1.1.1.0", &["bus-subscriber-siem"]);
    row("$JS.ACK.DAYPASS_EVENTS.subscriber-other.1.1.1.1.0", &[]);

    // Signals: each source under its own name, received by request.
    row("daypass.signals.v1.itsm.ticket", &["signal-itsm"]);
    row("daypass.signals.v1.other.ticket", &[]);
    row("daypass.signals.v1.itsm.ticket.more", &["signal-itsm"]);
    row("daypass.parked.v1.itsm", &["bus-request"]);
    row("daypass.replay.v1.17", &["bus-operator"]);
    row("daypass.replay.v1.itsm.ticket", &[]);
    row("$JS.API.STREAM.INFO.DAYPASS_SIGNALS", &["bus-request", "bus-setup"]);
    row("$JS.API.STREAM.CREATE.DAYPASS_SIGNALS", &["bus-setup"]);
    for call in ["CONSUMER.CREATE", "CONSUMER.DURABLE.CREATE", "CONSUMER.INFO", "CONSUMER.MSG.NEXT"] {
        row(&format!("$JS.API.{call}.DAYPASS_SIGNALS.daypass-request"), &["bus-request"]);
        row(&format!("$JS.API.{call}.DAYPASS_SIGNALS.other"), &[]);
    }
    row("$JS.ACK.DAYPASS_SIGNALS.daypass-request.1.1.1.1.0", &["bus-request"]);
    row("$JS.ACK.DAYPASS_SIGNALS.other.1.1.1.1.0", &[]);
    row("$JS.API.STREAM.INFO.DAYPASS_PARKED", &["bus-request", "bus-setup"]);
    for call in ["STREAM.MSG.GET", "STREAM.MSG.DELETE"] {
        row(&format!("$JS.API.{call}.DAYPASS_PARKED"), &["bus-operator", "bus-request"]);
    }
    for call in ["STREAM.MSG.GET", "STREAM.MSG.DELETE"] {
        row(&format!("$JS.API.{call}.DAYPASS_SIGNALS"), &["bus-request"]);
    }
    row("$JS.API.STREAM.CREATE.DAYPASS_PARKED", &["bus-setup"]);
    for stream in ["DAYPASS_EVENTS", "DAYPASS_SIGNALS", "DAYPASS_PARKED"] {
        row(&format!("$JS.API.STREAM.UPDATE.{stream}"), &["bus-setup"]);
    }

    table.extend(nobodys().into_iter().map(|subject| (subject, Vec::new())));
    table
}

/// What nobody may publish to: calls that change or take away what is there, and whatever is not thought of above.
fn nobodys() -> Vec<String> {
    let mut subjects = Vec::new();
    for stream in ["DAYPASS_LOG", "KV_DAYPASS_KEYS", "DAYPASS_EVENTS", "DAYPASS_SIGNALS", "DAYPASS_PARKED"] {
        for call in [
            "STREAM.DELETE",
            "STREAM.PURGE",
            "STREAM.RESTORE",
            "STREAM.PEER.REMOVE",
            "STREAM.LEADER.STEPDOWN",
            "CONSUMER.NAMES",
            "CONSUMER.LIST",
            "META.LEADER.STEPDOWN",
        ] {
            subjects.push(format!("$JS.API.{call}.{stream}"));
        }
        for call in [
            "CONSUMER.DELETE",
            "CONSUMER.PAUSE",
            "CONSUMER.RESET",
            "CONSUMER.UNPIN",
            "CONSUMER.LEADER.STEPDOWN",
        ] {
            subjects.push(format!("$JS.API.{call}.{stream}.somebodys"));
        }
    }
    for stream in ["DAYPASS_LOG", "KV_DAYPASS_KEYS"] {
        subjects.push(format!("$JS.API.STREAM.UPDATE.{stream}"));
    }
    for stream in ["DAYPASS_LOG", "DAYPASS_EVENTS"] {
        subjects.push(format!("$JS.API.STREAM.MSG.DELETE.{stream}"));
    }
    for stream in ["DAYPASS_LOG", "DAYPASS_EVENTS", "DAYPASS_SIGNALS", "DAYPASS_PARKED"] {
        subjects.push(format!("$JS.API.STREAM.SNAPSHOT.{stream}"));
    }
    let others = [
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.CREATE.ANOTHER",
        "$JS.API.META.LEADER.STEPDOWN",
        "$JS.API.SERVER.REMOVE",
        "$JS.API.ACCOUNT.PURGE.x",
        "$SYS.REQ.SERVER.PING",
        "$SYS.ACCOUNT.x",
        "_INBOX.somebody.1",
        "daypass",
        "anything.else",
    ];
    subjects.extend(others.map(str::to_owned));
    subjects
}

/// Who may subscribe to a subject, beside everybody to the answers to itself.
const SUBSCRIBERS: &[(&str, &[&str])] = &[
    (">", &[]),
    ("*", &[]),
    ("_INBOX.>", &[]),
    ("daypass.>", &[]),
    ("daypass.log.>", &[]),
    ("daypass.log.approval.>", &[]),
    ("daypass.events.v1.>", &["bus-subscriber-siem"]),
    ("daypass.events.v1.request.approved", &["bus-subscriber-siem"]),
    ("daypass.signals.v1.>", &[]),
    ("daypass.signals.v1.itsm.>", &[]),
    ("daypass.parked.v1.>", &[]),
    ("daypass.replay.v1.>", &[]),
    ("$KV.DAYPASS_KEYS.>", &[]),
    ("$JS.API.>", &[]),
    ("$JS.EVENT.>", &[]),
    ("$SYS.>", &[]),
];

#[tokio::test]
async fn each_credential_may_do_what_the_table_says_and_nothing_else() {
    check(&OTHERS, publishers()).await;
}

/// It is all of them in one process, and who restores a log writes as all of them.
#[tokio::test]
async fn serve_may_do_what_any_of_the_services_may_and_nothing_else() {
    let log_services = WRITERS.map(|(user, _)| user);
    let mut publishers = publishers();
    for (_, who) in &mut publishers {
        for (serve, services) in [("log-serve", &log_services[..]), ("bus-serve", &BUS_SERVICES[..])] {
            if who.iter().any(|user| services.contains(user)) {
                who.push(serve);
            }
        }
    }
    let services = ["--services", "request,approval,activation,audit,serve"];
    check(&[&OTHERS[..], &services].concat(), publishers).await;
}

/// Each user that `daypass nats config` makes with these options, at each subject.
async fn check(options: &[&str], mut publishers: Publishers) {
    let written = Written::new(options);
    let server = set_up(&written).await;
    let users = written.users();
    let mut subscribers: Vec<(String, Vec<&str>)> =
        SUBSCRIBERS.iter().map(|(subject, who)| ((*subject).to_owned(), who.to_vec())).collect();
    // Nobody reads what is answered to somebody else.
    for user in &users {
        let inbox =
            format!("_INBOX.{}", nkeys::KeyPair::from_seed(&written.seed(user)).unwrap().public_key());
        subscribers.push((format!("{inbox}.>"), vec![user]));
        publishers.push((format!("{inbox}.1"), Vec::new()));
    }
    let named: BTreeSet<&str> = publishers.iter().flat_map(|(_, who)| who.iter().copied()).collect();
    assert_eq!(
        named,
        users.iter().map(String::as_str).collect(),
        "a credential that the table does not know"
    );
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for user in &users {
        let mut wire = Wire::sign_in(server.address(), &written.seed(user)).await.unwrap();
        for (subject, who) in &publishers {
            let (granted, due) = (wire.may_publish(subject).await, who.contains(&user.as_str()));
            if granted != due {
                wrong.entry(user).or_default().push(format!("publish {subject}: {granted}"));
            }
        }
        for (subject, who) in &subscribers {
            let (granted, due) = (wire.may_subscribe(subject).await, who.contains(&user.as_str()));
            if granted != due {
                wrong.entry(user).or_default().push(format!("subscribe {subject}: {granted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// As `deploy/k8s/base/backup` and `deploy/k8s/restore` do it.
#[tokio::test]
async fn keys_are_copied_by_who_erases_none_and_come_back_by_serve() {
    let written = Written::new(&["--services", "audit,serve"]);
    let server = set_up(&written).await;
    let file = |name: &str| written.path(name).display().to_string();
    std::fs::write(written.path("wrapping.keys"), "1".repeat(64)).unwrap();
    let made = KeysSection::Sqlite { path: written.path("made.db") };
    let keys = key_store::open(&made, Arc::new(SystemEntropy)).await.unwrap();
    keys.obtain(&PersonId::new("a".repeat(32)).unwrap()).await.unwrap();
    let copied = |from: &str, to: &str, user: &str| {
        let (wrapping, seed) = (file("wrapping.keys"), file(&format!("seeds/{user}.nk")));
        let words =
            ["keys", "copy", from, to, "--nats-dev", "--wrapping-keys", &wrapping, "--nats-seed", &seed];
        let output = daypass(words.iter());
        assert!(output.status.success(), "{user}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let url = server.url();
    assert_eq!(copied(&file("made.db"), &url, "log-serve"), "1 keys copied, 0 were there");
    assert_eq!(copied(&url, &file("copy.db"), "log-audit"), "1 keys copied, 0 were there");
    assert_eq!(copied(&file("copy.db"), &url, "log-serve"), "0 keys copied, 1 were there");
}
