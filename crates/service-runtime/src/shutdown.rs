//! The end of a process: asked for by a signal, told to everyone by a token.

use tokio_util::sync::CancellationToken;

/// Completes when the process is asked to end: SIGTERM or SIGINT.
pub async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => tracing::info!("asked to end by SIGTERM"),
        _ = interrupt.recv() => tracing::info!("asked to end by SIGINT"),
    }
    Ok(())
}

/// A token that is cancelled when the process is asked to end.
#[expect(clippy::disallowed_methods, reason = "signals are heard for as long as the process lives")]
pub fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        if let Err(error) = signal().await {
            tracing::error!(%error, "signals cannot be received: ending");
        }
        told.cancel();
    });
    token
}
