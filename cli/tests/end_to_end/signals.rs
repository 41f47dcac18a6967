//! Someone leaves: HR says so on the bus while every replica of `request` is dead, or where nobody is believed.

use crate::deployment::{Apart, Deployment, Service};
use crate::job::{approve, ask, create, until_status};
use crate::nats::HR;
use crate::world::{World, now, until};
use api::approval::v1::ListPendingRequest;
use api::request::v1::GetRequestRequest;
use api::types::v1::{AccessPhase, ClosurePhase, Request, RevokedAs};
use domain::SignedDuration;
use serde_json::json;

pub(crate) async fn end_what_a_leaver_has() {
    let world = World::new().await;
    let how = Apart { signals: Some(HR), replicas: 2, ..Apart::default() };
    let mut deployment = Deployment::apart(&world, how).await;
    let (account, set) =
        (&world.organisation.accounts.payments_prod, &world.organisation.permission_sets.read_only);
    let id = create(&world, &deployment, ask(account, set, SignedDuration::from_mins(30))).await.request_id;
    until("the request reaching bob", &deployment, async || {
        let mut approvals = world.approvals(&deployment, "bob");
        let pending = approvals.list_pending(ListPendingRequest::default()).await.ok()?.into_inner().pending;
        pending.into_iter().find(|pending| pending.request.as_ref().unwrap().request_id == id)
    })
    .await;
    approve(&world, &deployment, &id).await;
    until_status(&world, &deployment, &id, |request| request.access_phase() == AccessPhase::Active).await;

    deployment.named("daypass-request").for_each(crate::program::Program::kill);
    let leaver = leaver(&world);
    for body in [leaver.as_str(), "poison", leaver.as_str()] {
        tell(&deployment, "hr", "person_left", body).await;
    }
    for request in deployment.named("daypass-request") {
        request.launch();
        request.until_ready().await;
    }
    let over = until("the access being closed", &deployment, async || {
        Some(seen(&world, &deployment, &id).await?)
            .filter(|request| request.closure_phase() == ClosurePhase::Closed)
    })
    .await;
    assert_eq!(over.revoked_as(), RevokedAs::Signal);
    let held = world.aws.assigned_users(&world.organisation.instance_arn, account, set).await.unwrap();
    assert!(held.is_empty(), "{held:?}");

    // Once, though it came twice; and what is no signal is kept for whoever looks into it.
    let listed = ["audit", "list", "--type", "signal.received.v1", "--output", "json"];
    let listed = world.daypass(&deployment, "eve", &listed).await.unwrap();
    assert_eq!(listed.matches("signal.received.v1").count(), 1, "{listed}");
    let parked = parked(&deployment, &["list"]).await.unwrap();
    assert!(parked.contains("MESSAGE_INVALID") && parked.lines().count() == 2, "{parked}");
}

/// The server takes what HR tells, so HR takes it for told: somebody must see that it was not heeded.
pub(crate) async fn are_parked_where_nobody_is_believed_and_heeded_once_somebody_is() {
    let world = World::new().await;
    let mut serve = Deployment::serve_without_sources(&world).await;
    tell(&serve, "hr", "person_left", &leaver(&world)).await;
    until_parked(&serve).await;
    serve.kill();

    let how = Apart { signals: Some(""), ..Apart::default() };
    let mut apart = Deployment::apart(&world, how).await;
    tell(&apart, "hr", "person_left", &leaver(&world)).await;
    let number = until_parked(&apart).await;
    apart.believe_hr(&world, Service::Request.place());
    for request in apart.named("daypass-request") {
        request.kill();
        request.launch();
        request.until_ready().await;
    }
    parked(&apart, &["replay", &number]).await.unwrap();
    until("the signal being recorded", &apart, async || {
        let listed = world.daypass(&apart, "eve", &["audit", "list", "--type", "signal.received.v1"]).await;
        listed.ok()?.contains("signal.received.v1").then_some(())
    })
    .await;
    until("nothing being parked", &apart, async || {
        parked(&apart, &["list"]).await.ok()?.contains("nothing is parked").then_some(())
    })
    .await;
}

/// Waits until something of a source that is not configured is parked, and gives back its number.
async fn until_parked(deployment: &Deployment) -> String {
    until("the signal being parked", deployment, async || {
        let listed = parked(deployment, &["list"]).await.ok()?;
        let line = listed.lines().find(|line| line.contains("SOURCE_UNKNOWN"))?;
        line.split_whitespace().next().map(str::to_owned)
    })
    .await
}

/// `daypass signals parked …` as the operator.
async fn parked(deployment: &Deployment, words: &[&str]) -> Result<String, String> {
    let nats = deployment.nats.as_ref().unwrap();
    let (server, seed) = (nats.urls().remove(0), nats.seed("bus-operator").display().to_string());
    let way = ["--server", &server, "--seed", &seed];
    let words = ["signals", "parked"].iter().chain(words).chain(&way);
    let words: Vec<String> = words.map(|word| (*word).to_owned()).collect();
    crate::world::run(&words).await
}

/// Ada has left, says HR.
pub(crate) fn leaver(world: &World) -> String {
    json!({
        "specversion": "1.0",
        "id": "leaver-1",
        "source": "hr",
        "type": "daypass.signals.v1.person_left",
        "time": format!("{:.0}", now() - SignedDuration::from_secs(1)),
        "data": { "about": { "issuer": world.oidc.issuer(), "subject": "ada" } },
    })
    .to_string()
}

/// Publishes as this source, and waits until the server has it.
pub(crate) async fn tell(deployment: &Deployment, source: &str, kind: &str, body: &str) {
    let context = deployment.nats.as_ref().unwrap().connected(&format!("signal-{source}")).await;
    let subject = format!("daypass.signals.v1.{source}.{kind}");
    context.publish(subject, body.to_owned().into()).await.unwrap().await.unwrap();
}

/// The request as Eve sees it: whoever has left sees nothing.
pub(crate) async fn seen(world: &World, deployment: &Deployment, id: &str) -> Option<Request> {
    let message = GetRequestRequest { request_id: id.to_owned(), ..GetRequestRequest::default() };
    world.requests(deployment, "eve").get_request(message).await.ok()?.into_inner().request
}
