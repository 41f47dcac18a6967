//! The organisation, as other services and people who list it are told.

use crate::entitlements::enlarge;
use crate::world::*;
use api::request::v1::directory_service_server;
use api::request::v1::{
    GetDirectoryRequest, GetDirectoryResponse, ListAccountsRequest, ListGroupsRequest, ListPeopleRequest,
    ListPermissionSetsRequest,
};
use aws::simulated::sample::{ADA, APPROVERS};
use aws::{CachedDirectory, DirectorySource as _, RefreshPace};
use domain::{PrincipalId, SignedDuration};
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tonic::Code;
use tonic::codegen::BoxStream;

async fn parts(world: &World, newer_than: Option<prost_types::Timestamp>) -> Vec<GetDirectoryResponse> {
    let message = GetDirectoryRequest { newer_than };
    let mut stream = world.directory().get_directory(by("carol", message)).await.unwrap().into_inner();
    let mut parts = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        parts.push(part);
    }
    parts
}

#[tokio::test(start_paused = true)]
async fn the_whole_directory_is_told_in_bounded_parts() {
    let world = World::ordinary().await;
    world
        .change_directory(|contents| {
            enlarge(contents);
            for account in contents.accounts.values_mut() {
                account.tags.insert("note".to_owned(), "x".repeat(500));
            }
        })
        .await;
    let parts = parts(&world, None).await;
    assert!(parts.len() > 2, "{}", parts.len());
    assert!(parts.iter().all(|part| part.encoded_len() < 2 << 20));
    assert!(parts.iter().all(|part| part.fetched_at == parts[0].fetched_at && part.fetched_at.is_some()));
    assert_eq!(parts.iter().map(|part| part.last).filter(|last| *last).count(), 1);
    assert!(parts.last().unwrap().last);
    assert_eq!(parts.iter().map(|part| part.accounts.len()).sum::<usize>(), 5_006);
}

#[tokio::test(start_paused = true)]
async fn what_another_service_puts_together_is_what_was_told() {
    let world = World::ordinary().await;
    world
        .change_directory(|contents| {
            enlarge(contents);
            contents.users.values_mut().take(1).for_each(|user| user.enabled = false);
        })
        .await;
    let source = views::remote_directory::GrpcDirectory::new(AsCarol(world.guarded.clone()));
    let fetched = source.fetch().await.unwrap();
    let snapshot = world.views.directory.snapshot().unwrap();
    assert_eq!(fetched.as_of, Some(snapshot.fetched_at()), "the age goes with it");
    let told = aws::Contents { as_of: fetched.as_of, ..snapshot.contents().clone() };
    assert!(fetched == told);
}

/// Ends before the part that says it is the last.
struct CutShort;

