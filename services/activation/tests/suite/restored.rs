//! A log that was restored from a backup, while AWS went on.

use crate::house::{HOUR, House, call, key_of, permission_set, role};
use api::activation::v1::GetActivationRequest;
use api::activation::v1::activation_service_server::ActivationService as Rpcs;
use aws::ErrorKind;
use aws::simulated::{Fault, Operation as AwsOperation};
use event_log::{Envelope, EventLog as _, Expected, Writer};
use journal::{Fact as Recorded, types};
use lifecycle::assignment::Presence;
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::log::LogEvent;
use lifecycle::state::EndReason;

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
    assert_eq!(told.activation.unwrap().obstacles, ["Unprovable"]);
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
