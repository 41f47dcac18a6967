//! Live sessions of what ended early: denied by a service control policy, until they must be dead.
#![expect(clippy::indexing_slicing, reason = "tests look into documents")]

use crate::house::{
    HOUR, House, POLICY, aws_key, call, chaining_policy, instant, key_of, permission_set, role,
};
use crate::regressions::Errors;
use activation::Missing;
use api::activation::v1 as wire;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use aws::session_denials::{POLICIES_MAX, policy_name};
use aws::simulated::{Behaviour, DenialFault, Fault, Operation as AwsOperation, SimulatedScps};
use aws::{ErrorKind, simulated::sample};
use domain::{AccountId, RequestId, SignedDuration, Target};
use event_log::memory::{AppendFault, Faults, ReadFault};
use event_log::{Envelope, StreamName};
use journal::Fact;
use lifecycle::assignment::{AssignmentEvent, Operation};
use lifecycle::denial::DenialEvent;
use lifecycle::event::ClosedHow;
use opentelemetry::metrics::MeterProvider as _;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_servers::measured::Measured;
use tracing_subscriber::layer::SubscriberExt as _;

/// A house in a deployment that ends live sessions.
pub(crate) async fn denying() -> House {
    let mut house = House::new().await;
    let signature_skew_max = Behaviour::default().signature_skew_max;
    house.scps = Some(Arc::new(SimulatedScps::new(house.clock.clone(), signature_skew_max)));
    house
}

fn scps(house: &House) -> &SimulatedScps {
    house.scps.as_deref().unwrap()
}

fn account() -> AccountId {
    permission_set().account().clone()
}

/// Our statements, as the policy of the account has them now.
fn denied(house: &House) -> Vec<Value> {
    let document = scps(house).document(&account()).unwrap_or_else(|| "{}".to_owned());
    let document: Value = serde_json::from_str(&document).unwrap();
    let all = document["Statement"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|one| one["Sid"].as_str().is_some_and(|sid| sid.starts_with("Daypass"))).collect()
}

