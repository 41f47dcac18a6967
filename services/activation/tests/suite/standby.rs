//! What replicas without the duty look at: what cannot be done hides nothing that can, and is no reason to take over.

use crate::house::{HOUR, House, Process, key_of, permission_set, role};
use aws::ErrorKind;
use aws::simulated::{Fault, Operation as AwsOperation, sample};
use domain::{RequestId, SignedDuration, Target};
use lifecycle::event::ClosedHow;

/// More than AWS takes at a time.
const MANY: usize = 12;

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
    let accounts = house.many_accounts(MANY);
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
    house.at(second + SOON).await;
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
    for _ in 0..100 {
        starts.push(house.grant(&role(), 1_000, HOUR).await);
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
    house.at(600 + 5 * 60 - 5).await;
    assert_eq!(house.claims(), ["one"], "at first it is AWS that may be at fault");
    house.at(600 + 5 * 60 + SOON).await;
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
