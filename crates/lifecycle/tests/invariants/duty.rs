//! Duties.

use crate::support::{at, secs};
use lifecycle::duty::{Claim, Duty, claim};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn invariant_a_duty_changes_hands_only_when_work_waits(
        offers in vec((0..3u8, proptest::option::of(0..50i64), 0..20i64), 1..60),
    ) {
        let patience = secs(5);
        let mut now = 0;
        let mut duty: Option<Duty> = None;
        for (replica, waits_for, elapsed) in offers {
            now += elapsed;
            let waiting_since = waits_for.map(|seconds| at(now - seconds));
            let offer = Claim { replica: replica.to_string(), waiting_since, patience, at: at(now) };
            let Ok(claimed) = claim(duty.as_ref(), offer) else { continue };
            prop_assert!(waiting_since.is_some());
            if let Some(held) = &duty {
                prop_assert_ne!(&held.holder, &claimed.holder);
                prop_assert!(at(now).duration_since(waiting_since.unwrap()) >= patience);
                prop_assert!(at(now).duration_since(held.claimed_at) >= patience);
            }
            duty = Duty::evolve(duty, &claimed, at(now));
            prop_assert_eq!(&duty.as_ref().unwrap().holder, &replica.to_string());
        }
    }
}
