//! What cannot be removed because its account or its user is gone: given up by two people, and removed should it come back.

use crate::house::{HOUR, House, POLICY, Process, key_of, permission_set, reason};
use aws::simulated::{Behaviour, Fault, Operation as AwsOperation, sample};
use aws::{DirectorySource as _, ErrorKind};
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

/// AWS says of every removal that it failed, and goes on listing what is there: so it was seen to do.
#[tokio::test(start_paused = true)]
async fn what_a_leaver_had_is_given_up_by_two_people_and_goes_should_the_user_come_back() {
    let house = House::with(Behaviour { removal_needs_user: true, ..Behaviour::default() }).await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(HOUR - 10).await;
    assert!(house.is_active(id).await);
    let before = house.aws.fetch().await.unwrap();
    house.ada_leaves();
    house.at(HOUR + 1_800).await;
    assert_eq!(house.closed(id).await, None, "a removal is never given up by itself");
    assert_eq!(process.service.overdue(), 1);

    assert!(process.abandon("carol", &key, "one").await.unwrap().second_person_needed);
    let alone = process.abandon("carol", &key, "two").await.unwrap_err();
    assert_eq!(reason(&alone), "SECOND_PERSON_NEEDED");
    house.at(HOUR + 1_860).await;
    assert_eq!(house.closed(id).await, None, "one person gives up nothing");
    assert!(!process.abandon("dave", &key, "one").await.unwrap().second_person_needed);
    house.at(HOUR + 1_870).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned));
    let tried = house.calls(AwsOperation::Delete);

    house.at(2 * HOUR).await;
    process.reconcile("carol", Some(&key), false).await.unwrap();
    house.at(3 * HOUR).await;
    assert!(house.has(&key), "AWS lists it");
    let ledger = house.ledger(&key).await.unwrap();
    assert!(ledger.is_settled_absent() && ledger.abandoned, "who is gone has not come back: {ledger:?}");
    assert_eq!((house.calls(AwsOperation::Delete), process.service.overdue()), (tried, 0));

    house.aws.set_directory(before);
    house.at(3 * HOUR + 900).await;
    assert!(!house.has(&key), "the user is back, and what they had of ours is removed");
    assert_eq!(house.ledger(&key).await.unwrap().presence, Presence::Absent);
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned));
}

#[tokio::test(start_paused = true)]
async fn only_a_fresh_directory_that_lacks_the_user_says_that_the_user_is_gone() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.grant(&permission_set(), 0, HOUR).await;
    house.at(HOUR - 60).await;
    process.stop_reading_the_directory();
    for _ in 0..ALL {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    house.at(HOUR + 60).await;
    house.aws.change_directory(|contents| contents.users.get_mut(&key.principal).unwrap().enabled = false);
    process.views.directory.refresh().await.unwrap();
    let disabled = process.abandon("carol", &key, "one").await.unwrap_err();
    assert_eq!(reason(&disabled), "ACCOUNT_NOT_GONE", "who is disabled is there");
    house.ada_leaves();
    let unread = process.abandon("carol", &key, "two").await.unwrap_err();
    assert_eq!(reason(&unread), "ACCOUNT_NOT_GONE", "the directory has the user");
    process.views.directory.refresh().await.unwrap();
    assert!(process.abandon("carol", &key, "three").await.unwrap().second_person_needed);

    house.apply(&POLICY.replace("[settings]\n", "[settings]\ndirectory_age_max = \"1m\"\n")).await;
    house.at(HOUR + 60 + 360).await;
    let old = process.abandon("dave", &key, "one").await.unwrap_err();
    assert_eq!((old.code(), reason(&old)), (Code::Unavailable, "DIRECTORY_UNAVAILABLE".to_owned()));
    process.views.directory.refresh().await.unwrap();
    assert!(!process.abandon("dave", &key, "one").await.unwrap().second_person_needed);
}

/// AWS may list what is in a closed account. Nobody is told of it again, and nothing is tried in vain.
#[tokio::test(start_paused = true)]
async fn what_was_given_up_in_an_account_that_stays_closed_is_not_taken_for_back() {
    let (house, process, id) = stuck().await;
    let key = key_of(&permission_set());
    process.abandon("carol", &key, "one").await.unwrap();
    process.abandon("dave", &key, "one").await.unwrap();
    house.at(HOUR + 1_870).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Abandoned));
    let tried = house.calls(AwsOperation::Delete);
    house.at(3 * HOUR).await;
    assert!(house.has(&key) && house.ledger(&key).await.unwrap().abandoned);
    assert_eq!((house.calls(AwsOperation::Delete), process.service.overdue()), (tried, 0));
}
