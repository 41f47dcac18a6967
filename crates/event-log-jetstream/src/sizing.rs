//! What a nats-server needs for a log of so many streams. Each is a subject of its own, of which the server keeps an index in
//! memory; events themselves stay on disk. Figures: docs/benchmarks.md, `bench subjects`.

/// Beside the index: the program, its caches of what was read and written last, and room for its garbage collector.
const BASE_BYTES: u64 = 512 * 1024 * 1024;
/// Per stream, while the log is being written; after a restart it is a third.
const STREAM_BYTES: u64 = 700;

/// The memory to give each server of the log, in bytes.
pub const fn server_memory_bytes(streams: u64) -> u64 {
    BASE_BYTES.saturating_add(STREAM_BYTES.saturating_mul(streams))
}
