//! What Identity Center takes: calls a second, all together, and operations at a time. Whoever calls it asks here first, for every
//! page of a list anew.
//!
//! Removals go before grants, grants before looking how operations stand, and all of them before looking whether all is well; and
//! of what a second has room for, the less urgent leave something to the more urgent, who may come at any moment.
//! When AWS throttles, calls slow down by half and come back one a second; a quota that one of them meets is no reason to. How often an operation's status is asked for follows
//! from how long operations take and from what the other calls leave of the limit.
//! INVARIANT: a dropped wait leaves nothing behind; nothing here changes AWS or the log.

mod asking;
mod pace;

pub(crate) use asking::Asking;
use aws::{AwsError, ErrorKind};
use lifecycle::assignment::Operation;
use pace::{Pace, STATUS_PERCENT, Times};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Something must go.
    Removal,
    /// Something must come.
    Grant,
    /// Whether what must come is there already.
    Look,
    /// How an operation stands.
    Status,
    /// Whether all is well.
    Check,
}

impl Urgency {
    /// How urgent it is to begin an operation.
    pub(crate) fn of(operation: Operation) -> Self {
        match operation {
            Operation::Create => Self::Grant,
            Operation::Delete => Self::Removal,
        }
    }
}

/// Who goes first among the equally urgent: since which second it waits, and how many others wait behind it in its account, who
/// cannot go before it has.
pub(crate) type Turn = (i64, Reverse<usize>);

/// A place in a line: the more urgent first, then by turn, then who came first.
type Ticket = (Urgency, Turn, u64);

/// The same turn for all.
const NO_TURN: Turn = (0, Reverse(0));

/// How much of a second's calls there may be when one more of this urgency is made, in hundredths.
const fn share_of(urgency: Urgency) -> usize {
    match urgency {
        Urgency::Removal | Urgency::Grant => 100,
        Urgency::Look => 90,
        Urgency::Status => STATUS_PERCENT,
        Urgency::Check => 40,
    }
}

#[derive(Default)]
struct Lines {
    tickets: u64,
    /// Who waits to call.
    calls: BTreeSet<Ticket>,
    pace: Pace,
    /// Who waits to begin an operation.
    operations: BTreeSet<Ticket>,
    outstanding: usize,
    /// Operations whose status is being asked for.
    watched: usize,
    creations: Times,
    removals: Times,
}

impl Lines {
    fn times(&self, operation: Operation) -> &Times {
        match operation {
            Operation::Create => &self.creations,
            Operation::Delete => &self.removals,
        }
    }
}

/// The limits, and who waits for them.
pub(crate) struct Traffic {
    calls_per_second: usize,
    outstanding_max: usize,
    lines: Mutex<Lines>,
    moved: Notify,
}

/// Whether who is in line may go.
enum May {
    Now,
    In(Duration),
    WhenMoved,
}

impl Traffic {
    pub(crate) fn new(calls_per_second: usize, outstanding_max: usize) -> Self {
        Self {
            calls_per_second: calls_per_second.max(1),
            outstanding_max: outstanding_max.max(1),
            lines: Mutex::default(),
            moved: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one call may be made.
    pub(crate) async fn call(&self, urgency: Urgency) {
        let waiting = InLine::enter(self, (urgency, NO_TURN), |lines| &mut lines.calls);
        waiting
            .turn(|lines| match lines.pace.take(Instant::now(), self.calls_per_second, share_of(urgency)) {
                None => May::Now,
                Some(wait) => May::In(wait),
            })
            .await;
    }

    /// Waits until a call may be made that may take further ones.
    pub(crate) async fn asking(&self, urgency: Urgency) -> Asking<'_> {
        self.call(urgency).await;
        Asking { traffic: self, urgency, since: Mutex::new(Some(Instant::now())), calls: AtomicUsize::new(1) }
    }

    /// Waits until one more operation may be outstanding; it counts as such until the place is dropped.
    pub(crate) async fn operation(&self, urgency: Urgency, turn: Turn) -> Place<'_> {
        let waiting = InLine::enter(self, (urgency, turn), |lines| &mut lines.operations);
        waiting
            .turn(|lines| {
                if lines.outstanding >= self.outstanding_max {
                    return May::WhenMoved;
                }
                lines.outstanding += 1;
                May::Now
            })
            .await;
        Place { traffic: self }
    }

