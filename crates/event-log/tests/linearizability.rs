//! The check of histories against a tester that knows nothing of revisions: `stateright` searches all orders of the calls.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use event_log::conformance::history::{Call, What, check};
use event_log::{Expected, Revision};
use proptest::prelude::*;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use uuid::Uuid;

/// A stream as its contract says.
#[derive(Clone, Debug, Default)]
struct Stream(Vec<Uuid>);

#[derive(Clone, Debug)]
enum Op {
    Append(Uuid, Expected),
    Read,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Appended(Result<Revision, Option<Revision>>),
    Read(Vec<Uuid>),
}

impl SequentialSpec for Stream {
    type Op = Op;
    type Ret = Answer;

    fn invoke(&mut self, op: &Op) -> Answer {
        match op {
            Op::Read => Answer::Read(self.0.clone()),
            Op::Append(id, expected) => {
                let last = self.0.len().checked_sub(1).map(|last| Revision(last as u64));
                if Expected::after(last) != *expected {
                    return Answer::Appended(Err(last));
                }
                self.0.push(*id);
                Answer::Appended(Ok(expected.revision_of_next()))
            }
        }
    }
}

/// What stateright says. What the stream holds in the end is told to it as a last read.
fn search(stream: &[Uuid], calls: &[Call]) -> bool {
    let end = u64::MAX;
    let last = Call { invoked: end - 1, returned: Some(end), what: What::Read(stream.to_vec()) };
    let mut moments = Vec::new();
    for (caller, call) in calls.iter().chain([&last]).enumerate() {
        moments.push((call.invoked, caller, call, false));
        moments.extend(call.returned.map(|returned| (returned, caller, call, true)));
    }
    moments.sort_by_key(|(at, ..)| *at);
    let mut tester = LinearizabilityTester::new(Stream::default());
    for (_, caller, call, returns) in moments {
        let (op, answer) = match &call.what {
            What::Append { event_id, expected, answer } => {
                (Op::Append(*event_id, *expected), Answer::Appended(*answer))
            }
            What::Read(events) => (Op::Read, Answer::Read(events.clone())),
        };
        // Each call is a caller of its own: who waits for whom shows in the times.
        if returns {
            tester.on_return(caller, answer).unwrap();
        } else {
            tester.on_invoke(caller, op).unwrap();
        }
    }
    tester.is_consistent()
}

/// A true history of up to seven calls, and perhaps one answer or one time that is changed.
#[derive(Clone, Debug)]
struct Story {
    /// Of each call: append or read, how far off its expectation is, how long it takes to take effect and to return, whether it
    /// returns, whether it takes effect at all if not.
    calls: Vec<(bool, u8, u64, u64, bool, bool)>,
    /// Which call is told wrongly, and how.
    lie: Option<(usize, u8)>,
}

fn story() -> impl Strategy<Value = Story> {
    let call = (any::<bool>(), 0..4_u8, 0..25_u64, 0..25_u64, prop::bool::weighted(0.8), any::<bool>());
    (prop::collection::vec(call, 1..8), prop::option::of((0..7_usize, 0..4_u8)))
        .prop_map(|(calls, lie)| Story { calls, lie })
}

/// Lets the calls happen, each at one instant.
fn tell(story: &Story) -> (Vec<Uuid>, Vec<Call>) {
    let mut instants: Vec<_> = story.calls.iter().enumerate().collect();
    let began = |number: usize| number as u64 * 10;
    instants.sort_by_key(|(number, call)| (began(*number) + call.2, *number));
    let (mut stream, mut calls) = (Stream::default(), Vec::new());
    for (number, &(appends, off, takes, then, returns, happens)) in instants {
        let distinct = |time: u64, which: u64| (time * 8 + number as u64) * 2 + which;
        let event_id = Uuid::from_u128(number as u128 + 1);
        let length = (stream.0.len() as u64 + 1).saturating_sub(u64::from(off % 3));
        let expected = Expected::after(length.checked_sub(1).map(Revision));
        let before = stream.clone();
        let answer = stream.invoke(&Op::Append(event_id, expected));
        let what = if let (true, Answer::Appended(answer)) = (appends, answer) {
            if !returns && !happens {
                stream = before;
            }
            What::Append { event_id, expected, answer }
        } else {
            stream = before;
            What::Read(stream.0.clone())
        };
        let returned = returns.then_some(distinct(began(number) + takes + then + 1, 1));
        calls.push(Call { invoked: distinct(began(number), 0), returned, what });
    }
    if let Some((number, how)) = story.lie
        && number < calls.len()
    {
        lie(&mut calls[number], how);
    }
    (stream.0, calls)
}

