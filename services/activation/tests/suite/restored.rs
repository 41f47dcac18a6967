//! A log that was restored from a backup, while AWS went on.

use crate::house::{HOUR, House, aws_key, call, key_of, permission_set, reason, role, role_for_users};
use crate::regressions::Errors;
use activation::Settings;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use api::activation::v1::{GetActivationRequest, OpenConsoleRequest};
use aws::ErrorKind;
use aws::simulated::{Call, CallRecord, Fault, Operation as AwsOperation};
use domain::{RequestId, SignedDuration};
use event_log::{Envelope, EventLog as _, Expected, Writer};
use journal::{Fact as Recorded, types};
use lifecycle::assignment::Presence;
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::log::LogEvent;
use lifecycle::state::EndReason;
use opentelemetry::metrics::MeterProvider as _;
use test_servers::measured::Measured;
use tonic::Code;
use tracing_subscriber::layer::SubscriberExt as _;

fn swept(house: &House) -> Vec<u64> {
    let mut swept = Vec::new();
    for event in house.events() {
        if let Recorded::Log(LogEvent::Swept { unknown }) = event.fact {
            swept.push(unknown);
        }
    }
    swept
}

fn place_of(house: &House, type_name: &str) -> Option<usize> {
    house.events().iter().position(|event| types::type_name(&event.fact) == type_name)
}

fn events(house: &House) -> usize {
    house.events().len()
}

#[tokio::test(start_paused = true)]
async fn what_was_made_after_the_backup_is_found_before_anything_is_granted_and_can_be_adopted() {
    let mut house = House::new().await;
    let process = house.start().await;
    let backup = events(&house);
    house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    let key = key_of(&permission_set());
    assert!(house.has(&key));
    process.kill().await;

    house.restore(backup).await;
    assert!(house.ledger(&key).await.is_none(), "the restored log knows nothing of it");
    let id = house.grant(&role(), 60, 2 * HOUR).await;
    let process = house.start().await;
    house.at(120).await;
    assert_eq!(swept(&house), [1]);
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Standing);
    assert!(house.has(&key), "not taken for ours");
    assert!(house.is_active(id).await, "granted after it");
    assert!(place_of(&house, "log.swept.v1") < place_of(&house, "request.activated.v1"));

    process.reconcile("carol", Some(&key), true).await.unwrap();
    house.at(180).await;
    assert!(!house.has(&key), "adopted, and needed by nobody");
    process.kill().await;
    let _process = house.start().await;
    house.at(240).await;
    assert_eq!(swept(&house), [1], "once");
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_access_since_the_backup_does_not_get_it_back() {
    let mut house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    let backup = events(&house);
    process.revoke("ada", id).await.unwrap();
    house.at(120).await;
    let key = key_of(&permission_set());
    assert!(!house.has(&key));
    process.kill().await;

    house.restore(backup).await;
    assert!(house.is_active(id).await, "by the backup");
    let _process = house.start().await;
    house.at(HOUR).await;
    assert!(!house.has(&key));
    assert_eq!(house.calls(AwsOperation::Create), 1, "never made again");
    let (because, _) = house.over(id).await.unwrap();
    assert_eq!(because, EndReason::Ended(EndedBecause::RemovedOutside));
}

/// Whether a request has ended because it may have been revoked since the backup.
async fn may_have_ended(house: &House, id: RequestId) -> bool {
    match house.over(id).await {
        Some((EndReason::Ended(EndedBecause::NoLongerEligible { reason }), _)) => reason.contains("restored"),
        _ => false,
    }
}

/// What lists AWS was asked for.
fn lists(house: &House) -> Vec<CallRecord> {
    let mut calls = house.aws.calls();
    calls.retain(|record| record.call.operation() == AwsOperation::Holders);
    calls
}

