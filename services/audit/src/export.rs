//! History as a file, in chunks, with a digest of the whole.

pub(crate) mod csv;
pub(crate) mod json_lines;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

/// Bytes of a chunk: large enough that its frame costs nothing, small enough for every client's limits.
pub(crate) const CHUNK_BYTES: usize = 128 * 1024;

/// A file on its way: takes lines, gives chunks.
#[derive(Debug, Default)]
pub(crate) struct File {
    pending: BytesMut,
    hash: Sha256,
    events: u64,
}

impl File {
    /// Adds text that is no event: a heading.
    pub(crate) fn put(&mut self, text: &str) {
        self.pending.extend_from_slice(text.as_bytes());
    }

    /// Adds the text of one event.
    pub(crate) fn put_event(&mut self, text: &str) {
        self.put(text);
        self.events += 1;
    }

    /// The next full chunk, if there is one.
    pub(crate) fn full_chunk(&mut self) -> Option<Bytes> {
        (self.pending.len() >= CHUNK_BYTES).then(|| self.split(CHUNK_BYTES))
    }

    /// What is left, if anything is.
    pub(crate) fn last_chunk(&mut self) -> Option<Bytes> {
        (!self.pending.is_empty()).then(|| self.split(self.pending.len().min(CHUNK_BYTES)))
    }

    /// How many events were put, and the SHA-256 of every chunk that was taken.
    pub(crate) fn finish(self) -> (u64, [u8; 32]) {
        (self.events, self.hash.finalize().into())
    }

    fn split(&mut self, length: usize) -> Bytes {
        let chunk = self.pending.split_to(length).freeze();
        self.hash.update(&chunk);
        chunk
    }
}
