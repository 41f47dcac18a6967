//! Page tokens: where the next page begins, bound to the question that was asked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::canonical_digest;

/// How many items a page has when the caller leaves it to the service.
pub const SIZE_DEFAULT: usize = 50;

/// How many items a page has at most.
pub const SIZE_MAX: usize = 1000;

/// The number of items for an asked page size (0: the default).
pub fn size(asked: i32) -> usize {
    match usize::try_from(asked) {
        Ok(0) | Err(_) => SIZE_DEFAULT,
        Ok(size) => size.min(SIZE_MAX),
    }
}

/// A page token that does not belong to this question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the next_page_token of a page of the same list, asked for in the same way")]
pub struct ForeignPage;

/// The token for the page after the item with `key`, for the question with these `parts` (everything of the request but page
/// size and token).
pub fn token(question: &[&[u8]], key: &str) -> String {
    let mut bytes = mark(question).to_vec();
    bytes.extend_from_slice(key.as_bytes());
    BASE64.encode(bytes)
}

/// The key that `token` carries; `None` for the first page.
pub fn key(question: &[&[u8]], token: &str) -> Result<Option<String>, ForeignPage> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64.decode(token).map_err(|_| ForeignPage)?;
    let (found, key) = bytes.split_at_checked(8).ok_or(ForeignPage)?;
    if found != mark(question) {
        return Err(ForeignPage);
    }
    String::from_utf8(key.to_vec()).map(Some).map_err(|_| ForeignPage)
}

/// The place behind the key that `token` carries, as `read` understands it; `None` for the first page.
pub fn place<T>(
    question: &[&[u8]],
    token: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ForeignPage> {
    key(question, token)?.map(|key| read(&key).ok_or(ForeignPage)).transpose()
}

fn mark(question: &[&[u8]]) -> [u8; 8] {
    let mut mark = [0u8; 8];
    mark.copy_from_slice(canonical_digest(question.iter().copied()).split_at(8).0);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_answers_its_own_question_only() {
        let token = token(&[b"list", b"own"], "42");
        assert_eq!(key(&[b"list", b"own"], &token), Ok(Some("42".to_owned())));
        assert_eq!(key(&[b"list", b"all"], &token), Err(ForeignPage));
        assert_eq!(key(&[b"list", b"own"], ""), Ok(None));
        assert_eq!(key(&[b"list", b"own"], "no token"), Err(ForeignPage));
    }
}
