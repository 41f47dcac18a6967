//! Something made of files, and made again when they change.
//!
//! INVARIANT: what is not usable replaces nothing. Files are renewed one after the other, so for a moment they need not go together.

use super::{TlsError, read};
use aws_lc_rs::digest;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Files are looked at when something is asked for, and not more often than this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Makes it.
type Make<T> = Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>;

/// A `T` made of files.
pub(crate) struct Reloading<T> {
    files: Vec<PathBuf>,
    make: Make<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    /// Of the files that `current` was made of.
    digest: Vec<u8>,
    looked_at: Instant,
}

impl<T> std::fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloading").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<T> Reloading<T> {
    /// Makes it for the first time, of `files`.
    pub(crate) fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let digest = digest_of(&files)?;
        let state = State { current: Arc::new(make()?), digest, looked_at: Instant::now() };
        Ok(Self { files, make: Box::new(make), state: Mutex::new(state) })
    }

    /// As the files are now, or were when they were last usable.
    pub(crate) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() >= LOOK_AGAIN {
            state.looked_at = Instant::now();
            match self.renewed(&mut state.digest) {
                Ok(None) => {}
                Ok(Some(renewed)) => {
                    state.current = Arc::new(renewed);
                    tracing::info!(files = ?self.files, "certificates are renewed");
                }
                Err(error) => {
                    tracing::warn!(%error, "certificates cannot be renewed: the ones before stay in use");
                }
            }
        }
        Arc::clone(&state.current)
    }

    fn renewed(&self, known: &mut Vec<u8>) -> Result<Option<T>, TlsError> {
        let digest = digest_of(&self.files)?;
        if digest == *known {
            return Ok(None);
        }
        let renewed = (self.make)()?;
        *known = digest;
        Ok(Some(renewed))
    }
}

/// Of all contents. Keys are not kept for comparing.
fn digest_of(files: &[PathBuf]) -> Result<Vec<u8>, TlsError> {
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        context.update(digest::digest(&digest::SHA256, &read(file)?).as_ref());
    }
    Ok(context.finish().as_ref().to_vec())
}
