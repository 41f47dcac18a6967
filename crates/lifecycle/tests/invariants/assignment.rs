//! The ledger against an AWS whose calls take effect late, or never, and where others make and delete assignments too.

use crate::support::{at, target, user};
use domain::{EventId, Timestamp};
use lifecycle::assignment::{
    AssignmentEvent, AssignmentKey, Ledger, Operation, Presence, abandon, attempt, confirm, fail, settle,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// How long after its attempt a call can take effect.
const HORIZON: i64 = 900;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Us,
    Others,
}

#[derive(Clone, Debug)]
enum Act {
    /// Look at AWS, and intend what is to be done next. Whether the call is then made, or its process dies first.
    Look {
        desired: bool,
        call: bool,
    },
    /// A list does not show what is there.
    StaleLook {
        desired: bool,
    },
    /// A call on its way takes effect.
    Land(usize),
    /// The outcome of the open attempt is learnt, or given up as unknown.
    Learn {
        patient: bool,
    },
    /// Look at AWS, and settle.
    Settle,
    OthersMake,
    OthersDelete,
    Wait(i64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (any::<bool>(), any::<bool>()).prop_map(|(desired, call)| Act::Look { desired, call }),
        1 => any::<bool>().prop_map(|desired| Act::StaleLook { desired }),
        4 => (0..4usize).prop_map(Act::Land),
        4 => any::<bool>().prop_map(|patient| Act::Learn { patient }),
        2 => Just(Act::Settle),
        1 => Just(Act::OthersMake),
        1 => Just(Act::OthersDelete),
        4 => prop_oneof![1..100i64, 100..2000i64].prop_map(Act::Wait),
    ]
}

/// A call to create that AWS may still accept.
#[derive(Clone, Copy, Debug)]
struct Flight {
    attempt: EventId,
    deadline: Timestamp,
}

#[derive(Default)]
struct World {
    now: i64,
    ledger: Option<Ledger>,
    events: u32,
    there: Option<Maker>,
    flights: Vec<Flight>,
    deletes_of_others: u32,
}

fn key() -> AssignmentKey {
    AssignmentKey { principal: user("aaaa"), target: target() }
}

impl World {
    fn append(&mut self, event: &AssignmentEvent) -> EventId {
        self.events += 1;
        let id = EventId::from_parts([self.events.to_be_bytes().as_slice()]);
        self.ledger = Ledger::evolve(self.ledger.take(), event, id, at(self.now));
        id
    }

    fn look(&mut self, desired: bool, seen: bool, call: bool) {
        let deadline = at(self.now + HORIZON);
        let Ok(event) = attempt(self.ledger.as_ref(), &key(), desired, seen, deadline) else { return };
        let id = self.append(&event);
        let AssignmentEvent::Attempted { operation, .. } = event else { return };
        match operation {
            Operation::Create if call => self.flights.push(Flight { attempt: id, deadline }),
            Operation::Create => {}
            Operation::Delete => {
                self.deletes_of_others += u32::from(self.there == Some(Maker::Others));
                if call {
                    self.there = None;
                }
            }
        }
    }

    fn land(&mut self, flight: usize) {
        if flight < self.flights.len() {
            self.flights.remove(flight);
            self.there = self.there.or(Some(Maker::Us));
        }
    }

    /// By looking: what is as intended is confirmed; else the outcome is unknown, or known for certain once it can no longer come.
    fn learn(&mut self, patient: bool) {
        let Some(ledger) = &self.ledger else { return };
        let Some((id, open)) = ledger.attempt() else { return };
        let as_intended = match open.operation {
            Operation::Create => self.there.is_some(),
            Operation::Delete => self.there.is_none(),
        };
        let on_its_way = self.flights.iter().any(|flight| flight.attempt == id);
        let event = match (as_intended, patient && !on_its_way) {
            (true, _) => confirm(ledger, id),
            (false, true) => abandon(ledger, id),
            (false, false) => fail(ledger, id, "Timeout".into(), false),
        };
        self.append(&event.unwrap());
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Look { desired, call } => self.look(*desired, self.there.is_some(), *call),
            // What others made long ago is in every list; that one we cannot tell, and a create would make it ours.
            Act::StaleLook { desired } => {
                if self.there != Some(Maker::Others) {
                    self.look(*desired, false, true);
                }
            }
            Act::Land(flight) => self.land(*flight),
            Act::Learn { patient } => self.learn(*patient),
            Act::Settle => {
                let settled = self.ledger.as_ref().map(|ledger| settle(ledger, at(self.now)));
                if let Some(Ok(event)) = settled
                    && self.there.is_none()
                {
                    self.append(&event);
                }
            }
            // What others make while a create of ours is unresolved cannot be told from ours, and counts as ours.
            Act::OthersMake => {
                if self.there.is_none() && self.ledger.as_ref().is_none_or(Ledger::is_settled_absent) {
                    self.there = Some(Maker::Others);
                }
            }
            Act::OthersDelete => self.there = None,
            Act::Wait(seconds) => {
                self.now += seconds;
                let now = at(self.now);
                self.flights.retain(|flight| now < flight.deadline);
            }
        }
    }
}

