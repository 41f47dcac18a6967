//! Processes that start before what they rest on, and go on when a neighbour goes.

use crate::deployment::{Apart, Deployment};
use crate::job::{approve, ask, create};
use crate::load::Answered;
use crate::world::{World, until};
use api::types::v1::RequestStatus;
use domain::SignedDuration;

/// The log comes last; before it, the audit service is the first, and the request service, which has the directory, the last of the
/// processes. Then the request service goes again.
pub(crate) async fn does_not_matter() {
    let world = World::new().await;
    let mut deployment =
        Deployment::apart_unstarted(&world, Apart { certificates: true, ..Apart::default() }).await;
    deployment.nats.as_mut().unwrap().server().kill();
    for name in ["daypass-audit", "daypass-activation", "daypass-approval"] {
        deployment.named(name).next().unwrap().launch();
        says_that_it_is_not_ready(&mut deployment, name, "the log cannot").await;
    }
    deployment.nats.as_mut().unwrap().server().restart().await.unwrap();
    // The log is there, and still nobody knows the organisation.
    says_that_it_is_not_ready(&mut deployment, "daypass-approval", "the directory is not known").await;
    deployment.named("daypass-request").next().unwrap().launch();
    for program in deployment.programs() {
        program.until_ready().await;
    }

    // Bob decides although the neighbour that has the directory is gone, by what approval knows of it.
    let (account, set) =
        (&world.organisation.accounts.payments_prod, &world.organisation.permission_sets.read_only);
    let id = create(&world, &deployment, ask(account, set, SignedDuration::from_mins(5))).await.request_id;
    until("the request reaching bob", &deployment, async || {
        let mut approvals = world.approvals(&deployment, "bob");
        let pending = approvals.list_pending(api::approval::v1::ListPendingRequest::default()).await.ok()?;
        pending
            .into_inner()
            .pending
            .into_iter()
            .find(|pending| pending.request.as_ref().unwrap().request_id == id)
    })
    .await;
    deployment.named("daypass-request").next().unwrap().kill();
    let approved = approve(&world, &deployment, &id).await;
    assert_eq!(approved.status(), RequestStatus::Approved);
    // Whoever starts now has no directory, and ends access all the same.
    let activation = deployment.named("daypass-activation").next().unwrap();
    activation.kill();
    activation.launch();
    activation.until_ready().await;
    assert!(activation.log_tail().contains("ready for what needs none"), "{}", activation.log_tail());
    let mut answered = Answered::default();
    let ended = answered.revoke(&(&world, &deployment), "ada", &id).await;
    assert!(deployment.yes(ended), "and ends it");
    let approval = deployment.named("daypass-approval").next().unwrap().health().await;
    assert_eq!(approval, Some(true), "a neighbour that is gone takes nothing away");
}

/// It is there, says that it cannot be used, and why.
async fn says_that_it_is_not_ready(deployment: &mut Deployment, name: &'static str, why: &str) {
    let program = deployment.named(name).next().unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while program.health().await != Some(false) || !program.log_tail().contains(why) {
        assert!(tokio::time::Instant::now() < deadline, "{name} does not say {why}:\n{}", program.log_tail());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
