//! What went wrong in systems of this kind, where decisions and the policy meet; `docs/regressions.md` has the list.

use crate::house::{House, POLICY, caller};
use journal::Fact;
use lifecycle::RequestEvent;
use lifecycle::event::RejectedBecause;
use lifecycle::state::Phase;
use std::time::Duration;

/// Enough for a change of the policy to come first.
const TURNS: usize = 40;

/// A yes is counted under the policy that was in force when it was decided, or not at all; and what it decided stays decided.
#[tokio::test(start_paused = true)]
async fn approve_against_rule_change() {
    let mut approvals = 0;
    for wait in 0..TURNS {
        let house = House::new().await;
        let other = house.outside.start().await;
        let before = house.views.policy.current().await.unwrap().event;
        let id = house.raised().await;
        other.seen().await;
        let without_rule = POLICY.replace("prod-read", "prod-look");
        let bob = caller("bob");
        let approving = async {
            for _ in 0..wait {
                tokio::task::yield_now().await;
            }
            other.approve(&bob, id).await
        };
        let (approved, after) = tokio::join!(approving, house.apply(&without_rule));
        assert_ne!(before, after);
        house.run_for(Duration::from_mins(1)).await;
        let story = house.story(id).await;
        assert_eq!(story.events.len(), 2, "raised, and decided once");
        match (&story.request.phase, approved) {
            (Phase::Approved { grant, .. }, Ok(_)) => assert_eq!(grant.approved.policy_event, before),
            (Phase::Rejected { because, .. }, Err(_)) => assert_eq!(*because, RejectedBecause::RuleVanished),
            (phase, answer) => panic!("{phase:?} after the answer {answer:?}"),
        }
        let decided = matches!(&story.events[1].fact, Fact::Request(RequestEvent::Approved(_)));
        approvals += usize::from(decided);
    }
    assert!((1..TURNS).contains(&approvals), "each should win at times: {approvals}");
}
