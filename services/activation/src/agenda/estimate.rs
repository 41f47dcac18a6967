//! When access may be there: who goes before, and how fast AWS is getting on. An estimate, never decided by.

use super::due::key_of;
use super::queue::{Class, Lane, account_of};
use super::waits::{Wait, Waiting};
use super::{Agenda, Errand, State};
use crate::core::later;
use domain::{RequestId, SignedDuration, Timestamp};
use lifecycle::Request;
use lifecycle::assignment::AssignmentKey;
use std::collections::VecDeque;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

/// How long an operation takes, until some have been seen.
const USUAL_OPERATION: Duration = Duration::from_secs(5);

/// Changes by which the pace of AWS is told.
const COMPLETIONS_KEPT: usize = 30;

/// So many are needed to tell it.
const COMPLETIONS_ENOUGH: usize = 5;

/// What has been due for so long cannot be done, or another replica sees to it: who does not try does not know when it is tried again.
/// In that time AWS makes some two thousand changes.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// What can be said of a request that waits for AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// How many changes go before, those that AWS is at work on included. What waits for something else is not among them.
    pub(crate) ahead: usize,
    /// In how long it may be active.
    pub(crate) active_in: SignedDuration,
}

/// The latest changes that AWS confirmed while more of them waited than it takes at a time.
#[derive(Debug, Default)]
pub(super) struct Completions(VecDeque<(Timestamp, RequestId)>);

impl Completions {
    pub(super) fn add(&mut self, id: RequestId, at: Timestamp) {
        if self.0.contains(&(at, id)) {
            return;
        }
        if self.0.len() >= COMPLETIONS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, id));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How long one takes, where many are made.
    fn each(&self) -> Option<Duration> {
        let count = u32::try_from(self.0.len()).ok().filter(|count| *count as usize >= COMPLETIONS_ENOUGH)?;
        let (first, last) = (self.0.front()?.0, self.0.back()?.0);
        Some(Duration::try_from(last.duration_since(first)).ok()? / (count - 1))
    }
}

impl Agenda {
    /// How many changes in AWS go before a request's, and when it may be active; `None`: it does not wait for AWS.
    /// `usual` is how long an operation of its service takes, where that is known. What failed is not there before it is tried again;
    /// when that is knows only the process that tries.
    pub(crate) fn estimate(
        &self,
        id: &RequestId,
        now: Timestamp,
        usual: Option<Duration>,
    ) -> Option<Estimate> {
        let state = self.lock();
        let request = state.request(id)?;
        let (grant, active) = request.approved().ok()?;
        let until_start = grant.approved.window.start().duration_since(now).max(SignedDuration::ZERO);
        if active.is_some() {
            return None;
        }
        let Some(key) = key_of(request) else {
            return Some(Estimate { ahead: 0, active_in: until_start });
        };
        let line = state.line_before(request, &key, now, usual, self.outstanding_max);
        let ahead = line.left_at_turn();
        // A place is free when all but as many as there are places are done.
        let queued =
            line.drained_in(ahead.all.saturating_add(1).saturating_sub(line.places), ahead.in_account);
        let in_turn = until_start.saturating_add(queued);
        let active_in = match state.queue.tried_again_at(&Errand::Tend(key)) {
            Some(at) => {
                in_turn.max(at.duration_since(now).saturating_add(line.drained_in(0, ahead.in_account)))
            }
            None => in_turn,
        };
        Some(Estimate { ahead: ahead.all, active_in })
    }

    /// How long before its start a request is to be begun, to have its access by then; `None`: it does not wait for AWS. Those of
    /// one start are begun one by one over the time before it, as fast as AWS takes them, so that a place is free for each.
    pub(crate) fn lead_needed(
        &self,
        id: &RequestId,
        now: Timestamp,
        usual: Option<Duration>,
    ) -> Option<SignedDuration> {
        let state = self.lock();
        let request = state.request(id)?;
        let key = key_of(request)?;
        let line = state.line_before(request, &key, now, usual, self.outstanding_max);
        let ahead = line.due_within_need();
        Some(line.drained_in(ahead.all, ahead.in_account))
    }
}

/// A change that goes before another.
struct Earlier {
    /// When it is begun, if there is a place for it.
    begins_at: Timestamp,
    /// Whether it is in the same account, where changes of one account are made one after the other.
    in_account: bool,
}

/// How many changes go before a request.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    all: usize,
    /// Those of them in the same account.
    in_account: usize,
}

impl Ahead {
    fn count(&mut self, change: &Earlier) {
        self.all += 1;
        self.in_account += usize::from(change.in_account);
    }
}

