//! Free text as the log holds it.

use crate::PersonId;

/// Text encrypted under the key of the person that it is about. Deleting that key erases the text; what is stored, and
/// hashed, stays the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sealed {
    /// Whose key.
    pub key_of: PersonId,
    /// AES-256-GCM nonce, 12 bytes.
    pub nonce: [u8; 12],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes under the key of {})", self.ciphertext.len(), self.key_of)
    }
}
