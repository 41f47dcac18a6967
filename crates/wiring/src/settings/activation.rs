//! How access is made and ended.

use super::above_zero;
use domain::SignedDuration;
use serde::Deserialize;
use service_runtime::config::{Problem, Section};

/// `[activation]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationSection {
    /// The external id that target roles ask for in their trust policy.
    pub external_id: Option<String>,
    /// Where AWS sends people whose console session is over.
    pub console_issuer: Option<url::Url>,
    /// How many times credentials are issued for one request.
    pub issues_per_request_max: usize,
    /// This replica's name among those on one log; the same after a restart, so that it goes on at once.
    pub replica: Option<String>,
    /// Calls of Identity Center a second.
    pub calls_per_second: usize,
    /// Creations and removals in Identity Center that are outstanding at a time.
    pub outstanding_max: usize,
    /// How long before a window's start access may be made where a queue would make it late.
    pub start_lead_max: SignedDuration,
    /// What becomes of access that someone else removed while a request needs it.
    pub missing: WhenMissing,
    /// Calls a second that looking through the whole organisation may make; zero: it is not looked through.
    pub organisation_sweep_calls_per_second: usize,
}

/// `activation.missing`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenMissing {
    /// It is made again.
    #[default]
    Restore,
    /// The request ends.
    End,
}

/// The longest start lead that can be set: what is asked of the past goes by it.
const START_LEAD_LIMIT: SignedDuration = SignedDuration::from_mins(5);

impl Default for ActivationSection {
    fn default() -> Self {
        Self {
            external_id: None,
            console_issuer: None,
            issues_per_request_max: 500,
            replica: None,
            calls_per_second: 16,
            outstanding_max: 10,
            start_lead_max: SignedDuration::ZERO,
            missing: WhenMissing::Restore,
            organisation_sweep_calls_per_second: 2,
        }
    }
}

impl Section for ActivationSection {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = above_zero("issues_per_request_max", self.issues_per_request_max);
        problems.extend(above_zero("calls_per_second", self.calls_per_second));
        problems.extend(above_zero("outstanding_max", self.outstanding_max));
        if self.replica.as_ref().is_some_and(|name| name.is_empty() || name.len() > 128) {
            problems.push(Problem::new("replica", "must have 1 to 128 characters"));
        }
        if !(SignedDuration::ZERO..=START_LEAD_LIMIT).contains(&self.start_lead_max) {
            problems.push(Problem::new("start_lead_max", "must be from 0s to 5m"));
        }
        problems
    }
}
