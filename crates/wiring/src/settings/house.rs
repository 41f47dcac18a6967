//! What holds for a deployment as a whole: its clock, first policy, limits, who may raise, an upgrade, who its neighbours are.

use super::above_zero;
use domain::{Person, SignedDuration};
use journal::level::{self, WriteLevel};
use serde::Deserialize;
use service_runtime::config::{NeighbourConfig, Problem, Section};
use std::collections::BTreeSet;
use std::path::PathBuf;
use views::clock_health;

/// `[clock]`: when the machine's clock is in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockSection {
    /// How far it may be from AWS's and the log's.
    pub skew_max: SignedDuration,
}

impl Default for ClockSection {
    fn default() -> Self {
        Self { skew_max: clock_health::SKEW_MAX }
    }
}

impl Section for ClockSection {
    /// AWS's `Date` is cut to seconds: below two, most answers would prove nothing.
    fn problems(&self) -> Vec<Problem> {
        let bounds = SignedDuration::from_secs(2)..=SignedDuration::from_mins(1);
        if bounds.contains(&self.skew_max) {
            return Vec::new();
        }
        vec![Problem::new("skew_max", "must be from 2s to 1m")]
    }
}

/// `[policy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// A policy file that is applied if, and only if, no policy was ever applied.
    pub seed_file: Option<PathBuf>,
}

impl Section for PolicySection {}

/// `[requests]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestsSection {
    /// How many requests one person may have pending.
    pub pending_per_person_max: usize,
}

impl Default for RequestsSection {
    fn default() -> Self {
        Self { pending_per_person_max: 100 }
    }
}

impl Section for RequestsSection {
    fn problems(&self) -> Vec<Problem> {
        above_zero("pending_per_person_max", self.pending_per_person_max)
    }
}

/// `[upgrade]`: what holds while processes of two releases share a log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpgradeSection {
    /// What is written at most; raised when no process of the release before is left.
    pub write_level: WriteLevel,
}

impl Default for UpgradeSection {
    fn default() -> Self {
        Self { write_level: level::DEFAULT }
    }
}

impl Section for UpgradeSection {
    fn problems(&self) -> Vec<Problem> {
        if (level::FIRST..=level::NEWEST).contains(&self.write_level) {
            return Vec::new();
        }
        let why = format!(
            "must be from {} to {}, the newest that this program writes",
            level::FIRST,
            level::NEWEST
        );
        vec![Problem::new("write_level", why)]
    }
}

/// `[raisers]`: programs that may raise a request for someone else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaisersSection {
    /// Each by issuer and subject.
    pub people: BTreeSet<Person>,
}

impl Section for RaisersSection {}

/// `[neighbours]`: other services of Daypass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Neighbours {
    /// Where the directory is.
    pub request: Option<NeighbourConfig>,
}

impl Section for Neighbours {
    fn problems(&self) -> Vec<Problem> {
        let of_request = self.request.iter().flat_map(NeighbourConfig::problems);
        of_request.map(|problem| Problem::new(format!("request.{}", problem.field), problem.why)).collect()
    }
}