/// Who goes before a request, and how fast that goes.
struct Line {
    /// In the order in which they begin.
    earlier: Vec<Earlier>,
    /// When the request's own turn could come: at its start, or now.
    turn_at: Timestamp,
    /// How long an operation takes.
    usual: Duration,
    /// How long one takes of many that are made in all places.
    each: Duration,
    /// How many AWS takes at a time.
    places: usize,
}

impl Line {
    /// In how long a request is through that has to wait until `count` changes are done: those in its account one after the other,
    /// then the operation itself.
    fn drained_in(&self, count: usize, in_account: usize) -> SignedDuration {
        let times =
            |one: Duration, count: usize| one.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        let behind = times(self.each, count).max(times(self.usual, in_account));
        SignedDuration::try_from(behind.saturating_add(self.usual)).unwrap_or(SignedDuration::MAX)
    }

    /// Those that are not done when the request's turn could come, if AWS goes on as it does and nothing is begun before it is due.
    fn left_at_turn(&self) -> Ahead {
        let after = |at: Timestamp, by: Duration| {
            later(at, SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX))
        };
        let mut ahead = Ahead::default();
        // From when on AWS has room for another, and for one in the account.
        let (mut room_at, mut account_at) = (Timestamp::MIN, Timestamp::MIN);
        for change in &self.earlier {
            let mut begun_at = change.begins_at.max(room_at);
            room_at = after(begun_at, self.each);
            if change.in_account {
                begun_at = begun_at.max(account_at);
                account_at = after(begun_at, self.usual);
            }
            if after(begun_at, self.usual) >= self.turn_at {
                ahead.count(change);
            }
        }
        ahead
    }

    /// Those that fall due within what AWS needs for the request and for what comes between: what falls due before that is made before
    /// that, for it is led as well.
    fn due_within_need(&self) -> Ahead {
        let mut ahead = Ahead::default();
        for change in self.earlier.iter().rev() {
            let needed_from = later(self.turn_at, -self.drained_in(ahead.all, ahead.in_account));
            if change.begins_at < needed_from {
                break;
            }
            ahead.count(change);
        }
        ahead
    }
}

impl State {
    fn line_before(
        &self,
        request: &Request,
        key: &AssignmentKey,
        now: Timestamp,
        usual: Option<Duration>,
        outstanding_max: usize,
    ) -> Line {
        let since =
            request.approved().ok().map_or(now, |(grant, _)| grant.approved.window.start().max(grant.at));
        let earlier = self.earlier(key, since, now);
        let usual = usual.unwrap_or(USUAL_OPERATION);
        let lane = Lane::of(key);
        let places = lane.places(outstanding_max);
        let one_of_many = usual / u32::try_from(places).unwrap_or(u32::MAX);
        let seen = self.completions.get(&lane).and_then(Completions::each);
        let each = seen.unwrap_or(one_of_many);
        Line { earlier, turn_at: since.max(now), usual, each, places }
    }

    /// The changes that go before a grant that waits since `since`, or will: removals that wait for their turn now, and grants that are
    /// taken up earlier, as the queue has it, in the order in which they begin. Not what waits for something else: another try, a fence,
    /// what cannot be told.
    fn earlier(&self, own: &AssignmentKey, since: Timestamp, now: Timestamp) -> Vec<Earlier> {
        let lane = Lane::of(own);
        let (after, by) = (later(since, -STUCK_AFTER).min(since), since.max(now));
        let place = (since.as_second(), own);
        let own_errand = Errand::Tend(own.clone());
        let account = account_of(&own_errand);
        let is_in_account = |errand: &Errand| account.is_some() && account_of(errand) == account;
        let removals =
            self.queue.begun_by(Class::Removal, lane, after, now).filter_map(|(errand, due_at)| {
                let Errand::Tend(key) = errand else { return None };
                let counts = key != own && self.is_to_change(key, now);
                counts.then(|| Earlier { begins_at: due_at.max(now), in_account: is_in_account(errand) })
            });
        let grants = self
            .waits
            .get(&Wait::Grant(lane))
            .into_iter()
            .flat_map(|waits| waits.range::<Waiting, _>((Excluded((after, RequestId::MAX)), Unbounded)))
            .take_while(|(at, _)| at.as_second() <= since.as_second())
            .filter_map(|(at, id)| {
                let key = key_of(self.request(id)?)?;
                if key == *own || (at.as_second(), &key) >= place {
                    return None;
                }
                let errand = Errand::Tend(key);
                // What waits already may wait for another try.
                let due_at = if *at > now { *at } else { self.queue.due_at(&errand)? };
                let in_account = is_in_account(&errand);
                (due_at <= by).then(|| Earlier { begins_at: due_at.max(now), in_account })
            });
        let mut earlier: Vec<Earlier> = removals.chain(grants).collect();
        earlier.sort_by_key(|change| change.begins_at);
        earlier
    }

