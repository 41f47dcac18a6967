//! The main job: ask, agree, get access, lose it; with every process killed before the start, and again before the end.

use crate::deployment::Deployment;
use crate::endings;
use crate::world::{World, now, until, until_time};
use api::approval::v1::{ApproveRequest, ListPendingRequest};
use api::request::v1::{CreateRequestRequest, GetRequestRequest};
use api::types::v1 as wire;
use api::types::v1::{AccessPhase, Ask, CloseReason, ClosurePhase, EndReason, Request, RequestStatus};
use domain::{SignedDuration, Timestamp};

/// Why Ada asks. It is in the log for whoever has her key, and for nobody else.
pub(crate) const WHY: &str = "the pager went off";

/// From asking to the start: long enough for everything that comes before, on a machine that is busy.
const LEAD: SignedDuration = SignedDuration::from_secs(20);
/// From the start to the end: the same.
const LENGTH: SignedDuration = SignedDuration::from_secs(40);

/// Every request that there was, and what must be told of each: the stored types of its events, in order.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) stories: Vec<(String, Vec<&'static str>)>,
}

impl Told {
    pub(crate) fn add(&mut self, id: &str, events: &[&'static str]) {
        self.stories.push((id.to_owned(), events.to_vec()));
    }
}

/// The whole job, and every other way that a request can go.
pub(crate) async fn whole(world: &World, deployment: &mut Deployment) -> Told {
    let mut told = Told::default();
    assignment(world, deployment, &mut told).await;
    endings::credentials(world, deployment, &mut told).await;
    endings::rejected(world, deployment, &mut told).await;
    endings::expired(world, deployment, &mut told).await;
    endings::withdrawn(world, deployment, &mut told).await;
    endings::waiting(world, deployment, &mut told).await;
    told
}

/// Ada asks for tonight, Bob agrees; the access comes and goes by itself, although nobody is there when it should.
async fn assignment(world: &World, deployment: &mut Deployment, told: &mut Told) {
    let account = &world.organisation.accounts.payments_prod;
    let start = whole_second(now()) + LEAD;
    let end = start + LENGTH;
    let mut asked = ask(account, &world.organisation.permission_sets.read_only, LENGTH);
    asked.window.as_mut().unwrap().start = Some(views::wire::time(start));
    let id = create(world, deployment, asked).await.request_id;

    let waiting = until("the request reaching bob", deployment, async || {
        let mut approvals = world.approvals(deployment, "bob");
        let answer = approvals.list_pending(ListPendingRequest::default()).await.unwrap().into_inner();
        answer.pending.into_iter().find(|pending| pending.request.as_ref().unwrap().request_id == id)
    })
    .await;
    assert_eq!(waiting.request.unwrap().justification, WHY);
    let approved = approve(world, deployment, &id).await;
    assert_eq!(approved.status(), RequestStatus::Approved);
    assert_eq!(approved.access_phase(), AccessPhase::Scheduled);
    let window = approved.window.unwrap();
    assert_eq!((window.start, window.end), (Some(views::wire::time(start)), Some(views::wire::time(end))));

    deployment.kill();
    assert!(now() < start, "too slow: the processes were to be killed before the start");
    assert_eq!(holders(world).await, Vec::<String>::new(), "nothing is there before the start");
    until_time(start).await;
    deployment.restart().await;
    until_status(world, deployment, &id, |request| request.access_phase() == AccessPhase::Active).await;
    assert_eq!(holders(world).await, [world.organisation.users.get("ada").unwrap().clone()]);

    deployment.kill();
    assert!(now() < end, "too slow: the processes were to be killed before the end");
    until_time(end).await;
    deployment.restart().await;
    let over =
        until_status(world, deployment, &id, |request| request.closure_phase() == ClosurePhase::Closed).await;
    assert_eq!(over.status(), RequestStatus::Ended);
    assert_eq!(over.end_reason(), EndReason::Elapsed);
    assert_eq!(over.close_reason(), CloseReason::Deleted);
    assert!(over.past_end.is_some(), "for how long it was left past its end");
    assert!(over.activated_at.is_some());
    assert_eq!(holders(world).await, Vec::<String>::new(), "nothing is left after the end");
    told.add(
        &id,
        &[
            "request.requested.v1",
            "request.approved.v1",
            "request.activated.v1",
            "request.ended.v1",
            "request.closed.v1",
        ],
    );
}

/// Who holds `ReadOnly` in `payments-prod`, as the AWS CLI sees it.
async fn holders(world: &World) -> Vec<String> {
    let organisation = &world.organisation;
    let (account, set) = (&organisation.accounts.payments_prod, &organisation.permission_sets.read_only);
    world.aws.assigned_users(&organisation.instance_arn, account, set).await.unwrap()
}

fn whole_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap()
}

/// What Ada asks for.
pub(crate) fn ask(account: &str, entitlement: &str, duration: SignedDuration) -> Ask {
    Ask {
        target: Some(wire::Target {
            account_id: account.to_owned(),
            entitlement_arn: entitlement.to_owned(),
        }),
        window: Some(wire::AskedWindow { start: None, duration: Some(views::wire::duration(duration)) }),
        justification: WHY.to_owned(),
        ..Ask::default()
    }
}

/// Ada asks, twice with the same key as one whose first answer was lost, and gets one request.
pub(crate) async fn create(world: &World, deployment: &Deployment, ask: Ask) -> Request {
    let key = format!("{}", now());
    let message = CreateRequestRequest { idempotency_key: key, ask: Some(ask) };
    let mut requests = world.requests(deployment, "ada");
    let request = requests.create_request(message.clone()).await.unwrap().into_inner().request.unwrap();
    let again = requests.create_request(message).await.unwrap().into_inner().request.unwrap();
    assert_eq!(request.request_id, again.request_id);
    request
}

/// Bob says yes.
pub(crate) async fn approve(world: &World, deployment: &Deployment, id: &str) -> Request {
    let message = ApproveRequest {
        idempotency_key: "yes".to_owned(),
        request_id: id.to_owned(),
        comment: "after the release".to_owned(),
    };
    let answer = world.approvals(deployment, "bob").approve(message).await.unwrap();
    answer.into_inner().request.unwrap()
}

/// The request, as Ada sees it.
pub(crate) async fn get(world: &World, deployment: &Deployment, id: &str) -> Request {
    let message = GetRequestRequest {
        request_id: id.to_owned(),
        with_timeline: false,
        wait_for_position: String::new(),
    };
    let answer = world.requests(deployment, "ada").get_request(message).await.unwrap();
    answer.into_inner().request.unwrap()
}

/// The same, if there is somebody who can tell.
pub(crate) async fn try_get(world: &World, deployment: &Deployment, id: &str) -> Option<Request> {
    let message = GetRequestRequest { request_id: id.to_owned(), ..GetRequestRequest::default() };
    world.requests(deployment, "ada").get_request(message).await.ok()?.into_inner().request
}

/// The request, once it is as wanted.
pub(crate) async fn until_status(
    world: &World,
    deployment: &Deployment,
    id: &str,
    wanted: impl Fn(&Request) -> bool,
) -> Request {
    until("what was wanted of the request", deployment, async || {
        Some(get(world, deployment, id).await).filter(&wanted)
    })
    .await
}
