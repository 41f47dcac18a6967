//! One canonical digest for identifiers that derive from other values.

use sha2::{Digest, Sha256};

/// SHA-256 over `parts`, each preceded by its length (8 bytes, big endian), so that no two lists of parts collide by
/// moving a boundary.
pub fn canonical_digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_boundary_is_another_digest() {
        assert_ne!(canonical_digest([b"ab".as_slice(), b"c"]), canonical_digest([b"a".as_slice(), b"bc"]));
    }

    #[test]
    fn hex_is_lower_case_and_padded() {
        assert_eq!(hex(&[0x0f, 0xa0]), "0fa0");
    }
}
