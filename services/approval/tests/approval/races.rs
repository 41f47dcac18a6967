//! Of concurrent decisions one wins, whichever replica they come through.

use crate::house::{House, caller};
use journal::Fact;
use lifecycle::RequestEvent;
use lifecycle::state::Status;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many events of the request end or decide it.
async fn turns(house: &House, id: domain::RequestId) -> usize {
    let story = house.story(id).await;
    let turn = |fact: &Fact| match fact {
        Fact::Request(
            RequestEvent::Approved(_)
            | RequestEvent::Rejected(_)
            | RequestEvent::Expired(_)
            | RequestEvent::Withdrawn,
        ) => true,
        Fact::Request(_)
        | Fact::Assignment(_)
        | Fact::Denial(_)
        | Fact::Policy(_)
        | Fact::Duty(_)
        | Fact::Signal(_)
        | Fact::Person(_)
        | Fact::Log(_) => false,
    };
    story.events.iter().filter(|event| turn(&event.fact)).count()
}

#[tokio::test(start_paused = true)]
async fn elevator_47_double_click() {
    let house = House::new().await;
    let other = house.outside.start().await;
    let id = house.raised().await;
    other.seen().await;
    let (bob, frank) = (caller("bob"), caller("frank"));
    let (one, two, three) = tokio::join!(
        house.approve_with(&bob, id, "click"),
        other.approve_with(&bob, id, "click"),
        other.approve_with(&frank, id, "another"),
    );
    assert!(one.is_ok() == two.is_ok(), "one command, one answer");
    assert!(one.is_ok() != three.is_ok(), "one of two people was first");
    assert_eq!(turns(&house, id).await, 1);
}

/// Lets others go first, `turns` times.
async fn give_way(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn approve_against_withdraw() {
    let house = House::new().await;
    let other = house.outside.start().await;
    let mut approvals = 0;
    for wait in 0..40 {
        let id = house.raised().await;
        other.seen().await;
        let bob = caller("bob");
        let withdrawing = async {
            give_way(wait).await;
            other.withdraw(id).await
        };
        // An access that has not begun can be withdrawn, but this one begins with its approval.
        let (approved, withdrawn) = tokio::join!(house.approve(&bob, id), withdrawing);
        assert!(approved.is_ok() != withdrawn);
        assert_eq!(turns(&house, id).await, 1);
        approvals += usize::from(approved.is_ok());
    }
    assert!((1..40).contains(&approvals), "each should win at times: {approvals}");
}

#[tokio::test(start_paused = true)]
async fn approve_against_reject() {
    let house = House::new().await;
    let other = house.outside.start().await;
    let mut approvals = 0;
    for wait in 0..40 {
        let id = house.raised().await;
        other.seen().await;
        let (bob, frank) = (caller("bob"), caller("frank"));
        let rejecting = async {
            give_way(wait).await;
            other.reject(&frank, id).await
        };
        let (approved, rejected) = tokio::join!(house.approve(&bob, id), rejecting);
        assert!(approved.is_ok() != rejected.is_ok());
        assert_eq!(turns(&house, id).await, 1);
        approvals += usize::from(approved.is_ok());
    }
    assert!((1..=40).contains(&approvals), "{approvals}");
}

/// Bob agrees so long before the deadline, while two replicas wait for it.
async fn approved_before_the_deadline(before: Duration) -> bool {
    let house = House::new().await;
    let other = house.outside.start().await;
    let id = house.raised().await;
    let bob = caller("bob");
    tokio::time::sleep(Duration::from_mins(24 * 60 - 1)).await;
    house.reorganise(|_| {}).await;
    let shutdown = CancellationToken::new();
    let approving = async {
        tokio::time::sleep(Duration::from_mins(1).saturating_sub(before)).await;
        let approved = house.approve(&bob, id).await.is_ok();
        tokio::time::sleep(Duration::from_secs(2)).await;
        shutdown.cancel();
        approved
    };
    let (approved, (), ()) =
        tokio::join!(approving, other.service.run(shutdown.clone()), house.service.run(shutdown.clone()));
    let expected = if approved { Status::Approved } else { Status::Expired };
    assert_eq!(house.status(id).await, expected);
    assert_eq!(turns(&house, id).await, 1);
    approved
}

#[tokio::test(start_paused = true)]
async fn approve_against_expiry() {
    assert!(approved_before_the_deadline(Duration::from_millis(1)).await);
    assert!(!approved_before_the_deadline(Duration::ZERO).await);
}
