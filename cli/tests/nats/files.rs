//! The files: accepted by nats-server, secret where they must be, and the same when written again.

use crate::given::{OTHERS, Written, checked};
use service_runtime::config::{Loader, SignalsConfig};
use std::os::unix::fs::PermissionsExt as _;

const THREE: [&str; 6] = ["--server", "nats-1", "--server", "nats-2", "--server", "nats-3"];

#[test]
fn nats_server_accepts_what_is_written_for_one_server_and_for_three() {
    let store = tempfile::tempdir().unwrap();
    let store = ["--store", store.path().to_str().unwrap()];
    let one = Written::new(&[&OTHERS[..], &store].concat());
    let three = Written::new(&[&OTHERS[..], &store, &THREE].concat());
    for file in [
        one.path("nats.conf"),
        three.path("nats-1.conf"),
        three.path("nats-2.conf"),
        three.path("nats-3.conf"),
    ] {
        let output = checked(&file);
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("sync_interval: always") && text.contains("max_payload: 1048576"), "{text}");
    }
    std::fs::write(one.path("nats.conf"), one.text("nats.conf").replace("max_payload", "max_paylod"))
        .unwrap();
    assert!(!checked(&one.path("nats.conf")).status.success(), "nats-server takes anything");
}

#[test]
fn what_is_secret_is_its_owners_alone_and_never_printed() {
    let written = Written::new(&[]);
    let output = written.again(&[&OTHERS[..], &THREE].concat());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("log-approval.nk") && said.contains("bus-audit.nk"), "{said}");
    for file in std::fs::read_dir(written.path("seeds")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        let secret = std::fs::read_to_string(file.path()).unwrap();
        assert!(!said.contains(secret.trim()), "{:?} was printed", file.path());
        assert!(
            !written.text("accounts.conf").contains(secret.trim()),
            "{:?} is in accounts.conf",
            file.path()
        );
    }
    // The password between servers is in their own files.
    assert_eq!(written.path("nats-1.conf").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(written.path("seeds").metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_seed_is_kept_until_it_is_rotated() {
    let written = Written::new(&OTHERS);
    let before: Vec<(String, String)> =
        written.users().into_iter().map(|user| (user.clone(), written.seed(&user))).collect();
    let accounts = written.text("accounts.conf");
    assert!(written.again(&OTHERS).status.success());
    assert_eq!(written.text("accounts.conf"), accounts);
    assert!(written.again(&[&OTHERS[..], &["--rotate", "log-approval"]].concat()).status.success());
    for (user, seed) in before {
        assert_eq!(written.seed(&user) == seed, user != "log-approval", "{user}");
    }
    assert_ne!(written.text("accounts.conf"), accounts);
}

/// By one rule: a source that a service takes from its configuration can get its account.
#[test]
fn a_source_has_an_account_whatever_the_configuration_may_call_it() {
    let store = tempfile::tempdir().unwrap();
    let long = format!("service_now-{}", "x".repeat(52));
    for name in ["hr", "service_now", "0", "-", "_", long.as_str()] {
        let toml = format!(
            "[[signals.sources]]\nname = \"{name}\"\nkinds = [\"person_left\"]\n\
             nats_account = \"daypass-signal-{name}\"\n"
        );
        let mut loader = Loader::new(&toml, []);
        let config: SignalsConfig = loader.or_default("signals");
        loader.finish().unwrap();
        assert_eq!(config.sources[0].name, name);
        let (source, subscriber) = (format!("--signal-source={name}"), format!("--subscriber={name}"));
        let store = store.path().to_str().unwrap();
        let written = Written::new(&["--store", store, source.as_str(), subscriber.as_str()]);
        let accounts = written.text("accounts.conf");
        assert!(accounts.contains(&format!("\"daypass-signal-{name}\": {{")), "{accounts}");
        assert!(accounts.contains(&format!("\"daypass.signals.v1.{name}.>\"")), "{accounts}");
        assert!(written.users().contains(&format!("signal-{name}")), "{name}");
        let output = checked(&written.path("nats.conf"));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_cannot_be_meant_is_refused_and_nothing_is_written() {
    let written = Written::new(&[]);
    let accounts = written.text("accounts.conf");
    for options in [
        ["--rotate", "log-nobody"],
        ["--signal-source", "a.b"],
        ["--signal-source", "*"],
        ["--signal-source", "HR"],
        ["--signal-source", ""],
        ["--subscriber", ">"],
        ["--subscriber", "../siem"],
        ["--server", "nats:4222"],
        ["--services", "stranger"],
    ] {
        assert!(!written.again(&options).status.success(), "{options:?}");
        assert_eq!(written.text("accounts.conf"), accounts, "{options:?}");
    }
}
