//! The clock hears what time AWS has, from answers and refusals of every service.

use crate::support::{WallClock, config};
use aws::{AssignmentKey, Assignments, DirectorySource, Sts, Uncounted};
use aws_sdk::{Adapters, AwsConfig, connect};
use domain::ports::Clock;
use domain::{AccountId, PermissionSetArn, PrincipalId, Sighting, SignedDuration, TimeSource, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::moto::Moto;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The machine's clock, and what it has heard.
#[derive(Default)]
struct Listening(Mutex<Vec<Sighting>>);

impl Clock for Listening {
    fn now(&self) -> Timestamp {
        WallClock.now()
    }

    fn compare(&self, sighting: &Sighting) {
        self.0.lock().unwrap().push(*sighting);
    }
}

impl Listening {
    /// By how much AWS was ahead, at least and at most, at each answer since the last time.
    fn heard(&self) -> Vec<(SignedDuration, SignedDuration)> {
        let ahead = |sighting| {
            let Sighting::Answer { source: TimeSource::Aws, asked_at, heard_at, earliest, latest } = sighting
            else {
                return None;
            };
            assert!(asked_at <= heard_at);
            Some((earliest.duration_since(heard_at), latest.duration_since(asked_at)))
        };
        self.0.lock().unwrap().drain(..).filter_map(ahead).collect()
    }
}

async fn adapters(endpoint: &str, clock: &Arc<Listening>) -> Adapters {
    let config = AwsConfig {
        instance_arn: Some("arn:aws:sso:::instance/ssoins-1111111111111111".to_owned()),
        identity_store_id: Some("d-1111111111".to_owned()),
        ..config(endpoint)
    };
    connect(config, clock.clone()).await.unwrap()
}

/// Denies everything, `ahead` of us, `delay` after it was asked.
async fn refusing(ahead: SignedDuration, delay: Duration) -> MockServer {
    let server = MockServer::start().await;
    let date = (WallClock.now() + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let refusal = ResponseTemplate::new(400)
        .insert_header("date", date.as_str())
        .set_body_json(serde_json::json!({ "__type": "AccessDeniedException" }))
        .set_delay(delay);
    Mock::given(method("POST")).respond_with(refusal).mount(&server).await;
    server
}

#[tokio::test]
async fn a_date_that_is_ten_seconds_off_is_heard_from_every_service() {
    let key = AssignmentKey::new(
        PrincipalId::new("00000000-0000-4000-8000-0000000000a1").unwrap(),
        AccountId::new("111111111111").unwrap(),
        PermissionSetArn::new("arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111")
            .unwrap(),
    );
    for seconds in [10, -10] {
        let server = refusing(SignedDuration::from_secs(seconds), Duration::ZERO).await;
        let clock = Arc::new(Listening::default());
        let adapters = adapters(&server.uri(), &clock).await;
        adapters.sts.caller_identity().await.unwrap_err();
        adapters.assignments.find(&key, &Uncounted).await.unwrap_err();
        adapters.directory.fetch().await.unwrap_err();
        let heard = clock.heard();
        assert!(heard.len() >= 3, "{heard:?}");
        for (least, most) in heard {
            let ten = SignedDuration::from_secs(seconds);
            assert!(least <= ten && ten <= most + SignedDuration::from_secs(1), "{least} to {most}");
            let proved = if seconds > 0 { least } else { -most };
            assert!(proved > SignedDuration::from_secs(5), "{least} to {most} proves nothing");
        }
    }
}

#[tokio::test]
async fn the_time_under_way_is_no_proof() {
    let server = refusing(SignedDuration::ZERO, Duration::from_millis(1_500)).await;
    let clock = Arc::new(Listening::default());
    adapters(&server.uri(), &clock).await.sts.caller_identity().await.unwrap_err();
    let heard = clock.heard();
    let [(least, most)] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(
        *least <= SignedDuration::from_millis(-1_500) && *most >= SignedDuration::from_secs(-1),
        "{least} {most}"
    );
}

#[tokio::test]
async fn moto_and_we_agree() {
    let moto = Moto::start().await.unwrap();
    let clock = Arc::new(Listening::default());
    adapters(moto.endpoint(), &clock).await.sts.caller_identity().await.unwrap();
    let heard = clock.heard();
    let [(least, most)] = heard.as_slice() else { panic!("{heard:?}") };
    let second = SignedDuration::from_secs(1);
    assert!(*least <= SignedDuration::ZERO && SignedDuration::ZERO <= *most + second, "{least} {most}");
}
