//! Each process is killed once at each step of a request: while it is asked for, while it is agreed to, while access is made, while it
//! is revoked, while it is removed in AWS, and while credentials are issued. The step's command is under way at that moment; where it
//! is the process that serves it, the log has it already, and the answer is lost. Access is being made when the attempt is in the log,
//! and AWS takes its time; it is being removed when the call has left and does not arrive before its process is dead. Then audit is
//! killed while it tells history (`cut_short`), and each server of the log, one at a time, through a whole request. Whoever got no
//! answer asks again under the same key.

mod cut_short;

use crate::callers::Callers;
use crate::deployment::{Apart, Deployment, Service};
use crate::history;
use crate::job;
use crate::load::Answered;
use crate::world::{World, until};
use api::activation::v1::GetActivationRequest;
use api::types::v1::{AccessPhase, CloseReason, ClosurePhase, RequestStatus};
use domain::SignedDuration;
use futures::future::try_join;
use std::time::Duration;
use test_servers::faults::Rates;
use test_servers::nats_cluster::NODES;
use tonic::Status;

/// What is under way when a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Raise,
    Approve,
    Activate,
    Revoke,
    Remove,
    Issue,
}

/// Those of a request for a permission set.
const STEPS: [Step; 5] = [Step::Raise, Step::Approve, Step::Activate, Step::Revoke, Step::Remove];

/// What is recorded before credentials leave.
const ISSUED: &str = "request.credentials_issued.v1";

/// The call that removes access.
const DELETE: &str = "DeleteAccountAssignment";

/// What is recorded before AWS is called.
pub(crate) const ATTEMPTED: &str = "assignment.attempted.v1";

/// How late AWS's answers are while access is made.
const SLOW: Duration = Duration::from_secs(3);

/// A step, and the process that is killed at it.
type Blow = (Step, usize);

/// A permission set in an account.
type Place<'a> = (&'a str, &'a str);

/// Who is served, and by whom.
struct House<'a> {
    world: &'a World,
    callers: &'a Callers<'a>,
    deployment: Deployment,
    answered: Answered,
    /// Whether whoever makes access was killed while it may have been calling AWS.
    orphaned: bool,
}

pub(crate) async fn survive_kills() {
    let world = World::in_bad_weather(1).await;
    let how = Apart { certificates: true, cluster: true, ..Apart::default() };
    let deployment = Deployment::apart(&world, how).await;
    let callers = Callers::over_lines(&world, &deployment).await;
    let answered = Answered::default();
    let mut house = House { world: &world, callers: &callers, deployment, answered, orphaned: false };
    for step in STEPS {
        for victim in 0..house.deployment.programs().len() {
            Box::pin(house.request(Some((step, victim)))).await;
        }
    }
    for victim in 0..house.deployment.programs().len() {
        Box::pin(house.session(victim)).await;
    }
    Box::pin(cut_short::is_told(&world, &mut house.deployment)).await;
    for node in 0..NODES {
        house.deployment.nats.as_mut().unwrap().cluster().kill(node);
        Box::pin(house.request(None)).await;
        let cluster = house.deployment.nats.as_mut().unwrap().cluster();
        cluster.restart(node).unwrap();
        cluster.until_healthy().await.unwrap();
    }
    house.answered.is_in_the_log(&world, &house.deployment).await;
}

