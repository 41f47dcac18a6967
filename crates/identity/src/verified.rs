//! Tokens that were verified a moment ago.
//!
//! INVARIANT: holds digests of tokens, never tokens; bounded in number and in bytes.

use crate::Caller;
use domain::Timestamp;
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// A verified token is looked at again after so long, at the latest.
const AGE_MAX: SignedDuration = SignedDuration::from_secs(60);
const COUNT_MAX: usize = 8_192;
/// What is kept of a token is no larger than the token by much, so tokens are counted by their length.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// One verified token.
#[derive(Clone)]
pub(crate) struct Verified {
    pub(crate) caller: Caller,
    /// Which issuer, as an index into the authenticator's.
    pub(crate) issuer: usize,
    /// Under which of that issuer's key sets.
    pub(crate) generation: u64,
    /// When it was verified.
    pub(crate) at: Timestamp,
    /// The token's length.
    pub(crate) bytes: usize,
}

#[derive(Default)]
pub(crate) struct VerifiedTokens(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    entries: HashMap<TokenDigest, Verified>,
    oldest_first: VecDeque<TokenDigest>,
    bytes: usize,
}

impl VerifiedTokens {
    /// The verified token, unless it has expired or was verified too long ago (or in the future: the clock was set back).
    pub(crate) fn get(&self, digest: TokenDigest, now: Timestamp) -> Option<Verified> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.entries.get(&digest)?;
        let age = now.duration_since(entry.at);
        (!age.is_negative() && age < AGE_MAX && now < entry.caller.expires_at).then(|| entry.clone())
    }

    /// Keeps `verified`, and lets go of the oldest if there are too many.
    pub(crate) fn insert(&self, digest: TokenDigest, verified: Verified) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.bytes += verified.bytes;
        match inner.entries.insert(digest, verified) {
            Some(replaced) => inner.bytes = inner.bytes.saturating_sub(replaced.bytes),
            None => inner.oldest_first.push_back(digest),
        }
        while inner.entries.len() > COUNT_MAX || inner.bytes > BYTES_MAX {
            let Some(oldest) = inner.oldest_first.pop_front() else { return };
            if let Some(gone) = inner.entries.remove(&oldest) {
                inner.bytes = inner.bytes.saturating_sub(gone.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Actor, ActorKind, Person};

    fn verified(at: i64, bytes: usize) -> Verified {
        Verified {
            caller: Caller {
                actor: Actor {
                    person: Person::new("https://idp.example", "ada").unwrap(),
                    kind: ActorKind::Human,
                    client_id: None,
                    auth_time: None,
                    acr: None,
                },
                groups: None,
                directory_id: None,
                expires_at: second(1_000),
            },
            issuer: 0,
            generation: 1,
            at: second(at),
            bytes,
        }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_kept_for_a_minute_or_until_it_expires() {
        let tokens = VerifiedTokens::default();
        let digest = TokenDigest::of("a");
        tokens.insert(digest, verified(100, 1));
        assert!(tokens.get(digest, second(159)).is_some());
        assert!(tokens.get(digest, second(160)).is_none());
        assert!(tokens.get(digest, second(99)).is_none());
        tokens.insert(digest, verified(990, 1));
        assert!(tokens.get(digest, second(999)).is_some());
        assert!(tokens.get(digest, second(1_000)).is_none());
    }

    #[test]
    fn the_number_and_the_bytes_of_tokens_are_bounded() {
        let tokens = VerifiedTokens::default();
        for n in 0..COUNT_MAX + 10 {
            tokens.insert(TokenDigest::of(&n.to_string()), verified(100, 1));
        }
        assert_eq!(tokens.0.lock().unwrap().entries.len(), COUNT_MAX);
        assert!(tokens.get(TokenDigest::of("0"), second(100)).is_none());
        tokens.insert(TokenDigest::of("large"), verified(100, BYTES_MAX));
        let inner = tokens.0.lock().unwrap();
        assert_eq!((inner.entries.len(), inner.oldest_first.len(), inner.bytes), (1, 1, BYTES_MAX));
    }
}
