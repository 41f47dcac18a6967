//! A call that may take further ones, the pages of a list say: each waits for its turn.

use super::{Traffic, Urgency};
use aws::{AwsError, ErrorKind, Turns};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A call whose turn has come, and the further ones that it takes.
pub(crate) struct Asking<'a> {
    pub(crate) traffic: &'a Traffic,
    pub(super) urgency: Urgency,
    /// When the turn of the latest came; `None` while one waits for it.
    pub(super) since: Mutex<Option<Instant>>,
    /// Those whose turn has come.
    pub(super) calls: AtomicUsize,
}

impl Asking<'_> {
    /// How many calls it took so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, of which note is taken; or an error of the kind `silence`, when AWS is silent for longer than `within`. Waiting
    /// for a turn is not.
    pub(crate) async fn answer<T>(
        &self,
        within: Duration,
        silence: ErrorKind,
        call: impl Future<Output = Result<T, AwsError>>,
    ) -> Result<T, AwsError> {
        let mut call = pin!(call);
        let answer = loop {
            let until = self.since().unwrap_or_else(Instant::now) + within;
            tokio::select! {
                biased;
                answer = &mut call => break answer,
                () = tokio::time::sleep_until(until) => {}
            }
            if self.since().is_some_and(|since| since.elapsed() >= within) {
                break Err(AwsError::new(silence, "Timeout", "no answer came"));
            }
        };
        self.traffic.heard(&answer);
        answer
    }
}

#[async_trait::async_trait]
impl Turns for Asking<'_> {
    async fn next(&self) {
        *self.since() = None;
        self.traffic.call(self.urgency).await;
        self.calls.fetch_add(1, Ordering::Relaxed);
        *self.since() = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test(start_paused = true)]
    async fn further_pages_of_a_check_leave_room_for_removals() {
        let traffic = Traffic::new(20, 10);
        let began = Instant::now();
        let asking = traffic.asking(Urgency::Check).await;
        for _ in 1..8 {
            asking.next().await;
        }
        assert_eq!(asking.calls(), 8);
        assert!(asking.next().now_or_never().is_none(), "no more than its share");
        for _ in 8..20 {
            traffic.call(Urgency::Removal).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(traffic.call(Urgency::Removal).now_or_never().is_none(), "every page is counted");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_turn_of_a_page_is_no_silence() {
        let traffic = Traffic::new(1, 10);
        let within = Duration::from_millis(500);
        let asking = traffic.asking(Urgency::Check).await;
        let pages = async {
            asking.next().await;
            asking.next().await;
            Ok(7)
        };
        assert_eq!(asking.answer(within, ErrorKind::Unavailable, pages).await.ok(), Some(7));
        let began = Instant::now();
        let silent = async {
            asking.next().await;
            std::future::pending::<Result<(), AwsError>>().await
        };
        let error = asking.answer(within, ErrorKind::Unknown, silent).await.unwrap_err();
        assert!(error.outcome_unknown());
        let took = began.elapsed();
        assert!(took > Duration::from_millis(1_500) && took < Duration::from_millis(1_600), "{took:?}");
    }
}
