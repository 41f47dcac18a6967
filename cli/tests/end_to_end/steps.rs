//! Each process is killed once at each step of a request: while it is asked for, while it is agreed to, while access is made, and while
//! it is taken away. Then each server of the log is killed, one at a time, through a whole request. Whoever got no answer asks again under
//! the same key.

use crate::deployment::{Apart, Deployment};
use crate::job;
use crate::load::Answered;
use crate::world::{World, until};
use api::types::v1::{AccessPhase, CloseReason, ClosurePhase};
use domain::SignedDuration;
use test_servers::nats_cluster::NODES;

/// What is under way when a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Raise,
    Approve,
    Activate,
    Remove,
}

const STEPS: [Step; 4] = [Step::Raise, Step::Approve, Step::Activate, Step::Remove];

pub(crate) async fn survive_kills() {
    let world = World::in_bad_weather(1).await;
    let how = Apart { certificates: true, cluster: true, ..Apart::default() };
    let mut deployment = Deployment::apart(&world, how).await;
    let mut answered = Answered::default();
    for step in STEPS {
        for victim in 0..deployment.programs().len() {
            request(&world, &mut deployment, &mut answered, Some((step, victim))).await;
        }
    }
    for node in 0..NODES {
        deployment.nats.as_mut().unwrap().cluster().kill(node);
        request(&world, &mut deployment, &mut answered, None).await;
        let cluster = deployment.nats.as_mut().unwrap().cluster();
        cluster.restart(node).unwrap();
        cluster.until_healthy().await.unwrap();
    }
    answered.is_in_the_log(&world, &deployment).await;
}

/// One request from beginning to end, while a process is killed at a step, if any is.
async fn request(
    world: &World,
    deployment: &mut Deployment,
    answered: &mut Answered,
    killed: Option<(Step, usize)>,
) {
    let organisation = &world.organisation;
    let target = (organisation.accounts.playground.as_str(), organisation.permission_sets.read_only.as_str());
    kill_at(deployment, Step::Raise, killed);
    let id = answered.raise((world, &*deployment), "ada", target, SignedDuration::from_mins(10)).await;
    kill_at(deployment, Step::Approve, killed);
    answered.approve((world, &*deployment), &id).await;
    kill_at(deployment, Step::Activate, killed);
    until_there(world, deployment, &id, |request| request.access_phase() == AccessPhase::Active).await;
    assert_eq!(held(world).await, [organisation.users.get("ada").unwrap().clone()], "{killed:?}");
    kill_at(deployment, Step::Remove, killed);
    assert!(answered.revoke((world, &*deployment), "ada", &id).await);
    let over =
        until_there(world, deployment, &id, |request| request.closure_phase() == ClosurePhase::Closed).await;
    assert_eq!(over.close_reason(), CloseReason::Deleted, "{killed:?}");
    assert_eq!(held(world).await, Vec::<String>::new(), "{killed:?}");
}

/// Killed, and started again at once: the command that follows meets it on its way up.
fn kill_at(deployment: &mut Deployment, step: Step, killed: Option<(Step, usize)>) {
    let Some((_, victim)) = killed.filter(|(at, _)| *at == step) else { return };
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

async fn held(world: &World) -> Vec<String> {
    let organisation = &world.organisation;
    let (account, set) = (&organisation.accounts.playground, &organisation.permission_sets.read_only);
    world.aws.assigned_users(&organisation.instance_arn, account, set).await.unwrap()
}
