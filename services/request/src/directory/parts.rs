//! The whole snapshot, in parts that fit into messages.

use super::messages;
use api::request::v1::GetDirectoryResponse;
use aws::Directory;
use prost::Message;
use views::wire;

/// Receivers take messages of up to 4 MiB; a part is closed once it has this much, and no single item is near the difference
/// (a user in a thousand groups takes 40 KiB).
const PART_BYTES_MAX: usize = 1 << 20;

/// Nothing newer than what the caller has.
pub(super) fn unchanged(directory: &Directory) -> GetDirectoryResponse {
    GetDirectoryResponse { unchanged: true, last: true, ..empty(directory) }
}

/// All of it; only the last part says that it is the last.
pub(super) fn of(directory: &Directory) -> Vec<GetDirectoryResponse> {
    let contents = directory.contents();
    let mut parts = Parts { part: empty(directory), bytes: 0, done: Vec::new() };
    for (id, unit) in &contents.units {
        parts.add(messages::unit(id, unit), |part| &mut part.units);
    }
    for (id, account) in &contents.accounts {
        parts.add(messages::account(id, account), |part| &mut part.accounts);
    }
    for (arn, set) in &contents.permission_sets {
        parts.add(messages::permission_set(arn, set), |part| &mut part.permission_sets);
    }
    for (id, group) in &contents.groups {
        parts.add(messages::group(id, group), |part| &mut part.groups);
    }
    for (id, user) in &contents.users {
        parts.add(messages::user(directory, id, user), |part| &mut part.users);
    }
    parts.part.last = true;
    parts.done.push(parts.part);
    parts.done
}

fn empty(directory: &Directory) -> GetDirectoryResponse {
    GetDirectoryResponse {
        fetched_at: Some(wire::time(directory.fetched_at())),
        ..GetDirectoryResponse::default()
    }
}

struct Parts {
    part: GetDirectoryResponse,
    bytes: usize,
    done: Vec<GetDirectoryResponse>,
}

impl Parts {
    fn add<M: Message>(&mut self, item: M, list: impl Fn(&mut GetDirectoryResponse) -> &mut Vec<M>) {
        if self.bytes >= PART_BYTES_MAX {
            let next =
                GetDirectoryResponse { fetched_at: self.part.fetched_at, ..GetDirectoryResponse::default() };
            self.done.push(std::mem::replace(&mut self.part, next));
            self.bytes = 0;
        }
        self.bytes += item.encoded_len();
        list(&mut self.part).push(item);
    }
}
