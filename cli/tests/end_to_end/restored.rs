//! The log and the key store are lost, and AWS is not: what was made there after the backup is found, told and can be adopted.

use crate::deployment::Deployment;
use crate::job::{approve, ask, create, get, try_get, until_status};
use crate::world::{World, run, until};
use api::types::v1::{AccessPhase, RequestStatus};
use domain::SignedDuration;
use std::path::Path;
use wiring::KeysSection;

const LENGTH: SignedDuration = SignedDuration::from_mins(50);

pub(crate) async fn says_so() {
    let world = World::new().await;
    let mut serve = Deployment::serve_on_sqlite(&world).await;
    let organisation = &world.organisation;
    let (production, read_only) =
        (&organisation.accounts.payments_prod, &organisation.permission_sets.read_only);
    let before = create(&world, &serve, ask(production, read_only, LENGTH)).await.request_id;

    let KeysSection::Sqlite { path: keys } = serve.keys.clone() else { panic!("the keys are in a file") };
    let (log, keys) = (serve.log.clone(), keys.display().to_string());
    let (log_backup, keys_backup) = (format!("{log}.backup"), format!("{keys}.backup"));
    daypass(&["log", "copy", &log, &log_backup]).await.unwrap();
    assert_eq!(daypass(&["keys", "copy", &keys, &keys_backup]).await.unwrap(), "1 keys copied, 0 were there");

    let after = create(&world, &serve, ask(production, read_only, LENGTH)).await.request_id;
    approve(&world, &serve, &after).await;
    let active = |request: &api::types::v1::Request| request.access_phase() == AccessPhase::Active;
    until_status(&world, &serve, &after, active).await;
    let ada = organisation.users.get("ada").unwrap().clone();
    assert_eq!(holders(&world).await, [ada.clone()]);

    serve.kill();
    lose(&log);
    lose(&keys);
    let restored = daypass(&["log", "restore", &log_backup, &log]).await.unwrap();
    assert!(restored.contains("events restored to a new log"), "{restored}");
    let refused = daypass(&["log", "restore", &log_backup, &log]).await.unwrap_err();
    assert!(refused.contains("the target has events"), "{refused}");
    daypass(&["keys", "copy", &keys_backup, &keys]).await.unwrap();
    serve.restart().await;

    until("AWS being looked through", &serve, async || {
        let swept = world.daypass(&serve, "eve", &["audit", "list", "--type", "log.swept.v1"]).await.ok()?;
        swept.contains("log.swept.v1").then_some(())
    })
    .await;
    let told = serve.log_tail();
    assert!(told.contains("AWS has assignments that the restored log does not know"), "{told}");
    // Read models are those of the new log, although their files were of the old one.
    let known = get(&world, &serve, &before).await;
    assert_eq!(
        (known.status(), known.justification.as_str()),
        (RequestStatus::Requested, "the pager went off")
    );
    assert_eq!(try_get(&world, &serve, &after).await, None);
    assert_eq!(holders(&world).await, [ada.clone()], "it is not taken for ours");

    let adopt = ["assignment", "adopt", "--principal", &ada, "--account", production, "--arn", read_only];
    world.daypass(&serve, "dave", &adopt).await.unwrap();
    until("its removal", &serve, async || holders(&world).await.is_empty().then_some(())).await;
    approve(&world, &serve, &before).await;
    until_status(&world, &serve, &before, active).await;
    serve.kill();
}

/// Who holds `ReadOnly` in `payments-prod`, as the AWS CLI sees it.
async fn holders(world: &World) -> Vec<String> {
    let organisation = &world.organisation;
    let (account, set) = (&organisation.accounts.payments_prod, &organisation.permission_sets.read_only);
    world.aws.assigned_users(&organisation.instance_arn, account, set).await.unwrap()
}

async fn daypass(words: &[&str]) -> Result<String, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    run(&words).await.map(|printed| printed.trim().to_owned())
}

/// As a disk does it.
fn lose(file: &str) {
    std::fs::remove_file(file).unwrap();
    for beside in ["-wal", "-shm"] {
        let beside = format!("{file}{beside}");
        if Path::new(&beside).exists() {
            std::fs::remove_file(beside).unwrap();
        }
    }
}
