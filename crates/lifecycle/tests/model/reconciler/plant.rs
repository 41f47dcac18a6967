//! Bugs that can be planted, to see the checker find them.

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// An attempt's deadline is the attempt itself: absence is final at once.
    NoFence,
    /// The ledger is written on what was loaded, whatever was written since.
    NoCompareAndSet,
    /// A request that is over is reason enough to remove: others are not asked.
    OneRequestAlone,
    /// A creation of which no answer came is made again, without a look.
    NoObservation,
    /// The call follows its attempt at once: what the log held before it is not read.
    NoSecondDecision,
    /// What was there before is not looked for.
    NoLookForStanding,
    /// A request that waits for access counts as live if the view says so; the log is not asked.
    StaleNeed,
    /// What is closed is asked of the view after the ledger was loaded.
    LateClosing,
}
