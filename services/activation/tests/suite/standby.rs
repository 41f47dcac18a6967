//! What replicas without the duty look at: what cannot be done hides nothing that can, and is no reason to take over.

use crate::house::{HOUR, House, Process, key_of, permission_set, role, role_for_users};
use aws::ErrorKind;
use aws::simulated::{Behaviour, Fault, Operation as AwsOperation, sample};
use domain::{RequestId, SignedDuration, Target};
use lifecycle::event::ClosedHow;

/// More than AWS takes at a time.
const MANY: usize = 12;

/// More than is looked at at a time.
const MORE: usize = 40;

/// Within so many seconds what waits is taken over and done.
const SOON: i64 = 20;

fn reading_in(account: &str) -> Target {
    Target::parse(account, sample::READ_ONLY).unwrap()
}

async fn two_replicas(house: &House) -> Vec<Process> {
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        replicas.push(house.start_as(name).await);
    }
    replicas
}

/// Revoked access stayed for minutes.
#[tokio::test(start_paused = true)]
async fn what_is_revoked_or_begins_waits_for_none_of_the_many_that_cannot_be_removed() {
    let house = House::new().await;
    let accounts = house.many_accounts(MORE);
    let mut replicas = two_replicas(&house).await;
    for account in &accounts {
        house.grant(&reading_in(account), 0, HOUR).await;
    }
    let revoked = house.grant(&permission_set(), 0, 9 * HOUR).await;
    house.at(HOUR - 60).await;
    assert!(house.is_active(revoked).await);
    for _ in 0..20_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    let mut second = 3 * HOUR;
    house.at(second).await;
    let in_vain = house.claims().len();
    assert!(in_vain > 8, "{:?}", house.claims());
    while house.claims().len() == in_vain {
        second += 5;
        house.at(second).await;
        assert!(second < 4 * HOUR, "hands change every ten minutes");
    }
    // Whoever has just taken over is gone for good, and could remove everything from now on.
    second += 10;
    house.at(second).await;
    let dead = usize::from(house.claims().last().unwrap() == "two");
    replicas.remove(dead).kill().await;
    house.aws.heal();
    let begins = house.grant(&reading_in(sample::PAYMENTS_DEV), second, 9 * HOUR).await;
    replicas[0].revoke("ada", revoked).await.unwrap();
    // What was stuck goes before them: it has waited for longer.
    house.at(second + 2 * SOON).await;
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!(house.closed(revoked).await, Some(ClosedHow::Deleted));
    assert!(house.is_active(begins).await);
    assert_eq!(house.claims().len(), in_vain + 2, "{:?}", house.claims());
}

/// Access stayed past its end for as long as the starts could not be told.
#[tokio::test(start_paused = true)]
async fn an_end_waits_for_none_of_the_many_starts_that_cannot_be_told() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let ends = house.grant(&permission_set(), 0, 1_020).await;
    let credentials = house.grant(&role(), 0, 1_020).await;
    house.at(30).await;
    let two = house.start_as("two").await;
    // Its directory is older than the policy allows when the starts are due.
    two.stop_reading_the_directory();
    let mut starts = Vec::new();
    for nth in 0..200 {
        // As many are due after the end as before it.
        let start = if nth % 2 == 0 { 1_000 } else { 1_021 };
        starts.push(house.grant(&role(), start, HOUR).await);
    }
    house.at(990).await;
    assert!(house.is_active(ends).await && house.is_active(credentials).await);
    one.kill().await;
    house.at(1_018).await;
    assert_eq!(house.claims(), ["one"], "nobody can begin these");
    house.at(1_020 + SOON).await;
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!(house.closed(ends).await, Some(ClosedHow::Deleted));
    assert!(house.over(credentials).await.is_some());
    for start in starts {
        assert!(!house.is_active(start).await);
    }
    assert_eq!(house.claims(), ["one", "two"]);
}