    /// Whether at `by` something is to be changed in AWS for a request about this assignment: it waits for no fence alone, and not for
    /// sessions to die.
    fn is_to_change(&self, key: &AssignmentKey, by: Timestamp) -> bool {
        let absent_until = self.notes.get(key).and_then(|notes| notes.absent_until);
        let is_absent = absent_until.is_some_and(|until| by < until);
        let waits = self.keys.get(key).into_iter().flatten().filter_map(|id| self.waits_of.get(id));
        waits.flatten().filter(|(_, since)| *since <= by).any(|(wait, _)| match wait {
            Wait::Grant(_) => true,
            Wait::Removal(_) => !is_absent,
            Wait::End | Wait::Start => false,
        })
    }

    /// How many changes of one of AWS's services are under way, or will be in line by `by`, up to `most`.
    pub(super) fn changes_waiting(&self, lane: Lane, by: Timestamp, most: usize) -> usize {
        let after = later(by, -STUCK_AFTER);
        let of = |class| self.queue.begun_by(class, lane, after, by);
        let errands = of(Class::Removal).chain(of(Class::Grant)).map(|(errand, _)| errand);
        let changes = errands.filter(|errand| match errand {
            Errand::Tend(key) => self.is_to_change(key, by),
            Errand::Attend(_) => false,
        });
        changes.take(most).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Next;
    use super::super::given::{at, policy_event, requested};
    use super::*;
    use aws::simulated::sample;
    use domain::{Plan, Provider, Target, Window};
    use lifecycle::RequestEvent;
    use lifecycle::event::{ApprovalBasis, Approved, Ended, EndedBecause, Requested};
    use std::collections::BTreeSet;

    /// Ada's request of this number, in the account of this number.
    fn asked(number: u64) -> Requested {
        requested(number, number, BTreeSet::new(), Plan { steps: Vec::new() })
    }

    /// It is approved, from this second on.
    fn granted(requested: Requested, start: i64) -> Request {
        let approved = Approved {
            window: Window::new(at(start), at(start + 3_600)).unwrap(),
            basis: ApprovalBasis::Rule,
            approvers: Vec::new(),
            policy_event: policy_event(),
            comment: None,
        };
        let asked = Request::evolve(None, &RequestEvent::Requested(Box::new(requested)), at(-7_200));
        Request::evolve(asked, &RequestEvent::Approved(approved), at(-7_200)).unwrap()
    }

    /// One that is over since this second, and is to be removed.
    fn over(number: u64, since: i64) -> Request {
        let ended = RequestEvent::Ended(Ended { because: EndedBecause::Elapsed });
        Request::evolve(Some(granted(asked(number), since - 3_600)), &ended, at(since)).unwrap()
    }

    /// The same, of a role of this number, all in one account.
    fn asked_of_role(number: u64) -> Requested {
        let mut requested = asked(number);
        let role = format!("arn:aws:iam::{}:role/daypass/R{number:02}", sample::WEB_PROD);
        requested.target = Target::parse(sample::WEB_PROD, &role).unwrap();
        requested.grounds.provider = Provider::AccountAccess;
        requested
    }

    fn take_up(agenda: &Agenda, requests: impl IntoIterator<Item = Request>, now: i64) {
        let mut state = agenda.lock();
        for request in requests {
            state.take_up(request, at(now), SignedDuration::ZERO);
        }
    }

    fn waiting(agenda: &Agenda, now: i64) -> usize {
        agenda.lock().changes_waiting(Lane::IdentityCenter, at(now), 100)
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn what_is_tried_again_later_goes_before_nobody_and_is_no_queue() {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        take_up(&agenda, (0..12).map(|number| over(number, 0)), 0);
        let grant = granted(asked(20), 10);
        let id = grant.raised.id;
        take_up(&agenda, [grant], 10);
        let ahead = |now| agenda.estimate(&id, at(now), None).unwrap().ahead;
        assert_eq!((ahead(10), waiting(&agenda, 10)), (12, 13));
        let begun = agenda.take_due(at(10));
        assert_eq!((ahead(10), waiting(&agenda, 10)), (12, 13), "AWS is at work on them");
        let own = Errand::Tend(key_of(&granted(asked(20), 10)).unwrap());
        for errand in begun.iter().filter(|errand| **errand != own) {
            agenda.done(errand, &Next::Failed, at(10), |_| seconds(600));
        }
        assert_eq!((ahead(10), waiting(&agenda, 10)), (0, 1));
        assert_eq!(agenda.estimate(&id, at(10), None).unwrap().active_in, seconds(5));
        // Who does not have the duty does not try.
        assert_eq!((ahead(610), waiting(&agenda, 610)), (0, 1));
        let tried = agenda.take_due(at(610));
        assert_eq!(waiting(&agenda, 610), tried.len() + 1, "they are tried again, beside it");
    }

    #[test]
    fn what_waits_for_a_fence_or_for_sessions_goes_before_nobody() {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        let (fenced, held) = (over(1, 0), over(2, 0));
        let (key, held_id) = (key_of(&fenced).unwrap(), held.raised.id);
        let grant = granted(asked(20), 10);
        let id = grant.raised.id;
        take_up(&agenda, [fenced, held, grant], 10);
        assert_eq!(waiting(&agenda, 10), 3);
        agenda.note_absent(&key, Some(at(1_200)));
        agenda.note_held(held_id, at(3_600), at(10));
        assert_eq!(waiting(&agenda, 10), 1);
        assert_eq!(agenda.estimate(&id, at(10), None).unwrap().ahead, 0);
        agenda.note_absent(&key, None);
        assert_eq!(agenda.estimate(&id, at(10), None).unwrap().ahead, 1, "it appeared");
    }

    /// A replica without the duty tries nothing, and is not told what others tried in vain.
    #[test]
    fn what_has_been_due_for_long_and_is_not_begun_here_goes_before_nobody() {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        take_up(&agenda, (0..12).map(|number| over(number, 0)), 0);
        let grants = [(20, 600), (21, 2_000)].map(|(number, start)| granted(asked(number), start));
        let ids = grants.clone().map(|grant| grant.raised.id);
        take_up(&agenda, grants, 600);
        let ahead = |id: &RequestId, now| agenda.estimate(id, at(now), None).unwrap().ahead;
        assert_eq!((ahead(&ids[0], 600), waiting(&agenda, 600)), (12, 13));
        assert_eq!((ahead(&ids[1], 2_000), waiting(&agenda, 2_000)), (0, 1));
    }

    /// Account Access Manager makes fifteen changes at a time, also in one account.
    #[test]
    fn roles_wait_for_places_of_their_own_service_and_for_none_in_their_account() {
        let agenda = Agenda::new(1, SignedDuration::ZERO);
        take_up(&agenda, (0..17).map(|number| granted(asked_of_role(number), 10)), 10);
        let told = |number: u64| agenda.estimate(&asked_of_role(number).id, at(10), None).unwrap();
        assert_eq!(told(14), Estimate { ahead: 14, active_in: seconds(5) });
        let of_two = SignedDuration::from_secs(5) / 15 * 2;
        let last = told(16);
        assert_eq!(last.ahead, 16);
        let difference = last.active_in - (seconds(5) + of_two);
        assert!(difference.abs() < SignedDuration::from_millis(1), "two are done before a place is free");
    }

    /// What is told of the last of these starts, and how long before its start it is to be begun.
    fn of_the_last(starts: &[i64]) -> (Estimate, SignedDuration) {
        let agenda = Agenda::new(10, SignedDuration::ZERO);
        let grants: Vec<Request> =
            (0..).zip(starts).map(|(number, start)| granted(asked(number), *start)).collect();
        let id = grants.last().unwrap().raised.id;
        take_up(&agenda, grants, 0);
        (agenda.estimate(&id, at(0), None).unwrap(), agenda.lead_needed(&id, at(0), None).unwrap())
    }

    #[test]
    fn starts_that_are_done_by_then_go_before_nobody() {
        let spread: Vec<i64> = (1..=100).map(|nth| nth * 60).collect();
        let (told, lead) = of_the_last(&spread);
        assert_eq!(told, Estimate { ahead: 0, active_in: seconds(6_005) });
        assert_eq!(lead, seconds(5));
    }

    #[test]
    fn a_queue_from_before_a_start_goes_before_it_as_far_as_it_is_left() {
        // Two hundred take AWS a hundred seconds, of which forty are over; each lasts five.
        let starts: Vec<i64> = [1_000; 200].into_iter().chain([1_040]).collect();
        let (told, lead) = of_the_last(&starts);
        assert_eq!(told.ahead, 130);
        assert_eq!(told.active_in, SignedDuration::from_millis(1_105_500));
        assert_eq!(lead, seconds(5), "all of them are led");
    }

    #[test]
    fn a_start_is_led_by_those_that_need_aws_in_the_same_time() {
        let of = |before: i64| -> Vec<i64> {
            let earlier = [1_000 - before; 20].into_iter();
            earlier.chain([1_000; 60]).collect()
        };
        let need = SignedDuration::from_millis(34_500);
        assert_eq!(of_the_last(&of(300)).1, need, "59 of them, and itself");
        assert_eq!(of_the_last(&of(20)).1, need + seconds(10));
    }
}
