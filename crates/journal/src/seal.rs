//! Free text under a key per person. Deleting the key erases the text; what the log holds, and hashes, stays the same.
//!
//! AES-256-GCM (NIST SP 800-38D) under a key derived from the person's; the nonce is 12 random bytes; what the text is, and
//! of which stream, is authenticated with it, so that a sealed text cannot be moved elsewhere.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use domain::ports::Entropy;
use domain::{PersonId, Sealed};

/// The key of one person: 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonKey {
    of: PersonId,
    secret: [u8; 32],
}

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PersonKey(of {})", self.of)
    }
}

/// Why sealed text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The key of the person was deleted: the text is gone.
    #[error("the text was erased")]
    Erased,
    /// The text was not sealed with this key for this place.
    #[error("the text does not belong here, or was changed")]
    Foreign,
}

impl PersonKey {
    /// A new key of a person.
    pub fn generate(of: PersonId, entropy: &dyn Entropy) -> Self {
        let mut secret = [0u8; 32];
        entropy.fill(&mut secret);
        Self { of, secret }
    }

    /// A key as the key store holds it.
    pub fn from_secret(of: PersonId, secret: [u8; 32]) -> Self {
        Self { of, secret }
    }

    /// Whose it is.
    pub fn person(&self) -> &PersonId {
        &self.of
    }

    /// The bytes for the key store; for nothing else.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// A key for one purpose: HMAC-SHA256 of the purpose under the person's key.
    fn derived(&self, purpose: &str) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.secret), purpose.as_bytes())
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM, self.derived("daypass seal v1").as_ref()).ok()?;
        Some(LessSafeKey::new(key))
    }

    /// Seals `text`. `place` says what it is and of which stream (`"request-…/justification"`).
    pub fn seal(&self, place: &str, text: &str, entropy: &dyn Entropy) -> Result<Sealed, Unreadable> {
        let mut nonce = [0u8; 12];
        entropy.fill(&mut nonce);
        let mut ciphertext = text.as_bytes().to_vec();
        self.cipher()
            .ok_or(Unreadable::Foreign)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut ciphertext,
            )
            .map_err(|_| Unreadable::Foreign)?;
        Ok(Sealed { key_of: self.of.clone(), nonce, ciphertext })
    }

    /// The text that was sealed for this `place`.
    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<String, Unreadable> {
        let mut bytes = sealed.ciphertext.clone();
        let text = self
            .cipher()
            .ok_or(Unreadable::Foreign)?
            .open_in_place(
                Nonce::assume_unique_for_key(sealed.nonce),
                Aad::from(place.as_bytes()),
                &mut bytes,
            )
            .map_err(|_| Unreadable::Foreign)?;
        String::from_utf8(text.to_vec()).map_err(|_| Unreadable::Foreign)
    }

    /// A digest of a command, by which a retry is told from another command under the same idempotency key. Keyed, so that a
    /// short text cannot be guessed from it once the key is deleted.
    pub fn digest(&self, command: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.derived("daypass command digest v1").as_ref());
        let mut digest = [0u8; 32];
        digest.copy_from_slice(hmac::sign(&key, command).as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            (0..).zip(bytes).for_each(|(i, byte)| *byte = i);
        }
    }

    fn person(digit: char) -> PersonId {
        PersonId::new(digit.to_string().repeat(32)).unwrap()
    }

    #[test]
    fn what_was_sealed_is_read_in_its_place_only() {
        let key = PersonKey::generate(person('a'), &Counting);
        let sealed = key.seal("request-1/justification", "pager went off", &Counting).unwrap();
        assert_eq!(key.open("request-1/justification", &sealed).unwrap(), "pager went off");
        assert_eq!(key.open("request-2/justification", &sealed), Err(Unreadable::Foreign));
    }

    #[test]
    fn another_key_reads_nothing() {
        let sealed = PersonKey::from_secret(person('a'), [1; 32]).seal("p", "text", &Counting).unwrap();
        assert_eq!(PersonKey::from_secret(person('a'), [2; 32]).open("p", &sealed), Err(Unreadable::Foreign));
    }

    #[test]
    fn neither_key_nor_text_shows_in_debug_output() {
        let key = PersonKey::from_secret(person('a'), [0x41; 32]);
        let sealed = key.seal("p", "CANARY", &Counting).unwrap();
        let shown = format!("{key:?} {sealed:?}");
        assert!(!shown.contains("CANARY") && !shown.contains("65, 65") && !shown.contains("AAAA"), "{shown}");
    }

    #[test]
    fn a_digest_depends_on_command_and_key() {
        let key = PersonKey::from_secret(person('a'), [1; 32]);
        assert_eq!(key.digest(b"x"), key.digest(b"x"));
        assert_ne!(key.digest(b"x"), key.digest(b"y"));
        assert_ne!(key.digest(b"x"), PersonKey::from_secret(person('a'), [2; 32]).digest(b"x"));
    }
}