/// Requests in as many accounts, which are over after some minutes and wait for the fences of creations that were lost, until the 21st
/// minute and longer.
async fn fenced(house: &House, accounts: &[String]) -> Vec<RequestId> {
    let mut ids = Vec::new();
    for (nth, account) in (0..).zip(accounts) {
        let start = 100 + 20 * nth;
        house.at(start - 5).await;
        house.aws.fail_next(AwsOperation::Create, Fault::REQUEST_LOST);
        ids.push(house.grant(&reading_in(account), start, start + 3).await);
    }
    house.at(480).await;
    for id in &ids {
        assert!(house.request(*id).await.is_closing());
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_do_for_the_many_that_wait_for_their_fences_keeps_the_duty() {
    let house = House::new().await;
    let accounts = house.many_accounts(MANY);
    let _one = house.start_as("one").await;
    house.grant(&permission_set(), 0, 3 * HOUR).await;
    house.at(30).await;
    let _two = house.start_as("two").await;
    let ids = fenced(&house, &accounts).await;
    house.at(1_200).await;
    for id in &ids {
        assert_eq!(house.closed(*id).await, None, "its fence");
    }
    assert_eq!(house.claims(), ["one"]);
    house.at(2 * HOUR).await;
    for id in ids {
        assert!(house.closed(id).await.is_some());
    }
    assert_eq!(house.claims(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_one_replica_alone_is_hidden_by_none_of_the_many_that_wait_for_their_fences() {
    let house = House::new().await;
    let accounts = house.many_accounts(MANY);
    let one = house.start_as("one").await;
    let removed = house.grant(&permission_set(), 0, 600).await;
    house.at(30).await;
    let _two = house.start_as("two").await;
    fenced(&house, &accounts).await;
    one.cut_from_aws(true);
    house.at(600 + 25).await;
    assert_eq!(house.claims(), ["one"], "at first it is AWS that may be at fault");
    house.at(600 + 30 + SOON).await;
    assert_eq!(house.claims(), ["one", "two"]);
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!(house.closed(removed).await, Some(ClosedHow::Deleted));
}

/// The start was excused for as long as the clock had been ahead.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_by_a_clock_that_was_ahead_waits_no_longer_once_it_is_set_right() {
    for target in [permission_set(), role()] {
        let house = House::new().await;
        let one = house.start_as("one").await;
        house.grant(&reading_in(sample::PAYMENTS_DEV), 0, 8 * HOUR).await;
        house.at(30).await;
        let two = house.start_as("two").await;
        two.stop_reading_the_directory();
        let id = house.grant(&target, 100, 8 * HOUR).await;
        house.at(40).await;
        // The start is due by its clock, and its directory old.
        two.set_clock_ahead(SignedDuration::from_hours(2));
        house.at(60).await;
        two.set_clock_ahead(SignedDuration::ZERO);
        house.at(70).await;
        assert_eq!(house.claims(), ["one"], "{target}");
        one.kill().await;
        house.at(100 + SOON).await;
        assert_eq!(house.claims(), ["one", "two"], "{target}");
        assert!(house.is_active(id).await, "{target}");
    }
}

/// Whoever fetched credentials through another replica made a dead one seem alive.
#[tokio::test(start_paused = true)]
async fn what_is_revoked_waits_for_nobody_who_fetches_credentials() {
    for (count, every) in [(1, 1), (MANY, 10)] {
        let house = House::new().await;
        let accounts = house.many_accounts(count);
        let one = house.start_as("one").await;
        let mut revoked = Vec::new();
        for account in &accounts {
            revoked.push(house.grant(&reading_in(account), 0, HOUR).await);
        }
        let credentials = house.grant(&role(), 0, HOUR).await;
        house.at(30).await;
        let two = house.start_as("two").await;
        house.at(60).await;
        for id in &revoked {
            assert!(house.is_active(*id).await);
        }
        one.kill().await;
        for second in 60..120 + SOON {
            house.at(second).await;
            if second % every == 0 {
                two.issue("ada", credentials, &format!("fetch-{second}"), None).await.unwrap();
            }
            if second == 120 {
                for id in &revoked {
                    two.revoke("ada", *id).await.unwrap();
                }
            }
        }
        house.at(120 + SOON).await;
        for (account, id) in accounts.iter().zip(revoked) {
            assert!(!house.has(&key_of(&reading_in(account))), "{account} of {count}");
            assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted), "{account} of {count}");
        }
        assert_eq!(house.claims(), ["one", "two"], "{count}");
    }
}

/// A holder that AWS does not answer records all the same that roles begin, and was taken for one that works.
#[tokio::test(start_paused = true)]
async fn what_begins_waits_for_no_holder_that_aws_does_not_answer_whatever_it_records() {
    for count in [1, MANY] {
        let house = House::new().await;
        let accounts = house.many_accounts(count);
        let one = house.start_as("one").await;
        house.grant(&permission_set(), 0, 9 * HOUR).await;
        house.at(30).await;
        let _two = house.start_as("two").await;
        house.at(60).await;
        one.cut_from_aws(true);
        let mut begin = Vec::new();
        for second in 60..120 + SOON {
            house.at(second).await;
            house.grant(&role(), second, 9 * HOUR).await;
            if second == 120 {
                assert_eq!(house.claims(), ["one"], "it records what there is");
                for account in &accounts {
                    begin.push(house.grant(&reading_in(account), second, 9 * HOUR).await);
                }
            }
        }
        house.at(120 + SOON).await;
        for id in begin {
            assert!(house.is_active(id).await, "{count}");
        }
        assert_eq!(house.claims(), ["one", "two"], "{count}");
    }
}

/// A holder that Identity Center does not answer gives roles by Account Access Manager all the same, and was taken for one that works.
#[tokio::test(start_paused = true)]
async fn what_begins_waits_for_no_holder_whom_its_service_does_not_answer_whatever_comes_of_the_other() {
    for count in [1, MANY] {
        let house = House::new().await;
        let accounts = house.many_accounts(count);
        let one = house.start_as("one").await;
        house.grant(&reading_in(sample::PAYMENTS_DEV), 0, 9 * HOUR).await;
        house.at(30).await;
        let _two = house.start_as("two").await;
        house.at(60).await;
        one.cut_from_aws(true);
        let mut begin = Vec::new();
        for second in 60..120 + SOON {
            house.at(second).await;
            house.grant(&role_for_users(), second, 9 * HOUR).await;
            if second == 120 {
                assert_eq!(house.claims(), ["one"], "it gives what there is");
                // One of them is in the account of the role.
                begin.push(house.grant(&permission_set(), second, 9 * HOUR).await);
                for account in &accounts {
                    begin.push(house.grant(&reading_in(account), second, 9 * HOUR).await);
                }
            }
        }
        house.at(120 + SOON).await;
        for id in begin {
            assert!(house.is_active(id).await, "{count}");
        }
        assert_eq!(house.claims(), ["one", "two"], "{count}");
    }
}

/// A queue of Identity Center, which its holder leaves, excused for some time that nobody gave a role.
#[tokio::test(start_paused = true)]
async fn what_begins_waits_for_no_queue_of_the_other_service() {
    let behaviour = Behaviour { outstanding_max: Some(2), ..Behaviour::like_aws() };
    let mut house = House::with(behaviour).await;
    house.settings.outstanding_max = 2;
    let accounts = house.many_accounts(2 * MANY);
    let one = house.start_as("one").await;
    house.grant(&permission_set(), 0, 9 * HOUR).await;
    house.at(30).await;
    let _two = house.start_as("two").await;
    for account in &accounts {
        house.grant(&reading_in(account), 40, 9 * HOUR).await;
    }
    let mut second = 60;
    house.at(second).await;
    // It moves on a moment before its holder dies.
    let begun = house.calls(AwsOperation::Create);
    while house.calls(AwsOperation::Create) == begun {
        second += 1;
        house.at(second).await;
    }
    assert_eq!(house.claims(), ["one"]);
    one.kill().await;
    let given = house.grant(&role_for_users(), second, 9 * HOUR).await;
    // Five seconds are left to whoever may be looking at AWS, and the queue would take fifteen.
    house.at(second + 10).await;
    assert_eq!(house.claims(), ["one", "two"]);
    house.at(second + 2 * SOON).await;
    assert!(house.is_active(given).await);
}

/// Hands changed with each start.
#[tokio::test(start_paused = true)]
async fn hands_change_seldom_while_aws_answers_nobody_however_much_begins() {
    let house = House::new().await;
    let accounts = house.many_accounts(200);
    let _replicas = two_replicas(&house).await;
    house.grant(&permission_set(), 0, 9 * HOUR).await;
    house.at(60).await;
    assert_eq!(house.claims().len(), 1);
    for _ in 0..100_000 {
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::Unavailable));
    }
    for (nth, account) in (0..).zip(&accounts) {
        let second = 60 + 3 * nth;
        house.at(second).await;
        house.grant(&reading_in(account), second, 9 * HOUR).await;
    }
    house.at(60 + 600).await;
    let claims = house.claims().len();
    assert!((3..=12).contains(&claims), "{claims} claims in ten minutes");
}

