//! `DirectoryService`: the organisation as AWS told it, with its age.
//!
//! INVARIANT: answers from the snapshot that is there, never from AWS. Who may ask is the gate's business: services,
//! administrators, auditors.

mod listing;
mod messages;
mod parts;

use api::request::v1::directory_service_server;
use api::request::v1::{
    GetDirectoryRequest, GetDirectoryResponse, ListAccountsRequest, ListAccountsResponse, ListGroupsRequest,
    ListGroupsResponse, ListPeopleRequest, ListPeopleResponse, ListPermissionSetsRequest,
    ListPermissionSetsResponse,
};
use aws::directory::GROUP_SOURCE;
use aws::{Directory, OrgUnit};
use domain::{GroupRef, OuId};
use futures::StreamExt as _;
use listing::{Asked, Named, page_of};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use views::place::PlaceUnknown;
use views::{Views, refusal, wire};

/// The directory, told over gRPC.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryService {
    views: Views,
}

impl DirectoryService {
    pub(crate) fn new(views: Views) -> Self {
        Self { views }
    }

    fn snapshot(&self) -> Result<Arc<Directory>, Status> {
        self.views.directory.snapshot().ok_or_else(|| refusal::status(&PlaceUnknown::NoDirectory))
    }
}

#[tonic::async_trait]
impl directory_service_server::DirectoryService for DirectoryService {
    async fn get_directory(
        &self,
        request: Request<GetDirectoryRequest>,
    ) -> Result<Response<BoxStream<GetDirectoryResponse>>, Status> {
        let known = request.into_inner().newer_than.as_ref().map(wire::read_time).transpose();
        let known = known.map_err(refusal::invalid("newer_than"))?;
        let directory = self.snapshot()?;
        // What callers have is in whole milliseconds.
        let unchanged =
            known.is_some_and(|known| directory.fetched_at().as_millisecond() <= known.as_millisecond());
        let parts = if unchanged { vec![parts::unchanged(&directory)] } else { parts::of(&directory) };
        Ok(Response::new(futures::stream::iter(parts.into_iter().map(Ok)).boxed()))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let message = request.into_inner();
        let directory = self.snapshot()?;
        let search = message.search.to_lowercase();
        let found = directory.contents().accounts.iter().filter(|(id, account)| {
            account.name.to_lowercase().contains(&search) || id.as_str().starts_with(&search)
        });
        let asked = Asked::new("accounts", &[&search], &message.page_token, message.page_size);
        let page = page_of(
            found.map(|(id, account)| Named::new(&account.name, id.as_str(), (id, account))),
            &asked,
        )?;
        let mut units: BTreeMap<&OuId, &OrgUnit> = BTreeMap::new();
        for id in page.items.iter().flat_map(|(_, account)| &account.ou_path.0) {
            units.extend(directory.unit(id).map(|unit| (id, unit)));
        }
        Ok(Response::new(ListAccountsResponse {
            accounts: page.items.into_iter().map(|(id, account)| messages::account(id, account)).collect(),
            next_page_token: page.next,
            fetched_at: Some(wire::time(directory.fetched_at())),
            units: units.into_iter().map(|(id, unit)| messages::unit(id, unit)).collect(),
        }))
    }

    async fn list_permission_sets(
        &self,
        request: Request<ListPermissionSetsRequest>,
    ) -> Result<Response<ListPermissionSetsResponse>, Status> {
        let message = request.into_inner();
        let directory = self.snapshot()?;
        let search = message.search.to_lowercase();
        let sets = directory.contents().permission_sets.iter();
        let found = sets.filter(|(_, set)| set.name.to_lowercase().contains(&search));
        let asked = Asked::new("permission_sets", &[&search], &message.page_token, message.page_size);
        let page = page_of(found.map(|(arn, set)| Named::new(&set.name, arn.as_str(), (arn, set))), &asked)?;
        Ok(Response::new(ListPermissionSetsResponse {
            permission_sets: page
                .items
                .into_iter()
                .map(|(arn, set)| messages::permission_set(arn, set))
                .collect(),
            next_page_token: page.next,
            fetched_at: Some(wire::time(directory.fetched_at())),
        }))
    }

    async fn list_people(
        &self,
        request: Request<ListPeopleRequest>,
    ) -> Result<Response<ListPeopleResponse>, Status> {
        let message = request.into_inner();
        let directory = self.snapshot()?;
        let search = message.search.to_lowercase();
        let members = match message.group_id.as_str() {
            "" => None,
            id => {
                let group = GroupRef::new(GROUP_SOURCE, id).map_err(refusal::invalid("group_id"))?;
                Some(directory.members_of(&group))
            }
        };
        let found = directory.contents().users.iter().filter(|(id, user)| {
            members.as_ref().is_none_or(|members| members.contains(*id))
                && (user.user_name.as_str().contains(&search)
                    || user.display_name.to_lowercase().contains(&search))
        });
        let asked =
            Asked::new("people", &[&search, &message.group_id], &message.page_token, message.page_size);
        let named = found.map(|(id, user)| Named::new(user.user_name.as_str(), id.as_str(), (id, user)));
        let page = page_of(named, &asked)?;
        Ok(Response::new(ListPeopleResponse {
            people: page.items.into_iter().map(|(id, user)| messages::user(&directory, id, user)).collect(),
            next_page_token: page.next,
            fetched_at: Some(wire::time(directory.fetched_at())),
        }))
    }

    async fn list_groups(
        &self,
        request: Request<ListGroupsRequest>,
    ) -> Result<Response<ListGroupsResponse>, Status> {
        let message = request.into_inner();
        let directory = self.snapshot()?;
        let search = message.search.to_lowercase();
        let groups = directory.contents().groups.iter();
        let found = groups.filter(|(_, group)| group.display_name.to_lowercase().contains(&search));
        let asked = Asked::new("groups", &[&search], &message.page_token, message.page_size);
        let named = found.map(|(id, group)| Named::new(&group.display_name, id.as_str(), (id, group)));
        let page = page_of(named, &asked)?;
        Ok(Response::new(ListGroupsResponse {
            groups: page.items.into_iter().map(|(id, group)| messages::group(id, group)).collect(),
            next_page_token: page.next,
            fetched_at: Some(wire::time(directory.fetched_at())),
        }))
    }
}
