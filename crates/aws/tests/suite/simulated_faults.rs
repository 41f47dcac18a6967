//! The simulated AWS fails on demand, and behaves as AWS does when it does.

use crate::support::TokioClock;
use aws::simulated::{Behaviour, ChangedBy, Fault, Operation, SimulatedAws, sample};
use aws::{
    AssignmentKey, Assignments, AssumeRole, Attempt, AwsError, Deletion, DirectorySource, ErrorKind,
    OperationStatus, SessionName, Sts, Uncounted,
};
use domain::ports::Clock;
use domain::{PrincipalId, SignedDuration, Target};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::{Duration, advance};

struct Bench {
    clock: Arc<TokioClock>,
    aws: SimulatedAws,
}

fn bench(behaviour: Behaviour) -> Bench {
    let clock = Arc::new(TokioClock::new());
    let aws = SimulatedAws::with_sample_organisation(clock.clone(), behaviour, "https://idp.example");
    Bench { clock, aws }
}

fn key(account: &str, user: &str) -> AssignmentKey {
    let target = Target::parse(account, sample::READ_ONLY).unwrap();
    AssignmentKey::of_target(PrincipalId::new(user).unwrap(), &target)
}

impl Bench {
    fn attempt(&self) -> Attempt {
        let now = self.clock.now();
        Attempt { signed_at: now, start_before: now + SignedDuration::from_mins(1) }
    }

    async fn create(&self, key: &AssignmentKey) -> Result<OperationStatus, AwsError> {
        let operation = self.aws.create(key, self.attempt()).await?;
        advance(Duration::from_secs(30)).await;
        self.aws.creation_status(&operation).await
    }