/// Those that began before are denied by our only statement.
fn denied_before(house: &House) -> domain::Timestamp {
    let statements = denied(house);
    assert_eq!(statements.len(), 1);
    statements[0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"].as_str().unwrap().parse().unwrap()
}

fn facts(house: &House) -> Vec<DenialEvent> {
    let facts = house.events().into_iter().filter_map(|event| match event.fact {
        Fact::Denial(fact) => Some(fact),
        Fact::Request(_)
        | Fact::Assignment(_)
        | Fact::Policy(_)
        | Fact::Duty(_)
        | Fact::Signal(_)
        | Fact::Person(_)
        | Fact::Log(_) => None,
    });
    facts.collect()
}

fn attempts(house: &House) -> usize {
    facts(house).iter().filter(|fact| matches!(fact, DenialEvent::Attempted { .. })).count()
}

/// Active from the beginning, for two hours; revoked at `seconds`.
pub(crate) async fn revoked_at(house: &House, process: &crate::house::Process, seconds: i64) -> RequestId {
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(seconds).await;
    assert!(house.is_active(id).await);
    process.revoke("ada", id).await.unwrap();
    id
}

#[tokio::test(start_paused = true)]
async fn an_early_end_denies_the_sessions_of_that_set_until_the_last_must_be_dead() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(630).await;
    assert!(!house.has(&key_of(&permission_set())), "the assignment is gone first");
    let statements = denied(&house);
    assert_eq!(statements.len(), 1);
    let condition = &statements[0]["Condition"];
    let principal = key_of(&permission_set()).principal;
    assert_eq!(condition["StringEquals"]["identitystore:UserId"], principal.as_str());
    assert_eq!(condition["StringEquals"]["aws:PrincipalAccount"], account().as_str());
    let until: domain::Timestamp =
        condition["DateLessThan"]["aws:TokenIssueTime"].as_str().unwrap().parse().unwrap();
    assert!(
        until > instant(600) && until < instant(630),
        "sessions begun before the assignment was gone: {until}"
    );
    assert_eq!(house.closed(id).await, None, "what denies them is left in AWS");
    assert_eq!(process.service.overdue(), 0);
    house.at(600 + HOUR).await;
    assert_eq!(denied(&house).len(), 1, "a session may have begun until the removal");
    house.at(640 + HOUR).await;
    assert_eq!(scps(&house).document(&account()), None, "nothing is left of the policy");
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sessions_of_sts_are_denied_by_the_tag_of_their_request() {
    let house = denying().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    process.revoke("ada", id).await.unwrap();
    house.at(20).await;
    let tags = denied(&house)[0]["Condition"]["StringEquals"]["aws:PrincipalTag/daypass-request"].clone();
    assert_eq!(tags, serde_json::json!([id.to_string()]));
    assert_eq!(house.closed(id).await, None);
    house.at(HOUR + 30).await;
    assert!(denied(&house).is_empty());
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_chained_from_sessions_of_sts_is_denied_until_it_must_be_dead() {
    let house = denying().await;
    house.apply(&chaining_policy()).await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    process.revoke("ada", id).await.unwrap();
    house.at(2 * HOUR).await;
    assert_eq!(denied(&house).len(), 1, "the credentials are dead, what was chained from them is not");
    assert_eq!(house.closed(id).await, None);
    house.at(2 * HOUR + 30).await;
    assert!(denied(&house).is_empty());
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_in_time_and_access_that_never_began_deny_nothing() {
    let house = denying().await;
    let process = house.start().await;
    let elapsed = house.grant(&permission_set(), 0, HOUR).await;
    let withdrawn = house.grant(&role(), HOUR, 2 * HOUR).await;
    house.at(20).await;
    house.withdraw(withdrawn).await;
    house.at(HOUR + 60).await;
    assert_eq!(house.closed(elapsed).await, Some(ClosedHow::Deleted));
    assert_eq!(house.closed(withdrawn).await, Some(ClosedHow::NothingCreated));
    assert!(facts(&house).is_empty());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_denied_while_another_request_needs_the_same_or_the_access_is_standing() {
    let house = denying().await;
    let process = house.start().await;
    house.grant(&permission_set(), 0, 2 * HOUR).await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert!(matches!(house.closed(id).await, Some(ClosedHow::CarriedBy(_))));
    assert!(facts(&house).is_empty());
    process.stop().await;

    let house = denying().await;
    house.aws.standing(crate::house::aws_key(&key_of(&permission_set())));
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Standing));
    assert!(facts(&house).is_empty());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_read_back_and_a_refusal_is_tried_again() {
    let house = denying().await;
    let process = house.start().await;
    scps(&house).fail_next(DenialFault::Refused(ErrorKind::Throttled));
    scps(&house).fail_next(DenialFault::AnswerLost);
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    process.revoke("ada", id).await.unwrap();
    house.at(60).await;
    assert_eq!(denied(&house).len(), 1);
    let [attempted, failed, again, confirmed] = <[DenialEvent; 4]>::try_from(facts(&house)).unwrap();
    assert!(matches!((attempted, again), (DenialEvent::Attempted { .. }, DenialEvent::Attempted { .. })));
    assert!(matches!(failed, DenialEvent::Failed { reason, .. } if reason == "Planted"));
    assert!(matches!(confirmed, DenialEvent::Confirmed { .. }));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_write_stays_and_what_they_remove_is_written_again() {
    let house = denying().await;
    let process = house.start().await;
    let theirs = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Theirs","Effect":"Deny","Action":"ec2:*","Resource":"*"}]}"#;
    scps(&house).write(&account(), &policy_name(&account()), theirs);
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    let document = scps(&house).document(&account()).unwrap();
    assert!(document.contains("Theirs") && denied(&house).len() == 1);
    scps(&house).write(&account(), &policy_name(&account()), theirs);
    house.at(660 + 400).await;
    assert_eq!(denied(&house).len(), 1, "looked at every few minutes, and written again");
    assert!(facts(&house).contains(&DenialEvent::DriftFound));
    house.at(700 + HOUR).await;
    assert!(house.closed(id).await.is_some() && denied(&house).is_empty());
    assert!(scps(&house).document(&account()).unwrap().contains("Theirs"));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_write_over_is_written_again_although_who_has_the_duty_is_dead() {
    let house = denying().await;
    let one = house.start_as("one").await;
    revoked_at(&house, &one, 600).await;
    let _two = house.start_as("two").await;
    house.at(1_260).await;
    assert_eq!(
        (denied(&house).len(), house.claims()),
        (1, vec!["one".to_owned()]),
        "who looks changes nothing"
    );
    one.kill().await;
    scps(&house).write(&account(), &policy_name(&account()), r#"{"Version":"2012-10-17","Statement":[]}"#);
    house.at(1_260 + 300).await;
    assert_eq!(denied(&house).len(), 0, "whoever has the duty is given the time to look");
    house.at(1_260 + 3 * 300).await;
    assert_eq!((denied(&house).len(), house.claims()), (1, vec!["one".to_owned(), "two".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_others_write_over_is_written_again_in_time_although_the_latest_claim_was_dated_ahead() {
    let house = denying().await;
    let one = house.start_as("one").await;
    house.at(2).await;
    one.set_clock_ahead(SignedDuration::from_mins(10));
    house.grant(&role(), 0, 2 * HOUR).await;
    house.at(5).await;
    assert_eq!(house.claims(), ["one"]);
    one.set_clock_ahead(SignedDuration::ZERO);
    let _two = house.start_as("two").await;
    revoked_at(&house, &one, 30).await;
    house.at(100).await;
    assert_eq!(denied(&house).len(), 1);
    one.kill().await;
    scps(&house).write(&account(), &policy_name(&account()), r#"{"Version":"2012-10-17","Statement":[]}"#);
    // Seen after a look's interval, and left to whoever has the duty for as long again: by then the date of the claim has passed.
    house.at(100 + 700).await;
    assert_eq!((denied(&house).len(), house.claims()), (1, vec!["one".to_owned(), "two".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn how_long_aws_denies_otherwise_is_not_how_long_the_log_says_so() {
    // A replica looks every fifteen to twenty seconds: one of these is well before its next look.
    for noted_at in [1_320, 1_330] {
        let house = denying().await;
        let one = house.start_as("one").await;
        revoked_at(&house, &one, 600).await;
        let _two = house.start_as("two").await;
        house.at(1_000).await;
        one.kill().await;
        let nothing = r#"{"Version":"2012-10-17","Statement":[]}"#;
        scps(&house).write(&account(), &policy_name(&account()), nothing);
        // By now the other has seen it. Whoever has the duty sees it as well, notes it, and is about to write it again.
        house.at(noted_at).await;
        house.write_denials(&account(), DenialEvent::DriftFound).await;
        house.at(noted_at + 14).await;
        assert_eq!(house.claims(), ["one"], "noted at {noted_at}: they are given the time to do it");
        house.at(noted_at + 45).await;
        assert_eq!((denied(&house).len(), house.claims()), (1, vec!["one".to_owned(), "two".to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_we_cannot_have_denied_is_no_reason_to_take_over() {
    // Nothing was ever denied in the account, or all of it was lifted and no call can arrive any more.
    for (denied_before, start) in [(false, 60), (true, 2 * HOUR)] {
        let house = denying().await;
        let one = house.start_as("one").await;
        let _two = house.start_as("two").await;
        if denied_before {
            revoked_at(&house, &one, 600).await;
        }
        house.at(start - 10).await;
        assert_eq!(facts(&house).is_empty(), !denied_before);
        let written = scps(&house).writes().len();
        let another_deployments = r#"{"Version":"2012-10-17","Statement":[{"Sid":"DaypassX","Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        scps(&house).write(&account(), &policy_name(&account()), another_deployments);
        // It is closing for as long as its creation may arrive.
        house.aws.fail_next(AwsOperation::Create, Fault::REQUEST_LOST);
        let lost = house.grant(&permission_set(), start, start + 3).await;
        house.at(start + 1_100).await;
        assert!(house.request(lost).await.is_closing());
        assert_eq!((house.claims().len(), scps(&house).writes().len()), (1, written), "from {start}");
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_awss_limits_the_bound_that_was_told_stands() {
    let house = denying().await;
    let process = house.start().await;
    for n in 0..POLICIES_MAX {
        scps(&house).write(&account(), &format!("p-{n}"), "{}");
    }
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert!(scps(&house).writes().is_empty());
    assert!(
        facts(&house)
            .iter()
            .any(|fact| matches!(fact, DenialEvent::Failed { reason, .. } if reason == "TooManyPolicies"))
    );
    house.at(700 + HOUR).await;
    house.at(1_300 + HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "once its sessions are dead");
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_it_is_followed_by_one_that_finishes() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    while attempts(&house) == 0 {
        tokio::task::yield_now().await;
    }
    process.kill().await;
    let process = house.start().await;
    house.at(700).await;
    assert_eq!(denied(&house).len(), 1);
    process.kill().await;
    house.at(800 + HOUR).await;
    let process = house.start().await;
    house.at(830 + HOUR).await;
    assert!(
        denied(&house).is_empty() && house.closed(id).await.is_some(),
        "also when it was down at the time"
    );
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_management_account_is_out_of_reach() {
    let house = denying().await;
    let process = house.start().await;
    let account = AccountId::new(sample::MANAGEMENT).unwrap();
    assert!(
        process
            .views
            .directory
            .snapshot()
            .unwrap()
            .account(&account)
            .is_some_and(|account| account.management)
    );
    house.aws.change_directory(|contents| {
        for (id, account) in &mut contents.accounts {
            account.management = *id == *role().account();
        }
    });
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    process.views.directory.refresh().await.unwrap();
    process.revoke("ada", id).await.unwrap();
    house.at(60).await;
    assert!(facts(&house).is_empty(), "no service control policy binds it");
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sessions_are_denied_for_as_long_as_their_set_lets_them_live_by_now() {
    let house = denying().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    house.aws.change_directory(|contents| {
        for set in contents.permission_sets.values_mut() {
            set.session_duration = SignedDuration::from_hours(4);
        }
    });
    process.views.directory.refresh().await.unwrap();
    house.at(600).await;
    process.revoke("ada", id).await.unwrap();
    house.at(700 + HOUR).await;
    assert_eq!(denied(&house).len(), 1, "a session begun under the longer duration lives on");
    house.at(700 + 4 * HOUR).await;
    assert!(denied(&house).is_empty() && house.closed(id).await.is_some());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_known_to_be_wrong_lifts_no_denial_and_closes_nothing() {
    for target in [permission_set(), role()] {
        let house = denying().await;
        let process = house.start().await;
        let id = house.grant(&target, 0, 2 * HOUR).await;
        house.at(300).await;
        if target == role() {
            process.issue("ada", id, "one", None).await.unwrap();
        }
        process.revoke("ada", id).await.unwrap();
        house.at(360).await;
        assert_eq!(denied(&house).len(), 1);
        process.set_clock_ahead(SignedDuration::from_hours(2));
        process.aws_is_ahead(-SignedDuration::from_hours(2));
        house.at(900).await;
        assert_eq!(denied(&house).len(), 1, "{target}: the sessions live");
        assert_eq!(house.closed(id).await, None, "{target}");
        process.set_clock_ahead(SignedDuration::ZERO);
        process.aws_is_ahead(SignedDuration::ZERO);
        house.at(400 + HOUR).await;
        assert!(denied(&house).is_empty() && house.closed(id).await.is_some(), "{target}");
        process.stop().await;
    }
}

/// It waited until the date at which that clock would have tried again.
#[tokio::test(start_paused = true)]
async fn what_a_clock_far_ahead_could_not_deny_is_denied_once_it_is_set_right() {
    let house = denying().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    scps(&house).refuse(ErrorKind::Unavailable);
    process.revoke("ada", id).await.unwrap();
    house.at(12).await;
    process.set_clock_ahead(SignedDuration::from_mins(30));
    scps(&house).heal();
    house.at(20).await;
    assert!(denied(&house).is_empty(), "AWS refuses its signatures");
    process.set_clock_ahead(SignedDuration::ZERO);
    house.at(40).await;
    assert_eq!(denied(&house).len(), 1);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_known_to_be_wrong_takes_no_credentials_for_expired() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(300).await;
    process.issue("ada", id, "one", None).await.unwrap();
    process.revoke("ada", id).await.unwrap();
    process.set_clock_ahead(SignedDuration::from_hours(2));
    process.aws_is_ahead(-SignedDuration::from_hours(2));
    house.at(900).await;
    assert_eq!(house.closed(id).await, None);
    process.set_clock_ahead(SignedDuration::ZERO);
    process.aws_is_ahead(SignedDuration::ZERO);
    house.at(400 + HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_their_sessions_to_die_keep_nobody_waiting_and_hands_do_not_change() {
    let house = denying().await;
    let accounts = house.many_accounts(20);
    let one = house.start_as("one").await;
    let two = house.start_as("two").await;
    let mut ids = Vec::new();
    for account in &accounts {
        ids.push(house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), 0, 2 * HOUR).await);
    }
    house.at(300).await;
    for id in &ids {
        one.revoke("ada", *id).await.unwrap();
    }
    house.at(360).await;
    let next = house.grant(&permission_set(), 1_000, 2 * HOUR).await;
    for (process, at) in [(&one, 400), (&two, 900)] {
        house.at(at).await;
        let asked = wire::GetActivationRequest {
            request_id: next.to_string(),
            ..wire::GetActivationRequest::default()
        };
        let answer = Rpcs::get_activation(&process.service, call("ada", asked)).await.unwrap();
        assert_eq!(answer.into_inner().activation.unwrap().estimate.unwrap().ahead, 0);
        assert_eq!(process.service.overdue(), 0);
    }
    // Who starts while sessions die has heard of none.
    let _three = house.start_as("three").await;
    house.at(HOUR).await;
    assert_eq!(house.closed(ids[0]).await, None);
    house.at(HOUR + 600).await;
    for id in &ids {
        assert_eq!(house.closed(*id).await, Some(ClosedHow::Deleted));
    }
    assert_eq!(house.claims().len(), 1, "{:?}", house.claims());
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_denied_requests_are_closed_once_their_sessions_are_dead() {
    let house = denying().await;
    let other = Target::parse(sample::WEB_PROD, sample::ADMINISTRATOR_ACCESS).unwrap();
    let both = format!("\"{}\", \"{}\"", sample::READ_ONLY, sample::ADMINISTRATOR_ACCESS);
    house.apply(&POLICY.replace(&format!("\"{}\"", sample::READ_ONLY), &both)).await;
    let process = house.start().await;
    let elapsed = house.grant(&other, 0, 700).await;
    scps(&house).refuse(ErrorKind::Denied);
    let id = revoked_at(&house, &process, 600).await;
    house.at(760).await;
    assert_eq!(
        house.closed(elapsed).await,
        Some(ClosedHow::Deleted),
        "it ended in time, and was never denied"
    );
    house.at(500 + HOUR).await;
    assert_eq!(house.closed(id).await, None);
    house.at(660 + HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(process.service.overdue(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_denies_the_dead_is_lifted_later_where_it_cannot_be_lifted_now() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert_eq!(denied(&house).len(), 1);
    scps(&house).refuse(ErrorKind::Denied);
    house.at(2_400 + HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "nobody waits for what denies the dead");
    scps(&house).heal();
    house.at(3_300 + HOUR).await;
    assert!(denied(&house).is_empty());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_two_people_gave_up_waits_for_no_sessions() {
    let house = denying().await;
    let process = house.start().await;
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    let id = revoked_at(&house, &process, 600).await;
    scps(&house).refuse(ErrorKind::NotFound);
    house.aws.change_directory(|contents| {
        contents.accounts.get_mut(&account()).unwrap().active = false;
    });
    process.views.directory.refresh().await.unwrap();
    let key = key_of(&permission_set());
    process.abandon("carol", &key, "one").await.unwrap();
    process.abandon("dave", &key, "two").await.unwrap();
    house.at(700).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned));
}

/// The account is in use: to give up what a leaver had there would have let their sessions work again.
#[tokio::test(start_paused = true)]
async fn what_two_people_gave_up_of_a_leaver_waits_for_the_sessions_that_are_denied() {
    let mut house = House::with(Behaviour { removal_needs_user: true, ..Behaviour::default() }).await;
    let signature_skew_max = Behaviour::default().signature_skew_max;
    house.scps = Some(Arc::new(SimulatedScps::new(house.clock.clone(), signature_skew_max)));
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(590).await;
    house.ada_leaves();
    process.views.directory.refresh().await.unwrap();
    process.revoke("carol", id).await.unwrap();
    house.at(1_200).await;
    assert_eq!(denied(&house).len(), 1);
    let key = key_of(&permission_set());
    process.abandon("carol", &key, "one").await.unwrap();
    process.abandon("dave", &key, "two").await.unwrap();
    house.at(1_500).await;
    assert_eq!((denied(&house).len(), house.closed(id).await), (1, None), "their sessions go on");
    house.at(14 * HOUR).await;
    assert_eq!((denied(&house).len(), house.closed(id).await), (0, Some(ClosedHow::Abandoned)));
}

const SET_GONE: &str = "the permission set is gone: its sessions live as long as was told";

/// That its own cannot be denied was only warned of.
#[tokio::test(start_paused = true)]
async fn a_set_that_is_gone_keeps_nobody_elses_sessions_alive() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = denying().await;
    let process = house.start().await;
    let gone = house.grant(&permission_set(), 0, 2 * HOUR).await;
    let role = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(300).await;
    process.issue("ada", role, "one", None).await.unwrap();
    house.aws.change_directory(|contents| contents.permission_sets.clear());
    process.views.directory.refresh().await.unwrap();
    process.revoke("ada", gone).await.unwrap();
    process.revoke("ada", role).await.unwrap();
    house.at(360).await;
    assert_eq!(denied(&house).len(), 1, "the role's");
    house.at(700 + HOUR).await;
    assert!(house.closed(gone).await.is_some() && house.closed(role).await.is_some());
    assert_eq!(errors.told(SET_GONE), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_denied_stays_denied_after_its_set_is_gone() {
    let house = denying().await;
    let process = house.start().await;
    revoked_at(&house, &process, 600).await;
    house.at(660).await;
    house.aws.change_directory(|contents| contents.permission_sets.clear());
    process.views.directory.refresh().await.unwrap();
    house.at(700 + HOUR).await;
    assert_eq!(denied(&house).len(), 1, "nobody knows any more how long they live");
    house.at(700 + 12 * HOUR).await;
    assert!(denied(&house).is_empty());
}

/// Who started since did not know its name, and lifted what denied its sessions while they lived.
#[tokio::test(start_paused = true)]
async fn what_was_denied_stays_denied_after_its_set_is_gone_and_a_start() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    let before = denied(&house);
    assert_eq!(before.len(), 1);
    process.kill().await;
    house.aws.change_directory(|contents| contents.permission_sets.clear());
    let process = house.start().await;
    house.at(1_800).await;
    assert_eq!(denied(&house), before, "its name is in the log");
    assert_eq!(house.closed(id).await, None);
    house.at(700 + 12 * HOUR).await;
    assert!(denied(&house).is_empty() && house.closed(id).await.is_some());
    process.stop().await;
}

/// The directory cannot be read any more.
fn hide_directory(house: &House) {
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::FetchDirectory, Fault::Refused(ErrorKind::Unavailable));
    }
}

/// The whole account waited for the name of one permission set.
#[tokio::test(start_paused = true)]
async fn sessions_are_denied_although_only_the_log_says_what_a_set_is_called_that_is_denied_there() {
    let house = denying().await;
    let process = house.start().await;
    let role = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(500).await;
    process.issue("ada", role, "one", None).await.unwrap();
    revoked_at(&house, &process, 600).await;
    house.at(660).await;
    let before = denied(&house);
    assert_eq!(before.len(), 1);
    process.pause();
    process.revoke("ada", role).await.unwrap();
    process.kill().await;
    hide_directory(&house);
    let process = house.start().await;
    house.at(720).await;
    assert!(process.views.directory.snapshot().is_none());
    let after = denied(&house);
    assert!(after.len() == 2 && after.contains(&before[0]), "{after:?}");
    process.stop().await;
}

/// By the bound that was told they were dead, and what denied them was lifted.
#[tokio::test(start_paused = true)]
async fn what_a_set_lets_live_for_longer_by_now_stays_denied_while_no_directory_says_so() {
    let house = denying().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    house.aws.change_directory(|contents| {
        for set in contents.permission_sets.values_mut() {
            set.session_duration = SignedDuration::from_hours(4);
        }
    });
    process.views.directory.refresh().await.unwrap();
    house.at(600).await;
    process.revoke("ada", id).await.unwrap();
    house.at(660).await;
    assert_eq!(denied(&house).len(), 1);
    process.kill().await;
    house.at(660 + HOUR).await;
    hide_directory(&house);
    let process = house.start().await;
    house.at(720 + HOUR).await;
    assert!(process.views.directory.snapshot().is_none());
    assert_eq!((denied(&house).len(), house.closed(id).await), (1, None), "that cannot be told");
    house.aws.heal();
    process.views.directory.refresh().await.unwrap();
    house.at(780 + HOUR).await;
    assert_eq!((denied(&house).len(), house.closed(id).await), (1, None), "they live");
    house.at(700 + 4 * HOUR).await;
    assert!(denied(&house).is_empty() && house.closed(id).await.is_some());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sessions_that_whoever_has_the_duty_does_not_deny_are_denied_by_another() {
    let house = denying().await;
    let one = house.start_as("one").await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(60).await;
    one.issue("ada", id, "one", None).await.unwrap();
    let two = house.start_as("two").await;
    house.at(120).await;
    one.kill().await;
    two.revoke("ada", id).await.unwrap();
    house.at(180).await;
    assert_eq!(denied(&house).len(), 1);
    assert_eq!(house.claims(), ["one", "two"]);
}

/// Does something once, as soon as an event about what is denied is to be written.
struct AtDenial(Option<Box<dyn FnOnce() + Send>>);

impl Faults for AtDenial {
    fn append(&mut self, stream: &StreamName, _: &Envelope) -> AppendFault {
        if stream.as_str().starts_with("denial-")
            && let Some(act) = self.0.take()
        {
            act();
        }
        AppendFault::Proceed
    }
}

/// It intended to deny them again and again, and each time gave that up.
#[tokio::test(start_paused = true)]
async fn who_loses_the_duty_while_denying_intends_nothing_more() {
    let house = denying().await;
    let one = house.start_as("one").await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    one.issue("ada", id, "one", None).await.unwrap();
    house.log.set_faults(Box::new(AtDenial(Some(Box::new(one.brake())))));
    one.revoke("ada", id).await.unwrap();
    house.at(15).await;
    assert_eq!(attempts(&house), 1, "paused between what it intends and the call");
    house.claim("two").await;
    one.resume();
    house.at(25).await;
    assert_eq!((attempts(&house), denied(&house).len()), (1, 0), "it steps back");
    house.at(90).await;
    assert_eq!(denied(&house).len(), 1, "the other never does it");
    assert_eq!(house.claims(), ["one", "two", "one"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_late_call_denies_is_lifted_although_nothing_is_closing_there() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    let late = scps(&house).document(&account()).unwrap();
    house.at(700 + HOUR).await;
    assert!(house.closed(id).await.is_some() && denied(&house).is_empty());
    scps(&house).write(&account(), &policy_name(&account()), &late);
    house.at(700 + HOUR + 600).await;
    assert_eq!(scps(&house).document(&account()), None, "it takes one of few places");
    process.stop().await;
}

/// Counts what is read.
struct Reads(Arc<AtomicUsize>);

impl Faults for Reads {
    fn append(&mut self, _: &StreamName, _: &Envelope) -> AppendFault {
        AppendFault::Proceed
    }

    fn read(&mut self) -> ReadFault {
        self.0.fetch_add(1, Ordering::Relaxed);
        ReadFault::Proceed
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_sessions_is_not_read_again_whenever_something_happens() {
    let house = denying().await;
    let accounts = house.many_accounts(40);
    let process = house.start().await;
    let mut ids = Vec::new();
    for account in &accounts {
        ids.push(house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), 0, 2 * HOUR).await);
    }
    house.at(300).await;
    for id in &ids {
        process.revoke("ada", *id).await.unwrap();
    }
    house.at(600).await;
    let reads = Arc::new(AtomicUsize::new(0));
    house.log.set_faults(Box::new(Reads(Arc::clone(&reads))));
    for at in 601..611 {
        house.grant(&permission_set(), 3 * HOUR, 4 * HOUR).await;
        house.at(at).await;
    }
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads < 600, "{reads} reads for ten requests that are nobody's of these");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_denied_that_a_group_of_the_person_holds() {
    for (group, denies) in [(sample::DEVELOPERS, 0), (sample::AUDITORS, 1)] {
        let house = denying().await;
        let set = permission_set();
        let group = aws::GroupId::new(group).unwrap();
        house.aws.standing_of_group(group, set.account().clone(), set.entitlement().clone());
        let process = house.start().await;
        let id = revoked_at(&house, &process, 600).await;
        house.at(660).await;
        assert_eq!(
            denied(&house).len(),
            denies,
            "sessions by the group's assignment would be denied with them"
        );
        assert_eq!(house.closed(id).await.is_some(), denies == 0);
        process.stop().await;
    }
}

/// Who is in which group is not known before the directory was read, and "in none" would be remembered for minutes.
#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_told_yet_is_not_taken_for_none() {
    for (group, denies) in [(sample::DEVELOPERS, 0), (sample::AUDITORS, 1)] {
        let house = denying().await;
        let set = permission_set();
        let group = aws::GroupId::new(group).unwrap();
        house.aws.standing_of_group(group, set.account().clone(), set.entitlement().clone());
        let one = house.start_as("one").await;
        let id = house.grant(&set, 0, 2 * HOUR).await;
        house.at(600).await;
        assert!(house.is_active(id).await);
        one.pause();
        one.revoke("ada", id).await.unwrap();
        one.kill().await;
        hide_directory(&house);
        let two = house.start_as("two").await;
        house.at(690).await;
        assert!(two.views.directory.snapshot().is_none());
        assert!(!house.has(&key_of(&set)) && facts(&house).is_empty());
        house.aws.heal();
        two.views.directory.refresh().await.unwrap();
        house.at(750).await;
        assert_eq!(denied(&house).len(), denies);
        two.stop().await;
    }
}

/// Such a house, and what it measures.
async fn measured() -> (House, Measured) {
    let mut house = denying().await;
    let measured = Measured::start();
    house.meter = Some(measured.provider.meter("daypass"));
    (house, measured)
}

/// How many requests' sessions are not denied for too long, as it was told last; `None`: never.
fn denials_overdue(measured: &Measured) -> Option<u64> {
    let exported = measured.exported().unwrap();
    let (_, gauge) = exported.rsplit_once("daypass.denials.overdue\"")?;
    let (_, value) = gauge.split_once("value: ")?;
    value.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()
}

const STILL_NOT_DENIED: &str = "live sessions are still not denied";

/// Every failure was one that is tried again, and only warned of.
#[tokio::test(start_paused = true)]
async fn sessions_that_are_not_denied_for_too_long_are_told_and_counted_until_they_are() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    for kind in [ErrorKind::Unavailable, ErrorKind::Throttled, ErrorKind::Denied] {
        let told_before = errors.told(STILL_NOT_DENIED);
        let (house, measured) = measured().await;
        let process = house.start().await;
        scps(&house).refuse(kind);
        let id = revoked_at(&house, &process, 600).await;
        house.at(600 + 270).await;
        assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), (Some(0), told_before));
        house.at(600 + 330).await;
        let once = (Some(1), told_before + 1);
        assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), once, "{kind:?}");
        assert_eq!(process.service.overdue(), 0, "its assignment is gone");
        house.at(1_800).await;
        assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), once, "told once");
        scps(&house).heal();
        house.at(2_400).await;
        assert_eq!((denied(&house).len(), denials_overdue(&measured)), (1, Some(0)));
        house.at(700 + HOUR).await;
        assert!(house.closed(id).await.is_some());
        assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), (Some(0), told_before + 1));
        process.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_knows_since_when_sessions_are_not_denied() {
    let mut house = denying().await;
    let process = house.start().await;
    scps(&house).refuse(ErrorKind::Unavailable);
    revoked_at(&house, &process, 600).await;
    house.at(1_200).await;
    process.kill().await;
    let measured = Measured::start();
    house.meter = Some(measured.provider.meter("daypass"));
    let process = house.start().await;
    house.at(1_230).await;
    assert_eq!(denials_overdue(&measured), Some(1));
    process.stop().await;
}

/// They counted from when somebody tried it first, or could not tell what to try.
#[tokio::test(start_paused = true)]
async fn sessions_that_another_comes_late_to_count_as_not_denied_since_their_end() {
    for target in [role(), permission_set()] {
        let mut house = denying().await;
        let one = house.start_as("one").await;
        let id = house.grant(&target, 0, 2 * HOUR).await;
        house.at(590).await;
        if target == role() {
            one.issue("ada", id, "one", None).await.unwrap();
        }
        house.at(600).await;
        one.pause();
        one.revoke("ada", id).await.unwrap();
        one.kill().await;
        let measured = Measured::start();
        house.meter = Some(measured.provider.meter("daypass"));
        // It can deny nothing, and AWS does not tell it which groups hold the permission set.
        scps(&house).refuse(ErrorKind::Unavailable);
        house.at(800).await;
        let two = house.start_as("two").await;
        two.cut_from_aws(true);
        house.at(600 + 330).await;
        assert_eq!(
            (house.claims(), denials_overdue(&measured)),
            (vec!["one".to_owned(), "two".to_owned()], Some(1)),
            "{target}"
        );
        two.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_over_and_cannot_be_written_again_is_told_as_not_denied() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = denying().await;
    let process = house.start().await;
    revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert_eq!(denied(&house).len(), 1);
    scps(&house).refuse(ErrorKind::Conflict);
    house.at(1_800).await;
    assert_eq!(errors.told(STILL_NOT_DENIED), 0, "as far as is known they are denied");
    scps(&house).heal();
    scps(&house).write(&account(), &policy_name(&account()), r#"{"Version":"2012-10-17","Statement":[]}"#);
    for _ in 0..100 {
        scps(&house).fail_next(DenialFault::Refused(ErrorKind::Conflict));
    }
    house.at(1_800 + 1_000).await;
    assert!(facts(&house).contains(&DenialEvent::DriftFound) && denied(&house).is_empty());
    assert_eq!(errors.told(STILL_NOT_DENIED), 1);
    process.stop().await;
}

/// Each time it was denied again, so that nobody was ever told.
#[tokio::test(start_paused = true)]
async fn what_others_write_over_again_and_again_is_told_as_not_denied_until_it_stands() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let (house, measured) = measured().await;
    let process = house.start().await;
    revoked_at(&house, &process, 600).await;
    house.at(660).await;
    // It is looked at every five minutes.
    for (written_at, told) in [(660, 0), (970, 1), (1_280, 1)] {
        house.at(written_at).await;
        let nothing = r#"{"Version":"2012-10-17","Statement":[]}"#;
        scps(&house).write(&account(), &policy_name(&account()), nothing);
        house.at(written_at + 309).await;
        assert_eq!(denied(&house).len(), 1, "written again");
        assert_eq!(denials_overdue(&measured), Some(told), "written over at {written_at}");
    }
    house.at(2_300).await;
    assert_eq!(denials_overdue(&measured), Some(1), "it has not stood for long");
    house.at(2_900).await;
    assert_eq!((denied(&house).len(), denials_overdue(&measured)), (1, Some(0)));
    assert_eq!(errors.told(STILL_NOT_DENIED), 1, "once");
    process.stop().await;
}

/// Whether a group of theirs holds the same is asked before anything is denied.
#[tokio::test(start_paused = true)]
async fn sessions_of_which_it_cannot_be_told_whether_they_are_to_be_denied_are_told_too() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let (house, measured) = measured().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(600).await;
    process.cut_from_aws(true);
    process.revoke("ada", id).await.unwrap();
    house.at(600 + 270).await;
    assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), (Some(0), 0));
    house.at(600 + 330).await;
    assert!(facts(&house).is_empty());
    assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), (Some(1), 1));
    process.cut_from_aws(false);
    house.at(1_500).await;
    assert_eq!((denied(&house).len(), denials_overdue(&measured)), (1, Some(0)));
    process.stop().await;
}

/// Access went minutes after its end, and whether the sessions of those minutes are to be denied could not be told.
#[tokio::test(start_paused = true)]
async fn sessions_of_which_only_some_are_denied_are_told_while_it_cannot_be_told_of_the_rest() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let (house, measured) = measured().await;
    let process = house.start().await;
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    let before = denied_before(&house);
    assert!(before < instant(660));
    process.hide_groups(true);
    // What AWS said of groups is old by now.
    house.at(1_000).await;
    assert!(house.has(&key_of(&permission_set())));
    let told = (denials_overdue(&measured), errors.told(STILL_NOT_DENIED));
    assert_eq!(told, (Some(0), 0), "what began before the end is denied");
    house.aws.heal();
    house.at(1_700).await;
    assert!(!house.has(&key_of(&permission_set())) && house.request(id).await.is_closing());
    assert_eq!(denied_before(&house), before, "others' sessions may be among them");
    assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), (Some(1), 1));
    process.hide_groups(false);
    house.at(1_760).await;
    assert!(denied_before(&house) > instant(1_000));
    assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), (Some(0), 1));
    process.stop().await;
}

/// Who started since told nobody of any: of one it was not known what is denied.
#[tokio::test(start_paused = true)]
async fn sessions_of_an_account_that_waits_are_told_as_not_denied() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let mut house = denying().await;
    let process = house.start().await;
    let role = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(500).await;
    process.issue("ada", role, "one", None).await.unwrap();
    scps(&house).refuse(ErrorKind::Unavailable);
    revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert!(matches!(facts(&house).last(), Some(DenialEvent::Failed { .. })));
    process.pause();
    process.revoke("ada", role).await.unwrap();
    process.kill().await;
    scps(&house).heal();
    hide_directory(&house);
    let measured = Measured::start();
    house.meter = Some(measured.provider.meter("daypass"));
    let process = house.start().await;
    house.at(1_000).await;
    assert!(process.views.directory.snapshot().is_none() && denied(&house).is_empty());
    assert_eq!((denials_overdue(&measured), errors.told(STILL_NOT_DENIED)), (Some(2), 2));
    assert_eq!(process.service.overdue(), 0, "what it waits for is no access that is left");
    house.aws.heal();
    process.views.directory.refresh().await.unwrap();
    house.at(1_100).await;
    assert_eq!((denied(&house).len(), denials_overdue(&measured)), (2, Some(0)));
    process.stop().await;
}

/// Of events about what is denied, so many can be written.
struct AtMost(usize);

impl Faults for AtMost {
    fn append(&mut self, stream: &StreamName, _: &Envelope) -> AppendFault {
        if !stream.as_str().starts_with("denial-") {
            return AppendFault::Proceed;
        }
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or_default();
        left.map_or(AppendFault::Unavailable, |_| AppendFault::Proceed)
    }
}

/// The account waited for a directory, although AWS itself says what it denies.
#[tokio::test(start_paused = true)]
async fn what_was_denied_and_not_recorded_is_read_back_and_keeps_nothing_else_waiting() {
    let house = denying().await;
    let process = house.start().await;
    let role = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(500).await;
    process.issue("ada", role, "one", None).await.unwrap();
    house.log.set_faults(Box::new(AtMost(1)));
    revoked_at(&house, &process, 600).await;
    house.at(630).await;
    assert_eq!((denied(&house).len(), facts(&house).len()), (1, 1), "denied, and not recorded");
    process.pause();
    process.revoke("ada", role).await.unwrap();
    process.kill().await;
    house.log.set_faults(Box::new(AtMost(usize::MAX)));
    hide_directory(&house);
    let process = house.start().await;
    house.at(900).await;
    assert!(process.views.directory.snapshot().is_none());
    assert!(matches!(facts(&house).get(1), Some(DenialEvent::Confirmed { .. })), "{:?}", facts(&house));
    assert_eq!(denied(&house).len(), 2);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_removed_is_held_for_its_sessions_and_nobody_is_late_with_it() {
    let mut house = denying().await;
    house.settings.missing = Missing::End;
    let one = house.start_as("one").await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    let two = house.start_as("two").await;
    house.aws.remove(aws_key(&key_of(&permission_set())));
    house.at(1_800).await;
    assert!(house.request(id).await.is_closing() && denied(&house).len() == 1);
    assert_eq!((one.service.overdue(), two.service.overdue()), (0, 0));
    assert_eq!(house.claims(), ["one"]);
    house.at(2 * HOUR).await;
    assert!(house.closed(id).await.is_some());
}

/// A creation that was lost arrives behind the removal of what was made in its stead: nobody looks before its fence is over, and its
/// sessions are not the only thing that is waited for.
#[tokio::test(start_paused = true)]
async fn what_comes_late_while_sessions_are_waited_for_and_cannot_be_removed_is_told_and_denied() {
    let signature_skew_max = SignedDuration::from_mins(15);
    let mut house = House::with(Behaviour { signature_skew_max, ..Behaviour::default() }).await;
    house.scps = Some(Arc::new(SimulatedScps::new(house.clock.clone(), signature_skew_max)));
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.aws.fail_next(AwsOperation::Create, Fault::ArrivesLater(SignedDuration::from_secs(800)));
    let id = revoked_at(&house, &process, 300).await;
    house.aws.fail_next(AwsOperation::Delete, Fault::Slow(SignedDuration::from_secs(60)));
    house.at(750).await;
    assert!(!house.has(&key));
    assert!(denied_before(&house) > instant(360), "sessions may have begun until it was gone");
    assert_eq!(process.service.overdue(), 0, "as far as can be seen nothing is left");
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    house.at(25 * 60).await;
    assert!(house.has(&key));
    assert_eq!(process.service.overdue(), 1);
    let asked = wire::GetActivationRequest { request_id: id.to_string(), ..Default::default() };
    let shown =
        process.service.get_activation(call("ada", asked)).await.unwrap().into_inner().activation.unwrap();
    assert_eq!(shown.past_end.unwrap().seconds, 20 * 60, "it is there");
    house.aws.heal();
    house.at(HOUR).await;
    assert!(!house.has(&key) && house.request(id).await.is_closing());
    assert!(denied_before(&house) > instant(25 * 60), "and until it was gone again");
    assert_eq!(process.service.overdue(), 0);
    house.at(3 * HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_before_the_date_of_its_end_is_held_for_its_sessions_too() {
    let house = denying().await;
    let one = house.start_as("one").await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    let two = house.start_as("two").await;
    house.at(600).await;
    let ahead = SignedDuration::from_secs(120);
    two.set_clock_ahead(ahead);
    two.aws_is_ahead(-ahead);
    two.revoke("ada", id).await.unwrap();
    house.at(1_800).await;
    assert!(house.request(id).await.is_closing() && denied(&house).len() == 1);
    assert_eq!((one.service.overdue(), two.service.overdue()), (0, 0));
    assert_eq!(house.claims(), ["one"]);
}

/// Halfway, a policy is detached and not deleted: it denies nothing either.
#[tokio::test(start_paused = true)]
async fn what_is_lifted_without_an_answer_is_lifted_again() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    scps(&house).fail_next(DenialFault::AnswerLost);
    house.at(2 * HOUR).await;
    let lifted = scps(&house).writes().into_iter().filter(|(.., document)| document.is_none());
    assert_eq!(lifted.count(), 2, "by an answer");
    assert!(house.closed(id).await.is_some());
}

/// Each replica counts its calls for itself, and AWS counts all of them.
#[tokio::test(start_paused = true)]
async fn who_has_no_duty_asks_aws_nothing_about_sessions_that_die() {
    let house = denying().await;
    let accounts = house.many_accounts(5);
    let one = house.start_as("one").await;
    let mut ids = Vec::new();
    for account in &accounts {
        ids.push(house.grant(&Target::parse(account, sample::READ_ONLY).unwrap(), 0, 2 * HOUR).await);
    }
    house.at(60).await;
    let two = house.start_as("two").await;
    house.at(300).await;
    for id in &ids {
        one.revoke("ada", *id).await.unwrap();
    }
    house.at(360).await;
    let three = house.start_as("three").await;
    house.at(1_020).await;
    assert!(one.groups_asked() >= accounts.len());
    assert_eq!((two.groups_asked(), three.groups_asked()), (0, 0));
    assert_eq!((two.service.overdue(), three.service.overdue()), (0, 0), "they know what is held open");
    assert_eq!(house.claims(), ["one"]);
    // Who takes over asks for itself.
    one.kill().await;
    for account in &accounts {
        let account = AccountId::new(account).unwrap();
        scps(&house).write(&account, &policy_name(&account), r#"{"Version":"2012-10-17","Statement":[]}"#);
    }
    house.at(1_020 + 3 * 300).await;
    for account in &accounts {
        let document = scps(&house).document(&AccountId::new(account).unwrap()).unwrap();
        assert!(document.contains("Daypass"), "{document}");
    }
    assert_eq!(house.claims().len(), 2, "{:?}", house.claims());
}

/// Who watches does not know that a group holds it.
#[tokio::test(start_paused = true)]
async fn what_a_group_holds_is_denied_by_nobody_who_watches_or_takes_over() {
    let house = denying().await;
    let set = permission_set();
    let developers = aws::GroupId::new(sample::DEVELOPERS).unwrap();
    house.aws.standing_of_group(developers, set.account().clone(), set.entitlement().clone());
    let one = house.start_as("one").await;
    let id = revoked_at(&house, &one, 600).await;
    let two = house.start_as("two").await;
    house.at(660).await;
    assert!(house.closed(id).await.is_some() && facts(&house).is_empty());
    let next = house.grant(&set, 700, 2 * HOUR).await;
    house.at(1_000).await;
    assert!(house.is_active(next).await);
    one.pause();
    one.revoke("ada", next).await.unwrap();
    one.kill().await;
    house.at(1_200).await;
    assert_eq!(house.claims(), ["one", "two"], "for its assignment");
    assert!(house.closed(next).await.is_some() && facts(&house).is_empty());
    two.stop().await;
}

const CANNOT_BE_DENIED: &str = "live sessions cannot be denied: they live as long as was told";
const CANNOT_BE_LIFTED: &str = "what denies sessions cannot be lifted";

/// The directory has the account no more.
async fn forget_account(house: &House, process: &crate::house::Process) {
    house.aws.change_directory(|contents| {
        contents.accounts.remove(&account());
    });
    process.views.directory.refresh().await.unwrap();
}

/// It was tried every five minutes, and paged each time, for ever.
#[tokio::test(start_paused = true)]
async fn what_was_denied_in_an_account_that_left_the_organisation_is_settled() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert_eq!(denied(&house).len(), 1);
    scps(&house).leave(&account());
    forget_account(&house, &process).await;
    assert!(scps(&house).detached(&account()).is_some());
    house.at(700 + HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert!(matches!(facts(&house).last(), Some(DenialEvent::Confirmed { .. })));
    assert_eq!(scps(&house).detached(&account()), None, "the policy that it left is ours, and goes");
    let (facts_then, writes) = (facts(&house).len(), scps(&house).writes().len());
    house.at(3 * HOUR).await;
    assert_eq!((facts(&house).len(), scps(&house).writes().len()), (facts_then, writes), "all is done");
    assert_eq!((errors.told(CANNOT_BE_DENIED), errors.told(CANNOT_BE_LIFTED)), (0, 0));
    process.stop().await;
}

/// Of the accounts of another organisation AWS knows nothing either.
#[tokio::test(start_paused = true)]
async fn what_was_never_denied_in_an_account_that_left_is_settled_once_the_directory_says_so_too() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = denying().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    scps(&house).leave(&account());
    process.revoke("ada", id).await.unwrap();
    house.at(HOUR + 600).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired), "once its sessions are dead");
    let not_found = |fact: &DenialEvent| matches!(fact, DenialEvent::Failed { reason, .. } if reason == "TargetNotFoundException");
    assert!(facts(&house).last().is_some_and(not_found));
    assert!(errors.told(CANNOT_BE_DENIED) > 0);
    assert_eq!(errors.told(CANNOT_BE_LIFTED), 1);
    forget_account(&house, &process).await;
    house.at(HOUR + 1_200).await;
    assert!(matches!(facts(&house).last(), Some(DenialEvent::Confirmed { .. })));
    let settled = facts(&house).len();
    house.at(3 * HOUR).await;
    assert_eq!((facts(&house).len(), errors.told(CANNOT_BE_LIFTED)), (settled, 1));
    process.stop().await;
}

/// A request that was revoked while its credentials work: who intended to deny them died before the call.
async fn with_an_open_attempt() -> (House, RequestId) {
    let house = denying().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(10).await;
    process.issue("ada", id, "one", None).await.unwrap();
    house.log.set_faults(Box::new(AtDenial(Some(Box::new(process.brake())))));
    process.revoke("ada", id).await.unwrap();
    house.at(15).await;
    assert_eq!(facts(&house).len(), 1, "paused between what it intends and the call");
    process.kill().await;
    (house, id)
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_open_when_its_account_left_keeps_no_request_open() {
    let (house, id) = with_an_open_attempt().await;
    scps(&house).leave(&account());
    let process = house.start().await;
    forget_account(&house, &process).await;
    house.at(HOUR + 600).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
    assert!(matches!(facts(&house).last(), Some(DenialEvent::Confirmed { .. })));
    process.stop().await;
}

/// What came of it was never written: its request was held open for ever.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_open_when_nothing_could_be_read_any_more_keeps_no_request_open() {
    let (house, id) = with_an_open_attempt().await;
    scps(&house).refuse(ErrorKind::Denied);
    let process = house.start().await;
    house.at(HOUR + 600).await;
    assert!(
        matches!(facts(&house).get(1), Some(DenialEvent::Failed { reason, .. }) if reason == "NoOutcome")
    );
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired), "once its sessions are dead");
    process.stop().await;
}

/// Among very many policies it is not found in time: that was tried every five minutes, for ever.
#[tokio::test(start_paused = true)]
async fn what_was_denied_in_an_account_that_left_is_settled_although_its_policy_cannot_be_deleted() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert_eq!(denied(&house).len(), 1);
    scps(&house).leave(&account());
    forget_account(&house, &process).await;
    for _ in 0..100 {
        scps(&house).fail_next(DenialFault::Refused(ErrorKind::Unknown));
    }
    house.at(700 + HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert!(matches!(facts(&house).last(), Some(DenialEvent::Confirmed { .. })));
    assert!(scps(&house).detached(&account()).is_some(), "it denies nobody, and stays");
    let settled = facts(&house).len();
    house.at(3 * HOUR).await;
    assert_eq!(facts(&house).len(), settled, "all is done");
    assert!(!facts(&house).iter().any(|fact| matches!(fact, DenialEvent::Failed { .. })));
    process.stop().await;
}

/// Deleting it failed every five minutes, for ever.
#[tokio::test(start_paused = true)]
async fn a_policy_that_others_attached_elsewhere_is_detached_settled_and_left_to_them() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    scps(&house).attach_elsewhere(&account());
    house.at(700 + HOUR).await;
    assert_eq!(scps(&house).document(&account()), None, "nobody is denied here any more");
    assert!(scps(&house).detached(&account()).is_some(), "they would be surprised");
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert!(matches!(facts(&house).last(), Some(DenialEvent::Confirmed { .. })));
    let settled = facts(&house).len();
    house.at(3 * HOUR).await;
    assert_eq!((facts(&house).len(), errors.told(CANNOT_BE_LIFTED)), (settled, 0));
    // It is the one of this account again when it is needed.
    let again = house.grant(&permission_set(), 3 * HOUR + 60, 5 * HOUR).await;
    house.at(3 * HOUR + 120).await;
    assert!(house.is_active(again).await);
    process.revoke("ada", again).await.unwrap();
    house.at(3 * HOUR + 180).await;
    assert_eq!((denied(&house).len(), scps(&house).detached(&account())), (1, None));
    process.stop().await;
}

/// It was told every five minutes, with words about sessions that live.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_lifted_is_told_once_by_each_process() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = denying().await;
    let process = house.start().await;
    revoked_at(&house, &process, 600).await;
    house.at(660).await;
    scps(&house).refuse(ErrorKind::Denied);
    house.at(2_400 + HOUR).await;
    assert!(attempts(&house) > 3);
    assert_eq!((errors.told(CANNOT_BE_LIFTED), errors.told(CANNOT_BE_DENIED)), (1, 0));
    process.kill().await;
    let process = house.start().await;
    house.at(4_200 + HOUR).await;
    assert_eq!((errors.told(CANNOT_BE_LIFTED), errors.told(CANNOT_BE_DENIED)), (2, 0));
    scps(&house).heal();
    house.at(5_100 + HOUR).await;
    assert!(denied(&house).is_empty());
    process.stop().await;
}

const CANNOT_BE_READ: &str = "what is denied in an account cannot be read: nothing is denied or lifted there";

/// No request of that account was ever closed any more, early end or not.
#[tokio::test(start_paused = true)]
async fn denials_that_cannot_be_read_keep_no_request_open_once_its_sessions_are_dead() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = denying().await;
    let one = house.start_as("one").await;
    house.at(5).await;
    house.garble_denials(&account()).await;
    let early = revoked_at(&house, &one, 600).await;
    let two = house.start_as("two").await;
    house.at(600 + 330).await;
    assert_eq!(errors.told(STILL_NOT_DENIED), 1, "they are not, and somebody ought to know");
    house.at(600 + HOUR).await;
    assert_eq!(house.closed(early).await, None, "a session may have begun until the removal");
    assert_eq!((one.service.overdue(), two.service.overdue()), (0, 0));
    house.at(660 + HOUR).await;
    assert_eq!(house.closed(early).await, Some(ClosedHow::Deleted));

    let start = 2 * HOUR;
    let elapsed = house.grant(&permission_set(), start, start + 600).await;
    let issued = house.grant(&role(), start, start + 600).await;
    house.at(start + 10).await;
    assert!(house.is_active(elapsed).await);
    one.issue("ada", issued, "one", None).await.unwrap();
    house.at(start + 660).await;
    assert_eq!(house.closed(elapsed).await, Some(ClosedHow::Deleted), "it ended in time");
    house.at(start + HOUR + 660).await;
    assert_eq!(house.closed(issued).await, Some(ClosedHow::CredentialsExpired));
    assert!(denied(&house).is_empty() && scps(&house).writes().is_empty());
    assert_eq!(house.claims(), ["one"], "nobody can do anything about it");
    assert_eq!(errors.told(CANNOT_BE_READ), 2, "once by each");
}

#[tokio::test(start_paused = true)]
async fn denials_that_can_be_read_no_more_lift_nothing() {
    let house = denying().await;
    let process = house.start().await;
    let id = revoked_at(&house, &process, 600).await;
    house.at(660).await;
    assert_eq!(denied(&house).len(), 1);
    house.garble_denials(&account()).await;
    house.at(660 + HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "nobody waits for what denies the dead");
    assert_eq!(denied(&house).len(), 1, "it stays as it is");
    process.stop().await;
}

/// Nothing was denied in an account while Identity Center did not say which groups hold what one request there was about.
#[tokio::test(start_paused = true)]
async fn sessions_that_can_be_told_are_denied_although_others_of_the_account_cannot() {
    let (house, measured) = measured().await;
    let process = house.start().await;
    let untold = house.grant(&permission_set(), 0, 2 * HOUR).await;
    let told = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(600).await;
    process.issue("ada", told, "one", None).await.unwrap();
    process.cut_from_aws(true);
    process.revoke("ada", untold).await.unwrap();
    house.at(900).await;
    process.revoke("ada", told).await.unwrap();
    house.at(930).await;
    let statements = denied(&house);
    assert_eq!(statements.len(), 1);
    let tags = &statements[0]["Condition"]["StringEquals"]["aws:PrincipalTag/daypass-request"];
    assert_eq!(*tags, serde_json::json!([told.to_string()]));
    assert_eq!(denials_overdue(&measured), Some(1), "the other counts as ever");
    process.cut_from_aws(false);
    house.at(1_500).await;
    assert_eq!((denied(&house).len(), denials_overdue(&measured)), (2, Some(0)));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_already_stays_denied_while_it_cannot_be_told() {
    let house = denying().await;
    let process = house.start().await;
    let role = house.grant(&role(), 0, 2 * HOUR).await;
    house.at(500).await;
    process.issue("ada", role, "one", None).await.unwrap();
    revoked_at(&house, &process, 600).await;
    house.at(660).await;
    let before = denied(&house);
    assert_eq!(before.len(), 1);
    process.cut_from_aws(true);
    // What AWS said of groups is old by now.
    house.at(1_200).await;
    process.revoke("ada", role).await.unwrap();
    house.at(1_260).await;
    let after = denied(&house);
    assert!(after.len() == 2 && after.contains(&before[0]), "{after:?}");
    process.stop().await;
}

/// It counted as never active, and its sessions lived.
#[tokio::test(start_paused = true)]
async fn sessions_of_access_that_nobody_recorded_before_its_end_are_denied() {
    let house = denying().await;
    let process = house.start().await;
    house.aws.fail_next(AwsOperation::Create, Fault::Slow(SignedDuration::from_secs(20)));
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(15).await;
    process.pause();
    house.at(25).await;
    assert!(house.has(&key_of(&permission_set())) && !house.is_active(id).await);
    process.revoke("ada", id).await.unwrap();
    process.kill().await;
    let process = house.start().await;
    house.at(300).await;
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!((denied(&house).len(), house.closed(id).await), (1, None));
    house.at(400 + HOUR).await;
    assert_eq!((denied(&house).len(), house.closed(id).await), (0, Some(ClosedHow::Deleted)));
    process.stop().await;
}

/// What AWS said of the creation of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Nobody asked it.
    NotAsked,
    Refused,
    Made,
}

#[tokio::test(start_paused = true)]
async fn sessions_that_began_in_the_lead_of_a_start_are_denied_where_it_was_taken_back() {
    for said in [Said::NotAsked, Said::Refused, Said::Made] {
        let mut house = denying().await;
        house.settings.start_lead_max = SignedDuration::from_secs(60);
        let key = key_of(&permission_set());
        let id = house.grant(&permission_set(), 100, 2 * HOUR).await;
        house.at(70).await;
        if said != Said::NotAsked {
            let attempted = AssignmentEvent::Attempted {
                key: key.clone(),
                operation: Operation::Create,
                deadline: instant(80),
            };
            let attempt = house.write_ledger(&key, attempted).await;
            let came = if said == Said::Made {
                house.aws.standing(aws_key(&key));
                AssignmentEvent::Confirmed { attempt }
            } else {
                AssignmentEvent::Failed { attempt, reason: "Denied".to_owned(), definite: true }
            };
            house.write_ledger(&key, came).await;
        }
        house.at(75).await;
        house.withdraw(id).await;
        let process = house.start().await;
        house.at(180).await;
        assert!(!house.has(&key), "{said:?}");
        if said == Said::Made {
            assert_eq!((denied(&house).len(), house.closed(id).await), (1, None));
            house.at(240 + HOUR).await;
            assert_eq!((denied(&house).len(), house.closed(id).await), (0, Some(ClosedHow::Deleted)));
        } else {
            assert_eq!(house.closed(id).await, Some(ClosedHow::NothingCreated), "{said:?}");
            assert!(facts(&house).is_empty(), "{said:?}");
        }
        process.stop().await;
    }
}