    /// Takes note of what AWS answered: when it throttles, calls slow down.
    pub(crate) fn heard<T>(&self, answer: &Result<T, AwsError>) {
        if let Err(error) = answer
            && error.kind == ErrorKind::Throttled
        {
            let limit = self.lock().pace.slow_down(Instant::now(), self.calls_per_second);
            tracing::warn!(%error, limit, "AWS throttles: calls slow down");
        }
    }

    /// An operation was accepted, and is asked about from now on.
    pub(crate) fn watch(&self, operation: Operation) -> Watch<'_> {
        Watch { traffic: self, operation, began: Instant::now(), asked: false }
    }

    /// How long an operation takes from acceptance to the answer that it is done, on average of late.
    pub(crate) fn usual(&self) -> Option<Duration> {
        let lines = self.lock();
        [&lines.creations, &lines.removals].into_iter().filter_map(Times::mean).max()
    }
}

/// Someone in a line.
struct InLine<'a> {
    traffic: &'a Traffic,
    line: fn(&mut Lines) -> &mut BTreeSet<Ticket>,
    ticket: Ticket,
}

impl<'a> InLine<'a> {
    fn enter(
        traffic: &'a Traffic,
        (urgency, turn): (Urgency, Turn),
        line: fn(&mut Lines) -> &mut BTreeSet<Ticket>,
    ) -> Self {
        let mut lines = traffic.lock();
        lines.tickets += 1;
        let ticket = (urgency, turn, lines.tickets);
        line(&mut lines).insert(ticket);
        Self { traffic, line, ticket }
    }

    /// Returns once `may_go` lets the first in the line go, and that is us.
    async fn turn(&self, may_go: impl Fn(&mut Lines) -> May) {
        loop {
            let mut moved = pin!(self.traffic.moved.notified());
            // From here on no move is missed.
            moved.as_mut().enable();
            let turn = {
                let mut lines = self.traffic.lock();
                if (self.line)(&mut lines).first() == Some(&self.ticket) {
                    may_go(&mut lines)
                } else {
                    May::WhenMoved
                }
            };
            match turn {
                May::Now => return,
                May::WhenMoved => moved.await,
                May::In(wait) => {
                    tokio::select! {
                        biased;
                        () = moved => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        (self.line)(&mut self.traffic.lock()).remove(&self.ticket);
        self.traffic.moved.notify_waiters();
    }
}

/// One of the operations that AWS takes at a time.
pub(crate) struct Place<'a> {
    traffic: &'a Traffic,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.traffic.lock();
        lines.outstanding = lines.outstanding.saturating_sub(1);
        drop(lines);
        self.traffic.moved.notify_waiters();
    }
}

/// One operation whose end is awaited.
pub(crate) struct Watch<'a> {
    traffic: &'a Traffic,
    operation: Operation,
    began: Instant,
    asked: bool,
}

impl Watch<'_> {
    /// Waits until it is worth while to ask how the operation stands: not before operations of its kind end, and then as often
    /// as `shortest`, `longest` and the limit of calls allow.
    pub(crate) async fn pause(&mut self, shortest: Duration, longest: Duration) {
        if self.asked {
            let elapsed = self.began.elapsed();
            let pause = {
                let mut lines = self.traffic.lock();
                let watched = lines.watched;
                let share = lines.pace.share(self.traffic.calls_per_second, watched);
                let late = elapsed > lines.times(self.operation).longest();
                share.max(if late { elapsed / 10 } else { Duration::ZERO }).clamp(shortest, longest)
            };
            tokio::time::sleep(pause).await;
        } else {
            let soonest = self.traffic.lock().times(self.operation).soonest();
            tokio::time::sleep_until(self.began + soonest).await;
            self.asked = true;
            self.traffic.lock().watched += 1;
        }
        self.traffic.call(Urgency::Status).await;
    }

