//! Approved requests in the order in which they end, for whoever lists them.
//!
//! INVARIANT: nobody decides under the lock what is listed. That takes long where there are many requests, and errands wait for the
//! lock.

use super::{Agenda, State};
use domain::{RequestId, Timestamp};
use lifecycle::Request;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// A place in the list.
type Place = (Timestamp, RequestId);

/// So many are taken out at a time, and held for one list.
const CHUNK: usize = 100;

impl Agenda {
    /// The approved requests that `wanted` picks, the first to end first, as (end, id): at most `limit` of those `after` one. What
    /// changes meanwhile is listed as it was or as it is.
    pub(crate) async fn approved(
        &self,
        mut after: Option<Place>,
        limit: usize,
        wanted: impl Fn(&Request) -> bool,
    ) -> Vec<Place> {
        let mut found = Vec::new();
        loop {
            let chunk = self.approved_after(after);
            for (place, request) in &chunk {
                if found.len() >= limit {
                    return found;
                }
                if wanted(request) {
                    found.push(*place);
                }
            }
            if chunk.len() < CHUNK {
                return found;
            }
            after = chunk.last().map(|(place, _)| *place);
            tokio::task::yield_now().await;
        }
    }

    fn approved_after(&self, after: Option<Place>) -> Vec<(Place, Arc<Request>)> {
        let state = self.lock();
        let places = state.approved.range::<Place, _>((after.map_or(Unbounded, Excluded), Unbounded));
        let requests = places.filter_map(|place| Some((*place, Arc::clone(state.requests.get(&place.1)?))));
        requests.take(CHUNK).collect()
    }
}

impl State {
    /// Keeps a request, in place of what it was before.
    pub(super) fn put(&mut self, request: Request) {
        let id = request.raised.id;
        self.take_out(&id);
        if let Some(place) = place_of(&request) {
            self.approved.insert(place);
        }
        self.requests.insert(id, Arc::new(request));
    }

    pub(super) fn take_out(&mut self, id: &RequestId) -> Option<Arc<Request>> {
        let request = self.requests.remove(id)?;
        if let Some(place) = place_of(&request) {
            self.approved.remove(&place);
        }
        Some(request)
    }
}

fn place_of(request: &Request) -> Option<Place> {
    let (grant, _) = request.approved().ok()?;
    Some((grant.approved.window.end(), request.raised.id))
}

#[cfg(test)]
mod tests {
    use super::super::given::{self, at, requested};
    use super::*;
    use domain::{Plan, SignedDuration, Window};
    use lifecycle::state::{Closure, EndReason, Phase};
    use std::collections::BTreeSet;
    use std::sync::mpsc;
    use std::time::Duration;

    /// More than are taken out at a time.
    const MANY: u64 = 250;

    #[test]
    fn whoever_decides_what_is_listed_holds_up_no_errand() {
        let agenda = agenda((0..MANY).map(approved));
        let (tell, told) = mpsc::channel();
        // Were the lock held, this would never end: so it has a thread of its own.
        std::thread::spawn(move || {
            let wanted = |request: &Request| {
                agenda.take_due(at(0));
                agenda.request(&request.raised.id).is_some()
            };
            let found = futures::executor::block_on(agenda.approved(None, usize::MAX, wanted));
            tell.send(found.len()).unwrap();
        });
        assert_eq!(told.recv_timeout(Duration::from_mins(1)).map(u64::try_from), Ok(Ok(MANY)));
    }

    #[tokio::test]
    async fn a_list_goes_on_where_a_page_ended_in_the_order_of_ends() {
        let agenda = agenda((0..MANY).map(approved));
        let listed = agenda.approved(None, usize::MAX, |_| true).await;
        let expected: BTreeSet<Place> =
            (0..MANY).map(|number| place_of(&approved(number)).unwrap()).collect();
        assert_eq!(listed, expected.into_iter().collect::<Vec<_>>());

        // In some chunks nothing is wanted.
        let from = listed[130].0;
        let wanted = |request: &Request| request.window().is_some_and(|window| window.end() > from);
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = agenda.approved(after, 7, wanted).await;
            assert!(page.len() <= 7);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            pages.extend(page);
        }
        let expected: Vec<Place> = listed.into_iter().filter(|(end, _)| *end > from).collect();
        assert_eq!(pages, expected);
    }

    #[tokio::test]
    async fn what_ends_is_listed_no_more_and_what_changes_is_listed_once() {
        let agenda = agenda([approved(1), approved(2), approved(3)].into_iter());
        let grant = approved(2).approved().unwrap().0.clone();
        let phase = Phase::Ended {
            grant: Some(grant),
            active: None,
            at: at(1),
            because: EndReason::Withdrawn,
            closure: Closure::Closing,
        };
        let mut longer = approved(3);
        if let Phase::Approved { grant, .. } = &mut longer.phase {
            grant.approved.window = Window::new(at(0), at(9_999)).unwrap();
        }
        take_up(&agenda, Request { phase, ..approved(2) });
        take_up(&agenda, longer.clone());
        let expected = [approved(1), longer].map(|request| place_of(&request).unwrap());
        assert_eq!(agenda.approved(None, usize::MAX, |_| true).await, expected);
        assert_eq!(agenda.closing().len(), 1);
    }

    fn agenda(requests: impl Iterator<Item = Request>) -> Agenda {
        let agenda = Agenda::new(10, SignedDuration::from_secs(2));
        for request in requests {
            take_up(&agenda, request);
        }
        agenda
    }

    fn take_up(agenda: &Agenda, request: Request) {
        agenda.lock().take_up(request, at(0), SignedDuration::from_secs(2));
    }

    /// Approved, and not begun. Two each end at one time.
    fn approved(number: u64) -> Request {
        let end = 3_600 + i64::try_from(number / 2).unwrap();
        given::approved(requested(number, number, BTreeSet::new(), Plan::none()), 0, end)
    }
}