fn event() -> impl Strategy<Value = AssignmentEvent> {
    let id = || (0..4u8).prop_map(|id| EventId::from_parts([[id].as_slice()]));
    prop_oneof![
        (any::<bool>(), 0..900i64).prop_map(|(create, deadline)| AssignmentEvent::Attempted {
            key: key(),
            operation: if create { Operation::Create } else { Operation::Delete },
            deadline: at(deadline),
        }),
        id().prop_map(|attempt| AssignmentEvent::AttemptAbandoned { attempt }),
        id().prop_map(|attempt| AssignmentEvent::Confirmed { attempt }),
        (id(), any::<bool>()).prop_map(|(attempt, definite)| AssignmentEvent::Failed {
            attempt,
            reason: "no".into(),
            definite,
        }),
        Just(AssignmentEvent::StandingFound { key: key() }),
        any::<bool>().prop_map(|present| AssignmentEvent::DriftFound { present }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn invariant_standing_assignments_are_never_deleted_and_absence_is_final(acts in vec(act(), 1..60)) {
        let mut world = World::default();
        for act in &acts {
            world.act(act);
            prop_assert_eq!(world.deletes_of_others, 0, "deleted what others made: {:?}", act);
            let Some(ledger) = &world.ledger else { continue };
            prop_assert!(ledger.open.len() <= 1);
            if ledger.is_settled_absent() {
                prop_assert_ne!(world.there, Some(Maker::Us), "left behind, {:?}", ledger);
                prop_assert!(world.flights.is_empty(), "may still appear, {:?}", ledger);
            }
        }
    }

    #[test]
    fn invariant_a_delete_is_intended_only_of_what_is_ours(acts in vec(act(), 1..60), seen in any::<bool>()) {
        let mut world = World::default();
        for act in &acts {
            world.act(act);
            let next = attempt(world.ledger.as_ref(), &key(), false, seen, at(world.now + HORIZON));
            if let Ok(AssignmentEvent::Attempted { operation, .. }) = next {
                prop_assert_eq!(operation, Operation::Delete);
                prop_assert_eq!(world.ledger.as_ref().unwrap().presence, Presence::Ours);
            }
        }
    }

    /// Whatever happened before: once nobody wants it and calls can no longer come, acting on what is seen ends with nothing left.
    #[test]
    fn invariant_what_nobody_wants_is_gone_in_the_end(acts in vec(act(), 1..60)) {
        let mut world = World::default();
        for act in &acts {
            world.act(act);
        }
        world.act(&Act::Wait(2 * HORIZON));
        for _ in 0..6 {
            world.act(&Act::Learn { patient: true });
            world.act(&Act::Look { desired: false, call: true });
            world.act(&Act::Learn { patient: true });
            world.act(&Act::Settle);
            world.act(&Act::Wait(HORIZON));
        }
        prop_assert_ne!(world.there, Some(Maker::Us));
        prop_assert!(world.ledger.as_ref().is_none_or(Ledger::is_settled_absent), "{:?}", world.ledger);
    }

    #[test]
    fn invariant_the_ledgers_evolve_is_total(story in vec((event(), -50..2000i64), 0..40)) {
        let mut ledger: Option<Ledger> = None;
        for (n, (event, when)) in story.into_iter().enumerate() {
            let before = ledger.clone();
            let id = EventId::from_parts([[u8::try_from(n % 4).unwrap()].as_slice()]);
            ledger = Ledger::evolve(ledger, &event, id, at(when));
            let (Some(before), Some(after)) = (before, &ledger) else { continue };
            prop_assert!(before.last_at <= after.last_at);
            if before.presence == Presence::Ours {
                prop_assert_ne!(after.presence, Presence::Standing, "ours never becomes somebody else's");
            }
        }
    }
}