fn lie(call: &mut Call, how: u8) {
    match (&mut call.what, how) {
        // Told to have been quicker or slower than it was.
        (_, 0) => call.returned = Some(call.invoked + 1),
        (_, 1) => call.invoked = call.returned.map_or(call.invoked, |returned| returned - 1),
        (What::Read(events), _) => drop(events.pop()),
        (What::Append { answer: Ok(revision), .. }, 2) => revision.0 += 1,
        (What::Append { answer, .. }, 2) => *answer = Err(None),
        (What::Append { answer, expected, .. }, _) => {
            *answer = if answer.is_ok() { Err(None) } else { Ok(expected.revision_of_next()) };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn invariant_the_check_agrees_with_a_search_of_all_orders(story in story()) {
        let (stream, calls) = tell(&story);
        let found = check(&stream, &calls);
        prop_assert_eq!(found.is_ok(), search(&stream, &calls), "{:?} of {:?} {:?}", found, stream, calls);
        prop_assert!(story.lie.is_some() || found.is_ok(), "a true history is linearizable: {found:?}");
    }
}

fn append(
    invoked: u64,
    returned: Option<u64>,
    id: u128,
    expected: Expected,
    answer: Result<u64, Option<u64>>,
) -> Call {
    let answer = answer.map(Revision).map_err(|actual| actual.map(Revision));
    Call { invoked, returned, what: What::Append { event_id: Uuid::from_u128(id), expected, answer } }
}

fn read(invoked: u64, returned: u64, ids: &[u128]) -> Call {
    let ids = ids.iter().copied().map(Uuid::from_u128).collect();
    Call { invoked, returned: Some(returned), what: What::Read(ids) }
}

#[test]
fn each_kind_of_lie_is_found() {
    let stream = [1, 2].map(Uuid::from_u128);
    let after = |revision| Expected::Exact(Revision(revision));
    let first = append(0, Some(1), 1, Expected::NoStream, Ok(0));
    let second = append(2, Some(3), 2, after(0), Ok(1));
    let with = |call: Call| check(&stream, &[first.clone(), second.clone(), call]);
    assert_eq!(with(read(4, 5, &[1, 2])), Ok(()));
    assert_eq!(with(append(4, None, 9, after(1), Ok(2))), Ok(()), "it may never take effect");
    for (lie, call) in [
        ("before", read(4, 5, &[1])),
        ("something else", read(4, 5, &[2, 1])),
        ("not there", append(4, Some(5), 3, after(1), Ok(2))),
        ("before", append(4, Some(5), 3, after(3), Err(Some(0)))),
        ("as expected", append(4, Some(5), 3, after(1), Err(Some(1)))),
        ("more than there is", append(4, Some(5), 3, after(1), Err(Some(7)))),
    ] {
        let found = with(call).unwrap_err();
        assert!(found.contains(lie), "{lie}: {found}");
    }
    assert!(
        check(&stream, std::slice::from_ref(&first)).unwrap_err().contains("revision 1"),
        "nobody appended it"
    );
    let elsewhere = append(2, Some(3), 2, after(7), Ok(1));
    assert!(
        check(&stream, &[first, elsewhere]).unwrap_err().contains("elsewhere"),
        "the expectation was ignored"
    );
}