impl House<'_> {
    /// One request from beginning to end, while a process is killed at a step, if any is.
    async fn request(&mut self, killed: Option<Blow>) {
        let Self { world, callers, deployment, answered, orphaned } = self;
        let (world, callers) = (*world, *callers);
        let organisation = &world.organisation;
        let sets = &organisation.permission_sets;
        let watched = killed.is_some_and(|(step, _)| step == Step::Remove);
        // A removal is watched to the request's end: not where absence waits for the fence of a creation that nobody was told of.
        let set = if watched { &sets.administrator } else { &sets.read_only };
        let place: Place<'_> = (&organisation.accounts.playground, set);
        let asked = job::ask(place.0, place.1, SignedDuration::from_mins(10));
        let ada = organisation.users.get("ada").unwrap();
        let at = |step| killed.filter(|(of, _)| *of == step);
        let blows = Blows { world, callers, before: answered.raised.len() };
        let faults = world.faults.as_ref().unwrap();
        *orphaned |= killed.is_some_and(|(step, victim)| {
            victim == Service::Activation.place() && matches!(step, Step::Approve | Step::Activate)
        });

        let raised = answered.raise(callers, "ada", asked);
        let id = Box::pin(blows.during(raised, deployment, at(Step::Raise))).await;
        let attempts =
            until("audit telling", deployment, async || blows.recorded(deployment, ATTEMPTED).await).await;
        if at(Step::Activate).is_some() {
            // So that the call is under way when its attempt is seen in the log.
            faults.set(Rates { delay_max: SLOW, ..Rates::default() });
        }
        let approved = answered.approve(callers, &id);
        blows.during(approved, deployment, at(Step::Approve)).await;
        if let Some((_, victim)) = at(Step::Activate) {
            blows.until_recorded(deployment, ATTEMPTED, attempts).await;
            replace(deployment, victim);
            faults.heal();
        }
        until_there(world, deployment, &id, |request| request.access_phase() == AccessPhase::Active).await;
        assert_eq!(held(world, place).await, std::slice::from_ref(ada), "{killed:?}");
        if watched {
            faults.hold(DELETE);
        }
        let revoked = answered.revoke(callers, "ada", &id);
        assert!(blows.during(revoked, deployment, at(Step::Revoke)).await, "{killed:?}");
        if let Some((_, victim)) = at(Step::Remove) {
            until("the call that removes it", deployment, async || (faults.on_their_way() > 0).then_some(()))
                .await;
            replace(deployment, victim);
            assert_eq!(
                held(world, place).await,
                std::slice::from_ref(ada),
                "{killed:?}: the call has not arrived"
            );
            faults.release();
        }
        until_gone(world, deployment, &id, (place, *orphaned && !watched)).await;
        assert_eq!(held(world, place).await, Vec::<String>::new(), "{killed:?}");
    }

    /// A request for a role, and credentials of it, while a process is killed that may be issuing them. They are recorded before they
    /// leave, and not stored: where they were lost on their way, others are there under another key, and no others under the same.
    async fn session(&mut self, victim: usize) {
        let Self { world, callers, deployment, answered, .. } = self;
        let (world, callers) = (*world, *callers);
        let organisation = &world.organisation;
        let (account, role) = (&organisation.accounts.payments_prod, &organisation.deployer_role);
        let asked = job::ask(account, role, SignedDuration::from_mins(10));
        let raised = answered.raise(callers, "ada", asked).await;
        let id = deployment.yes(raised);
        until_there(world, deployment, &id, |request| request.access_phase() == AccessPhase::Active).await;
        let before =
            until("audit telling", deployment, async || history::recorded(world, deployment, ISSUED).await)
                .await;

        let blows = Blows { world, callers, before };
        let issued = answered.issue(callers, "ada", &id, "first");
        let came = Box::pin(blows.during(issued, deployment, Some((Step::Issue, victim)))).await;
        assert!(!came || victim != Service::Activation.place(), "what was lost is not there again");
        if !came {
            let others = answered.issue(callers, "ada", &id, "second").await;
            assert!(deployment.yes(others), "{victim}: under another key");
        }
        let keys = if came { 1 } else { 2 };
        let told = until("all that was issued being told", deployment, async || {
            blows.recorded(deployment, ISSUED).await.filter(|told| *told >= before + keys)
        })
        .await;
        assert_eq!(told, before + keys, "{victim}: once under each key");
        let revoked = answered.revoke(callers, "ada", &id).await;
        assert!(deployment.yes(revoked), "{victim}");
        until_there(world, deployment, &id, |request| request.status() == RequestStatus::Ended).await;
    }
}

