//! The log of one machine: an SQLite file with one writer, group commit and durable appends.
//!
//! - [`SqliteLog`]: the engine. It owns a writer thread (`writer`) that gathers the appends waiting for it into one
//!   transaction, and a few read-only connections (`readers`).
//! - `store`: the file: its tables, settings, and what makes opening it refuse.
//! - `lock`: one writer process per file.
//!
//! INVARIANT: an append is answered only after the transaction that holds it was synced to disk (WAL, `synchronous=FULL`), and
//! readers see an event only after that as well.
//!
//! Deliberately absent: several writers, deletion, and anything that knows what a body means.

mod lock;
mod log;
mod readers;
mod reading;
mod row;
mod store;
mod writer;

pub use log::{OpenOptions, SqliteLog};
