//! Signals that end requests: someone has left, an incident is closed, a finding was raised. Pending ones end as approved ones do;
//! what is left of them in AWS is the reconciler's. A request whose history cannot be read is ended by nothing; but who has left needs
//! nothing by it.
//!
//! A request ends by signals that were recorded after it was raised. Whoever left ends what is raised later as well: what slips in
//! while services have not heard of it.
//! INVARIANT: nothing here is remembered that the log does not say. Every replica does all of it at once: the event of one signal on
//! one request has one id. A fault holds up one request, never the others, and is tried again within [`LOOK_AGAIN`].

use crate::core::Core;
use crate::fault::Fault;
use domain::RequestId;
use event_log::Position;
use lifecycle::signal::{self, Heard};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use views::requests::{Received, StoryError};

/// The longest pause where something failed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Signals that are looked up at a time.
const CHUNK: usize = 64;

/// Runs until `shutdown`.
pub(crate) async fn run(core: &Core, shutdown: &CancellationToken) {
    let projection = core.views.requests.projection();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return,
        // What is history by now ended long ago.
        () = projection.caught_up() => {}
    }
    let mut changes = projection.changes();
    let mut heeded = Heeded::default();
    loop {
        changes.mark_unchanged();
        let done = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            done = heeded.heed(core) => done,
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN), if !done => {}
            // The sender lives as long as the views.
            _ = changes.changed() => {}
        }
    }
}

/// How far signals were heeded.
#[derive(Debug)]
struct Heeded {
    /// Signals up to here.
    signals: Position,
    /// Departures, and requests of whoever left, up to here.
    departed: Position,
}

impl Default for Heeded {
    fn default() -> Self {
        Self { signals: Position::START, departed: Position::START }
    }
}

impl Heeded {
    /// Says whether everything is done.
    async fn heed(&mut self, core: &Core) -> bool {
        let signals = self.heed_signals(core).await;
        let departures = self.heed_departures(core).await;
        let all = signals.and(departures);
        if let Err(fault) = &all {
            tracing::warn!(%fault, "what signals end is held up; tried again soon");
        }
        all.is_ok()
    }

    /// Ends what was raised before a signal.
    async fn heed_signals(&mut self, core: &Core) -> Result<(), Fault> {
        let requests = &core.views.requests;
        let (mut seen, mut all) = (self.signals, Ok(()));
        loop {
            let applied = requests.projection().applied();
            let found = requests.ending(seen, CHUNK)?;
            let more = found.len() == CHUNK;
            for received in found {
                let concerned = core.concerned_by(&received)?;
                let revoked = core.revoke_all(concerned.into_iter().map(|id| (id, &received))).await;
                all = all.and(revoked);
                seen = received.position;
            }
            if !more {
                all?;
                self.signals = seen.max(applied);
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends what is raised for someone who has left.
    async fn heed_departures(&mut self, core: &Core) -> Result<(), Fault> {
        let applied = core.views.requests.projection().applied();
        let found = core.views.requests.of_departed(self.departed)?;
        for id in core.views.requests.damaged_of_departed(self.departed)? {
            tracing::warn!(request = %id, "its history cannot be read, and its person has left: what it gave goes");
            core.agenda.note_let_go(id, core.now());
        }
        core.revoke_all(found.iter().map(|(id, received)| (*id, received))).await?;
        self.departed = applied;
        Ok(())
    }
}

impl Core {
    fn concerned_by(&self, received: &Received) -> Result<Vec<RequestId>, StoryError> {
        let signal = &received.signal;
        let about = signal.about.as_ref();
        let about =
            about.map(|about| self.views.everyone(about, signal.about_principal.as_ref())).transpose()?;
        self.views.requests.live_before(received, about.as_ref())
    }

    /// Ends these by their signals. The first fault is told once all were tried.
    async fn revoke_all(&self, ending: impl Iterator<Item = (RequestId, &Received)>) -> Result<(), Fault> {
        let mut failed = Ok(());
        for (id, received) in ending {
            let revoked = self.revoke_by(id, received).await;
            failed = failed.and(revoked);
        }
        failed
    }

    async fn revoke_by(&self, id: RequestId, received: &Received) -> Result<(), Fault> {
        let (signal, event) = (&received.signal, &received.event);
        let about = signal.about.as_ref();
        let about =
            about.map(|about| self.views.everyone(about, signal.about_principal.as_ref())).transpose()?;
        self.react(id, &format!("revoke:{}", event.id), |request, _| {
            signal::revoke(request, Heard { event: event.id, signal, at: event.at, about: about.as_ref() })
        })
        .await?;
        Ok(())
    }
}