/// How processes are killed during one request.
struct Blows<'a> {
    world: &'a World,
    callers: &'a Callers<'a>,
    /// How many events there were of the type that the step's command leaves. Each request before has one, but of credentials.
    before: usize,
}

impl Blows<'_> {
    /// What a command is answered, while a process is killed, if one is.
    async fn during<T>(
        &self,
        command: impl Future<Output = Result<T, Status>>,
        deployment: &mut Deployment,
        blow: Option<Blow>,
    ) -> T {
        let Some((step, victim)) = blow else { return deployment.yes(command.await) };
        let (service, event) = step.command().unwrap();
        let serves = service.place() == victim;
        if serves {
            self.callers.mute(victim).await;
        }
        let met = self.callers.met();
        let kill = async {
            if serves {
                self.until_recorded(deployment, event, self.before).await;
            } else {
                self.callers.until_called(service.place()).await;
            }
            self.callers.strike(victim);
            replace(deployment, victim);
            Ok::<(), Status>(())
        };
        // The killing first: it waits for a call that begins after it.
        let done = try_join(kill, command).await;
        let ((), answer) = deployment.yes(done);
        let lost = self.callers.met().unanswered() - met.unanswered();
        assert!(!serves || lost > 0, "{step:?} was answered by a process that nobody could hear");
        answer
    }

    /// Until audit tells more events of this type than there were.
    async fn until_recorded(&self, deployment: &Deployment, event: &str, before: usize) {
        until("the event being in the log", deployment, async || {
            self.recorded(deployment, event).await.filter(|now| *now > before).map(|_| ())
        })
        .await;
    }

    /// How many events of this type audit tells, if it answers.
    async fn recorded(&self, deployment: &Deployment, event: &str) -> Option<usize> {
        history::recorded(self.world, deployment, event).await
    }
}

impl Step {
    /// Which service the step's command is for, and the event that it leaves. That access is made and removed, nobody commands.
    fn command(self) -> Option<(Service, &'static str)> {
        match self {
            Self::Raise => Some((Service::Request, "request.requested.v1")),
            Self::Approve => Some((Service::Approval, "request.approved.v1")),
            Self::Activate | Self::Remove => None,
            Self::Revoke => Some((Service::Activation, "request.revoked.v1")),
            Self::Issue => Some((Service::Activation, ISSUED)),
        }
    }
}

/// Killed, and started again at once: what is asked again meets it on its way up.
fn replace(deployment: &mut Deployment, victim: usize) {
    let program = deployment.programs().get_mut(victim).unwrap();
    program.kill();
    program.launch();
}

async fn until_there(
    world: &World,
    deployment: &Deployment,
    id: &str,
    wanted: impl Fn(&api::types::v1::Request) -> bool,
) -> api::types::v1::Request {
    until("the request as it should be", deployment, async || {
        job::try_get(world, deployment, id).await.filter(&wanted)
    })
    .await
}

/// Until the request is closed. Where a call may have been left without anybody who knows its outcome, it is as good that nothing is
/// there, and that this is watched until no such call can have an effect any more: some twenty minutes.
async fn until_gone(world: &World, deployment: &Deployment, id: &str, (place, orphaned): (Place<'_>, bool)) {
    until("the access being gone", deployment, async || {
        let request = job::try_get(world, deployment, id).await?;
        if request.closure_phase() == ClosurePhase::Closed {
            assert_eq!(request.close_reason(), CloseReason::Deleted);
            return Some(());
        }
        let message = GetActivationRequest { request_id: id.to_owned(), ..GetActivationRequest::default() };
        let answer = world.activations(deployment, "ada").get_activation(message).await.ok()?.into_inner();
        let watched = answer.activation.is_some_and(|activation| activation.fenced_until.is_some());
        (orphaned && watched && held(world, place).await.is_empty()).then_some(())
    })
    .await;
}

async fn held(world: &World, (account, set): Place<'_>) -> Vec<String> {
    world.aws.assigned_users(&world.organisation.instance_arn, account, set).await.unwrap()
}