/// The same where lists answer and all changes are refused.
#[tokio::test(start_paused = true)]
async fn hands_change_seldom_while_aws_refuses_everybody_however_much_begins() {
    let house = House::new().await;
    let accounts = house.many_accounts(200);
    let _replicas = two_replicas(&house).await;
    house.grant(&permission_set(), 0, 9 * HOUR).await;
    house.at(60).await;
    for _ in 0..100_000 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(ErrorKind::Denied));
    }
    for (nth, account) in (0..).zip(&accounts) {
        let second = 60 + 3 * nth;
        house.at(second).await;
        house.grant(&reading_in(account), second, 9 * HOUR).await;
    }
    house.at(60 + 600).await;
    let claims = house.claims().len();
    assert!((2..=12).contains(&claims), "{claims} claims in ten minutes");
}

/// Who had looked for longer than the patience lost the duty over it, again and again.
#[tokio::test(start_paused = true)]
async fn lists_that_take_longer_than_the_patience_change_hands_once() {
    let house = House::new().await;
    let accounts = house.many_accounts(20);
    let replicas = two_replicas(&house).await;
    house.grant(&permission_set(), 0, 9 * HOUR).await;
    house.at(30).await;
    for replica in &replicas {
        replica.lists_come_late(SignedDuration::from_millis(2_900));
    }
    let mut ids = Vec::new();
    for (nth, account) in (0..).zip(&accounts) {
        let second = 60 + 3 * nth;
        house.at(second).await;
        ids.push(house.grant(&reading_in(account), second, 9 * HOUR).await);
    }
    house.at(120 + SOON).await;
    for id in ids {
        assert!(house.is_active(id).await);
    }
    assert!(house.claims().len() <= 2, "{:?}", house.claims());
}

