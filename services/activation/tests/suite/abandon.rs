//! What cannot be removed because its account is gone: given up by two people, and removed should it come back.

use crate::house::{HOUR, House, POLICY, Process, key_of, permission_set, reason};
use aws::ErrorKind;
use aws::simulated::{Fault, Operation as AwsOperation, sample};
use domain::Target;
use lifecycle::assignment::{AssignmentEvent, Presence};
use lifecycle::event::ClosedHow;
use tonic::Code;

/// More than there are in any of these tests.
const ALL: usize = 2_000;

fn close_account(house: &House) {
    set_active(house, false);
    for _ in 0..ALL {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
}

fn set_active(house: &House, active: bool) {
    let account = permission_set().account().clone();
    house.aws.change_directory(|contents| contents.accounts.get_mut(&account).unwrap().active = active);
}

/// A request whose end the closed account has seen, half an hour ago.
async fn stuck() -> (House, Process, domain::RequestId) {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(HOUR - 60).await;
    assert!(house.is_active(id).await);
    close_account(&house);
    house.at(HOUR + 1800).await;
    assert_eq!(house.closed(id).await, None, "a removal is never given up by itself");
    assert_eq!(process.service.overdue(), 1);
    (house, process, id)
}

#[tokio::test(start_paused = true)]
async fn lost_account_is_given_up_by_two_people_and_what_comes_back_is_removed() {
    let (house, process, id) = stuck().await;
    let key = key_of(&permission_set());
    assert!(process.abandon("carol", &key, "one").await.unwrap().second_person_needed);
    assert!(process.abandon("carol", &key, "one").await.unwrap().second_person_needed, "the same command");
    let refused = process.abandon("carol", &key, "two").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::PermissionDenied, "SECOND_PERSON_NEEDED".to_owned())
    );
    house.at(HOUR + 1860).await;
    assert_eq!(house.closed(id).await, None, "one person gives up nothing");

    let given_up = process.abandon("dave", &key, "one").await.unwrap();
    assert!(!given_up.second_person_needed);
    house.at(HOUR + 1870).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned));
    assert_eq!(process.service.overdue(), 0);
    let comments = house.events().into_iter().filter_map(|event| {
        let journal::Fact::Assignment(
            AssignmentEvent::AbandonAsked { comment, .. } | AssignmentEvent::Abandoned { comment, .. },
        ) = event.fact
        else {
            return None;
        };
        comment
    });
    assert_eq!(comments.count(), 2, "sealed, with both");

    assert!(house.has(&key), "what is in a closed account is still there");
    set_active(&house, true);
    house.aws.heal();
    house.at(HOUR + 1870 + 900).await;
    assert!(!house.has(&key), "the account is back, and ours in it is removed");
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Absent);
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_at_another_replica_is_heard_by_whoever_has_the_duty() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    let two = house.start_as("two").await;
    house.at(HOUR - 60).await;
    close_account(&house);
    // Whoever gets other changes done keeps what fails for minutes.
    house.grant(&Target::parse(sample::WEB_DEV, sample::READ_ONLY).unwrap(), HOUR + 5, 2 * HOUR).await;
    house.at(HOUR + 150).await;
    for replica in [&one, &two] {
        replica.views.directory.refresh().await.unwrap();
    }
    // Asked by the first person, it is tried once more, and after so many failures not again for minutes.
    let key = key_of(&permission_set());
    assert!(one.abandon("carol", &key, "one").await.unwrap().second_person_needed);
    house.at(HOUR + 155).await;
    let tried = house.calls(AwsOperation::Delete);
    assert!(!two.abandon("dave", &key, "one").await.unwrap().second_person_needed);
    house.at(HOUR + 160).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned));
    assert_eq!((house.calls(AwsOperation::Delete), two.aws_changes()), (tried, 0));
    assert_eq!(house.claims(), ["one"]);
}

/// That hands changed in vain while it could not be removed says nothing of who is to record that it was given up.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_recorded_soon_although_hands_changed_in_vain_and_who_has_the_duty_is_dead() {
    let house = House::new().await;
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        replicas.push((name, house.start_as(name).await));
    }
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(HOUR - 60).await;
    close_account(&house);
    house.at(4 * HOUR).await;
    let claims = house.claims();
    assert!(claims.len() > 8, "{claims:?}");
    let (name, dead) = if claims.last().unwrap() == "one" { replicas.remove(0) } else { replicas.remove(1) };
    dead.kill().await;
    let (_, alive) = replicas.remove(0);
    let key = key_of(&permission_set());
    alive.abandon("carol", &key, "one").await.unwrap();
    alive.abandon("dave", &key, "one").await.unwrap();
    house.at(4 * HOUR + 90).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned), "{name} was the holder");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_up_that_is_needed_or_that_can_be_removed() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    let refused = process.abandon("ada", &key, "one").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, "NOT_ENTITLED".to_owned()));
    let refused = process.abandon("carol", &key, "one").await.unwrap_err();
    assert_eq!(reason(&refused), "STILL_NEEDED");
    for _ in 0..ALL {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    house.at(HOUR + 60).await;
    let refused = process.abandon("carol", &key, "two").await.unwrap_err();
    assert_eq!(reason(&refused), "ACCOUNT_NOT_GONE");
    house.aws.heal();
    house.at(HOUR + 600).await;
    let refused = process.abandon("carol", &key, "three").await.unwrap_err();
    assert_eq!(reason(&refused), "AS_IT_SHOULD_BE", "it is gone");
}

#[tokio::test(start_paused = true)]
async fn an_old_directory_does_not_say_that_an_account_is_gone() {
    let (house, process, _) = stuck().await;
    house.apply(&POLICY.replace("[settings]\n", "[settings]\ndirectory_age_max = \"1m\"\n")).await;
    process.stop_reading_the_directory();
    house.at(HOUR + 1800 + 360).await;
    let refused = process.abandon("carol", &key_of(&permission_set()), "one").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "DIRECTORY_UNAVAILABLE".to_owned()));
}
