//! How much happens at most, and how long things take.
//!
//! A tick stands for any stretch of time in which nothing falls due; what counts is the order of the durations, which is that
//! of `services/activation/src/settings.rs`: a call starts soon after its attempt, patience with an open attempt is longer
//! than that, and the fence is longer than all of them.

/// A list of AWS may show what was so up to this long ago: anything of the same tick. (`list_lag_max`)
pub(crate) const LIST_LAG: u8 = 1;
/// From an attempt to the latest start of its call: within the tick. (`start_within`)
pub(crate) const START_WITHIN: u8 = 1;
/// How long an open removal, or creation, is left to whoever intended it. (`removal_patience`, `creation_patience`)
pub(crate) const REMOVAL_PATIENCE: u8 = START_WITHIN + LIST_LAG;
pub(crate) const CREATION_PATIENCE: u8 = REMOVAL_PATIENCE;
/// How long AWS accepts a signature. (`signature_lifetime`)
pub(crate) const SIGNATURE: u8 = 2;
/// From AWS's acceptance of a call to its effect, at the longest. (`effect_within`)
pub(crate) const EFFECT: u8 = 1;
/// From an attempt to the instant at which its call can take effect no more.
pub(crate) const FENCE: u8 = SIGNATURE + EFFECT;
/// How long due work waits before another replica takes the duty over.
pub(crate) const PATIENCE: u8 = 1;

/// How much happens at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The last tick.
    pub(crate) ticks: u8,
    /// Whether the assignment is there before Daypass looks for the first time.
    pub(crate) standing: bool,
    /// Whether the second request may be approved.
    pub(crate) second: bool,
    /// Approved requests that are taken back or revoked.
    pub(crate) early_ends: u8,
    /// Attempts in the ledger.
    pub(crate) attempts: u8,
    /// Crashes in the middle of something.
    pub(crate) crashes: u8,
    /// Claims of the duty after the first.
    pub(crate) handovers: u8,
    /// Calls of which no answer comes.
    pub(crate) lost_answers: u8,
    /// Calls that AWS refuses for reasons of its own.
    pub(crate) refusals: u8,
    /// Whether lists show what was there before a change in the same tick.
    pub(crate) stale_lists: bool,
}

const NOTHING: Bounds = Bounds {
    ticks: 0,
    standing: false,
    second: false,
    early_ends: 0,
    attempts: 0,
    crashes: 0,
    handovers: 0,
    lost_answers: 0,
    refusals: 0,
    stale_lists: false,
};

/// What is exhausted, each by itself: together they would be too much.
impl Bounds {
    /// One request, one replica, everything that AWS and a crash can do to it.
    pub(crate) const FAULTS: Self = Self {
        ticks: 6,
        early_ends: 1,
        attempts: 3,
        crashes: 1,
        lost_answers: 1,
        refusals: 1,
        stale_lists: true,
        ..NOTHING
    };
    /// Two requests, one replica whose view lags.
    pub(crate) const OVERLAP: Self = Self { ticks: 5, second: true, early_ends: 2, attempts: 2, ..NOTHING };
    /// Two requests about an assignment that was there before, one replica.
    pub(crate) const STANDING: Self =
        Self { ticks: 5, standing: true, second: true, early_ends: 2, attempts: 1, ..NOTHING };
    /// One request, two replicas, an answer that does not come.
    pub(crate) const REPLICAS: Self =
        Self { ticks: 4, early_ends: 1, attempts: 1, handovers: 1, lost_answers: 1, ..NOTHING };

    /// Two requests, a removal of which no answer comes.
    pub(crate) const LATE_REMOVAL: Self =
        Self { ticks: 3, attempts: 2, lost_answers: 1, early_ends: 1, ..Self::OVERLAP };

    /// One request, two replicas, and everything that can be done to them.
    pub(crate) const REPLICAS_AND_FAULTS: Self = Self { attempts: 2, handovers: 1, ..Self::FAULTS };
    /// Two requests, one replica, and everything that can be done to it.
    pub(crate) const OVERLAP_AND_FAULTS: Self = Self { second: true, early_ends: 2, ..Self::FAULTS };
    /// Two requests, two replicas.
    pub(crate) const OVERLAP_AND_REPLICAS: Self =
        Self { ticks: 4, second: true, early_ends: 1, attempts: 2, handovers: 1, ..NOTHING };
    /// The same about an assignment that was there before.
    pub(crate) const STANDING_AND_REPLICAS: Self =
        Self { ticks: 5, early_ends: 2, handovers: 1, ..Self::STANDING };

    /// For finding a zombie: one attempt that is called late.
    pub(crate) const ZOMBIE: Self = Self { ticks: 5, ..Self::REPLICAS };
    /// Two requests, two replicas, at once: the second request may come and go between two steps.
    pub(crate) const OVERTAKEN: Self =
        Self { ticks: 1, second: true, early_ends: 2, attempts: 1, handovers: 1, ..NOTHING };
}
