//! Reads a paged list to its end, at a pace that AWS does not mind.

use aws::{AwsError, ErrorKind};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// More pages than any list of AWS has; a list that goes on beyond is not believed.
const PAGES_MAX: usize = 20_000;

/// One page: its items, and the token of the next.
pub(crate) type Page<T> = Result<(Vec<T>, Option<String>), AwsError>;

/// Every item of a list. Empty pages with a token are no end; a token that does not change is an error, not an end.
pub(crate) async fn all<T, F, Answer>(mut page: F) -> Result<Vec<T>, AwsError>
where
    F: FnMut(Option<String>) -> Answer,
    Answer: Future<Output = Page<T>>,
{
    let mut items = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let (more, next) = page(token.clone()).await?;
        items.extend(more);
        match next.filter(|next| !next.is_empty()) {
            None => return Ok(items),
            next if next == token => break,
            next => token = next,
        }
    }
    Err(AwsError::new(ErrorKind::Unavailable, "EndlessList", "a list of AWS has no end"))
}

/// How often a page of the directory is tried: one that fails for good costs all that was read before it.
const TRIES_MAX: u32 = 5;

/// From a try to the next; doubled with each.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// How long to wait until a page is tried again that was answered so `tries` times; `None`: that is the answer.
pub(crate) fn pause<T>(answer: &Result<T, AwsError>, tries: u32) -> Option<Duration> {
    let passes = answer.as_ref().is_err_and(AwsError::retriable);
    (passes && tries < TRIES_MAX)
        .then(|| PAUSE_MIN.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))))
}

/// Lets calls through one after the other, no faster than its interval.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(calls_per_second: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(calls_per_second).unwrap_or(Duration::from_secs(1));
        Self { interval, next: Mutex::new(Instant::now()) }
    }

    /// Waits for this call's turn.
    pub(crate) async fn turn(&self) {
        let mine = {
            let mut next = self.next.lock().await;
            let mine = (*next).max(Instant::now());
            *next = mine + self.interval;
            mine
        };
        sleep_until(mine).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    fn pages(pages: &[(&[u8], Option<&str>)]) -> impl FnMut(Option<String>) -> std::future::Ready<Page<u8>> {
        let mut pages: VecDeque<_> =
            pages.iter().map(|(items, next)| (items.to_vec(), next.map(ToOwned::to_owned))).collect();
        move |_token| std::future::ready(Ok(pages.pop_front().unwrap()))
    }

    #[tokio::test]
    async fn an_empty_page_with_a_token_is_not_the_end() {
        let list = all(pages(&[(&[1], Some("a")), (&[], Some("b")), (&[2], None)])).await;
        assert_eq!(list.unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn an_empty_token_is_the_end() {
        assert_eq!(all(pages(&[(&[1], Some(""))])).await.unwrap(), [1]);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_not_for_ever() {
        let answered = |kind| Err::<(), _>(AwsError::new(kind, "", ""));
        let throttled = answered(ErrorKind::Throttled);
        let pauses = (1..10).map_while(|tries| pause(&throttled, tries));
        assert_eq!(pauses.collect::<Vec<_>>(), [500, 1_000, 2_000, 4_000].map(Duration::from_millis));
        assert_eq!(pause(&answered(ErrorKind::Denied), 1), None);
        assert_eq!(pause(&Ok(()), 1), None);
    }

    #[tokio::test]
    async fn a_token_that_stays_is_an_error_and_no_short_list() {
        let list = all(pages(&[(&[1], Some("a")), (&[2], Some("a"))])).await;
        assert_eq!(list.unwrap_err().code, "EndlessList");
    }
}
