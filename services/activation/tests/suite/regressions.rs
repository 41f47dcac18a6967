//! What went wrong in systems of this kind, by the names of the list of failures that Daypass must not repeat.

use crate::house::{HOUR, House, aws_key, key_of, permission_set, role};
use aws::ErrorKind;
use aws::simulated::{ChangedBy, Fault, Operation as AwsOperation};
use lifecycle::assignment::Presence;
use lifecycle::event::ClosedHow;
use opentelemetry::metrics::MeterProvider as _;
use std::sync::{Arc, Mutex};
use test_servers::measured::Measured;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// The first of two overlapping requests ends, and takes the second's access away.
#[tokio::test(start_paused = true)]
async fn team_104_279_overlapping() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    let first = house.grant(&permission_set(), 0, HOUR).await;
    let second = house.grant(&permission_set(), HOUR / 2, 2 * HOUR).await;
    let contiguous = house.grant(&permission_set(), 2 * HOUR, 3 * HOUR).await;
    house.at(HOUR + 10).await;
    assert!(house.has(&key) && house.is_active(second).await);
    assert_eq!(house.closed(first).await, Some(ClosedHow::CarriedBy(second)));
    house.at(2 * HOUR + 10).await;
    assert!(house.has(&key) && house.is_active(contiguous).await);
    assert_eq!(house.closed(second).await, Some(ClosedHow::CarriedBy(contiguous)));
    house.at(3 * HOUR + 10).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(contiguous).await, Some(ClosedHow::Deleted));
    assert_eq!((house.calls(AwsOperation::Create), house.calls(AwsOperation::Delete)), (1, 1));
}

/// A standing assignment is "granted", then deleted at the end.
#[tokio::test(start_paused = true)]
async fn team_standing() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    let request = house.request(id).await;
    assert!(request.approved().unwrap().1.unwrap().activated.standing);
    let story = process.views.requests.get(&id).unwrap().unwrap();
    assert!(process.views.show(&story).await.standing, "as GetRequest and `daypass show` tell it");
    house.at(2 * HOUR).await;
    assert!(house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Standing));
    assert_eq!(house.calls(AwsOperation::Create) + house.calls(AwsOperation::Delete), 0);
}

/// The status of the asynchronous call is never read.
#[tokio::test(start_paused = true)]
async fn team_status_never_read() {
    let house = House::new().await;
    let _process = house.start().await;
    let slow = domain::SignedDuration::from_secs(40);
    house.aws.fail_next(AwsOperation::Create, Fault::Slow(slow));
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(39).await;
    assert!(!house.is_active(id).await);
    house.at(50).await;
    assert!(house.is_active(id).await);
    let failure = Fault::FailsLater { reason: "try later".to_owned() };
    house.aws.fail_next(AwsOperation::Delete, failure);
    house.at(HOUR + 2).await;
    assert!(house.closed(id).await.is_none() && house.has(&key_of(&permission_set())));
    house.at(HOUR + 30).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

/// The messages of what is logged as an error: what pages.
#[derive(Clone, Default)]
pub(crate) struct Errors(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::ERROR {
            event.record(&mut Message(&self.0));
        }
    }
}

struct Message<'a>(&'a Mutex<Vec<String>>);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

/// ConflictException or five failed tries: status "error", access stays.
#[tokio::test(start_paused = true)]
async fn team_255_513_five_tries() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(HOUR - 1).await;
    for _ in 0..12 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Conflict));
    }
    house.at(HOUR + 10 * 60).await;
    assert!(house.has(&key));
    assert_eq!(process.service.overdue(), 1, "somebody is told");
    assert_eq!(*errors.0.lock().unwrap(), ["access is left in AWS past its end"], "paged, once");
    house.at(3 * HOUR).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(process.service.overdue(), 0);
}

impl Errors {
    /// How often this was told.
    pub(crate) fn told(&self, message: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|told| *told == message).count()
    }

    /// How often it was told that something is left which no request tells of.
    fn of_orphans(&self) -> usize {
        self.told("access that nobody needs is left in AWS")
    }
}

