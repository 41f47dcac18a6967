//! The approval service as its callers meet it: through the gate, over the in-memory log, a simulated AWS and simulated time.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests spawn what they talk to")]

mod clock;
mod deciding;
mod house;
mod policies;
mod processes;
mod races;
mod regressions;
mod tokens;
mod waiting;
