//! What closures measure.

use crate::house::{House, permission_set, role, role_for_users};
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