#[tonic::async_trait]
impl directory_service_server::DirectoryService for CutShort {
    async fn get_directory(
        &self,
        _: tonic::Request<GetDirectoryRequest>,
    ) -> Result<tonic::Response<BoxStream<GetDirectoryResponse>>, tonic::Status> {
        let part = GetDirectoryResponse::default();
        Ok(tonic::Response::new(Box::pin(futures::stream::iter([Ok(part)]))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_was_cut_short_is_none() {
    let server = directory_service_server::DirectoryServiceServer::new(CutShort);
    let source = views::remote_directory::GrpcDirectory::new(tonic::service::Routes::new(server));
    assert_eq!(source.fetch().await.unwrap_err().code, "CutShort");
}

/// Says that there is nothing newer, newer than nothing.
struct Unchanged;

#[tonic::async_trait]
impl directory_service_server::DirectoryService for Unchanged {
    async fn get_directory(
        &self,
        _: tonic::Request<GetDirectoryRequest>,
    ) -> Result<tonic::Response<BoxStream<GetDirectoryResponse>>, tonic::Status> {
        let part = GetDirectoryResponse { unchanged: true, last: true, ..GetDirectoryResponse::default() };
        Ok(tonic::Response::new(Box::pin(futures::stream::iter([Ok(part)]))))
    }
}

#[tokio::test(start_paused = true)]
async fn unchanged_is_no_answer_to_who_has_nothing() {
    let server = directory_service_server::DirectoryServiceServer::new(Unchanged);
    let source = views::remote_directory::GrpcDirectory::new(tonic::service::Routes::new(server));
    assert_eq!(source.fetch().await.unwrap_err().code, "MalformedDirectory");
}

/// Unavailable for so many calls.
#[derive(Clone, Default)]
struct Flaky(Arc<AtomicUsize>);

#[tonic::async_trait]
impl directory_service_server::DirectoryService for Flaky {
    async fn get_directory(
        &self,
        _: tonic::Request<GetDirectoryRequest>,
    ) -> Result<tonic::Response<BoxStream<GetDirectoryResponse>>, tonic::Status> {
        let left = self.0.load(Ordering::Relaxed);
        if left > 0 {
            self.0.store(left - 1, Ordering::Relaxed);
            return Err(tonic::Status::unavailable("starting"));
        }
        let whole = GetDirectoryResponse {
            fetched_at: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            last: true,
            ..GetDirectoryResponse::default()
        };
        Ok(tonic::Response::new(Box::pin(futures::stream::iter([Ok(whole)]))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_that_does_not_answer_is_asked_three_times() {
    let flaky = Flaky::default();
    let server = directory_service_server::DirectoryServiceServer::new(flaky.clone());
    let source = views::remote_directory::GrpcDirectory::new(tonic::service::Routes::new(server));
    flaky.0.store(2, Ordering::Relaxed);
    source.fetch().await.unwrap();
    flaky.0.store(4, Ordering::Relaxed);
    source.fetch().await.unwrap_err();
    assert_eq!(flaky.0.load(Ordering::Relaxed), 1, "then the failure counts");
}

/// The way to the service, with Carol's token.
#[derive(Clone)]
struct AsCarol(service_runtime::Guarded);

impl tonic::client::GrpcService<tonic::body::Body> for AsCarol {
    type ResponseBody = tonic::body::Body;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<http::Response<tonic::body::Body>, Self::Error>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        tonic::client::GrpcService::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        request.headers_mut().insert("authorization", "Bearer carol".parse().unwrap());
        tonic::client::GrpcService::call(&mut self.0, request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_has_the_latest_is_told_so() {
    let world = World::ordinary().await;
    let first = parts(&world, None).await;
    let same = parts(&world, first[0].fetched_at).await;
    assert_eq!(same.len(), 1);
    assert!(same[0].unchanged && same[0].last && same[0].accounts.is_empty());
    world.clock.jump(SignedDuration::from_secs(1));
    world.change_directory(|_| ()).await;
    assert!(!parts(&world, first[0].fetched_at).await[0].unchanged);
}

#[tokio::test(start_paused = true)]
async fn another_service_that_has_the_latest_is_told_nothing_again() {
    let world = World::ordinary().await;
    let source = views::remote_directory::GrpcDirectory::new(AsCarol(world.guarded.clone()));
    let has = source.fetch().await.unwrap().as_of.unwrap();
    assert!(source.fetch_newer(has).await.unwrap().is_none());
    let later = has + SignedDuration::from_mins(1);
    assert!(source.fetch_newer(later).await.unwrap().is_none(), "another replica had what is newer");
    world.clock.jump(SignedDuration::from_secs(1));
    world.change_directory(|_| ()).await;
    let newer = source.fetch_newer(has).await.unwrap().unwrap();
    assert_eq!(newer.as_of, world.views.directory.snapshot().map(|snapshot| snapshot.fetched_at()));
    assert!(!newer.accounts.is_empty());
}

/// The way to two replicas of the service, by turns.
#[derive(Clone)]
struct InTurn {
    replicas: [AsCarol; 2],
    called: Arc<AtomicUsize>,
}

impl tonic::client::GrpcService<tonic::body::Body> for InTurn {
    type ResponseBody = tonic::body::Body;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<http::Response<tonic::body::Body>, Self::Error>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        for replica in &mut self.replicas {
            if tonic::client::GrpcService::poll_ready(replica, context).is_pending() {
                return std::task::Poll::Pending;
            }
        }
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let turn = self.called.fetch_add(1, Ordering::Relaxed) % self.replicas.len();
        tonic::client::GrpcService::call(self.replicas.get_mut(turn).unwrap(), request)
    }
}

/// Each replica reads AWS by itself: Ada was put into a group after the one did, and before the other.
#[tokio::test(start_paused = true)]
async fn what_another_service_knows_of_the_directory_never_goes_back() {
    let [behind, ahead] = [World::ordinary().await, World::ordinary().await];
    let ada = PrincipalId::new(ADA).unwrap();
    behind
        .change_directory(|contents| {
            contents.memberships.remove(&ada);
        })
        .await;
    ahead.clock.jump(SignedDuration::from_mins(1));
    ahead.change_directory(|_| ()).await;
    let replicas = [&behind, &ahead].map(|world| AsCarol(world.guarded.clone()));
    let source = views::remote_directory::GrpcDirectory::new(InTurn { replicas, called: Arc::default() });
    let (clock, entropy) = (ahead.clock.clone(), ahead.views.entropy.clone());
    let directory = CachedDirectory::new(Arc::new(source), clock, entropy, RefreshPace::default());
    let mut in_groups = Vec::new();
    for _ in 0..5 {
        let snapshot = directory.refresh().await.unwrap();
        in_groups.push(!snapshot.groups_of(&ada).is_empty());
    }
    assert_eq!(in_groups, [false, true, true, true, true]);
}

/// FACTS.md: TEAM #162. The list of accounts, each once, by name.
#[tokio::test(start_paused = true)]
async fn team_162_the_accounts_of_the_directory_are_listed() {
    let world = World::ordinary().await;
    world.change_directory(enlarge).await;
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let message = ListAccountsRequest { page_size: 999, page_token: token, ..Default::default() };
        let page = world.directory().list_accounts(by("eve", message)).await.unwrap().into_inner();
        found.extend(page.accounts.into_iter().map(|account| (account.name, account.account_id)));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found.len(), 5_006);
    assert!(found.is_sorted() && found.windows(2).all(|two| two[0] != two[1]));
}

#[tokio::test(start_paused = true)]
async fn lists_are_searched() {
    let world = World::ordinary().await;
    let accounts = ListAccountsRequest { search: "PROD".to_owned(), ..Default::default() };
    let accounts = world.directory().list_accounts(by("eve", accounts)).await.unwrap().into_inner();
    assert_eq!(accounts.accounts.len(), 2);
    assert_eq!(accounts.units.len(), 4, "every unit that they are in");
    let sets = ListPermissionSetsRequest { search: "read".to_owned(), ..Default::default() };
    let sets = world.directory().list_permission_sets(by("eve", sets)).await.unwrap().into_inner();
    assert_eq!(sets.permission_sets[0].name, "ReadOnly");
    let people = ListPeopleRequest { search: "developer".to_owned(), ..Default::default() };
    let people = world.directory().list_people(by("eve", people)).await.unwrap().into_inner();
    assert_eq!(people.people[0].principal_id, ADA);
    let members = ListPeopleRequest { group_id: APPROVERS.to_owned(), ..Default::default() };
    let members = world.directory().list_people(by("eve", members)).await.unwrap().into_inner();
    assert_eq!((members.people.len(), members.people[0].user_name.as_str()), (1, "bob"));
    let groups = ListGroupsRequest { search: "a".to_owned(), page_size: 2, ..Default::default() };
    let groups = world.directory().list_groups(by("eve", groups)).await.unwrap().into_inner();
    assert_eq!(groups.groups.len(), 2);
    let other = ListPermissionSetsRequest { page_token: groups.next_page_token, ..Default::default() };
    let other = world.directory().list_permission_sets(by("eve", other)).await;
    assert_eq!(wrong_fields(other), ["page_token"]);
}

#[tokio::test(start_paused = true)]
async fn the_directory_is_not_for_everyone() {
    let world = World::ordinary().await;
    for name in ["ada", "bob", "itsm", "mallory"] {
        let answer = world.directory().list_people(by(name, ListPeopleRequest::default())).await;
        assert_eq!(no(answer).0, Code::PermissionDenied, "{name}");
    }
}
