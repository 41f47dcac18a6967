//! The main job with real parts: Daypass as processes, people who sign in at a real OIDC provider, moto as AWS over HTTP, the AWS
//! CLI and `buf curl` as clients that know nothing of Daypass. The programs of the services must have been built.
//!
//! - `world`: what there is besides Daypass, and everyone's token; `program`: one process of Daypass; `deployment`: which there
//!   are, and their configuration; `nats`: a server, or three, on which each of them may do what it needs and nothing else.
//! - `job`: ask, agree, get access, lose it, across `kill -9`; `endings`: the other ways that requests go.
//! - `load`: commands that are given again until they are answered; `callers`: some of them always under way; `line`: a connection that
//!   loses answers. With them: `storm`, two replicas of everything, killed and paused at random, while AWS throttles, fails and
//!   leaves calls unanswered; `steps`, every process killed at every step; `upgrade`, one process after the other replaced by the
//!   next release; `previous`, programs of the release before, and their configuration.
//! - `paused`: a replica that sleeps in the midst of its attempt, while another takes over.
//! - `order`: processes that start in any order, and that lose a neighbour; `spans`: one request as a trace shows it.
//! - `history`: replay, export, copies of the log; `restored`: log and keys lost, and restored from backups, in files and on NATS; `curl`: what others see of the API.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod callers;
mod curl;
mod deployment;
mod endings;
mod history;
mod job;
mod line;
mod load;
mod nats;
mod order;
mod paused;
mod previous;
mod program;
mod restored;
mod signals;
mod spans;
mod steps;
mod storm;
mod upgrade;
mod world;

use deployment::{Apart, Deployment};
use world::World;

#[tokio::test]
async fn serve_on_sqlite() {
    let world = World::new().await;
    let mut serve = Deployment::serve_on_sqlite(&world).await;
    let told = job::whole(&world, &mut serve).await;
    curl::the_api_is_what_it_says(&world, &serve).await;
    let exported = history::is_all_there(&world, &serve, &told).await;
    history::survives_being_copied(&world, serve, &exported).await;
}

#[tokio::test]
async fn services_apart_on_a_cluster_of_three() {
    let world = World::new().await;
    let how = Apart { cluster: true, ..Apart::default() };
    let mut apart = Deployment::apart(&world, how).await;
    let told = job::whole(&world, &mut apart).await;
    curl::the_api_is_what_it_says(&world, &apart).await;
    let exported = history::is_all_there(&world, &apart, &told).await;
    history::is_in_the_log(&world, &apart, &exported).await;
}

#[tokio::test]
async fn the_main_job_with_one_server_of_the_log_down() {
    let world = World::new().await;
    let how = Apart { cluster: true, ..Apart::default() };
    let mut apart = Deployment::apart_unstarted(&world, how).await;
    apart.nats.as_mut().unwrap().lose_the_leader().await;
    apart.restart().await;
    let told = job::whole(&world, &mut apart).await;
    let exported = history::is_all_there(&world, &apart, &told).await;
    history::is_in_the_log(&world, &apart, &exported).await;
}

#[tokio::test]
async fn every_process_is_killed_once_at_every_step() {
    Box::pin(steps::survive_kills()).await;
}

#[tokio::test]
async fn a_rolling_upgrade_under_load() {
    Box::pin(upgrade::rolls()).await;
}

#[tokio::test]
async fn processes_start_in_any_order_and_decide_without_their_neighbours() {
    order::does_not_matter().await;
}

#[tokio::test]
async fn one_request_is_one_trace_across_all_processes() {
    spans::make_one_trace().await;
}

#[tokio::test]
async fn a_restored_log_finds_what_was_made_after_its_backup() {
    restored::says_so().await;
}

#[tokio::test]
async fn a_log_restored_on_secured_servers_is_opened_by_one_process_with_all_services() {
    Box::pin(restored::opens_on_a_cluster()).await;
}

#[tokio::test]
async fn someone_who_leaves_by_the_bus_has_nothing_any_more() {
    signals::end_what_a_leaver_has().await;
}

#[tokio::test]
async fn signals_are_parked_where_nobody_is_believed_and_heeded_once_somebody_is() {
    Box::pin(signals::are_parked_where_nobody_is_believed_and_heeded_once_somebody_is()).await;
}

#[tokio::test]
async fn two_replicas_in_a_storm() {
    storm::blows_over().await;
}

#[tokio::test]
async fn a_replica_that_was_paused_in_the_midst_of_its_attempt_leaves_nothing_behind_when_it_wakes() {
    Box::pin(paused::leaves_nothing_behind()).await;
}
