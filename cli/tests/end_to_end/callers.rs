//! Callers that go on while processes are killed, paused and told to end, so that calls are under way whenever that happens. What was
//! not answered is given again under its key, at whichever replica comes next.

use crate::deployment::{Deployment, Service};
use crate::job;
use crate::line::Line;
use crate::load::{Answered, Way};
use crate::program::endpoint;
use crate::world::{PATIENCE, POLL, Transport, World, now};
use domain::SignedDuration;
use futures::future::try_join_all;
use std::cell::Cell;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// How many call at a time.
const CALLERS: usize = 4;
/// How long an answer is waited for: a process that hangs costs a caller no more than this.
const CALL_MAX: Duration = Duration::from_secs(3);
/// What a caller leaves to everybody else between two requests.
const REST: Duration = Duration::from_millis(200);
/// How often what carries a call (tasks of this runtime, one after the other) has its turn before the call counts as sent.
const TURNS: usize = 16;

/// Who is called by them, by service and replica: the order of the processes. Audit, which comes last, is not.
const CALLED: [Service; 3] = [Service::Request, Service::Approval, Service::Activation];

/// Callers, and what they met.
pub(crate) struct Callers<'a> {
    world: &'a World,
    places: Vec<Place>,
    replicas: usize,
    turn: Cell<usize>,
    met: Cell<Met>,
}

/// A process as callers know it: by a connection that they share, and that stays.
struct Place {
    channel: Channel,
    line: Option<Line>,
    /// Calls so far.
    begun: watch::Sender<u64>,
    /// How often it was struck.
    struck: Cell<u64>,
}

/// What became of calls that met a disturbance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// Under way when the process was struck, and not answered.
    pub(crate) cut_off: u64,
    /// Under way when the process was struck, and answered all the same.
    pub(crate) answered: u64,
    /// Not answered in time.
    pub(crate) hung: u64,
}

impl<'a> Callers<'a> {
    /// Who calls these processes.
    pub(crate) fn of(world: &'a World, deployment: &Deployment) -> Self {
        let ca = deployment.ca.as_deref();
        let addresses = CALLED.into_iter().flat_map(|service| deployment.addresses(service));
        let places = addresses.map(|address| Place::new(endpoint(address, ca), None)).collect();
        Self::new(world, deployment, places)
    }

    /// The same, over lines that can be muted.
    pub(crate) async fn over_lines(world: &'a World, deployment: &Deployment) -> Self {
        let mut places = Vec::new();
        for address in CALLED.into_iter().flat_map(|service| deployment.addresses(service)) {
            let (scheme, target) = address.split_once("://").unwrap();
            let line = Line::to(target).await;
            let endpoint = endpoint(&format!("{scheme}://{}", line.address()), deployment.ca.as_deref());
            places.push(Place::new(endpoint, Some(line)));
        }
        Self::new(world, deployment, places)
    }

    fn new(world: &'a World, deployment: &Deployment, places: Vec<Place>) -> Self {
        let replicas = deployment.addresses(Service::Request).len();
        Self { world, places, replicas, turn: Cell::new(0), met: Cell::new(Met::default()) }
    }

    /// Raises, agrees to and revokes requests until told to stop, and then brings to an end what was begun. Gives back what was answered.
    pub(crate) async fn go_on(&self, stop: &CancellationToken) -> Result<Answered, Status> {
        let mut all = Answered::default();
        for answered in try_join_all((0..CALLERS).map(|caller| self.call(caller, stop))).await? {
            all.add(answered);
        }
        Ok(all)
    }

    async fn call(&self, caller: usize, stop: &CancellationToken) -> Result<Answered, Status> {
        let (accounts, sets) = (&self.world.organisation.accounts, &self.world.organisation.permission_sets);
        let mut answered = Answered::of(caller);
        while !stop.is_cancelled() {
            let mut asked =
                job::ask(&accounts.playground, &sets.administrator, SignedDuration::from_mins(10));
            // For later: it is over before anything is made in AWS, which others keep busy.
            let start = now() + SignedDuration::from_hours(1);
            asked.window.as_mut().unwrap().start = Some(views::wire::time(start));
            let id = answered.raise(self, "ada", asked).await?;
            answered.approve(self, &id).await?;
            answered.revoke(self, "ada", &id).await?;
            sleep(REST).await;
        }
        Ok(answered)
    }

    /// Waits until the process at this place is called once more, and the call is sent. At once where nobody calls.
    pub(crate) async fn until_called(&self, place: usize) {
        let Some(place) = self.places.get(place) else { return };
        // What was begun before does not count.
        let mut begun = place.begun.subscribe();
        timeout(PATIENCE, begun.changed()).await.unwrap().unwrap();
        for _ in 0..TURNS {
            yield_now().await;
        }
    }

    /// The process at this place is killed or told to end now.
    pub(crate) fn strike(&self, place: usize) {
        if let Some(place) = self.places.get(place) {
            place.struck.update(|struck| struck + 1);
        }
    }

    /// From now on the process at this place hears what it is asked, and nobody hears what it answers, until there is a new
    /// connection.
    pub(crate) async fn mute(&self, place: usize) {
        let place = self.places.get(place).unwrap();
        let connected = async {
            let mut health = HealthClient::new(place.channel.clone());
            while health.check(HealthCheckRequest::default()).await.is_err() {
                sleep(POLL).await;
            }
        };
        timeout(PATIENCE, connected).await.unwrap();
        place.line.as_ref().unwrap().mute();
    }

    /// What calls have met so far.
    pub(crate) fn met(&self) -> Met {
        self.met.get()
    }

    fn next(&self, service: Service) -> &Place {
        let turn = self.turn.replace(self.turn.get() + 1);
        self.places.get(service.place() * self.replicas + turn % self.replicas).unwrap()
    }
}

impl Way for Callers<'_> {
    async fn attempt<T>(
        &self,
        service: Service,
        who: &str,
        ask: impl AsyncFnOnce(Transport) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let place = self.next(service);
        let transport = self.world.signed_in(who, place.channel.clone());
        let struck = place.struck.get();
        place.begun.send_modify(|begun| *begun += 1);
        let answer = timeout(CALL_MAX, ask(transport)).await;
        let (hung, answer) = match answer {
            Ok(answer) => (false, answer),
            Err(_) => (true, Err(Status::deadline_exceeded("no answer in time"))),
        };
        let was_struck = place.struck.get() != struck;
        let mut met = self.met.get();
        met.answered += u64::from(was_struck && answer.is_ok());
        met.cut_off += u64::from(was_struck && answer.as_ref().is_err_and(is_no_answer));
        met.hung += u64::from(!was_struck && hung);
        self.met.set(met);
        answer
    }
}

impl Place {
    fn new(endpoint: tonic::transport::Endpoint, line: Option<Line>) -> Self {
        let channel = endpoint.connect_timeout(CALL_MAX).connect_lazy();
        Self { channel, line, begun: watch::Sender::new(0), struck: Cell::new(0) }
    }
}

impl Met {
    /// Calls of which nobody but the log knows whether they took effect.
    pub(crate) fn unanswered(self) -> u64 {
        self.cut_off + self.hung
    }
}

/// What a client says by itself when the connection is gone.
fn is_no_answer(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal
    )
}
