//! How much fits on a page.

use prost::Message;

/// Bytes of a page, about. Clients refuse answers over 4 MiB unless told otherwise, and one event can be 512 KiB in the log.
const BYTES_MAX: usize = 2 << 20;

/// Counts what is put on a page.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    bytes: usize,
}

impl Budget {
    /// Whether there is room for `message`; the first always has.
    pub(crate) fn takes(&mut self, message: &impl Message) -> bool {
        let first = self.bytes == 0;
        self.bytes += message.encoded_len();
        first || self.bytes <= BYTES_MAX
    }
}
