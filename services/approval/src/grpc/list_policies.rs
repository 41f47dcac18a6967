//! `ListPolicies`: newest first.

use crate::core::Core;
use crate::policies::history::{self, Keep};
use api::approval::v1::{ListPoliciesRequest, ListPoliciesResponse};
use std::collections::BTreeSet;
use tonic::Status;
use views::page;

pub(super) async fn list_policies(
    core: &Core,
    message: &ListPoliciesRequest,
) -> Result<ListPoliciesResponse, Status> {
    core.views.reach(&message.wait_for_position).await?;
    let statuses: BTreeSet<i32> = message.statuses.iter().copied().collect();
    let asked: Vec<u8> = statuses.iter().flat_map(|status| status.to_be_bytes()).collect();
    let question: [&[u8]; 2] = [b"policies", &asked];
    let before = page::place(&question, &message.page_token, |key| key.parse().ok())?.unwrap_or(usize::MAX);
    let history = history::read(core, Keep::Nothing).await?;
    // A policy keeps its place: the story only grows.
    let mut found = history.records.iter().enumerate().rev().filter(|(place, record)| {
        *place < before && (statuses.is_empty() || statuses.contains(&history.status(record).into()))
    });
    let mut records = Vec::new();
    let mut last = 0;
    for (place, record) in found.by_ref().take(page::size(message.page_size)) {
        records.push(history.show(core, record));
        last = place;
    }
    let next_page_token = match found.next() {
        Some(_) => page::token(&question, &last.to_string()),
        None => String::new(),
    };
    Ok(ListPoliciesResponse { records, next_page_token })
}