#[tokio::test(start_paused = true)]
async fn what_was_revoked_since_the_backup_and_had_not_begun_by_it_is_not_made_again() {
    let mut house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 600, 4 * HOUR).await;
    house.at(60).await;
    let backup = events(&house);
    house.at(700).await;
    assert!(house.is_active(id).await);
    process.revoke("ada", id).await.unwrap();
    house.at(800).await;
    let key = key_of(&permission_set());
    assert!(!house.has(&key));
    process.kill().await;

    house.restore(backup).await;
    let _process = house.start().await;
    house.at(2 * HOUR).await;
    assert_eq!(swept(&house), [0]);
    assert!(may_have_ended(&house, id).await);
    assert_eq!(house.closed(id).await, Some(ClosedHow::NothingCreated));
    assert!(!house.has(&key));
    assert_eq!(house.calls(AwsOperation::Create), 1, "never made again");
}

#[tokio::test(start_paused = true)]
async fn what_begins_after_the_restore_ends_too_and_is_had_by_who_asks_anew() {
    let mut house = House::new().await;
    let (start, end) = (2 * HOUR, 4 * HOUR);
    let backed_up =
        [house.grant(&permission_set(), start, end).await, house.grant(&role(), start, end).await];
    house.at(60).await;
    house.restore(events(&house)).await;
    let _process = house.start().await;
    house.at(180).await;
    for id in backed_up {
        assert!(may_have_ended(&house, id).await);
    }
    let anew = [house.grant(&permission_set(), start, end).await, house.grant(&role(), start, end).await];
    house.at(start + 60).await;
    for id in anew {
        assert!(house.is_active(id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_people_agree_to_after_the_restore_is_given_and_what_a_rule_agrees_to_is_not() {
    let mut house = House::new().await;
    let (by_people, by_rule) = (house.ask(&permission_set()).await, house.ask(&role()).await);
    house.restore(events(&house)).await;
    let _process = house.start().await;
    house.at(180).await;
    assert_eq!(swept(&house), [0]);
    house.approve(by_people, 180, HOUR).await;
    house.approve_by_rule(by_rule, 180, HOUR).await;
    house.at(300).await;
    assert!(house.is_active(by_people).await);
    assert!(may_have_ended(&house, by_rule).await, "it may have been approved and revoked since");
}

#[tokio::test(start_paused = true)]
async fn what_stood_there_before_is_not_made_for_a_request_that_may_have_been_revoked() {
    let mut house = House::new().await;
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 4 * HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    process.kill().await;

    house.restore(events(&house)).await;
    let _process = house.start().await;
    house.at(300).await;
    assert!(may_have_ended(&house, id).await);
    assert_eq!(house.closed(id).await, Some(ClosedHow::Standing));
    assert!(house.has(&key), "not ours to remove");
    house.aws.remove(aws_key(&key));
    house.at(2 * HOUR).await;
    assert!(!house.has(&key));
    assert_eq!(house.calls(AwsOperation::Create), 0);
}

#[tokio::test(start_paused = true)]
async fn no_session_is_had_before_it_is_known_what_may_have_ended_and_then_by_who_asks_anew() {
    let mut house = House::new().await;
    let process = house.start_as("one").await;
    let id = house.grant(&role(), 0, 4 * HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    process.kill().await;
    house.restore(events(&house)).await;
    let process = house.start_as("two").await;
    house.at(61).await;
    assert!(house.is_active(id).await, "who had the duty in the backup may see to it still");
    let refused = process.issue("ada", id, "early", None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "AWS_NOT_SWEPT".to_owned()));
    let asked = OpenConsoleRequest {
        idempotency_key: "early".to_owned(),
        request_id: id.to_string(),
        destination: String::new(),
    };
    let refused = Rpcs::open_console(&process.service, call("ada", asked)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "AWS_NOT_SWEPT".to_owned()));
    assert_eq!(house.aws.sessions().len(), 0);

    house.at(300).await;
    assert_eq!(swept(&house), [0]);
    assert!(may_have_ended(&house, id).await);
    assert_eq!(reason(&process.issue("ada", id, "late", None).await.unwrap_err()), "OVER");
    let anew = house.grant(&role(), 300, HOUR).await;
    house.at(330).await;
    process.issue("ada", anew, "anew", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_aws_does_not_answer_for_a_while_is_asked_again_and_nothing_else_is() {
    let mut house = House::new().await;
    house.settings = Settings { organisation_sweep_calls_per_second: 0, ..Settings::default() };
    house.many_accounts(100);
    house.restore(events(&house)).await;
    let _process = house.start().await;
    house.at(10).await;
    assert!(!lists(&house).is_empty() && swept(&house).is_empty(), "in the midst of it");
    for _ in 0..200 {
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::Unavailable));
    }
    house.at(HOUR).await;
    assert_eq!(swept(&house), [0]);
    let (answered, refused): (Vec<CallRecord>, Vec<CallRecord>) =
        lists(&house).into_iter().partition(|record| record.error.is_none());
    assert!(refused.len() >= 200);
    let mut once: Vec<Call> = Vec::new();
    for record in answered {
        assert!(!once.contains(&record.call), "{:?} was answered before", record.call);
        once.push(record.call);
    }
}

/// Nothing was ever granted, and nobody was told why.
#[tokio::test(start_paused = true)]
async fn what_a_service_has_that_is_configured_no_more_holds_up_nothing_and_is_told_as_left() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let mut house = House::new().await;
    let process = house.start().await;
    let key = key_of(&role_for_users());
    let given = house.grant(&role_for_users(), 0, 4 * HOUR).await;
    house.at(60).await;
    assert!(house.is_active(given).await);
    process.stop().await;
    house.restore(events(&house)).await;
    house.account_access = false;
    let anew = house.grant(&permission_set(), 60, 4 * HOUR).await;
    let process = house.start().await;
    house.at(HOUR).await;
    assert_eq!(swept(&house), [0]);
    assert!(house.is_active(anew).await);
    assert!(may_have_ended(&house, given).await && house.closed(given).await.is_none());
    let told = "whether it is in AWS still cannot be told: what has it ends, and it counts as left";
    assert_eq!((errors.told(told), process.service.overdue()), (1, 1));
    process.stop().await;

    house.account_access = true;
    let process = house.start().await;
    house.at(2 * HOUR).await;
    assert!(!house.has(&key));
    assert_eq!((house.closed(given).await, process.service.overdue()), (Some(ClosedHow::Deleted), 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_organisation_has_no_more_holds_nothing_and_what_it_has_is_waited_for() {
    let mut house = House::new().await;
    house.account_access = false;
    for _ in 0..10_000 {
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::NotFound));
    }
    house.restore(events(&house)).await;
    let _process = house.start().await;
    house.at(600).await;
    assert_eq!(swept(&house), Vec::<u64>::new(), "the directory has what AWS says is not there");
    house.aws.change_directory(|contents| contents.permission_sets.clear());
    house.at(1_200).await;
    assert_eq!(swept(&house), [0]);
}

/// What the gauge says.
fn unknown(measured: &Measured) -> Option<u64> {
    let exported = measured.exported().unwrap();
    let (_, gauge) = exported.split_once("daypass.restored.unknown")?;
    let (_, value) = gauge.split_once("value: ")?;
    value.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok()
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_is_told_also_by_who_starts_later_and_until_it_is_adopted() {
    let mut house = House::new().await;
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    house.restore(events(&house)).await;
    let process = house.start().await;
    house.at(60).await;
    assert_eq!(swept(&house), [1]);
    process.kill().await;
    let measured = Measured::start();
    house.meter = Some(measured.provider.meter("daypass"));
    let process = house.start().await;
    house.at(120).await;
    assert_eq!(unknown(&measured), Some(1));
    process.reconcile("carol", Some(&key), true).await.unwrap();
    house.at(720).await;
    assert!(!house.has(&key));
    assert_eq!(unknown(&measured), Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_and_taken_away_by_hand_is_told_no_more_once_somebody_has_looked() {
    for asked in [false, true] {
        let mut house = House::new().await;
        let interval = if asked { SignedDuration::from_hours(24) } else { SignedDuration::from_mins(10) };
        house.settings = Settings { organisation_sweep_interval: interval, ..Settings::default() };
        let (theirs, stays) = (key_of(&permission_set()), key_of(&role_for_users()));
        for key in [&theirs, &stays] {
            house.aws.standing(aws_key(key));
        }
        house.restore(events(&house)).await;
        let measured = Measured::start();
        house.meter = Some(measured.provider.meter("daypass"));
        let process = house.start().await;
        house.at(400).await;
        assert_eq!((swept(&house), unknown(&measured)), (vec![2], Some(2)));
        house.aws.remove(aws_key(&theirs));
        if asked {
            process.reconcile("carol", Some(&theirs), false).await.unwrap();
        }
        house.at(2_000).await;
        assert_eq!(house.ledger(&theirs).await.unwrap().presence, Presence::Absent);
        assert_eq!(unknown(&measured), Some(1));
        assert_eq!(house.ledger(&stays).await.unwrap().presence, Presence::Standing);
        process.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_by_the_backup_and_in_aws_stays_and_ends_as_ever() {
    let mut house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, 2 * HOUR).await;
    house.at(60).await;
    process.kill().await;
    house.restore(events(&house)).await;
    let _process = house.start().await;
    house.at(HOUR).await;
    assert_eq!(swept(&house), [0]);
    assert!(house.is_active(id).await && house.has(&key_of(&permission_set())));
    house.at(2 * HOUR + 120).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn while_aws_cannot_be_looked_through_nothing_is_granted_and_removals_go_on() {
    let mut house = House::new().await;
    let process = house.start().await;
    let over = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    process.kill().await;
    house.restore(events(&house)).await;
    for _ in 0..100_000 {
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::Unavailable));
    }
    let waiting = house.grant(&role(), 60, 4 * HOUR).await;
    let process = house.start().await;
    house.at(2 * HOUR).await;
    assert!(!house.is_active(waiting).await);
    assert_eq!(swept(&house), Vec::<u64>::new());
    assert!(!house.has(&key_of(&permission_set())) && house.over(over).await.is_some());
    let asked = GetActivationRequest { request_id: waiting.to_string(), ..GetActivationRequest::default() };
    let told = Rpcs::get_activation(&process.service, call("ada", asked)).await.unwrap().into_inner();
    let told = told.activation.unwrap();
    assert_eq!(told.obstacles, ["Unprovable"]);
    assert_eq!(told.obstacle_detail, "the log was restored, and AWS is being looked through");
    house.aws.heal();
    house.at(2 * HOUR + 180).await;
    assert_eq!(swept(&house).len(), 1);
    assert!(house.is_active(waiting).await);
}

#[tokio::test(start_paused = true)]
async fn a_replica_looks_although_the_one_that_had_the_duty_in_the_backup_is_gone() {
    let mut house = House::new().await;
    let process = house.start_as("one").await;
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    assert_eq!(house.claims(), ["one"]);
    process.kill().await;
    house.restore(events(&house)).await;
    let _two = house.start_as("two").await;
    let _three = house.start_as("three").await;
    house.at(120).await;
    assert_eq!(swept(&house).len(), 1);
    assert_eq!(house.claims().len(), 2, "one of the two");
}

#[tokio::test(start_paused = true)]
async fn where_the_logs_own_story_cannot_be_read_nothing_is_granted_and_removals_go_on() {
    let house = House::new().await;
    let process = house.start().await;
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    process.kill().await;
    let garbage = Envelope {
        event_id: uuid::Uuid::from_u128(77),
        writer: Writer::new("activation").unwrap(),
        body: b"garbage".as_slice().into(),
    };
    house.log.append(&"log-main".parse().unwrap(), Expected::NoStream, garbage).await.unwrap();
    let waiting = house.grant(&role(), 60, 4 * HOUR).await;
    let _process = house.start().await;
    house.at(2 * HOUR).await;
    assert!(!house.is_active(waiting).await);
    assert!(!house.has(&key_of(&permission_set())));
}
