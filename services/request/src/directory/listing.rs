//! Pages of things that have a name and an id: by name, then id.

use tonic::Status;
use views::page;

/// Something to list.
pub(super) struct Named<'a, T> {
    name: String,
    id: &'a str,
    item: T,
}

impl<'a, T> Named<'a, T> {
    pub(super) fn new(name: &str, id: &'a str, item: T) -> Self {
        Self { name: name.to_lowercase(), id, item }
    }
}

/// Which page of which list.
pub(super) struct Asked<'a> {
    question: Vec<&'a [u8]>,
    token: &'a str,
    size: usize,
}

impl<'a> Asked<'a> {
    pub(super) fn new(list: &'a str, parts: &[&'a str], token: &'a str, size: i32) -> Self {
        let question = std::iter::once(&list).chain(parts).map(|part| part.as_bytes()).collect();
        Self { question, token, size: page::size(size) }
    }
}

/// One page, and the token of the next.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: String,
}

/// The page of `items` that is asked for. It begins after the item that the token names; when that is gone, the list is another
/// and has to be asked for anew.
pub(super) fn page_of<'a, T>(
    items: impl Iterator<Item = Named<'a, T>>,
    asked: &Asked<'_>,
) -> Result<Page<T>, Status> {
    let after = page::key(&asked.question, asked.token)?;
    let mut items: Vec<Named<'a, T>> = items.collect();
    items.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    let start = match after {
        None => 0,
        Some(id) => {
            let last = items.iter().position(|item| item.id == id);
            last.ok_or(page::ForeignPage)?.saturating_add(1)
        }
    };
    let end = start.saturating_add(asked.size);
    let is_more = items.len() > end;
    let found: Vec<Named<'a, T>> = items.into_iter().skip(start).take(asked.size).collect();
    let next = found.last().filter(|_| is_more).map(|last| page::token(&asked.question, last.id));
    Ok(Page { items: found.into_iter().map(|named| named.item).collect(), next: next.unwrap_or_default() })
}
