//! The log and the key store are lost, and AWS is not: what was made there after the backup is found, told and can be adopted.

use crate::deployment::Deployment;
use crate::job::{approve, ask, create, get, try_get, until_status};
use crate::signals::{leaver, seen, tell};
use crate::world::{World, run, until};
use api::types::v1::{AccessPhase, ClosurePhase, RequestStatus, RevokedAs};
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
    assert_eq!(holders(&world).await, std::slice::from_ref(&ada));

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
    assert_eq!(holders(&world).await, std::slice::from_ref(&ada), "it is not taken for ours");

    let adopt = ["assignment", "adopt", "--principal", &ada, "--account", production, "--arn", read_only];
    world.daypass(&serve, "dave", &adopt).await.unwrap();
    until("its removal", &serve, async || holders(&world).await.is_empty().then_some(())).await;
    approve(&world, &serve, &before).await;
    until_status(&world, &serve, &before, active).await;
    serve.kill();
}

/// The same where a cluster has lost all its disks: each step by the user that the runbook names, and then all services in one process,
/// by the rights of `log-serve` and `bus-serve`.
pub(crate) async fn opens_on_a_cluster() {
    let world = World::new().await;
    let mut serve = Deployment::serve_on_a_cluster(&world).await;
    let (account, set) =
        (&world.organisation.accounts.payments_prod, &world.organisation.permission_sets.read_only);
    let id = create(&world, &serve, ask(account, set, LENGTH)).await.request_id;

    let servers = serve.log.clone();
    let file = |name: &str| world.folder().join(name).display().to_string();
    let (log_backup, keys_backup) = (file("log.backup"), file("keys.backup"));
    let wrapping_keys = serve.nats.as_ref().unwrap().wrapping_keys_file();
    let wrapping_keys = format!("--wrapping-keys={}", wrapping_keys.display());
    let copy_log = ["log", "copy", &servers, &log_backup];
    daypass_as(&serve, "log-backup", &copy_log).await.unwrap();
    let copy_keys = ["keys", "copy", &servers, &keys_backup, &wrapping_keys];
    let copied = daypass_as(&serve, "log-audit", &copy_keys).await.unwrap();
    assert_eq!(copied, "1 keys copied, 0 were there");

    serve.kill();
    serve.nats.as_mut().unwrap().lose_everything().await;
    let restore_log = ["log", "restore", &log_backup, &servers];
    let restored = daypass_as(&serve, "log-serve", &restore_log).await.unwrap();
    assert!(restored.contains("events restored to a new log"), "{restored}");
    let restore_keys = ["keys", "copy", &keys_backup, &servers, &wrapping_keys];
    let copied = daypass_as(&serve, "log-serve", &restore_keys).await.unwrap();
    assert_eq!(copied, "1 keys copied, 0 were there");
    serve.restart().await;

    let known = get(&world, &serve, &id).await;
    assert_eq!(
        (known.status(), known.justification.as_str()),
        (RequestStatus::Requested, "the pager went off")
    );
    approve(&world, &serve, &id).await;
    // AWS has been looked through by then.
    until_status(&world, &serve, &id, |request| request.access_phase() == AccessPhase::Active).await;
    tell(&serve, "hr", "person_left", &leaver(&world)).await;
    let over = until("the access being closed", &serve, async || {
        Some(seen(&world, &serve, &id).await?)
            .filter(|request| request.closure_phase() == ClosurePhase::Closed)
    })
    .await;
    assert_eq!(over.revoked_as(), RevokedAs::Signal);
    let bus = serve.nats.as_ref().unwrap().connected("bus-setup").await;
    until("events going out", &serve, async || {
        let events = bus.get_stream(wiring::nats::EVENTS_STREAM).await.ok()?;
        (events.cached_info().state.messages > 0).then_some(())
    })
    .await;
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

/// The same as a user of the servers, all of which are named with their monitoring.
async fn daypass_as(deployment: &Deployment, user: &str, words: &[&str]) -> Result<String, String> {
    let options = deployment.nats.as_ref().unwrap().options(user);
    let words: Vec<&str> = words.iter().copied().chain(options.iter().map(String::as_str)).collect();
    daypass(&words).await
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