/// Each time the first change after a quiet time was taken from who was looking at it.
#[tokio::test(start_paused = true)]
async fn what_begins_now_and_then_is_left_to_who_looks_slowly() {
    let house = House::new().await;
    let accounts = house.many_accounts(6);
    let replicas = two_replicas(&house).await;
    house.grant(&permission_set(), 0, 9 * HOUR).await;
    house.at(30).await;
    for replica in &replicas {
        replica.lists_come_late(SignedDuration::from_millis(2_900));
    }
    for (nth, account) in (0..).zip(&accounts) {
        let second = 120 + 300 * nth;
        house.at(second).await;
        let id = house.grant(&reading_in(account), second, 9 * HOUR).await;
        house.at(second + SOON).await;
        assert!(house.is_active(id).await);
    }
    assert_eq!(house.claims().len(), 1, "{:?}", house.claims());
}

#[tokio::test(start_paused = true)]
async fn what_no_clock_can_close_is_no_reason_to_take_over() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(30).await;
    let two = house.start_as("two").await;
    house.at(60).await;
    two.issue("ada", id, "one", Some(900)).await.unwrap();
    two.revoke("ada", id).await.unwrap();
    for replica in [&one, &two] {
        replica.aws_is_ahead(SignedDuration::from_secs(10));
    }
    house.at(1_200).await;
    assert_eq!(house.closed(id).await, None, "what was fetched may work still");
    assert_eq!(house.claims(), ["one"]);
    for replica in [&one, &two] {
        replica.aws_is_ahead(SignedDuration::ZERO);
    }
    house.at(1_200 + SOON).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
}

/// Hands changed in vain over what was revoked, for whoever took over could not tell either.
#[tokio::test(start_paused = true)]
async fn what_is_kept_for_a_request_that_cannot_be_told_is_no_reason_to_take_over() {
    let house = House::new().await;
    let one = house.start_as("one").await;
    let revoked = house.grant(&permission_set(), 0, 9 * HOUR).await;
    house.at(30).await;
    let two = house.start_as("two").await;
    house.at(60).await;
    assert!(house.is_active(revoked).await);
    // Their directories are older than the policy allows from some time on.
    for replica in [&one, &two] {
        replica.stop_reading_the_directory();
    }
    house.at(HOUR).await;
    let asked = house.grant(&permission_set(), HOUR, 9 * HOUR).await;
    house.at(HOUR + 10).await;
    one.revoke("ada", revoked).await.unwrap();
    house.at(2 * HOUR).await;
    assert!(house.has(&key_of(&permission_set())) && !house.is_active(asked).await);
    assert_eq!(house.claims(), ["one"]);
}

/// Whoever could not see what they wrote began and gave up the same for ever, and so seemed to be at work: a full disk of read models.
#[tokio::test(start_paused = true)]
async fn what_begins_waits_for_no_holder_whose_read_model_stands_still() {
    for (count, within) in [(1, 10), (MANY, 60)] {
        let house = House::new().await;
        let accounts = house.many_accounts(count);
        let one = house.start_as("one").await;
        house.grant(&permission_set(), 0, 9 * HOUR).await;
        house.at(30).await;
        let _two = house.start_as("two").await;
        let mut begin = Vec::new();
        for account in &accounts {
            begin.push(house.grant(&reading_in(account), 100, 9 * HOUR).await);
        }
        house.at(60).await;
        one.stop_following();
        house.at(100 + within).await;
        for id in begin {
            assert!(house.is_active(id).await, "{count}");
        }
        assert_eq!(house.claims(), ["one", "two"], "{count}");
    }
}
