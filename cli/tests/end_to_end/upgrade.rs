//! A rolling upgrade under load: two replicas of everything are of the release before, and are replaced one after the other by the next
//! release, which writes no more than that. Only then, in a last round, the write level is raised. Callers go on all the while, and
//! each process has calls to serve when it is told to end. What was answered holds; what was not succeeds under the same key.
//!
//! `DAYPASS_PREVIOUS` says which programs the release before is; with them the upgrade is taken back once, before the write level is
//! raised. Without, the same programs play it: they write its level.

use crate::callers::Callers;
use crate::deployment::{Apart, Deployment, OLD_WRITE_LEVEL};
use crate::job;
use crate::load::Answered;
use crate::previous::Previous;
use crate::world::{World, until};
use api::activation::v1::{AssignmentKey, ReconcileRequest};
use domain::SignedDuration;
use futures::future::try_join;
use journal::Fact;
use lifecycle::assignment::AssignmentEvent;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// Requests that are raised, some of them agreed to and revoked, while one process is replaced.
const AT_ONCE: usize = 3;

pub(crate) async fn rolls() {
    let previous = Previous::from_environment();
    let world = World::in_bad_weather(1).await;
    let how =
        Apart { replicas: 2, certificates: true, write_level: Some(OLD_WRITE_LEVEL), ..Apart::default() };
    let mut deployment = Deployment::apart_unstarted(&world, how).await;
    for place in 0..deployment.programs().len() {
        deployment.set_release(&world, place, previous.as_ref());
    }
    deployment.restart().await;
    let mut answered = Answered::default();
    standing_access(&world).await;
    // What an older program says to that is its own matter.
    if previous.is_none() {
        assert_eq!(
            adopt(&world, &deployment).await,
            Err(Code::Unavailable),
            "the release before cannot read it"
        );
    }
    let callers = Callers::of(&world, &deployment);
    let stop = CancellationToken::new();
    let replacing = async {
        let to_this = |deployment: &mut Deployment, place| deployment.set_release(&world, place, None);
        replace_all(&world, &mut deployment, &callers, &mut answered, to_this).await;
        if let Some(previous) = &previous {
            let back = |deployment: &mut Deployment, place| {
                deployment.set_release(&world, place, Some(previous));
            };
            replace_all(&world, &mut deployment, &callers, &mut answered, back).await;
            replace_all(&world, &mut deployment, &callers, &mut answered, to_this).await;
        }
        let early = adopt(&world, &deployment).await;
        assert_eq!(early, Err(Code::Unavailable), "nothing new is written before all can read it");
        let raised = |deployment: &mut Deployment, place| deployment.raise_write_level(&world, place);
        replace_all(&world, &mut deployment, &callers, &mut answered, raised).await;
        stop.cancel();
        Ok::<(), Status>(())
    };
    let done = try_join(callers.go_on(&stop), replacing).await;
    let (called, ()) = deployment.yes(done);
    answered.add(called);
    assert!(callers.met().answered > 0, "who is told to end answers what is under way: {:?}", callers.met());
    until("the newest type being written", &deployment, async || adopt(&world, &deployment).await.ok()).await;
    let events = answered.is_in_the_log(&world, &deployment).await;
    let adopted = |fact: &Fact| matches!(fact, Fact::Assignment(AssignmentEvent::Adopted { .. }));
    assert_eq!(events.iter().filter(|event| adopted(&event.fact)).count(), 1);
}

/// All processes are replaced, one after the other, each after `change`. What those before have raised, those after decide and end.
async fn replace_all(
    world: &World,
    deployment: &mut Deployment,
    callers: &Callers<'_>,
    answered: &mut Answered,
    change: impl Fn(&mut Deployment, usize),
) {
    let waiting = raise(world, deployment, answered, true).await;
    for place in 0..deployment.programs().len() {
        change(deployment, place);
        Box::pin(replace(world, deployment, callers, answered, place)).await;
    }
    end(world, deployment, answered, &waiting).await;
}

/// One process ends, and what is to run from now on starts in its place.
async fn replace(
    world: &World,
    deployment: &mut Deployment,
    callers: &Callers<'_>,
    answered: &mut Answered,
    place: usize,
) {
    let program = deployment.programs().get_mut(place).unwrap();
    // Frozen until it has been called: when it goes on, it is told to end and has a call to serve.
    program.signal("STOP");
    callers.until_called(place).await;
    callers.strike(place);
    program.signal("TERM");
    program.signal("CONT");
    let written = program.ended().await;
    // Whatever the other release wrote meanwhile, this one could read.
    assert!(!written.contains("quarantined"), "{}: {written}", program.name());
    load(world, deployment, answered).await;
    deployment.programs().get_mut(place).unwrap().launch();
    load(world, deployment, answered).await;
    deployment.programs().get_mut(place).unwrap().until_ready().await;
}

async fn load(world: &World, deployment: &Deployment, answered: &mut Answered) {
    for turn in 0..AT_ONCE {
        let agreed = turn == 0;
        let id = raise(world, deployment, answered, agreed).await;
        if agreed {
            end(world, deployment, answered, &id).await;
        }
    }
}

/// A request, which somebody has to agree to or not.
async fn raise(world: &World, deployment: &Deployment, answered: &mut Answered, agreed: bool) -> String {
    let (accounts, sets) = (&world.organisation.accounts, &world.organisation.permission_sets);
    let account = if agreed { &accounts.playground } else { &accounts.shop_dev };
    let asked = job::ask(account, &sets.administrator, SignedDuration::from_secs(5));
    deployment.yes(answered.raise(&(world, deployment), "ada", asked).await)
}

/// Somebody agrees to a request, and it is revoked.
async fn end(world: &World, deployment: &Deployment, answered: &mut Answered, id: &str) {
    let way = (world, deployment);
    deployment.yes(answered.approve(&way, id).await);
    deployment.yes(answered.revoke(&way, "ada", id).await);
}

/// Dave has access that Daypass did not give.
async fn standing_access(world: &World) {
    let organisation = &world.organisation;
    let (account, set) = (&organisation.accounts.shop_prod, &organisation.permission_sets.read_only);
    let dave = organisation.users.get("dave").unwrap();
    world.aws.assign(&organisation.instance_arn, account, set, dave).await.unwrap();
}

/// Dave, who administers, says that it is Daypass's after all: an event of the newest type.
async fn adopt(world: &World, deployment: &Deployment) -> Result<(), Code> {
    let organisation = &world.organisation;
    let key = AssignmentKey {
        principal_id: organisation.users.get("dave").unwrap().clone(),
        target: Some(api::types::v1::Target {
            account_id: organisation.accounts.shop_prod.clone(),
            entitlement_arn: organisation.permission_sets.read_only.clone(),
        }),
    };
    let message = ReconcileRequest { idempotency_key: "adopt".to_owned(), key: Some(key), adopt: true };
    let answer = world.activations(deployment, "dave").reconcile(message).await;
    answer.map(|_| ()).map_err(|status| status.code())
}
