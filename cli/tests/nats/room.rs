//! Log and bus are on the same disks, and the bus takes no more of them than it is given.

use crate::given::{OTHERS, Written, set_up, set_up_again, set_up_within};
use crate::wire::Wire;
use serde_json::{Value, json};
use test_servers::nats::NatsOptions;

const MIB: u64 = 1024 * 1024;
const STREAMS: [&str; 3] = ["DAYPASS_EVENTS", "DAYPASS_SIGNALS", "DAYPASS_PARKED"];

async fn info(maker: &mut Wire, stream: &str) -> Value {
    maker.ask(&format!("$JS.API.STREAM.INFO.{stream}"), "").await.unwrap()
}

/// What each stream of the bus may take, in MiB; -1: all there is.
async fn limits(maker: &mut Wire) -> [i64; 3] {
    let mut limits = [0; 3];
    for (limit, stream) in limits.iter_mut().zip(STREAMS) {
        let bytes = info(maker, stream).await["config"]["max_bytes"].as_i64().unwrap();
        *limit = if bytes > 0 { bytes >> 20 } else { bytes };
    }
    limits
}

async fn change(maker: &mut Wire, stream: &str, wanted: &[(&str, i64)]) {
    let mut config = info(maker, stream).await["config"].clone();
    for (name, value) in wanted {
        config[*name] = json!(value);
    }
    let changed = maker.ask(&format!("$JS.API.STREAM.UPDATE.{stream}"), &config.to_string()).await.unwrap();
    assert!(changed["error"].is_null(), "{changed}");
}

/// No right on the log is needed to take the disk that it is on.
#[tokio::test]
async fn who_fills_the_bus_leaves_the_log_its_room() {
    let written = Written::new(&OTHERS);
    let server = set_up_within(&written, 96 * MIB, &["--bus-mib", "64"]).await;
    let mut maker = Wire::sign_in(server.address(), &written.seed("bus-setup")).await.unwrap();
    assert_eq!(limits(&mut maker).await, [56, 4, 4]);

    // More than there is for everybody together.
    let body = "x".repeat(512 * 1024);
    let mut audit = Wire::sign_in(server.address(), &written.seed("bus-audit")).await.unwrap();
    for number in 1..=256 {
        let stored = audit.ask("daypass.events.v1.request.approved", &body).await.unwrap();
        assert_eq!(stored["seq"], number, "{stored}");
    }
    let too_large = audit.ask("daypass.events.v1.request.approved", &"x".repeat(1_000_000)).await.unwrap();
    assert_eq!(too_large["error"]["err_code"], 10_054, "{too_large}");
    let mut request = Wire::sign_in(server.address(), &written.seed("bus-request")).await.unwrap();
    for number in 1..=16 {
        let parked = request.ask("daypass.parked.v1.itsm", &body).await.unwrap();
        assert_eq!(parked["seq"], number, "{parked}");
    }
    // Whatever its size: what cannot be parked would hold up all signals.
    let parked = request.ask("daypass.parked.v1.itsm", &"x".repeat(1_000_000)).await.unwrap();
    assert_eq!(parked["seq"], 17, "{parked}");
    // Signals are refused to their source, which sees it.
    let mut itsm = Wire::sign_in(server.address(), &written.seed("signal-itsm")).await.unwrap();
    let signal = "x".repeat(250 * 1024);
    let mut told = Vec::new();
    for _ in 0..24 {
        told.push(itsm.ask("daypass.signals.v1.itsm.ticket", &signal).await.unwrap());
    }
    assert!(told[0]["error"].is_null() && told[23]["error"]["code"].is_number(), "{told:?}");

    for (stream, limit) in STREAMS.into_iter().zip([56, 4, 4]) {
        let state = info(&mut maker, stream).await["state"].clone();
        assert!(state["bytes"].as_u64().unwrap() <= limit * MIB, "{stream}: {state}");
    }
    // The oldest went.
    assert!(info(&mut maker, "DAYPASS_EVENTS").await["state"]["first_seq"].as_u64().unwrap() > 128);
    let mut log = Wire::sign_in(server.address(), &written.seed("log-activation")).await.unwrap();
    let appended = log.ask("daypass.log.activation.request.x", "{}").await.unwrap();
    assert_eq!(appended["seq"], 1, "{appended}");
}

#[tokio::test]
async fn streams_of_an_earlier_setup_get_a_limit_and_one_that_an_operator_set_stays() {
    let written = Written::new(&OTHERS);
    let server = set_up(&written).await;
    let mut maker = Wire::sign_in(server.address(), &written.seed("bus-setup")).await.unwrap();
    let made = limits(&mut maker).await;
    assert_eq!(made, [3_584, 256, 256]);
    // As they were made before there were limits; signals had theirs.
    for stream in ["DAYPASS_EVENTS", "DAYPASS_PARKED"] {
        change(&mut maker, stream, &[("max_bytes", -1), ("max_msg_size", -1)]).await;
    }
    assert_eq!(limits(&mut maker).await, [-1, 256, -1]);
    let mut audit = Wire::sign_in(server.address(), &written.seed("bus-audit")).await.unwrap();
    audit.ask("daypass.events.v1.request.approved", "{}").await.unwrap();

    let said = set_up_again(&written, &server, &[]);
    assert!(said.contains("DAYPASS_EVENTS may take 3584 MiB from now on"), "{said}");
    assert_eq!(limits(&mut maker).await, made);
    let events = info(&mut maker, "DAYPASS_EVENTS").await;
    assert_eq!(events["config"]["max_msg_size"], 528 * 1024);
    assert_eq!(events["state"]["messages"], 1);
    assert_eq!(info(&mut maker, "DAYPASS_PARKED").await["config"]["max_msg_size"], -1);

    change(&mut maker, "DAYPASS_EVENTS", &[("max_bytes", 7 << 20)]).await;
    let said = set_up_again(&written, &server, &[]);
    assert!(!said.contains("from now on"), "{said}");
    assert_eq!(limits(&mut maker).await, [7, 256, 256]);
    set_up_again(&written, &server, &["--bus-mib", "64"]);
    assert_eq!(limits(&mut maker).await, [56, 4, 4]);
}

/// The servers have the accounts of an earlier release, in which nobody may change a stream: what waits for `setup` is not held up.
#[tokio::test]
async fn setup_without_the_right_to_bound_streams_says_so_and_ends_well() {
    let written = Written::new(&OTHERS);
    let mut server = set_up(&written).await;
    let mut maker = Wire::sign_in(server.address(), &written.seed("bus-setup")).await.unwrap();
    change(&mut maker, "DAYPASS_EVENTS", &[("max_bytes", -1)]).await;
    drop(maker);
    let extra = written.text("accounts.conf").replace("\"$JS.API.STREAM.UPDATE.DAYPASS_EVENTS\", ", "");
    assert!(!extra.contains("STREAM.UPDATE.DAYPASS_EVENTS"), "{extra}");
    server.reload(NatsOptions { extra, ..NatsOptions::default() }).await.unwrap();
    let said = set_up_again(&written, &server, &[]);
    assert!(!said.contains("from now on"), "{said}");
    let mut maker = Wire::sign_in(server.address(), &written.seed("bus-setup")).await.unwrap();
    assert_eq!(limits(&mut maker).await, [-1, 256, 256]);
}
