//! While the clock is in doubt nobody agrees to anything, and everybody may say no.

use crate::house::{House, because, caller, refusal};
use aws::simulated::sample;
use domain::SignedDuration;
use lifecycle::state::Status;
use std::time::Duration;
use tonic::Code;

const TEN_SECONDS: SignedDuration = SignedDuration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_in_doubt_nothing_is_approved() {
    let house = House::new().await;
    let id = house.raised().await;
    house.aws_is_ahead(TEN_SECONDS);
    let refused = refusal(house.approve(&caller("bob"), id).await);
    assert_eq!(refused, because(Code::Unavailable, "CLOCK_IN_DOUBT"));
    assert_eq!(house.status(id).await, Status::Requested);
    house.aws_is_ahead(SignedDuration::ZERO);
    house.approve(&caller("bob"), id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_in_doubt_no_rule_approves_either_and_afterwards_it_does() {
    let house = House::new().await;
    house.aws_is_ahead(TEN_SECONDS);
    let id = house.raised_by("ada", sample::WEB_DEV, "dev-read").await;
    house.run_for(Duration::from_secs(30)).await;
    assert_eq!(house.status(id).await, Status::Requested);
    house.aws_is_ahead(SignedDuration::ZERO);
    house.run_until(id, Status::Approved).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_in_doubt_requests_are_rejected_and_expire() {
    let house = House::new().await;
    let (refused, left) = (house.raised().await, house.raised().await);
    house.aws_is_ahead(-TEN_SECONDS);
    house.reject(&caller("bob"), refused).await.unwrap();
    assert_eq!(house.status(refused).await, Status::Rejected);
    house.run_until(left, Status::Expired).await;
}
