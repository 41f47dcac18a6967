//! A rolling upgrade under load: two replicas of everything play the release before (they write its level), and are replaced one after the
//! other by the next release, which writes no more than that either. Only then, in a second round, the write level is raised. Callers go on all the while, and each process has calls to serve when it is
//! told to end. What was answered holds; what was not succeeds under the same key.

use crate::callers::Callers;
use crate::deployment::{Apart, Deployment, OLD_WRITE_LEVEL};
use crate::job;
use crate::load::Answered;
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
    let world = World::in_bad_weather(1).await;
    let how =
        Apart { replicas: 2, certificates: true, write_level: Some(OLD_WRITE_LEVEL), ..Apart::default() };
    let mut deployment = Deployment::apart(&world, how).await;
    let mut answered = Answered::default();
    standing_access(&world).await;
    assert_eq!(adopt(&world, &deployment).await, Err(Code::Unavailable), "the release before cannot read it");
    let callers = Callers::of(&world, &deployment);
    let stop = CancellationToken::new();
    let replacing = async {
        let places = deployment.programs().len();
        for place in 0..places {
            replace(&world, &mut deployment, &callers, &mut answered, place).await;
        }
        let early = adopt(&world, &deployment).await;
        assert_eq!(early, Err(Code::Unavailable), "nothing new is written before all can read it");
        for place in 0..places {
            deployment.raise_write_level(&world, place);
            replace(&world, &mut deployment, &callers, &mut answered, place).await;
        }
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

/// One process ends, and the next release starts in its place.
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
    program.ended().await;
    load(world, deployment, answered).await;
    deployment.programs().get_mut(place).unwrap().launch();
    load(world, deployment, answered).await;
    deployment.programs().get_mut(place).unwrap().until_ready().await;
}

async fn load(world: &World, deployment: &Deployment, answered: &mut Answered) {
    let (accounts, sets) = (&world.organisation.accounts, &world.organisation.permission_sets);
    let way = (world, deployment);
    for turn in 0..AT_ONCE {
        let agreed = turn == 0;
        let account = if agreed { &accounts.playground } else { &accounts.shop_dev };
        let asked = job::ask(account, &sets.administrator, SignedDuration::from_secs(5));
        let id = deployment.yes(answered.raise(&way, "ada", asked).await);
        if agreed {
            deployment.yes(answered.approve(&way, &id).await);
            deployment.yes(answered.revoke(&way, "ada", &id).await);
        }
    }
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
