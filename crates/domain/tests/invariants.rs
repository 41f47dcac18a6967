//! What holds of every value of the vocabulary, and of every text that might be one.

#![expect(clippy::unwrap_used, reason = "tests")]

use domain::{
    AccountId, AskedWindow, Entitlement, EventId, GroupRef, GroupSource, IdempotencyKey, Issuer, OuId,
    Partition, PermissionSetArn, Person, PersonId, Plan, PrincipalId, RequestId, RoleArn, RuleId,
    SignedDuration, Step, Subject, Target, Ticket, Timestamp, Window,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

const PERMISSION_SET: &str = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-2222222222222222";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn person(n: u8) -> Person {
    Person::new("https://idp.example", &n.to_string()).unwrap()
}

fn group(n: u8) -> GroupRef {
    GroupRef::new("idp", &n.to_string()).unwrap()
}

/// `text` may be a `T`; if so, then text, value and JSON say the same.
fn round_trips<T>(text: &str)
where
    T: FromStr + Display + Debug + Eq + Serialize + DeserializeOwned,
{
    let Ok(value) = text.parse::<T>() else {
        let json = serde_json::to_string(text).unwrap();
        assert!(serde_json::from_str::<T>(&json).is_err(), "JSON lets in what the parser refuses: {text:?}");
        return;
    };
    assert_eq!(value.to_string(), text);
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, serde_json::to_string(text).unwrap());
    assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value);
}

fn all_round_trip(text: &str) {
    round_trips::<AccountId>(text);
    round_trips::<GroupSource>(text);
    round_trips::<IdempotencyKey>(text);
    round_trips::<Issuer>(text);
    round_trips::<OuId>(text);
    round_trips::<Partition>(text);
    round_trips::<PermissionSetArn>(text);
    round_trips::<PersonId>(text);
    round_trips::<PrincipalId>(text);
    round_trips::<RoleArn>(text);
    round_trips::<RuleId>(text);
    round_trips::<Subject>(text);
    round_trips::<Ticket>(text);
    if let Ok(entitlement) = Entitlement::from_arn(text) {
        assert_eq!(entitlement.arn(), text);
    }
    if let Ok(group) = text.parse::<GroupRef>() {
        assert_eq!(group.to_string(), text);
        let json = serde_json::to_string(&group).unwrap();
        assert_eq!(serde_json::from_str::<GroupRef>(&json).unwrap(), group);
    }
    if let Ok(id) = text.parse::<RequestId>() {
        assert_eq!(id.to_string().parse::<RequestId>().unwrap(), id);
    }
}

/// Texts that are nearly, or really, of some kind.
fn near_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9]{11,13}",
        "[a-z0-9._-]{0,66}",
        "(ou|r)-[a-z0-9-]{0,20}",
        "arn:(aws|aws-cn|aws-us-gov|x)?:iam::[0-9]{11,13}:role/?[a-zA-Z0-9/_+=,.@-]{0,20}",
        "arn:aws:sso::[0-9]?:permissionSet/(ssoins-[a-z0-9]{0,4})?/?(ps-[a-z0-9]{0,4})?/?",
        "[0-9a-fA-F-]{30,50}",
        "[A-Za-z0-9#/_.-]{0,66}",
        "[a-z]{1,8}:[ -~]{0,20}",
        "aws(-cn|-us-gov)?",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "\\{?[0-9a-f]{32}\\}?",
    ]
}

fn steps() -> impl Strategy<Value = Plan> {
    let step =
        (1..4u8, btree_set(0..4u8, 0..3), btree_set(0..5u8, 0..2)).prop_map(|(count, groups, people)| Step {
            count,
            groups: groups.into_iter().map(group).collect(),
            people: people.into_iter().map(person).collect(),
        });
    vec(step, 0..4).prop_map(|steps| Plan { steps })
}

type Agreed = Vec<(Person, BTreeSet<GroupRef>)>;

