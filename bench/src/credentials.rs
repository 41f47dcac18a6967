//! STS credentials a second: each is decided on, asked for, recorded, and only then answered. STS is simulated and answers at once, so
//! what is measured is Daypass.

use crate::daypass::{Bearer, Daypass, channels, with};
use crate::limits::Limits;
use crate::{Failed, Measured, create, hammer, logs, say};
use api::activation::v1::IssueCredentialsRequest;
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::request::v1::GetRequestRequest;
use api::request::v1::request_service_client::RequestServiceClient;
use api::types::v1::AccessPhase;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use test_servers::nats::NatsOptions;
use tonic::transport::Channel;

/// A role of the sample organisation for which nobody needs to agree.
const ACCOUNT: &str = "333333333333";
const ROLE: &str = "arn:aws:iam::333333333333:role/daypass/ReadOnly";
/// How often it is looked whether a request is active.
const LOOK: Duration = Duration::from_millis(20);
/// How long that may take.
const ACTIVE_WITHIN: Duration = Duration::from_mins(2);

pub(crate) async fn run(callers: usize, requests: usize, within: Duration, nats: bool) -> Result<(), Failed> {
    let engine = logs::engine(nats);
    say(&format!(
        "STS credentials on {engine}, {requests} requests, {within:?} per part, load generator included"
    ));
    let limits = Limits::measure(callers, within, nats).await?;
    let server = logs::nats_server(nats, NatsOptions::default()).await?;
    let more: Vec<String> = server.iter().flat_map(logs::nats_arguments).collect();
    let daypass = Daypass::start(None, &more).await?;
    daypass.ready().await?;
    let bearer = daypass.bearer("ada")?;
    let channels = channels(&daypass.url, callers).await?;
    let ids = Arc::new(active(&channels, &bearer, requests).await?);

    let before = daypass.processor_time()?;
    let many = issue(&channels, &bearer, &ids, callers, within).await?;
    let used = daypass.processor_time()?.saturating_sub(before).as_secs_f64();
    many.say(&format!("IssueCredentials, {callers} callers"));
    let one = issue(&channels, &bearer, &ids, 1, within).await?;
    one.say("IssueCredentials, one caller");
    limits.say_share(&many, None);
    limits.say_median(&one, None);
    let each = used / (many.per_second * within.as_secs_f64());
    say(&format!("processor time of daypass for one of {callers} callers: {:.0} µs", each * 1e6));
    Ok(())
}

/// Raises `requests`, and waits until every one is active.
async fn active(channels: &[Channel], bearer: &Bearer, requests: usize) -> Result<Vec<String>, Failed> {
    futures::stream::iter(0..requests)
        .map(async |number| {
            let channel = channels.get(number % channels.len()).ok_or("no channel")?;
            let mut client = RequestServiceClient::new(channel.clone());
            let ask = create::ask(format!("credentials-{number}"), ACCOUNT, ROLE);
            let raised = client.create_request(with(bearer, ask)).await?.into_inner();
            let request_id = raised.request.ok_or("no request")?.request_id;
            let mut wait_for_position = raised.position;
            tokio::time::timeout(ACTIVE_WITHIN, async {
                loop {
                    let message = GetRequestRequest {
                        request_id: request_id.clone(),
                        wait_for_position: std::mem::take(&mut wait_for_position),
                        ..Default::default()
                    };
                    let got = client.get_request(with(bearer, message)).await?.into_inner();
                    if got.request.is_some_and(|request| request.access_phase() == AccessPhase::Active) {
                        return Ok::<_, Failed>(());
                    }
                    tokio::time::sleep(LOOK).await;
                }
            })
            .await??;
            Ok(request_id)
        })
        .buffer_unordered(64)
        .try_collect()
        .await
}

async fn issue(
    channels: &[Channel],
    bearer: &Bearer,
    ids: &Arc<Vec<String>>,
    callers: usize,
    within: Duration,
) -> Result<Measured, Failed> {
    hammer(callers, within, |caller, number| {
        let channel = channels.get(caller % channels.len()).cloned();
        let (bearer, ids) = (bearer.clone(), Arc::clone(ids));
        async move {
            // Callers are spread over the requests, as people are.
            let place = usize::try_from(number)?.saturating_mul(callers).saturating_add(caller) % ids.len();
            let message = IssueCredentialsRequest {
                idempotency_key: format!("{callers}-{caller}-{number}"),
                request_id: ids.get(place).ok_or("no request")?.clone(),
                duration: None,
            };
            ActivationServiceClient::new(channel.ok_or("no channel")?)
                .issue_credentials(with(&bearer, message))
                .await?;
            Ok(())
        }
    })
    .await
}
