//! One writer process per log: an exclusive lock of the operating system on a file beside it.
//!
//! The lock ends with the process, however it ends; the empty lock file stays.

use event_log::LogError;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Held for as long as this process may write.
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock of the log at `path`, or tells who cannot have it.
    pub(crate) fn take(path: &Path) -> Result<Self, LogError> {
        let lock_path = lock_path(path);
        let unavailable =
            |error: std::io::Error| LogError::Unavailable(format!("{}: {error}", lock_path.display()));
        let file =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LogError::Unsafe(format!(
                "another writer has {} open (it holds {}); a log has one writer",
                path.display(),
                lock_path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(unavailable(error)),
        }
    }
}

/// `daypass.log` → `daypass.log.lock`.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
