//! One of two replicas of activation is paused (`SIGSTOP`) in the midst of an attempt: between the event that intends a creation and
//! the call, or while the call is on its way to AWS. The request is revoked, the other replica takes over, and only then does the first
//! go on (`SIGCONT`), or its call arrive: the creation must not be called for, is undone, or is refused because its signature is old.
//!
//! That the attempt is in the log and the call is not made is arranged by a line to the log that withholds the answer to the append
//! (`log_line`). That a call is on its way, by the proxy before AWS, which also refuses old signatures: moto takes all. AWS takes them
//! for five minutes; here it is half a minute, unless `DAYPASS_SIGNATURE_SECONDS` says otherwise. Nothing is shortened in Daypass: its
//! own fence, twenty minutes from the attempt, stands until the end of the test.

mod log_line;

use crate::deployment::{Apart, Deployment, Service};
use crate::history;
use crate::job;
use crate::load::{Answered, Way};
use crate::program::endpoint;
use crate::steps::ATTEMPTED;
use crate::storm::number;
use crate::world::{PATIENCE, Transport, World, now, until, until_time};
use api::activation::v1::GetActivationRequest;
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::types::v1::{AccessPhase, CloseReason, ClosurePhase, Request};
use domain::{SignedDuration, Timestamp};
use log_line::LogLine;
use test_servers::faults::FaultyProxy;
use tonic::Status;

const ACTIVATION: &str = "daypass-activation";

/// Of every service.
const REPLICAS: usize = 2;

/// Someone takes over.
const CLAIMED: &str = "duty.claimed.v1";

/// What came of an attempt that did not succeed.
const WITHOUT_EFFECT: [&str; 2] = ["assignment.attempt_abandoned.v1", "assignment.failed.v1"];

/// The call that must not take effect late.
const CREATE: &str = "CreateAccountAssignment";

/// For how long AWS takes a signature, as most of its pages say.
const AWS_TAKES: SignedDuration = SignedDuration::from_mins(5);

/// For how long it does where a call is to arrive too late, unless `DAYPASS_SIGNATURE_SECONDS` says otherwise: longer than any call needs.
const SIGNATURE_SECONDS: u64 = 30;

/// A call that was on its way when its process fell asleep.
struct OnItsWay {
    /// The request that it is about.
    id: String,
    /// The replica that sleeps.
    asleep: usize,
    /// When it had left: it was signed before.
    left_at: Timestamp,
}

/// A permission set in an account.
type Place<'a> = (&'a str, &'a str);

struct House<'a> {
    world: &'a World,
    deployment: Deployment,
    answered: Answered,
    /// Which replica of activation changes AWS; the other one waits.
    on_duty: usize,
}

pub(crate) async fn leaves_nothing_behind() {
    let world = World::in_bad_weather(1).await;
    let how = Apart { replicas: REPLICAS, certificates: true, ..Apart::default() };
    let mut deployment = Deployment::apart_unstarted(&world, how).await;
    let line = LogLine::to(deployment.log.trim_start_matches("nats://").to_owned()).await;
    deployment.reroute(&world, Service::Activation.place() * REPLICAS, line.address());
    deployment.restart().await;
    let mut house = House { world: &world, deployment, answered: Answered::default(), on_duty: 0 };
    house.give_the_first_the_duty().await;
    house.pause_before_the_call(&line).await;
    house.pause_with_a_call_that_arrives_late().await;
    house.pause_with_a_call_that_arrives_too_late().await;
    house.goes_on().await;
    let taken: Vec<bool> = house.creations();
    assert_eq!(taken, [true, true, false, true], "nobody who woke called for anything");
    house.answered.is_in_the_log(&world, &house.deployment).await;
}

