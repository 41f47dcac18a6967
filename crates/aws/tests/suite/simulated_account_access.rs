//! The simulated Account Access Manager, where it is unlike Identity Center.

use crate::support::TokioClock;
use aws::simulated::{Behaviour, Fault, Operation, SimulatedAccountAccess, SimulatedAws, sample};
use aws::{AssignmentKey, Assignments, Attempt, Deletion, ErrorKind, Limits, OperationStatus, Uncounted};
use domain::ports::Clock;
use domain::{AccountId, PermissionSetArn, PrincipalId, SignedDuration};
use std::sync::Arc;
use tokio::time::{Duration, advance};

struct Bench {
    clock: Arc<TokioClock>,
    aws: Arc<SimulatedAws>,
    port: SimulatedAccountAccess,
}

fn bench(behaviour: Behaviour) -> Bench {
    let clock = Arc::new(TokioClock::new());
    let aws = SimulatedAws::with_sample_organisation(clock.clone(), behaviour, "https://idp.example");
    let aws = Arc::new(aws);
    Bench { clock, port: SimulatedAccountAccess::new(aws.clone()), aws }
}

impl Bench {
    fn attempt(&self) -> Attempt {
        let now = self.clock.now();
        Attempt { signed_at: now, start_before: now + SignedDuration::from_mins(1) }
    }
}

fn key(name: &str) -> AssignmentKey {
    let account = AccountId::new(sample::WEB_DEV).unwrap();
    let role = sample::role(sample::WEB_DEV, name).unwrap();
    AssignmentKey::new(PrincipalId::new(sample::ADA).unwrap(), account, role)
}

#[tokio::test(start_paused = true)]
async fn an_entitlement_that_is_not_listed_yet_is_not_said_to_be_gone() {
    let bench = bench(Behaviour { list_lag: SignedDuration::from_secs(10), ..Behaviour::default() });
    let key = key("ReadOnly");
    bench.port.create(&key, bench.attempt()).await.unwrap();
    advance(Duration::from_secs(2)).await;
    assert!(bench.aws.has(&key));
    assert_eq!(bench.port.delete(&key, bench.attempt(), &Uncounted).await.unwrap(), Deletion::NotFound);
    advance(Duration::from_secs(10)).await;
    assert!(matches!(
        bench.port.delete(&key, bench.attempt(), &Uncounted).await.unwrap(),
        Deletion::Started(_)
    ));
    advance(Duration::from_secs(2)).await;
    assert!(!bench.aws.has(&key));
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_never_told() {
    let bench = bench(Behaviour::default());
    bench.aws.fail_next(Operation::Create, Fault::FailsLater { reason: "the role is gone".to_owned() });
    let operation = bench.port.create(&key("ReadOnly"), bench.attempt()).await.unwrap();
    advance(Duration::from_hours(1)).await;
    assert_eq!(bench.port.creation_status(&operation).await.unwrap(), OperationStatus::InProgress);
}

#[tokio::test(start_paused = true)]
async fn both_services_have_limits_of_their_own() {
    let bench = bench(Behaviour {
        calls_per_second: Some(1),
        outstanding_max: Some(1),
        conflict_in_account: true,
        ..Behaviour::default()
    });
    let account = AccountId::new(sample::WEB_DEV).unwrap();
    let set = PermissionSetArn::new(sample::READ_ONLY).unwrap();
    let assigned = AssignmentKey::new(PrincipalId::new(sample::ADA).unwrap(), account, set);
    bench.aws.create(&assigned, bench.attempt()).await.unwrap();
    bench.port.create(&key("ReadOnly"), bench.attempt()).await.unwrap();
    let error = bench.port.find(&key("ReadOnly"), &Uncounted).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled);
    assert_eq!((bench.aws.limits(), bench.port.limits()), (Limits::IDENTITY_CENTER, Limits::ACCOUNT_ACCESS));
}

#[tokio::test(start_paused = true)]
async fn changes_in_one_account_do_not_conflict() {
    let bench = bench(Behaviour { conflict_in_account: true, ..Behaviour::default() });
    bench.port.create(&key("ReadOnly"), bench.attempt()).await.unwrap();
    bench.port.create(&key("Administrator"), bench.attempt()).await.unwrap();
    let again = bench.port.create(&key("ReadOnly"), bench.attempt()).await;
    assert_eq!(again.unwrap_err().kind, ErrorKind::Conflict, "only on the same key");
}
