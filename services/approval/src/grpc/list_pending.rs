//! `ListPending`.

use crate::core::Core;
use crate::waiting::{self, Place};
use api::approval::v1::{ListPendingRequest, ListPendingResponse};
use domain::{Person, RequestId};
use service_runtime::Call;
use tonic::Status;
use views::page;

pub(super) async fn list_pending(
    core: &Core,
    call: &Call,
    message: ListPendingRequest,
) -> Result<ListPendingResponse, Status> {
    core.views.reach(&message.wait_for_position).await?;
    let (in_force, who) = super::who(core, call).await?;
    let question = question(who.person());
    let question: Vec<&[u8]> = question.iter().map(Vec::as_slice).collect();
    let after = page::place(&question, &message.page_token, place)?;
    let found = waiting::page(core, &in_force, &who, after, page::size(message.page_size)).await?;
    let next = found.next.map(|(deadline, id)| page::token(&question, &format!("{deadline} {id}")));
    Ok(ListPendingResponse {
        pending: found.items.into_iter().map(|(_, pending)| pending).collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

fn question(person: &Person) -> [Vec<u8>; 2] {
    [b"pending".to_vec(), person.id().as_str().as_bytes().to_vec()]
}

fn place(key: &str) -> Option<Place> {
    let (deadline, id) = key.split_once(' ')?;
    Some((deadline.parse().ok()?, id.parse::<RequestId>().ok()?))
}