impl House<'_> {
    /// The second sleeps while there is something to do for the first time.
    async fn give_the_first_the_duty(&mut self) {
        self.signal(1, "STOP");
        let organisation = &self.world.organisation;
        let id = self.raise((&organisation.accounts.shop_dev, &organisation.permission_sets.read_only)).await;
        self.until(&id, |request| request.access_phase() == AccessPhase::Active).await;
        self.signal(1, "CONT");
        assert_eq!(self.recorded(CLAIMED).await, 1);
        assert_eq!(self.creations(), [true]);
    }

    /// Asleep with its attempt in the log, before its call.
    async fn pause_before_the_call(&mut self, line: &LogLine) {
        let organisation = &self.world.organisation;
        let place: Place<'_> =
            (&organisation.accounts.payments_prod, &organisation.permission_sets.read_only);
        let attempts = self.recorded(ATTEMPTED).await;
        let claims = self.recorded(CLAIMED).await;
        line.withhold_from_next_append();
        let id = self.raise(place).await;
        until("the attempt", &self.deployment, async || line.withholds().then_some(())).await;
        let asleep = self.on_duty;
        self.signal(asleep, "STOP");
        self.until_more(ATTEMPTED, attempts).await;
        assert_eq!(self.creations(), [true], "it sleeps before its call");
        self.revoke(&id).await;
        self.until_taken_over(claims).await;
        let before = self.without_effect().await;
        line.let_go();
        self.signal(asleep, "CONT");
        // Whoever says so first: who intended it and woke too late to call, or who took over and finds nothing of it.
        until("the end of the attempt", &self.deployment, async || {
            (self.without_effect().await > before).then_some(())
        })
        .await;
        self.until_over(&id, place).await;
        assert_eq!(self.creations(), [true], "it woke too late to call");
    }

    /// Asleep with its call on the way, which arrives after the other has taken over, with a signature that is good: it takes effect
    /// although the request is over, and must be found and removed by who has the duty now.
    async fn pause_with_a_call_that_arrives_late(&mut self) {
        let organisation = &self.world.organisation;
        let place: Place<'_> =
            (&organisation.accounts.shop_prod, &organisation.permission_sets.administrator);
        self.faults().take_signatures(|signed| age(signed) < AWS_TAKES);
        let OnItsWay { id, asleep, .. } = self.pause_with_a_call(place).await;
        assert_eq!(self.held(place).await, Vec::<String>::new(), "it has not arrived");
        self.faults().release();
        let over = self.until(&id, |request| request.closure_phase() == ClosurePhase::Closed).await;
        assert_eq!(over.close_reason(), CloseReason::Deleted, "it was there, and was removed");
        assert_eq!(self.creations(), [true, true]);
        assert_eq!(self.held(place).await, Vec::<String>::new());
        self.signal(asleep, "CONT");
    }

    /// The same, arriving when its signature is old: AWS refuses it, whoever has waited for it.
    async fn pause_with_a_call_that_arrives_too_late(&mut self) {
        let organisation = &self.world.organisation;
        let place: Place<'_> = (&organisation.accounts.shop_prod, &organisation.permission_sets.read_only);
        let seconds = number("DAYPASS_SIGNATURE_SECONDS", SIGNATURE_SECONDS);
        let taken_for = SignedDuration::from_secs(seconds.try_into().unwrap());
        self.faults().take_signatures(move |signed| age(signed) < taken_for);
        let OnItsWay { id, asleep, left_at } = self.pause_with_a_call(place).await;
        // A second more, because signatures tell whole seconds.
        until_time(left_at + taken_for + SignedDuration::from_secs(1)).await;
        self.faults().release();
        until("the call arriving", &self.deployment, async || (self.creations().len() > 2).then_some(()))
            .await;
        assert_eq!(self.creations(), [true, true, false], "signed when it was intended, not when it arrived");
        self.signal(asleep, "CONT");
        self.until_over(&id, place).await;
    }

    /// What is over and still watched keeps nobody from anything.
    async fn goes_on(&mut self) {
        let organisation = &self.world.organisation;
        let place: Place<'_> = (&organisation.accounts.shop_dev, &organisation.permission_sets.administrator);
        let id = self.raise(place).await;
        self.until(&id, |request| request.access_phase() == AccessPhase::Active).await;
        assert_eq!(self.held(place).await, [organisation.users.get("ada").unwrap().clone()]);
    }

    /// Who has the duty falls asleep with a call on its way; the request is revoked, and the other takes over.
    async fn pause_with_a_call(&mut self, place: Place<'_>) -> OnItsWay {
        let claims = self.recorded(CLAIMED).await;
        self.faults().hold(CREATE);
        let id = self.raise(place).await;
        until("the call", &self.deployment, async || (self.faults().on_their_way() == 1).then_some(())).await;
        let (asleep, left_at) = (self.on_duty, now());
        self.signal(asleep, "STOP");
        self.revoke(&id).await;
        self.until_taken_over(claims).await;
        OnItsWay { id, asleep, left_at }
    }

    fn faults(&self) -> &FaultyProxy {
        self.world.faults.as_ref().unwrap()
    }

    fn signal(&mut self, replica: usize, signal: &str) {
        self.deployment.named(ACTIVATION).nth(replica).unwrap().signal(signal);
    }

    /// The creations that AWS was asked for: whether it took the signature of each.
    fn creations(&self) -> Vec<bool> {
        let arrivals = self.faults().arrivals().into_iter();
        arrivals.filter(|call| call.operation.contains(CREATE)).map(|call| call.taken).collect()
    }

    async fn held(&self, (account, set): Place<'_>) -> Vec<String> {
        self.world.aws.assigned_users(&self.world.organisation.instance_arn, account, set).await.unwrap()
    }

    async fn raise(&mut self, (account, set): Place<'_>) -> String {
        let way = Awake { world: self.world, deployment: &self.deployment, replica: self.on_duty };
        let asked = job::ask(account, set, SignedDuration::from_mins(50));
        let raised = self.answered.raise(&way, "ada", asked).await;
        self.deployment.yes(raised)
    }

    /// At the replica that does not have the duty: the other sleeps.
    async fn revoke(&mut self, id: &str) {
        let replica = REPLICAS - 1 - self.on_duty;
        let way = Awake { world: self.world, deployment: &self.deployment, replica };
        let revoked = self.answered.revoke(&way, "ada", id).await;
        assert!(self.deployment.yes(revoked), "{id} was over before");
    }

    async fn recorded(&self, event: &str) -> usize {
        until("audit telling", &self.deployment, async || {
            history::recorded(self.world, &self.deployment, event).await
        })
        .await
    }

    async fn without_effect(&self) -> usize {
        let [abandoned, failed] = WITHOUT_EFFECT;
        self.recorded(abandoned).await + self.recorded(failed).await
    }

    async fn until_more(&self, event: &str, before: usize) {
        until(event, &self.deployment, async || (self.recorded(event).await > before).then_some(())).await;
    }

    async fn until_taken_over(&mut self, claims: usize) {
        self.until_more(CLAIMED, claims).await;
        self.on_duty = REPLICAS - 1 - self.on_duty;
    }

    async fn until(&self, id: &str, wanted: impl Fn(&Request) -> bool) -> Request {
        until("the request as it should be", &self.deployment, async || {
            job::try_get(self.world, &self.deployment, id).await.filter(&wanted)
        })
        .await
    }

    /// Until nothing is there, and the request is closed, or watched until nothing can appear any more.
    async fn until_over(&self, id: &str, place: Place<'_>) {
        until("the request being over", &self.deployment, async || {
            let request = job::try_get(self.world, &self.deployment, id).await?;
            let closed = request.closure_phase() == ClosurePhase::Closed;
            (closed || self.is_watched(id).await?).then_some(())
        })
        .await;
        assert_eq!(self.held(place).await, Vec::<String>::new(), "of {id}");
    }

    async fn is_watched(&self, id: &str) -> Option<bool> {
        let way = Awake { world: self.world, deployment: &self.deployment, replica: self.on_duty };
        let message = GetActivationRequest { request_id: id.to_owned(), ..GetActivationRequest::default() };
        let mut activations = ActivationServiceClient::new(way.transport(Service::Activation, "ada"));
        let answer = activations.get_activation(message).await.ok()?.into_inner();
        Some(answer.activation.is_some_and(|activation| activation.fenced_until.is_some()))
    }
}

/// The way to the replicas that are awake.
struct Awake<'a> {
    world: &'a World,
    deployment: &'a Deployment,
    replica: usize,
}

impl Awake<'_> {
    fn transport(&self, service: Service, who: &str) -> Transport {
        let address = *self.deployment.addresses(service).get(self.replica).unwrap();
        let endpoint = endpoint(address, self.deployment.ca.as_deref());
        self.world.signed_in(who, endpoint.timeout(PATIENCE).connect_lazy())
    }
}

impl Way for Awake<'_> {
    async fn attempt<T>(
        &self,
        service: Service,
        who: &str,
        ask: impl AsyncFnOnce(Transport) -> Result<T, Status>,
    ) -> Result<T, Status> {
        ask(self.transport(service, who)).await
    }
}

/// How old a signature of this `X-Amz-Date` is, `20261128T120000Z` for example.
fn age(signed: &str) -> SignedDuration {
    let part = |from: usize, to: usize| signed.get(from..to).unwrap();
    let date = [part(0, 4), part(4, 6), part(6, 8)].join("-");
    let time = [part(9, 11), part(11, 13), part(13, 15)].join(":");
    let signed_at: Timestamp = format!("{date}T{time}Z").parse().unwrap();
    now().duration_since(signed_at)
}
