//! Every bound that this service keeps, with its reason.

use aws::RoleExternalId;
use domain::SignedDuration;
use std::time::Duration;

/// How long things may take, how often they are tried, how many at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From an attempt to the latest start of its call. Far below [`signature_lifetime`](Self::signature_lifetime), so that a
    /// process that pauses in between does not call late.
    pub start_within: SignedDuration,
    /// For how long AWS may accept a signed request. AWS's pages say five minutes, some fifteen: the longer one is assumed.
    pub signature_lifetime: SignedDuration,
    /// From AWS's acceptance of a call to its effect, at the longest: assignments take seconds, minutes on bad days.
    pub effect_within: SignedDuration,
    /// How long one call may go without an answer.
    pub call_within: Duration,
    /// How long an operation's status is asked for before its outcome counts as unknown, and is observed instead.
    pub operation_within: Duration,
    /// The first pause between two looks at a status; each further one is half as long again.
    pub poll_min: Duration,
    /// The longest pause between two looks at a status. All calls together are limited to 20 a second.
    pub poll_max: Duration,
    /// By how much AWS's lists may be behind the truth. AWS publishes no number; seconds have been seen.
    pub list_lag_max: SignedDuration,
    /// For how long a failing creation is tried before the request ends as failed: whoever waits longer than this for access
    /// has gone another way, and should know why. (Or until the end of the window, if that is sooner.)
    pub retry_horizon: SignedDuration,
    /// The wait after a first failure; doubled with each further one, less up to a half by chance.
    pub backoff_min: Duration,
    /// The longest wait after failures. Removals are tried for ever.
    pub backoff_max: Duration,
    /// When to ask again after eligibility could not be told (policy or directory out of reach).
    pub eligibility_retry: SignedDuration,
    /// How often an assignment that should exist is looked at.
    pub sweep_interval: SignedDuration,
    /// From a request's end to the moment at which what is left of it in AWS pages someone.
    pub removal_late_after: SignedDuration,
    /// Assignments that are worked on at a time. AWS takes 10 (some pages: 15) asynchronous calls at a time.
    pub outstanding_max: usize,
    /// What the trust policies of the roles ask for as `sts:ExternalId`.
    pub external_id: Option<RoleExternalId>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            start_within: SignedDuration::from_secs(10),
            signature_lifetime: SignedDuration::from_mins(15),
            effect_within: SignedDuration::from_mins(5),
            call_within: Duration::from_secs(10),
            operation_within: Duration::from_mins(1),
            poll_min: Duration::from_millis(500),
            poll_max: Duration::from_secs(5),
            list_lag_max: SignedDuration::from_secs(5),
            retry_horizon: SignedDuration::from_mins(15),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_mins(5),
            eligibility_retry: SignedDuration::from_secs(10),
            sweep_interval: SignedDuration::from_mins(5),
            removal_late_after: SignedDuration::from_mins(5),
            outstanding_max: 10,
            external_id: None,
        }
    }
}

impl Settings {
    /// From an attempt to the instant after which its call cannot take effect any more: the deadline that is recorded.
    pub(crate) fn fence(&self) -> SignedDuration {
        self.signature_lifetime.saturating_add(self.effect_within)
    }

    /// For how long an open creation is left to whoever intended it, before what is not there counts as failed. A second
    /// call for the same key would not hurt, but would be one call too many.
    pub(crate) fn creation_patience(&self) -> SignedDuration {
        let working = self.call_within.saturating_add(self.operation_within);
        self.removal_patience()
            .saturating_add(SignedDuration::try_from(working).unwrap_or(SignedDuration::MAX))
    }

    /// The same for an open removal. Shorter: removing twice is harmless, removing late is not.
    pub(crate) fn removal_patience(&self) -> SignedDuration {
        self.start_within.saturating_add(self.list_lag_max)
    }
}