fn agreed() -> impl Strategy<Value = Agreed> {
    vec(btree_set(0..4u8, 0..4), 0..6).prop_map(|people| {
        let groups = people.into_iter().map(|groups| groups.into_iter().map(group).collect());
        (0..).map(person).zip(groups).collect()
    })
}

fn is_met(plan: &Plan, agreed: &Agreed) -> bool {
    plan.is_met_by(agreed.iter().map(|(person, groups)| (person, groups)))
}

/// Tries every way to give each place of the plan to somebody who has none.
fn brute_force(places: &[&Step], agreed: &[(Person, BTreeSet<GroupRef>)]) -> bool {
    let Some((place, rest)) = places.split_first() else { return true };
    (0..agreed.len()).any(|i| {
        let mut others = agreed.to_vec();
        let (person, groups) = others.remove(i);
        place.accepts(&person, &groups) && brute_force(rest, &others)
    })
}

proptest! {
    #[test]
    fn invariant_a_plan_is_met_exactly_when_brute_force_says_so(plan in steps(), agreed in agreed()) {
        let places: Vec<&Step> =
            plan.steps.iter().flat_map(|step| std::iter::repeat_n(step, usize::from(step.count))).collect();
        let by_force = places.len() <= agreed.len() && brute_force(&places, &agreed);
        prop_assert_eq!(is_met(&plan, &agreed), by_force);
    }

    #[test]
    fn invariant_the_order_of_yeses_and_their_repetition_change_nothing(plan in steps(), agreed in agreed()) {
        let met = is_met(&plan, &agreed);
        let turned: Agreed = agreed.iter().rev().cloned().collect();
        prop_assert_eq!(is_met(&plan, &turned), met);
        let twice: Agreed = [agreed.clone(), agreed].concat();
        prop_assert_eq!(is_met(&plan, &twice), met);
    }

    #[test]
    fn invariant_one_more_yes_never_unmeets_a_plan(
        plan in steps(), agreed in agreed(), who in 0..8u8, groups in btree_set(0..4u8, 0..4),
    ) {
        let mut more = agreed.clone();
        more.push((person(who), groups.into_iter().map(group).collect()));
        prop_assert!(!is_met(&plan, &agreed) || is_met(&plan, &more));
    }

    #[test]
    fn invariant_a_plan_needs_as_many_people_as_it_says(plan in steps(), agreed in agreed()) {
        if is_met(&plan, &agreed) {
            prop_assert!(agreed.len() >= plan.people_needed());
        }
    }

    #[test]
    fn invariant_an_approved_window_lies_in_what_was_asked(
        start in proptest::option::of(-1000..1000i64), duration in -10..2000i64, approved in -1000..3000i64,
    ) {
        let asked = AskedWindow { start: start.map(at), duration: SignedDuration::from_secs(duration) };
        let window = asked.from_approval(at(approved));
        let passed = asked.passes_at().is_some_and(|passes| passes <= at(approved));
        prop_assert_eq!(window.is_err(), duration <= 0 || passed);
        let Ok(window) = window else { return Ok(()) };
        prop_assert!(window.start() < window.end() && window.duration() <= asked.duration);
        prop_assert!(window.start() >= at(approved));
        match asked.start {
            None => prop_assert_eq!((window.start(), window.duration()), (at(approved), asked.duration)),
            Some(start) => {
                prop_assert_eq!(window.start(), start.max(at(approved)));
                prop_assert_eq!(Some(window.end()), asked.passes_at());
            }
        }
    }

    #[test]
    fn invariant_windows_at_the_edge_of_the_calendar_do_not_panic(
        start in proptest::option::of(any::<bool>()), seconds in any::<i64>(), late in any::<bool>(),
    ) {
        let edge = |max| if max { Timestamp::MAX } else { Timestamp::MIN };
        let asked = AskedWindow { start: start.map(edge), duration: SignedDuration::from_secs(seconds) };
        let _ = asked.passes_at();
        let _ = asked.from_approval(edge(late));
    }

    #[test]
    fn invariant_a_window_read_from_json_is_one_that_could_be_made(start in -50..50i64, end in -50..50i64) {
        let json = serde_json::json!({ "start": at(start), "end": at(end) });
        let read = serde_json::from_value::<Window>(json).ok();
        prop_assert_eq!(read, Window::new(at(start), at(end)).ok());
    }

    #[test]
    fn invariant_a_group_read_from_json_is_one_that_could_be_made(source in "[a-zA-Z ]{0,3}", id in any::<String>()) {
        let json = serde_json::json!({ "source": source, "id": id });
        let read = serde_json::from_value::<GroupRef>(json).ok();
        prop_assert_eq!(read, GroupRef::new(&source, &id).ok());
    }

    #[test]
    fn invariant_text_value_and_json_say_the_same(text in near_text()) {
        all_round_trip(&text);
    }

    #[test]
    fn invariant_what_is_refused_is_never_repeated(text in "[A-Z]{20}") {
        let error = text.parse::<AccountId>().unwrap_err();
        prop_assert!(!error.to_string().contains(&text));
    }

    #[test]
    fn invariant_ids_derive_from_all_that_they_are_told(
        one in ("[ab]{0,3}", "[ab]{0,3}"), other in ("[ab]{0,3}", "[ab]{0,3}"),
    ) {
        let id = |(operation, key): &(String, String)| EventId::derive(&person(1), operation, key);
        prop_assert_eq!(id(&one) == id(&other), one == other);
    }
}

