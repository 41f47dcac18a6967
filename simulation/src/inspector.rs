//! Administrators who have Daypass look at AWS now, at any machine; in some seeds.
//!
//! Their chance is a stream of its own, and their orders are counted by themselves: in seeds without them nobody does anything else
//! than before there were any.

use crate::order::{Command, Order};
use crate::people::{self, ADMINISTRATORS, NAMES};
use crate::truth::{Known, Truth};
use aws::AssignmentKey;
use aws::simulated::sample;
use domain::{AccountId, PermissionSetArn};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

/// An account that no organisation of the simulation has.
const NOWHERE: &str = "123456789012";

/// Chooses what is looked at, when, and by whom.
pub(crate) struct Inspector {
    chance: ChaCha8Rng,
    /// Whether anybody does so in this seed.
    present: bool,
    asked: u32,
}

impl Inspector {
    pub(crate) fn new(mut chance: ChaCha8Rng) -> Self {
        let present = chance.random_bool(0.3);
        Self { chance, present, asked: 0 }
    }

    /// What somebody wants to have looked at in this step, if anybody does.
    pub(crate) fn order(&mut self, truth: &Truth) -> Option<Order> {
        if !self.present || self.chance.random_bool(0.7) {
            return None;
        }
        let who = if self.chance.random_bool(0.9) {
            self.one_of(&ADMINISTRATORS, "carol")
        } else {
            // Who may not is told so.
            self.one_of(&NAMES, "eve")
        };
        let what = match self.chance.random_range(0..10) {
            0 | 1 => None,
            2 => Some(self.unknown()),
            _known => Some(self.known(truth)),
        };
        self.asked += 1;
        let key = format!("look-{}", self.asked);
        Some(Order { who, in_capitals: self.chance.random_bool(0.1), key, command: Command::Reconcile(what) })
    }

    /// One of `count`.
    pub(crate) fn one_of_count(&mut self, count: usize) -> usize {
        if count > 1 { self.chance.random_range(0..count) } else { 0 }
    }

    fn one_of<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        items.choose(&mut self.chance).copied().unwrap_or(otherwise)
    }

    /// What a request is about, whatever has become of it; of one that is about credentials as well, of which there is no assignment.
    fn known(&mut self, truth: &Truth) -> AssignmentKey {
        let mut about: Vec<(usize, AssignmentKey)> = truth.requests.values().filter_map(about).collect();
        about.sort_unstable_by_key(|(number, _)| *number);
        match about.choose(&mut self.chance) {
            Some((_, key)) => key.clone(),
            None => self.unknown(),
        }
    }

    /// What nobody is known to have; in the management account, where AWS refuses the look, or in none at all.
    fn unknown(&mut self) -> AssignmentKey {
        let account = self.one_of(&[sample::PAYMENTS_DEV, sample::MANAGEMENT, NOWHERE], NOWHERE);
        AssignmentKey::new(
            people::principal(self.one_of(&NAMES, "eve")),
            people::known(AccountId::new(account)),
            people::known(PermissionSetArn::new(sample::ADMINISTRATOR_ACCESS)),
        )
    }
}

fn about(known: &Known) -> Option<(usize, AssignmentKey)> {
    let raised = &known.request.raised;
    let principal = raised.grounds.principal.clone()?;
    Some((known.number, AssignmentKey::of_target(principal, &raised.target)))
}