    async fn delete(&self, key: &AssignmentKey) -> Option<OperationStatus> {
        match self.aws.delete(key, self.attempt(), &Uncounted).await.unwrap() {
            Deletion::Started(operation) => {
                advance(Duration::from_secs(30)).await;
                Some(self.aws.deletion_status(&operation).await.unwrap())
            }
            Deletion::NotFound => None,
        }
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, AwsError>) -> ErrorKind {
    result.unwrap_err().kind
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_in_progress_until_its_time_has_passed() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    let operation = bench.aws.create(&key, bench.attempt()).await.unwrap();
    advance(Duration::from_millis(999)).await;
    assert_eq!(bench.aws.creation_status(&operation).await.unwrap(), OperationStatus::InProgress);
    assert!(bench.aws.assignments().is_empty());
    advance(Duration::from_millis(1)).await;
    assert_eq!(bench.aws.creation_status(&operation).await.unwrap(), OperationStatus::Succeeded);
    assert_eq!(bench.aws.assignments(), BTreeSet::from([key]));
}

#[tokio::test(start_paused = true)]
async fn an_operation_takes_what_its_assignment_takes_and_a_refused_call_changes_nothing_of_that() {
    let bench = bench(Behaviour::default());
    let (slow, other) = (key(sample::WEB_DEV, sample::ADA), key(sample::WEB_DEV, sample::BOB));
    bench.aws.takes(slow.clone(), SignedDuration::from_secs(7));
    bench.aws.throttle_next(Operation::Create, 1);
    assert_eq!(kind(bench.aws.create(&slow, bench.attempt()).await), ErrorKind::Throttled);
    let operation = bench.aws.create(&slow, bench.attempt()).await.unwrap();
    let of_other = bench.aws.create(&other, bench.attempt()).await.unwrap();
    advance(Duration::from_millis(6_999)).await;
    assert_eq!(bench.aws.creation_status(&of_other).await.unwrap(), OperationStatus::Succeeded);
    assert_eq!(bench.aws.creation_status(&operation).await.unwrap(), OperationStatus::InProgress);
    advance(Duration::from_millis(1)).await;
    assert_eq!(bench.aws.creation_status(&operation).await.unwrap(), OperationStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn throttling_strikes_as_many_calls_as_planted() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    bench.aws.throttle_next(Operation::Create, 2);
    assert_eq!(kind(bench.create(&key).await), ErrorKind::Throttled);
    assert_eq!(kind(bench.create(&key).await), ErrorKind::Throttled);
    assert_eq!(bench.create(&key).await.unwrap(), OperationStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_planted_failure_is_told_by_the_status_alone() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    bench.aws.fail_next(Operation::Create, Fault::FailsLater { reason: "no".to_owned() });
    assert_eq!(bench.create(&key).await.unwrap(), OperationStatus::Failed { reason: "no".to_owned() });
    assert!(!bench.aws.has(&key));
}

#[tokio::test(start_paused = true)]
async fn where_a_removal_needs_its_user_it_fails_for_one_who_is_gone_whether_or_not_anything_is_there() {
    let bench = bench(Behaviour { removal_needs_user: true, ..Behaviour::default() });
    let (left, other) = (key(sample::WEB_DEV, sample::ADA), key(sample::WEB_DEV, sample::BOB));
    bench.create(&left).await.unwrap();
    bench.create(&other).await.unwrap();
    bench.aws.change_directory(|contents| drop(contents.users.remove(left.principal())));
    assert_eq!(bench.delete(&other).await, Some(OperationStatus::Succeeded));
    for there in [true, false] {
        let status = bench.delete(&left).await;
        let says_why = |reason: &String| reason.contains("was not found in directory");
        assert!(
            matches!(&status, Some(OperationStatus::Failed { reason }) if says_why(reason)),
            "{status:?}"
        );
        assert_eq!(bench.aws.find(&left, &Uncounted).await.unwrap(), there);
        bench.aws.remove(left.clone());
    }
    bench.aws.set_behaviour(Behaviour::default());
    bench.aws.standing(left.clone());
    assert_eq!(bench.delete(&left).await, Some(OperationStatus::Succeeded), "as AWS does it at other times");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_has_its_effect() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    bench.aws.fail_next(Operation::Create, Fault::AnswerLost);
    let error = bench.create(&key).await.unwrap_err();
    assert!(error.outcome_unknown());
    advance(Duration::from_secs(1)).await;
    assert!(bench.aws.find(&key, &Uncounted).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_has_none() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    bench.aws.fail_next(Operation::Create, Fault::REQUEST_LOST);
    assert!(bench.create(&key).await.unwrap_err().outcome_unknown());
    advance(Duration::from_hours(1)).await;
    assert!(!bench.aws.find(&key, &Uncounted).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_takes_effect_while_its_signature_is_fresh() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    bench.aws.fail_next(Operation::Create, Fault::ArrivesLater(SignedDuration::from_mins(4)));
    assert!(bench.aws.create(&key, bench.attempt()).await.unwrap_err().outcome_unknown());
    advance(Duration::from_secs(200)).await;
    assert!(!bench.aws.has(&key));
    advance(Duration::from_mins(1)).await;
    assert!(bench.aws.has(&key));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_with_a_stale_signature_never_takes_effect() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    bench.aws.fail_next(Operation::Create, Fault::ArrivesLater(SignedDuration::from_mins(6)));
    assert!(bench.aws.create(&key, bench.attempt()).await.unwrap_err().outcome_unknown());
    advance(Duration::from_hours(1)).await;
    assert!(!bench.aws.has(&key));
}

#[tokio::test(start_paused = true)]
async fn a_stale_signature_is_refused() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    let attempt =
        Attempt { start_before: bench.clock.now() + SignedDuration::from_hours(1), ..bench.attempt() };
    advance(Duration::from_secs(301)).await;
    assert_eq!(kind(bench.aws.create(&key, attempt).await), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_signature_from_the_future_is_refused() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    let ahead = |minutes| {
        let signed_at = bench.clock.now() + SignedDuration::from_mins(minutes);
        Attempt { signed_at, ..bench.attempt() }
    };
    assert_eq!(kind(bench.aws.create(&key, ahead(6)).await), ErrorKind::Unavailable);
    assert!(bench.aws.create(&key, ahead(4)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_on_the_way_back_leaves_the_effect() {
    let bench = bench(Behaviour { latency: Duration::from_secs(2), ..Behaviour::default() });
    let key = key(sample::WEB_DEV, sample::ADA);
    let call = bench.aws.create(&key, bench.attempt());
    assert!(tokio::time::timeout(Duration::from_millis(1500), call).await.is_err());
    advance(Duration::from_secs(5)).await;
    assert!(bench.aws.has(&key));
}

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_on_the_way_there_leaves_nothing() {
    let bench = bench(Behaviour { latency: Duration::from_secs(2), ..Behaviour::default() });
    let key = key(sample::WEB_DEV, sample::ADA);
    let call = bench.aws.create(&key, bench.attempt());
    assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err());
    advance(Duration::from_secs(5)).await;
    assert!(!bench.aws.has(&key) && bench.aws.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_same_key_conflicts_until_the_first_is_done() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    bench.aws.standing(key.clone());
    bench.aws.create(&key, bench.attempt()).await.unwrap();
    assert_eq!(kind(bench.aws.delete(&key, bench.attempt(), &Uncounted).await), ErrorKind::Conflict);
    advance(Duration::from_secs(1)).await;
    assert!(matches!(
        bench.aws.delete(&key, bench.attempt(), &Uncounted).await.unwrap(),
        Deletion::Started(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn one_account_takes_one_operation_at_a_time_when_told_so() {
    let bench = bench(Behaviour { conflict_in_account: true, ..Behaviour::default() });
    bench.aws.create(&key(sample::WEB_DEV, sample::ADA), bench.attempt()).await.unwrap();
    let second = bench.aws.create(&key(sample::WEB_DEV, sample::BOB), bench.attempt()).await;
    assert_eq!(kind(second), ErrorKind::Conflict);
    bench.aws.create(&key(sample::WEB_PROD, sample::BOB), bench.attempt()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_of_a_second_are_throttled() {
    let bench = bench(Behaviour { calls_per_second: Some(2), ..Behaviour::default() });
    let key = key(sample::WEB_DEV, sample::ADA);
    assert!(bench.aws.find(&key, &Uncounted).await.is_ok());
    assert!(bench.aws.find(&key, &Uncounted).await.is_ok());
    assert_eq!(kind(bench.aws.find(&key, &Uncounted).await), ErrorKind::Throttled);
    advance(Duration::from_secs(1)).await;
    assert!(bench.aws.find(&key, &Uncounted).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn operations_beyond_the_outstanding_limit_are_throttled() {
    let bench = bench(Behaviour { outstanding_max: Some(1), ..Behaviour::default() });
    bench.aws.create(&key(sample::WEB_DEV, sample::ADA), bench.attempt()).await.unwrap();
    let second = bench.aws.create(&key(sample::WEB_PROD, sample::ADA), bench.attempt()).await;
    assert_eq!(kind(second), ErrorKind::Throttled);
    advance(Duration::from_secs(1)).await;
    bench.aws.create(&key(sample::WEB_PROD, sample::ADA), bench.attempt()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lists_lag_and_observers_do_not() {
    let bench = bench(Behaviour { list_lag: SignedDuration::from_secs(10), ..Behaviour::default() });
    let key = key(sample::WEB_DEV, sample::ADA);
    advance(Duration::from_mins(1)).await;
    bench.aws.standing(key.clone());
    assert!(!bench.aws.find(&key, &Uncounted).await.unwrap() && bench.aws.has(&key));
    advance(Duration::from_secs(10)).await;
    assert!(bench.aws.find(&key, &Uncounted).await.unwrap());
    bench.aws.remove(key.clone());
    assert!(bench.aws.find(&key, &Uncounted).await.unwrap() && !bench.aws.has(&key));
}

#[tokio::test(start_paused = true)]
async fn the_management_account_is_closed_to_a_delegated_administrator() {
    let bench = bench(Behaviour::default());
    let key = key(sample::MANAGEMENT, sample::ADA);
    assert_eq!(kind(bench.aws.create(&key, bench.attempt()).await), ErrorKind::Denied);
    bench.aws.set_behaviour(Behaviour { delegated_administrator: false, ..Behaviour::default() });
    assert_eq!(bench.create(&key).await.unwrap(), OperationStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn changes_say_who_made_them() {
    let bench = bench(Behaviour::default());
    let (ours, theirs) = (key(sample::WEB_DEV, sample::ADA), key(sample::WEB_DEV, sample::BOB));
    bench.aws.standing(theirs.clone());
    bench.create(&ours).await.unwrap();
    let changes = bench.aws.changes();
    assert_eq!((&changes[0].key, changes[0].by), (&theirs, ChangedBy::Others));
    assert_eq!((&changes[1].key, changes[1].by), (&ours, ChangedBy::Daypass));
}

#[tokio::test(start_paused = true)]
async fn a_chained_session_gets_one_hour_at_most() {
    let bench = bench(Behaviour { caller_is_role_session: true, ..Behaviour::default() });
    assert!(bench.aws.caller_identity().await.unwrap().is_role_session());
    let role = sample::role(sample::WEB_DEV, "ReadOnly").unwrap();
    let ask = |seconds| {
        let name = SessionName::new("ada").unwrap();
        AssumeRole::new(role.clone(), name, SignedDuration::from_secs(seconds)).unwrap()
    };
    assert_eq!(kind(bench.aws.assume_role(&ask(3601)).await), ErrorKind::Invalid);
    assert!(bench.aws.assume_role(&ask(3600)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_sample_organisation_has_its_personas() {
    let bench = bench(Behaviour::default());
    let contents = bench.aws.fetch().await.unwrap();
    let directory = aws::Directory::new(bench.clock.now(), contents);
    assert_eq!((directory.contents().accounts.len(), directory.contents().users.len()), (6, 5));
    for (name, id, group) in [
        ("ada", sample::ADA, sample::DEVELOPERS),
        ("bob", sample::BOB, sample::APPROVERS),
        ("carol", sample::CAROL, sample::ADMINS),
        ("dave", sample::DAVE, sample::ADMINS),
        ("eve", sample::EVE, sample::AUDITORS),
    ] {
        let user = directory.user_by_external_id("https://idp.example", name).unwrap();
        assert_eq!(user.as_str(), id);
        let groups: Vec<String> = directory.groups_of(user).iter().map(ToString::to_string).collect();
        assert_eq!(groups, [format!("identity-store:{group}")]);
    }
    assert_eq!(sample::roles().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_reading_call_that_fails_has_no_unknown_outcome() {
    let bench = bench(Behaviour::default());
    let key = key(sample::WEB_DEV, sample::ADA);
    for fault in [Fault::AnswerLost, Fault::REQUEST_LOST] {
        bench.aws.fail_next(Operation::Holders, fault);
        assert_eq!(kind(bench.aws.find(&key, &Uncounted).await), ErrorKind::Unavailable);
    }
}
