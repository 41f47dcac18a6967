//! The main job with real parts: Daypass as processes, people who sign in at a real OIDC provider, moto as AWS over HTTP, the AWS
//! CLI and `buf curl` as clients that know nothing of Daypass. The programs of the services must have been built.
//!
//! - `world`: what there is besides Daypass, and everyone's token; `program`: one process of Daypass; `deployment`: which there
//!   are, and their configuration.
//! - `job`: ask, agree, get access, lose it, across `kill -9`; `endings`: the other ways that requests go.
//! - `storm`: two replicas of activation, killed and paused at random, while AWS throttles, fails and leaves calls unanswered.
//! - `history`: replay, export, copies of the log; `curl`: what others see of the API.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod curl;
mod deployment;
mod endings;
mod history;
mod job;
mod program;
mod storm;
mod world;

use deployment::Deployment;
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
async fn four_processes_on_jetstream() {
    let world = World::new().await;
    let mut apart = Deployment::four_processes_on_jetstream(&world).await;
    let told = job::whole(&world, &mut apart).await;
    curl::the_api_is_what_it_says(&world, &apart).await;
    let exported = history::is_all_there(&world, &apart, &told).await;
    history::is_in_the_log(&world, &apart, &exported).await;
}

#[tokio::test]
async fn two_replicas_in_a_storm() {
    storm::blows_over().await;
}
