//! What AWS does wrong, and what becomes of it.

use crate::house::{HOUR, House, POLICY, instant, key_of, permission_set, reason, role};
use aws::simulated::{Behaviour, Fault, Operation as AwsOperation, sample};
use aws::{AwsError, Contents, DirectorySource, ErrorKind};
use domain::{PrincipalId, SignedDuration, Target};
use lifecycle::assignment::{AssignmentEvent, Operation};
use lifecycle::event::{ClosedHow, EndedBecause};
use lifecycle::state::EndReason;
use std::sync::{Arc, Mutex};

fn ledger_facts(house: &House) -> Vec<AssignmentEvent> {
    let facts = house.events().into_iter().filter_map(|event| match event.fact {
        journal::Fact::Assignment(fact) => Some(fact),
        journal::Fact::Request(_)
        | journal::Fact::Denial(_)
        | journal::Fact::Policy(_)
        | journal::Fact::Duty(_)
        | journal::Fact::Signal(_)
        | journal::Fact::Person(_)
        | journal::Fact::Log(_) => None,
    });
    facts.collect()
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_is_lost_is_observed_and_confirmed() {
    let house = House::new().await;
    let _process = house.start().await;
    house.aws.fail_next(AwsOperation::Create, Fault::AnswerLost);
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    assert!(house.is_active(id).await);
    assert_eq!(house.calls(AwsOperation::Create), 1, "observed, not repeated");
    house.at(HOUR + 30).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn what_came_of_a_lost_answer_is_recorded_before_a_removal_that_waits_for_the_account() {
    let house = House::new().await;
    let both = format!("\"{}\", \"{}\"", sample::READ_ONLY, sample::ADMINISTRATOR_ACCESS);
    house.apply(&POLICY.replace(&format!("\"{}\"", sample::READ_ONLY), &both)).await;
    let _process = house.start().await;
    let other = Target::parse(sample::WEB_PROD, sample::ADMINISTRATOR_ACCESS).unwrap();
    let removed = house.grant(&other, 0, 13).await;
    let id = house.grant(&permission_set(), 10, HOUR).await;
    house.at(5).await;
    assert!(house.is_active(removed).await);
    house.aws.fail_next(AwsOperation::Create, Fault::AnswerLost);
    house.at(12).await;
    // The look that decides takes longer than other errands wait before they give way.
    let latency = std::time::Duration::from_secs(3);
    house.aws.set_behaviour(Behaviour { latency, ..house.aws.behaviour() });
    house.at(120).await;
    let facts = ledger_facts(&house);
    assert!(
        matches!(
            facts.as_slice(),
            [
                AssignmentEvent::Attempted { operation: Operation::Create, .. },
                AssignmentEvent::Confirmed { .. },
                AssignmentEvent::Attempted { operation: Operation::Create, .. },
                AssignmentEvent::Confirmed { .. },
                AssignmentEvent::Attempted { operation: Operation::Delete, .. },
                AssignmentEvent::Confirmed { .. },
            ]
        ),
        "{facts:?}"
    );
    assert_eq!(house.closed(removed).await, Some(ClosedHow::Deleted));
    assert!(house.is_active(id).await);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_was_lost_is_observed_before_it_is_tried_again() {
    let house = House::new().await;
    let _process = house.start().await;
    house.aws.fail_next(AwsOperation::Create, Fault::REQUEST_LOST);
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    let order: Vec<AwsOperation> = house
        .aws
        .calls()
        .iter()
        .map(|record| record.call.operation())
        .filter(|kind| matches!(kind, AwsOperation::Create | AwsOperation::Holders))
        .take(4)
        .collect();
    assert_eq!(
        order,
        [AwsOperation::Holders, AwsOperation::Create, AwsOperation::Holders, AwsOperation::Holders],
        "looked at, tried, observed, looked at again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_creation_that_arrives_after_the_end_is_removed_before_the_request_is_closed() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    house.aws.fail_next(AwsOperation::Create, Fault::ArrivesLater(SignedDuration::from_secs(240)));
    for _ in 0..40 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(ErrorKind::Throttled));
    }
    let id = house.grant(&permission_set(), 0, 120).await;
    house.at(200).await;
    assert!(!house.has(&key) && house.closed(id).await.is_none(), "absence is not final before the fence");
    house.at(25 * 60).await;
    assert!(house.aws.changes().iter().any(|change| change.present), "it did appear");
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

/// Nothing was there for a while, and nobody late with it; what goes on failing since is.
#[tokio::test(start_paused = true)]
async fn what_appears_after_the_end_and_cannot_be_removed_is_told() {
    let signature_skew_max = SignedDuration::from_mins(15);
    let house = House::with(Behaviour { signature_skew_max, ..Behaviour::default() }).await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.aws.fail_next(AwsOperation::Create, Fault::ArrivesLater(SignedDuration::from_secs(800)));
    for _ in 0..40 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(ErrorKind::Throttled));
    }
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    house.grant(&permission_set(), 0, 120).await;
    house.at(750).await;
    assert!(!house.has(&key));
    assert_eq!(process.service.overdue(), 0, "as far as can be seen nothing is left");
    house.at(20 * 60).await;
    assert!(house.has(&key));
    assert_eq!(process.service.overdue(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_status_is_tried_again() {
    let house = House::new().await;
    let _process = house.start().await;
    let reason = "internal failure".to_owned();
    house.aws.fail_next(AwsOperation::Create, Fault::FailsLater { reason });
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await);
    assert!(ledger_facts(&house).iter().any(|fact| matches!(
        fact, AssignmentEvent::Failed { definite: true, reason, .. } if reason == "FAILED: internal failure"
    )));
}

#[tokio::test(start_paused = true)]
async fn throttling_delays_and_changes_nothing() {
    let house = House::new().await;
    let _process = house.start().await;
    for operation in [AwsOperation::Holders, AwsOperation::Create, AwsOperation::CreationStatus] {
        house.aws.throttle_next(operation, 3);
    }
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(120).await;
    assert!(house.is_active(id).await);
    for operation in [AwsOperation::Delete, AwsOperation::DeletionStatus] {
        house.aws.throttle_next(operation, 3);
    }
    house.at(HOUR + 120).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_meets_a_quota_is_tried_again_until_there_is_room() {
    let house = House::new().await;
    let _process = house.start().await;
    for _ in 0..3 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(ErrorKind::QuotaReached));
    }
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(120).await;
    assert!(house.is_active(id).await);
    let refused = ledger_facts(&house).into_iter().filter(|fact| matches!(
        fact, AssignmentEvent::Failed { definite: true, reason, .. } if reason == "ServiceQuotaExceededException"
    ));
    assert_eq!(refused.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_keeps_failing_ends_the_request_with_awss_code() {
    let house = House::new().await;
    let _process = house.start().await;
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Create, Fault::Refused(ErrorKind::Denied));
    }
    let id = house.grant(&permission_set(), 0, 8 * HOUR).await;
    house.at(14 * 60).await;
    assert!(house.over(id).await.is_none(), "within the horizon it is tried");
    house.at(25 * 60).await;
    let reason = "AccessDeniedException".to_owned();
    assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::Failed { reason }));
    assert_eq!(house.closed(id).await, Some(ClosedHow::NothingCreated));
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_fails_until_the_window_is_over_says_so() {
    let house = House::new().await;
    let _process = house.start().await;
    house.aws.throttle_next(AwsOperation::Create, 1_000);
    let id = house.grant(&permission_set(), 0, 300).await;
    house.at(330).await;
    let reason = "ThrottlingException".to_owned();
    assert_eq!(house.over(id).await.unwrap().0, EndReason::Ended(EndedBecause::Failed { reason }));
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_grounds_before_the_start_gets_no_access() {
    let house = House::new().await;
    let _process = house.start().await;
    let gone = house.grant(&permission_set(), 1_000, HOUR).await;
    house.aws.change_directory(|contents| {
        contents.memberships.remove(&PrincipalId::new(sample::BOB).unwrap());
    });
    house.at(1_020).await;
    assert!(matches!(
        house.over(gone).await.unwrap().0,
        EndReason::Ended(EndedBecause::NoLongerEligible { .. })
    ));
    assert_eq!(house.calls(AwsOperation::Create), 0);
    assert_eq!(house.closed(gone).await, Some(ClosedHow::NothingCreated));
}

/// The replica of `request` that is asked next, and what it has of the organisation.
struct AskedNext(Mutex<Contents>);

#[async_trait::async_trait]
impl DirectorySource for AskedNext {
    async fn fetch(&self) -> Result<Contents, AwsError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// Each replica of `request` reads AWS by itself. The request was ended for ever when the one was asked last that had not heard of the group.
#[tokio::test(start_paused = true)]
async fn an_older_directory_of_another_replica_ends_no_request() {
    let mut house = House::new().await;
    let whole = house.aws.fetch().await.unwrap();
    let mut before = Contents { as_of: Some(instant(0)), ..whole.clone() };
    before.memberships.remove(&PrincipalId::new(sample::ADA).unwrap());
    let after = Contents { as_of: Some(instant(5)), ..whole };
    let replica = Arc::new(AskedNext(Mutex::new(before.clone())));
    house.directory = Some(replica.clone());
    let process = house.start().await;
    house.at(10).await;
    for has in [after, before] {
        *replica.0.lock().unwrap() = has;
        process.views.directory.refresh().await.unwrap();
    }
    let id = house.grant(&permission_set(), 20, HOUR).await;
    house.at(60).await;
    assert!(house.is_active(id).await, "{:?}", house.over(id).await);
}

/// Ada was put into the group, asked, and was approved, all since the directory was read here.
#[tokio::test(start_paused = true)]
async fn a_directory_from_before_the_approval_ends_no_request() {
    let mut house = House::new().await;
    let whole = house.aws.fetch().await.unwrap();
    let mut before = Contents { as_of: Some(instant(5)), ..whole.clone() };
    before.memberships.remove(&PrincipalId::new(sample::ADA).unwrap());
    let replica = Arc::new(AskedNext(Mutex::new(before)));
    house.directory = Some(replica.clone());
    let process = house.start().await;
    house.at(10).await;
    let id = house.grant(&permission_set(), 10, HOUR).await;
    house.at(60).await;
    assert!(!house.is_active(id).await && house.over(id).await.is_none());
    *replica.0.lock().unwrap() = Contents { as_of: Some(instant(60)), ..whole };
    process.views.directory.refresh().await.unwrap();
    house.at(400).await;
    assert!(house.is_active(id).await, "{:?}", house.over(id).await);
}

/// What nobody can tell of one request keeps what another had: also where what is known speaks against it, until a newer directory does.
#[tokio::test(start_paused = true)]
async fn by_a_directory_from_before_the_approval_nothing_is_removed_until_a_newer_one_says_so_too() {
    let mut house = House::new().await;
    let whole = house.aws.fetch().await.unwrap();
    let replica = Arc::new(AskedNext(Mutex::new(Contents { as_of: Some(instant(0)), ..whole.clone() })));
    house.directory = Some(replica.clone());
    let process = house.start().await;
    let had = house.grant(&permission_set(), 0, HOUR).await;
    house.at(20).await;
    assert!(house.is_active(had).await);
    let mut since = Contents { as_of: Some(instant(20)), ..whole };
    since.memberships.remove(&PrincipalId::new(sample::ADA).unwrap());
    *replica.0.lock().unwrap() = since.clone();
    process.views.directory.refresh().await.unwrap();
    house.at(30).await;
    let asked = house.grant(&permission_set(), 30, HOUR).await;
    house.at(40).await;
    process.revoke("ada", had).await.unwrap();
    house.at(100).await;
    assert!(house.has(&key_of(&permission_set())) && house.over(asked).await.is_none());
    assert!(!house.is_active(asked).await, "nothing begins by it either");
    *replica.0.lock().unwrap() = Contents { as_of: Some(instant(100)), ..since };
    process.views.directory.refresh().await.unwrap();
    house.at(200).await;
    assert!(!house.has(&key_of(&permission_set())) && house.closed(had).await.is_some());
    assert!(house.over(asked).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_is_no_access_until_it_can() {
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 20 * 60, 4 * HOUR).await;
    house.at(60).await;
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::FetchDirectory, Fault::Refused(ErrorKind::Unavailable));
    }
    house.at(30 * 60).await;
    assert!(!house.is_active(id).await && house.over(id).await.is_none());
    assert_eq!(house.calls(AwsOperation::Create), 0);
    house.aws.heal();
    house.at(50 * 60).await;
    assert!(house.is_active(id).await);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_written_changes_nothing_in_aws() {
    struct Down;
    impl event_log::memory::Faults for Down {
        fn append(
            &mut self,
            _: &event_log::StreamName,
            _: &event_log::Envelope,
        ) -> event_log::memory::AppendFault {
            event_log::memory::AppendFault::Unavailable
        }
    }
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 10, HOUR).await;
    house.log.set_faults(Box::new(Down));
    house.at(60).await;
    assert_eq!(house.calls(AwsOperation::Create), 0);
    house.log.clear_faults();
    house.at(HOUR / 2).await;
    assert!(house.is_active(id).await);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_still_shows_what_was_removed_makes_nothing_standing() {
    let list_lag = SignedDuration::from_secs(4);
    let house = House::with(aws::simulated::Behaviour { list_lag, ..Default::default() }).await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    house.grant(&permission_set(), 0, 100).await;
    house.at(50).await;
    let next = house.ask(&permission_set()).await;
    house.at(103).await;
    assert!(!house.has(&key));
    house.approve(next, 103, HOUR).await;
    house.at(130).await;
    assert!(house.has(&key) && house.is_active(next).await);
    assert!(!house.request(next).await.approved().unwrap().1.unwrap().activated.standing);
    house.at(HOUR + 30).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(next).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_changed_before_the_start_ends_the_request() {
    for (from, to) in [
        ("identity-store:developers", "identity-store:nobody"),
        ("identity-store:approvers", "identity-store:nobody"),
        ("id = \"read-only\"", "id = \"renamed\""),
        ("duration_max = \"12h\"", "duration_max = \"5m\""),
    ] {
        let house = House::new().await;
        let process = house.start().await;
        let id = house.grant(&permission_set(), 60, HOUR).await;
        house.at(30).await;
        house.apply(&crate::house::POLICY.replace(from, to)).await;
        house.at(70).await;
        assert!(
            matches!(
                house.over(id).await,
                Some((EndReason::Ended(EndedBecause::NoLongerEligible { .. }), _))
            ),
            "{to}"
        );
        assert!(house.aws.assignments().is_empty());
        process.kill().await;
    }
}

/// From the rules on history: an undecodable event quarantines its stream, "no grants, removal at the last known end".
#[tokio::test(start_paused = true)]
async fn nothing_is_granted_on_a_history_that_cannot_be_read() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 100, HOUR).await;
    house.at(50).await;
    house.garble(id).await;
    house.at(200).await;
    assert!(!house.has(&key));
    assert_eq!(house.calls(AwsOperation::Create), 0);
}

#[tokio::test(start_paused = true)]
async fn access_whose_history_cannot_be_read_any_more_is_removed_at_its_end() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(50).await;
    assert!(house.has(&key));
    house.garble(id).await;
    house.at(HOUR - 10).await;
    assert!(house.has(&key), "until its end it stays");
    house.at(HOUR + 60).await;
    assert!(!house.has(&key));
    process.kill().await;
}

#[tokio::test(start_paused = true)]
async fn access_whose_history_cannot_be_read_any_more_is_removed_at_its_end_after_a_restart() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(50).await;
    house.garble(id).await;
    house.at(100).await;
    process.kill().await;
    let process = house.start().await;
    house.at(HOUR - 10).await;
    assert!(house.has(&key), "until its end it stays");
    house.at(HOUR + 60).await;
    assert!(!house.has(&key));
    process.kill().await;
}

