//! Every method × every kind of caller, from the descriptors.
#![expect(clippy::unwrap_used, reason = "tests")]

use api::Access;
use domain::{Actor, ActorKind, GroupRef, Groups, Person, Timestamp};
use identity::{Caller, DirectoryId};
use service_runtime::config::RolesConfig;
use service_runtime::roles::Held;
use service_runtime::{DirectoryGroups, Roles};
use std::collections::BTreeSet;

fn roles() -> Roles {
    let config = RolesConfig {
        administrators: vec!["corp:Admin".to_owned(), "identity-store:g-admins".to_owned()],
        auditors: vec!["corp:auditors".to_owned()],
        services: vec![
            toml::from_str("spiffe_id = 'spiffe://example.org/daypass/audit'").unwrap(),
            toml::from_str("issuer = 'https://idp.example'\nclient_id = 'approval'").unwrap(),
            toml::from_str("issuer = 'https://idp.example'\nsubject = 'activation'").unwrap(),
        ],
    };
    Roles::new(&config).unwrap()
}

fn caller(kind: ActorKind, subject: &str, client: Option<&str>, groups: Groups) -> Caller {
    Caller {
        actor: Actor {
            person: Person::new("https://idp.example", subject).unwrap(),
            kind,
            client_id: client.map(str::to_owned),
            auth_time: None,
            acr: None,
        },
        groups: Some(groups),
        directory_id: None,
        expires_at: Timestamp::MAX,
    }
}

fn groups(texts: &[&str]) -> Groups {
    Groups::Known(texts.iter().map(|text| text.parse::<GroupRef>().unwrap()).collect())
}

#[test]
fn every_method_admits_exactly_the_kinds_that_it_names() {
    let kinds = [
        (caller(ActorKind::Human, "ada", None, groups(&[])), [Access::Anyone, Access::Human].as_slice()),
        (
            caller(ActorKind::Human, "adm", None, groups(&["corp:Admin"])),
            &[Access::Anyone, Access::Human, Access::Administrator],
        ),
        (
            caller(ActorKind::Human, "aud", None, groups(&["corp:auditors"])),
            &[Access::Anyone, Access::Human, Access::Auditor],
        ),
        (caller(ActorKind::Workload, "pipeline", None, groups(&[])), &[Access::Anyone, Access::Workload]),
        (
            caller(ActorKind::Workload, "x", Some("approval"), groups(&[])),
            &[Access::Anyone, Access::Workload, Access::Service],
        ),
        (
            caller(ActorKind::Workload, "activation", None, groups(&[])),
            &[Access::Anyone, Access::Workload, Access::Service],
        ),
    ];
    for method in api::METHODS {
        for (caller, may) in &kinds {
            let held = roles().held_by(caller, None);
            let expected = method.access.iter().any(|access| may.contains(access));
            assert_eq!(held.may(caller.actor.kind, method.access), expected, "{} by {caller:?}", method.path);
        }
    }
    assert!(!roles().held_by(&kinds[0].0, None).may(ActorKind::Human, &[Access::Unspecified]));
}

#[test]
fn broker_group_match_by_substring_is_exact_here() {
    for near in ["corp:S3Admin", "corp:admin", "corp:Admin ", "guest:Admin", "corp:Admins"] {
        let Ok(group) = near.parse::<GroupRef>() else { continue };
        let caller = caller(ActorKind::Human, "eve", None, Groups::Known(BTreeSet::from([group])));
        assert!(!roles().held_by(&caller, None).administrator, "{near}");
    }
}

#[test]
fn unknown_groups_give_no_role() {
    let caller = caller(ActorKind::Human, "ada", None, Groups::Unknown("overage".to_owned()));
    assert_eq!(roles().held_by(&caller, None), Held::default());
}

#[test]
fn a_workload_is_no_administrator_and_a_human_no_service() {
    let robot = caller(ActorKind::Workload, "robot", None, groups(&["corp:Admin"]));
    assert!(!roles().held_by(&robot, None).administrator);
    let human = caller(ActorKind::Human, "activation", Some("approval"), groups(&[]));
    assert!(!roles().held_by(&human, None).service);
}

#[test]
fn a_service_is_named_in_one_way() {
    for wrong in [
        "issuer = 'https://idp.example'",
        "subject = 'activation'",
        "issuer = 'https://idp.example'\nsubject = 'a'\nclient_id = 'b'",
        "issuer = 'https://idp.example'\nsubject = 'a'\nspiffe_id = 'spiffe://example.org/a'",
    ] {
        let config = RolesConfig { services: vec![toml::from_str(wrong).unwrap()], ..RolesConfig::default() };
        assert!(Roles::new(&config).is_err(), "{wrong}");
    }
}

#[test]
fn a_spiffe_id_is_a_service_only_as_it_is_written() {
    let mut audit = caller(ActorKind::Workload, "/daypass/audit", None, groups(&[]));
    audit.actor.person = Person::new("spiffe://example.org", "/daypass/audit").unwrap();
    assert!(roles().held_by(&audit, None).service);
    for (issuer, subject) in [
        ("spiffe://example.com", "/daypass/audit"),
        ("spiffe://example.org", "/daypass/request"),
        ("https://example.org", "/daypass/audit"),
    ] {
        audit.actor.person = Person::new(issuer, subject).unwrap();
        assert!(!roles().held_by(&audit, None).service, "{issuer}{subject}");
    }
}

#[test]
fn a_service_of_another_issuer_is_none() {
    let mut stranger = caller(ActorKind::Workload, "activation", Some("approval"), groups(&[]));
    stranger.actor.person = Person::new("https://idp.example/", "activation").unwrap();
    assert!(!roles().held_by(&stranger, None).service);
}

#[test]
fn the_directory_tells_groups_that_tokens_do_not() {
    struct Directory;
    impl DirectoryGroups for Directory {
        fn groups_of(&self, caller: &Caller) -> Groups {
            match &caller.directory_id {
                Some(DirectoryId::User(id)) if id == "u-1" => groups(&["identity-store:g-admins"]),
                Some(_) | None => Groups::Unknown("nobody of this id".to_owned()),
            }
        }
    }
    let mut ada = caller(ActorKind::Human, "ada", None, groups(&[]));
    assert!(!roles().held_by(&ada, Some(&Directory)).administrator);
    ada.directory_id = Some(DirectoryId::User("u-1".to_owned()));
    assert!(roles().held_by(&ada, Some(&Directory)).administrator);
}
