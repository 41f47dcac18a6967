//! What closures measure.

use crate::house::{HOUR, House, chaining_policy, permission_set, role, role_for_users};
use domain::RequestId;
use lifecycle::event::ClosedHow;
use opentelemetry::metrics::MeterProvider as _;
use test_servers::measured::Measured;

#[tokio::test(start_paused = true)]
async fn every_closure_measures_access_past_its_end_by_provider() {
    let measured = Measured::start();
    let mut house = House::new().await;
    house.meter = Some(measured.provider.meter("daypass"));
    let process = house.start().await;
    let ids: [RequestId; 3] = [
        house.grant(&permission_set(), 0, 600).await,
        house.grant(&role_for_users(), 0, 600).await,
        house.grant(&role(), 0, 600).await,
    ];
    house.at(30).await;
    process.issue("ada", ids[2], "one", None).await.unwrap();
    assert!(!measured.exported().unwrap().contains("daypass.access.past_end"), "nothing has ended");
    house.at(3_600).await;
    for (id, how) in
        ids.into_iter().zip([ClosedHow::Deleted, ClosedHow::Deleted, ClosedHow::CredentialsExpired])
    {
        assert_eq!(house.closed(id).await, Some(how));
    }
    let exported = measured.exported().unwrap();
    let (_, histogram) = exported.split_once("daypass.access.past_end").unwrap();
    for provider in ["identity_center", "account_access", "\"sts\""] {
        assert!(histogram.contains(provider), "{provider} is not in {histogram}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_chained_is_access_past_its_end() {
    let measured = Measured::start();
    let mut house = House::new().await;
    house.meter = Some(measured.provider.meter("daypass"));
    house.apply(&chaining_policy()).await;
    let process = house.start().await;
    let id = house.grant(&role(), 0, 600).await;
    house.at(30).await;
    process.issue("ada", id, "one", None).await.unwrap();
    house.at(2 * HOUR).await;
    assert_eq!(house.closed(id).await, Some(ClosedHow::CredentialsExpired));
    let exported = measured.exported().unwrap();
    let (_, histogram) = exported.split_once("daypass.access.past_end").unwrap();
    let (_, longest) = histogram.split_once("max: Some(").unwrap();
    let longest: f64 = longest.split_once(')').unwrap().0.parse().unwrap();
    assert!((3_500.0..=3_600.0).contains(&longest), "an hour after the window's end: {longest}");
}

#[tokio::test(start_paused = true)]
async fn what_another_has_closed_is_not_measured_again() {
    let measured = Measured::start();
    let mut house = House::new().await;
    house.meter = Some(measured.provider.meter("daypass"));
    let process = house.start().await;
    let id = house.grant(&role(), 0, 600).await;
    house.at(30).await;
    process.issue("ada", id, "one", None).await.unwrap();
    house.at(700).await;
    assert!(house.over(id).await.is_some() && house.closed(id).await.is_none());
    // As far as this process knows it is open, when the credentials expire.
    process.stop_following();
    house.close(id, ClosedHow::CredentialsExpired).await;
    house.at(3 * HOUR).await;
    assert!(!measured.exported().unwrap().contains("daypass.access.past_end"));
}