    /// It is done.
    pub(crate) fn done(self) {
        let took = self.began.elapsed();
        let mut lines = self.traffic.lock();
        match self.operation {
            Operation::Create => lines.creations.add(took),
            Operation::Delete => lines.removals.add(took),
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.asked {
            let mut lines = self.traffic.lock();
            lines.watched = lines.watched.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use futures::stream::{FuturesUnordered, StreamExt as _};

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_calls_than_the_limit() {
        let traffic = Traffic::new(20, 10);
        let mut calls = Vec::new();
        for _ in 0..100 {
            traffic.call(Urgency::Grant).await;
            calls.push(Instant::now());
        }
        for (first, later) in calls.iter().zip(calls.iter().skip(20)) {
            assert!(*later - *first >= Duration::from_secs(1));
        }
        assert!(calls[99] - calls[0] < Duration::from_millis(4_500), "and no fewer than need be");
    }

    #[tokio::test(start_paused = true)]
    async fn removals_go_first_and_else_who_came_first() {
        let traffic = Traffic::new(1, 10);
        traffic.call(Urgency::Grant).await;
        let order = [Urgency::Check, Urgency::Grant, Urgency::Status, Urgency::Removal, Urgency::Grant];
        let mut waiting: FuturesUnordered<_> = order
            .into_iter()
            .enumerate()
            .map(|(nth, urgency)| traffic.call(urgency).map(move |()| (nth, urgency)))
            .collect();
        let mut went = Vec::new();
        while let Some(one) = waiting.next().await {
            went.push(one);
        }
        let expected = [
            (3, Urgency::Removal),
            (1, Urgency::Grant),
            (4, Urgency::Grant),
            (2, Urgency::Status),
            (0, Urgency::Check),
        ];
        assert_eq!(went, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_less_urgent_leave_room_for_the_more_urgent() {
        let traffic = Traffic::new(20, 10);
        let began = Instant::now();
        for _ in 0..16 {
            traffic.call(Urgency::Status).await;
        }
        assert!(traffic.call(Urgency::Status).now_or_never().is_none());
        for _ in 0..4 {
            traffic.call(Urgency::Removal).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(traffic.call(Urgency::Removal).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_goes_to_who_waits_longest_then_to_who_has_most_behind_them() {
        let traffic = Traffic::new(20, 1);
        let place = traffic.operation(Urgency::Grant, NO_TURN).await;
        let turns = [(7, Reverse(1)), (7, Reverse(5)), (6, Reverse(0))];
        let mut waiting: FuturesUnordered<_> = turns
            .into_iter()
            .enumerate()
            .map(|(nth, turn)| traffic.operation(Urgency::Grant, turn).map(move |_place| nth))
            .collect();
        assert!(waiting.next().now_or_never().is_none());
        drop(place);
        let mut went = Vec::new();
        while let Some(nth) = waiting.next().await {
            went.push(nth);
        }
        assert_eq!(went, [2, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_holds_up_nobody() {
        let traffic = Traffic::new(1, 1);
        let place = traffic.operation(Urgency::Grant, NO_TURN).await;
        assert!(traffic.operation(Urgency::Removal, NO_TURN).now_or_never().is_none());
        let waiting = traffic.operation(Urgency::Grant, NO_TURN);
        drop(place);
        let _place = waiting.await;
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_halves_the_pace_and_it_recovers() {
        let traffic = Traffic::new(20, 10);
        let throttled: Result<(), _> = Err(AwsError::new(ErrorKind::Throttled, "ThrottlingException", ""));
        traffic.heard(&throttled);
        // Answers to calls that were under way say the same again.
        traffic.heard(&throttled);
        let began = Instant::now();
        for _ in 0..22 {
            traffic.call(Urgency::Grant).await;
        }
        let took = began.elapsed();
        assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(3), "{took:?}");
        tokio::time::sleep(Duration::from_secs(15)).await;
        let began = Instant::now();
        for _ in 0..20 {
            traffic.call(Urgency::Grant).await;
        }
        assert!(began.elapsed() < Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_that_is_reached_slows_down_no_calls() {
        let traffic = Traffic::new(20, 10);
        let code = "ServiceQuotaExceededException";
        let answer: Result<(), _> = Err(AwsError::new(ErrorKind::QuotaReached, code, ""));
        traffic.heard(&answer);
        let began = Instant::now();
        for _ in 0..20 {
            traffic.call(Urgency::Removal).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_is_asked_for_when_operations_end() {
        let traffic = Traffic::new(20, 10);
        let (shortest, longest) = (Duration::from_millis(200), Duration::from_secs(5));
        for nth in 0..20 {
            let mut watch = traffic.watch(Operation::Create);
            let began = Instant::now();
            let mut asked = 0;
            while began.elapsed() < Duration::from_secs(5) {
                watch.pause(shortest, longest).await;
                asked += 1;
            }
            assert!(began.elapsed() < Duration::from_millis(5_700));
            assert!(nth == 0 || asked <= 6, "{asked} times");
            watch.done();
        }
        let usual = traffic.usual().unwrap();
        assert!(usual >= Duration::from_secs(5) && usual < Duration::from_millis(5_500), "{usual:?}");
    }
}
