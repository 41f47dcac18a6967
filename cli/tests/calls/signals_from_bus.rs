//! A signal on the bus, and what becomes of it in all services.

use crate::callers::{ISSUER, Kind};
use crate::house::House;
use crate::messages;
use api::request::v1::{GetRequestRequest, GetRequestResponse};
use api::types::v1::RequestStatus;
use aws::simulated::sample;
use messaging::{Message, Parking as _};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn person_left_over_the_bus_ends_everything_that_they_have() {
    let house = House::new().await;
    let requests = [
        house.active(messages::role(sample::WEB_PROD)).await,
        house.active(messages::read_only(sample::PAYMENTS_PROD)).await,
        house.ask(messages::read_only(sample::WEB_PROD)).await,
    ];
    assert_eq!(house.aws.assignments().len(), 1);
    let event = json!({
        "specversion": "1.0",
        "id": "leaver-1",
        "source": "hr",
        "type": "daypass.signals.v1.person_left",
        "time": house.now().to_string(),
        "data": { "about": { "issuer": ISSUER, "subject": "ada" } },
    });
    let message = Message {
        subject: "daypass.signals.v1.hr.person_left".to_owned(),
        sent_at: house.now(),
        signature: None,
        body: event.to_string().into(),
    };
    house.signals.tell(message);
    let all_over = async {
        for id in &requests {
            while status(&house, id).await != RequestStatus::Ended {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while !house.aws.assignments().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), all_over).await.unwrap();
    assert!(house.signals.list(0, 1).await.unwrap().is_empty());
}

/// Whoever has left sees nothing any more; an auditor does.
async fn status(house: &House, id: &str) -> RequestStatus {
    let message = GetRequestRequest { request_id: id.to_owned(), ..GetRequestRequest::default() };
    let path = "/daypass.request.v1.RequestService/GetRequest";
    let answer: GetRequestResponse = house.done(path, Kind::Auditor, &message).await;
    answer.request.unwrap().status()
}
