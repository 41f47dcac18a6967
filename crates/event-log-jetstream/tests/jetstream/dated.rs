//! The log has a clock of its own: its server's.

use crate::given::{open, server};
use event_log::EventLog;
use jiff::Timestamp;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the machine's clock, which the server reads as well")]
async fn the_server_tells_the_time() {
    let server = server().await;
    let log = open(&server.url()).await;
    let asked_at = Timestamp::now();
    let told = log.time().await.unwrap().unwrap();
    assert!(asked_at <= told && told <= Timestamp::now(), "{told} is not between asking and hearing");
}