/// Nobody is told of a removal that fails, because no request is behind it.
#[tokio::test(start_paused = true)]
async fn what_was_adopted_and_cannot_be_removed_is_told_and_counted_until_it_is_gone() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let measured = Measured::start();
    let mut house = House::new().await;
    house.meter = Some(measured.provider.meter("daypass"));
    let process = house.start().await;
    house.at(1).await;
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    process.reconcile("carol", Some(&key), true).await.unwrap();
    house.at(4 * 60).await;
    assert_eq!((process.service.overdue(), errors.of_orphans()), (0, 0), "not yet");
    house.at(7 * 60).await;
    assert_eq!((process.service.overdue(), errors.of_orphans()), (1, 1));
    let exported = measured.exported().unwrap();
    let (_, gauge) = exported.split_once("daypass.removals.overdue\"").unwrap();
    let (_, value) = gauge.split_once("value: ").unwrap();
    assert!(value.starts_with('1'), "{value}");
    house.at(30 * 60).await;
    assert_eq!((process.service.overdue(), errors.of_orphans()), (1, 1), "told once");

    process.kill().await;
    let process = house.start().await;
    house.at(30 * 60 + 10).await;
    assert_eq!(process.service.overdue(), 1, "a process that starts knows since when");
    house.aws.heal();
    house.at(40 * 60).await;
    assert!(!house.has(&key));
    assert_eq!(process.service.overdue(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_request_with_a_damaged_history_has_left_is_told_and_counted_at_every_replica() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = House::new().await;
    let one = house.start_as("one").await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 600).await;
    house.at(50).await;
    let two = house.start_as("two").await;
    house.garble(id).await;
    for _ in 0..1_000 {
        house.aws.fail_next(AwsOperation::Delete, Fault::Refused(ErrorKind::Denied));
    }
    house.at(600 + 240).await;
    assert_eq!((one.service.overdue(), two.service.overdue(), errors.of_orphans()), (0, 0, 0));
    house.at(600 + 660).await;
    assert_eq!((one.service.overdue(), two.service.overdue(), errors.of_orphans()), (1, 1, 2));
    house.aws.heal();
    house.at(600 + 1_200).await;
    assert!(!house.has(&key));
    assert_eq!((one.service.overdue(), two.service.overdue()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_and_goes_at_once_is_told_to_nobody() {
    let errors = Errors::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors.clone()));
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    house.aws.standing(aws_key(&key));
    house.at(1).await;
    process.reconcile("carol", Some(&key), true).await.unwrap();
    house.at(HOUR).await;
    assert!(!house.has(&key));
    assert_eq!((process.service.overdue(), errors.of_orphans()), (0, 0));
}

/// An upgrade during active grants loses the revoke.
#[tokio::test(start_paused = true)]
async fn team_149_upgrade_during_active_grants() {
    let house = House::new().await;
    let before = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(600).await;
    let after = house.start().await;
    before.stop().await;
    house.at(HOUR + 10).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    after.stop().await;
}

/// A crash after the grant and before the state is stored leaves access for ever.
#[tokio::test(start_paused = true)]
async fn lambda_grant_before_storing_state() {
    let house = House::new().await;
    let process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 600).await;
    while !house.has(&key) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    process.kill().await;
    let attempted = house.ledger(&key).await.unwrap();
    assert!(attempted.attempt().is_some(), "recorded before effective");
    house.at(HOUR).await;
    let _process = house.start().await;
    house.at(HOUR + 30).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
}

/// Up to an hour too long; the row is deleted before the removal is known.
#[tokio::test(start_paused = true)]
async fn lambda_hourly_sweep_row_deleted() {
    let house = House::new().await;
    let _process = house.start().await;
    let key = key_of(&permission_set());
    let id = house.grant(&permission_set(), 0, 1_000).await;
    house.at(1_003).await;
    assert!(!house.has(&key), "at the instant, not at the next sweep");
    let id2 = house.grant(&permission_set(), 1_100, 2_000).await;
    house.at(1_999).await;
    house.aws.fail_next(AwsOperation::Delete, Fault::REQUEST_LOST);
    house.at(2_003).await;
    assert!(house.has(&key) && house.closed(id2).await.is_none(), "closed only when the removal is known");
    house.at(2_060).await;
    assert!(!house.has(&key));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    assert_eq!(house.closed(id2).await, Some(ClosedHow::Deleted));
}

/// A sweep revokes every assignment that it does not know.
#[tokio::test(start_paused = true)]
async fn elevator_108() {
    let house = House::new().await;
    let _process = house.start().await;
    let id = house.grant(&permission_set(), 0, HOUR).await;
    house.at(30).await;
    let theirs = aws::AssignmentKey::of_target(
        domain::PrincipalId::new(aws::simulated::sample::EVE).unwrap(),
        &permission_set(),
    );
    house.aws.standing(theirs.clone());
    house.at(2 * HOUR).await;
    // Made by somebody else after ours was gone.
    let mine = key_of(&permission_set());
    house.aws.standing(aws_key(&mine));
    house.at(6 * HOUR).await;
    assert!(house.aws.has(&theirs) && house.has(&mine));
    assert_eq!(house.closed(id).await, Some(ClosedHow::Deleted));
    let removed = house.aws.changes().into_iter().filter(|change| !change.present);
    assert!(removed.clone().count() == 1 && removed.clone().all(|change| change.by == ChangedBy::Daypass));
    assert_eq!(house.ledger(&mine).await.unwrap().presence, Presence::Absent);
}

/// Credentials outlive the window by up to twelve hours.
#[tokio::test(start_paused = true)]
async fn broker_credentials_outlive_the_window() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 600).await;
    house.at(60).await;
    let issued = process.issue("ada", id, "one", Some(43_200)).await.unwrap();
    let may = |seconds: i64| {
        let at = crate::house::instant(seconds);
        house.aws.session_may(&issued.access_key_id, "s3:GetObject", at).unwrap()
    };
    assert!(may(61) && may(599));
    assert!(!may(600) && !may(601) && !may(43_200));
    let chained = house.aws.session_may(&issued.access_key_id, "sts:AssumeRole", crate::house::instant(61));
    assert!(!chained.unwrap(), "a chained role would drop the session policy");
}

/// The session still works after the revoke: the honest bound is told, and nothing new is issued.
#[tokio::test(start_paused = true)]
async fn teleport_62578() {
    let house = House::new().await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 8 * HOUR).await;
    house.at(60).await;
    let issued = process.issue("ada", id, "one", None).await.unwrap();
    house.at(120).await;
    let shown = process.revoke("bob", id).await.unwrap().request.unwrap();
    assert_eq!(
        shown.credentials_bound_at.unwrap(),
        issued.expires_at.unwrap(),
        "told how long it can still work"
    );
    let bound = shown.bound.unwrap().after_early_end.unwrap().seconds;
    assert!(issued.expires_at.unwrap().seconds <= crate::house::instant(120 + bound).as_second());
    assert!(process.issue("ada", id, "two", None).await.is_err());
    assert!(house.closed(id).await.is_none(), "not closed while something works");
    house.at(2 * HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
}