#[test]
fn known_texts_are_what_they_are() {
    for text in [
        "111111111111",
        "identity-store",
        "ou-ab12-11111111",
        "r-ab12",
        "aws-us-gov",
        PERMISSION_SET,
        "arn:aws-cn:iam::111111111111:role/path/Admin",
        "906767e8e1-7b6d2e3a-1111-2222-3333-444444444444",
        "OPS-1234",
        "identity-store:admins:all",
    ] {
        all_round_trip(text);
    }
    assert!(PERMISSION_SET.parse::<PermissionSetArn>().is_ok());
    assert!("906767e8e1-7b6d2e3a-1111-2222-3333-444444444444".parse::<PrincipalId>().is_ok());
}

/// broker: group match by substring: `Admin` matches `S3Admin`.
#[test]
fn broker_group_match_by_substring() {
    let plan = Plan {
        steps: vec![Step {
            count: 1,
            groups: [GroupRef::new("idp", "Admin").unwrap()].into(),
            people: BTreeSet::new(),
        }],
    };
    for near in ["S3Admin", "Admins", "admin", "ADMIN", "Admin ", " Admin"] {
        assert!(!plan.accepts(&person(1), &[GroupRef::new("idp", near).unwrap()].into()), "{near}");
    }
    assert!(
        !plan.accepts(&person(1), &[GroupRef::new("guest", "Admin").unwrap()].into()),
        "another source's"
    );
    assert!(plan.accepts(&person(1), &[GroupRef::new("idp", "Admin").unwrap()].into()));
}

#[test]
fn a_target_read_from_json_is_one_that_could_be_made() {
    let json = |account: &str, partition: &str| {
        serde_json::json!({
            "partition": partition,
            "account": account,
            "entitlement": { "Role": "arn:aws:iam::111111111111:role/Admin" },
        })
    };
    let target = Target::parse("111111111111", "arn:aws:iam::111111111111:role/Admin").unwrap();
    assert_eq!(serde_json::to_value(&target).unwrap(), json("111111111111", "aws"));
    assert_eq!(serde_json::from_value::<Target>(json("111111111111", "aws")).unwrap(), target);
    assert_eq!(serde_json::from_value::<Target>(json("111111111111", "aws-cn")).unwrap(), target);
    assert!(serde_json::from_value::<Target>(json("222222222222", "aws")).is_err());
}