/// Found by the simulation: a replica that was paused learns at once that the access was given and that the history ends there.
#[tokio::test(start_paused = true)]
async fn access_whose_history_is_damaged_while_a_replica_is_paused_stays_until_its_end() {
    let house = House::new().await;
    let [one, two] = [house.start_as("one").await, house.start_as("two").await];
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 60, HOUR).await;
    house.at(50).await;
    one.pause();
    house.at(100).await;
    assert!(house.is_active(id).await);
    house.garble(id).await;
    two.kill().await;
    one.resume();
    house.at(HOUR - 10).await;
    assert!(house.has(&key), "until its end it stays");
    // A damaged history is no reason to take over at once: what is left is found by the sweeps, within three of them and a bit.
    house.at(HOUR + 20 * 60).await;
    assert!(!house.has(&key));
}

/// From the liveness properties: no poison event blocks another request.
#[tokio::test(start_paused = true)]
async fn a_history_that_cannot_be_read_holds_up_no_other_request_about_the_same_assignment() {
    for poisoned in [0, 1] {
        let house = House::new().await;
        let process = house.start().await;
        let ids =
            [house.grant(&permission_set(), 0, HOUR).await, house.grant(&permission_set(), 0, HOUR).await];
        house.at(30).await;
        house.aws.fail_next(AwsOperation::Delete, Fault::Slow(SignedDuration::from_secs(40)));
        house.at(HOUR + 10).await;
        house.garble(ids[poisoned]).await;
        house.at(HOUR + 600).await;
        assert!(!house.has(&key_of(&permission_set())));
        assert!(house.closed(ids[1 - poisoned]).await.is_some());
        process.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn groups_or_a_directory_that_are_too_old_are_the_reason_of_a_window_that_passed() {
    let ages = [("directory_age_max = \"1m\"", "directory"), ("group_age_max = \"1m\"", "directory")];
    for (age, what) in ages {
        let house = House::new().await;
        house.apply(&POLICY.replace("[settings]", &format!("[settings]\n{age}"))).await;
        let process = house.start().await;
        let id = house.grant(&permission_set(), 600, 900).await;
        house.at(60).await;
        process.stop_reading_the_directory();
        house.at(1_000).await;
        let Some((EndReason::Ended(EndedBecause::Failed { reason: why }), _)) = house.over(id).await else {
            panic!("{age}: {:?}", house.over(id).await)
        };
        assert!(why.starts_with("Unprovable: ") && why.contains(what), "{age}: {why}");
        assert_eq!(house.calls(AwsOperation::Create), 0, "{age}");
    }
}

/// The one who knew what stood in the way is dead when the window ends.
#[tokio::test(start_paused = true)]
async fn a_directory_that_is_too_old_is_the_reason_also_where_another_takes_over_after_the_end() {
    for target in [permission_set(), role()] {
        let house = House::new().await;
        house.apply(&POLICY.replace("[settings]", "[settings]\ndirectory_age_max = \"1m\"")).await;
        let one = house.start_as("one").await;
        house.grant(&Target::parse(sample::PAYMENTS_DEV, sample::READ_ONLY).unwrap(), 0, HOUR).await;
        house.at(30).await;
        let two = house.start_as("two").await;
        let id = house.grant(&target, 600, 900).await;
        house.at(60).await;
        one.stop_reading_the_directory();
        two.stop_reading_the_directory();
        house.at(899).await;
        assert!(house.over(id).await.is_none());
        one.kill().await;
        house.at(930).await;
        assert_eq!(house.claims(), ["one", "two"]);
        let Some((EndReason::Ended(EndedBecause::Failed { reason: why }), _)) = house.over(id).await else {
            panic!("{target}: {:?}", house.over(id).await)
        };
        assert!(why.starts_with("Unprovable: ") && why.contains("too old"), "{target}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_for_an_earlier_request_is_not_why_a_later_one_did_not_begin() {
    let house = House::new().await;
    let process = house.start().await;
    house.aws.throttle_next(AwsOperation::Create, 1_000);
    let first = house.grant(&permission_set(), 0, 120).await;
    house.at(150).await;
    process.kill().await;
    house.aws.heal();
    let second = house.grant(&permission_set(), 600, 900).await;
    house.at(700).await;
    // That something else is noted of the assignment makes the failure no newer.
    house.write_ledger(&key_of(&permission_set()), AssignmentEvent::DriftFound { present: false }).await;
    house.at(901).await;
    let _again = house.start().await;
    house.at(930).await;
    for (id, expected) in [(first, "ThrottlingException"), (second, "NotInTime")] {
        let Some((EndReason::Ended(EndedBecause::Failed { reason: why }), _)) = house.over(id).await else {
            panic!("{expected}: {:?}", house.over(id).await)
        };
        assert_eq!(why, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_without_known_groups_is_given_no_credentials() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, HOUR).await;
    house.at(10).await;
    process.stop_reading_the_directory();
    house.apply(&POLICY.replace("[settings]", "[settings]\ngroup_age_max = \"1m\"")).await;
    house.at(200).await;
    let refused = process.issue("ada", id, "one", None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::Unavailable, "UNPROVABLE"));
    assert!(house.aws.sessions().is_empty());
}

/// It was taken for a late creation, and removed once more.
#[tokio::test(start_paused = true)]
async fn what_a_list_shows_that_was_asked_for_right_after_our_removal_has_not_appeared_again() {
    let house =
        House::with(Behaviour { list_lag: SignedDuration::from_secs(4), ..Behaviour::default() }).await;
    let process = house.start().await;
    // What becomes of the first creation is not known, so what appears is ours for as long as it may take effect.
    house.aws.fail_next(AwsOperation::Create, Fault::REQUEST_LOST);
    let id = house.grant(&permission_set(), 0, 100).await;
    house.at(99).await;
    assert!(house.is_active(id).await);
    process.lists_come_late(SignedDuration::from_secs(6));
    house.at(200).await;
    assert!(!house.has(&key_of(&permission_set())));
    assert_eq!(house.calls(AwsOperation::Delete), 1);
    assert!(!ledger_facts(&house).contains(&AssignmentEvent::DriftFound { present: true }));
    house.at(HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

/// Whom AWS asks about a removal may not know yet what was made a moment ago.
#[tokio::test(start_paused = true)]
async fn a_removal_for_which_aws_finds_nothing_is_looked_at_and_made_again() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 60).await;
    house.at(30).await;
    assert!(house.is_active(id).await);
    house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::NotFound));
    house.at(63).await;
    assert!(house.has(&key) && house.closed(id).await.is_none(), "it is there, whatever the answer was");
    house.at(120).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(house.calls(AwsOperation::Delete), 2);
    let facts = ledger_facts(&house);
    let failed = |fact: &AssignmentEvent| matches!(fact, AssignmentEvent::Failed { definite: true, .. });
    assert!(facts.iter().any(failed), "nothing of it comes later: {facts:?}");
}

/// So AWS answers of a user whom SCIM has deleted. It was tried for ever, and never looked at.
#[tokio::test(start_paused = true)]
async fn what_someone_removes_by_hand_is_seen_although_every_removal_of_a_leavers_access_fails() {
    let house = House::with(Behaviour { removal_needs_user: true, ..Behaviour::default() }).await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(HOUR - 10).await;
    assert!(house.is_active(id).await);
    house.ada_leaves();
    house.at(HOUR + 1_800).await;
    assert!(house.has(&key) && house.closed(id).await.is_none(), "it is there, and AWS lists it");
    assert_eq!(process.service.overdue(), 1, "somebody is told");
    let failure = house.ledger(&key).await.unwrap().last_failure.unwrap();
    assert!(failure.starts_with("FAILED: Received a 404 status error"), "{failure}");
    let tried = house.calls(AwsOperation::Delete);
    assert!((8..30).contains(&tried), "tried at least every five minutes, less and less often: {tried}");
    house.aws.remove(crate::house::aws_key(&key));
    house.at(HOUR + 1_800 + 360).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(process.service.overdue(), 0);
    let facts = ledger_facts(&house);
    let failed = facts.iter().filter(|fact| matches!(fact, AssignmentEvent::Failed { .. })).count();
    let definite = |fact: &&AssignmentEvent| matches!(fact, AssignmentEvent::Failed { definite: true, .. });
    assert_eq!(facts.iter().filter(definite).count(), failed, "none of them comes later: {facts:?}");
    let confirmed = |fact: &&AssignmentEvent| matches!(fact, AssignmentEvent::Confirmed { .. });
    assert_eq!(facts.iter().filter(confirmed).count(), 2, "the creation, and the last removal: {facts:?}");
}

/// What was made a moment ago is not in every list yet.
#[tokio::test(start_paused = true)]
async fn a_removal_that_failed_is_not_taken_for_done_by_a_list_that_is_behind() {
    let house =
        House::with(Behaviour { list_lag: SignedDuration::from_secs(4), ..Behaviour::default() }).await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(3).await;
    assert!(house.is_active(id).await);
    house.aws.fail_next(AwsOperation::Delete, Fault::FailsLater { reason: "busy".to_owned() });
    process.revoke("ada", id).await.unwrap();
    house.at(9).await;
    assert!(house.has(&key) && house.closed(id).await.is_none(), "a list of when it was not there");
    house.at(60).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(house.calls(AwsOperation::Delete), 2);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_failed_has_failed_where_aws_does_not_let_us_look() {
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 0, 60).await;
    house.at(50).await;
    assert!(house.is_active(id).await);
    house.aws.fail_next(AwsOperation::Delete, Fault::FailsLater { reason: "busy".to_owned() });
    house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::Denied));
    house.at(120).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    let facts = ledger_facts(&house);
    assert!(
        facts.iter().any(|fact| matches!(
            fact, AssignmentEvent::Failed { definite: true, reason, .. } if reason == "FAILED: busy"
        )),
        "{facts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_neither_an_assignment_nor_its_permission_set_is_found_it_is_gone() {
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 0, 60).await;
    house.at(30).await;
    assert!(house.is_active(id).await);
    house.aws.remove(crate::house::aws_key(&key_of(&permission_set())));
    let set = domain::PermissionSetArn::new(sample::READ_ONLY).unwrap();
    house.aws.change_directory(|contents| drop(contents.permission_sets.remove(&set)));
    for _ in 0..100 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::NotFound));
    }
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::NotFound));
    }
    house.at(20 * 60).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

#[tokio::test(start_paused = true)]
async fn what_a_wrong_instance_does_not_know_is_not_gone() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 60).await;
    house.at(30).await;
    assert!(house.is_active(id).await);
    for _ in 0..2_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::NotFound));
        house.aws.fail_next(AwsOperation::Holders, Fault::Refused(ErrorKind::NotFound));
    }
    house.at(HOUR).await;
    assert!(house.has(&key) && house.closed(id).await.is_none());
}
