//! Every bound that this service keeps, with its reason.

use aws::RoleExternalId;
use domain::SignedDuration;
use std::time::Duration;
use url::Url;

/// The longest start lead that can be set. Whoever asks whether something can have been begun before a window's start goes by
/// this, whatever is set now: settings change between two starts of a process.
pub(crate) const START_LEAD_LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// What becomes of access that a live request needs and someone else removed in AWS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It is made again: the request says what should be.
    #[default]
    Restore,
    /// The request ends: whoever removed it meant it.
    End,
}

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
    /// The shortest pause between two looks at a status. What it is follows from the limit of calls, and from how many operations
    /// are outstanding.
    pub poll_min: Duration,
    /// The longest pause between two looks at a status.
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
    /// How often an assignment that should exist is looked at, and the ledgers are looked through for what no request needs.
    pub sweep_interval: SignedDuration,
    /// What becomes of access that someone else removed while a request needs it.
    pub missing: Missing,
    /// In how long the whole organisation is looked through, if the calls that may be made for it suffice.
    pub organisation_sweep_interval: SignedDuration,
    /// Calls a second that looking through the whole organisation may make, at most, for what is ours and not needed and what is
    /// someone else's; zero: it is not looked through. Fewer where fewer suffice, and none while others wait to call.
    pub organisation_sweep_calls_per_second: usize,
    /// From a request's end to the moment at which what is left of it in AWS pages someone; for what no request is about, from when
    /// that is seen, or its removal failed first.
    pub removal_late_after: SignedDuration,
    /// Operations that are outstanding at a time. AWS takes 10 (some pages: 15).
    pub outstanding_max: usize,
    /// Calls a second. AWS takes 20, for all APIs of Identity Center together; whatever else calls them uses the same.
    pub calls_per_second: usize,
    /// How long before a window's start access may be made where a queue would make it late. Zero, unless someone prefers
    /// access that is confirmed at the start to access that never exists before it; five minutes at most.
    pub start_lead_max: SignedDuration,
    /// This replica's name among those on one log, by which it knows that it has the duty. A process that is alone on its log
    /// keeps one name over restarts, and goes on at once. `None`: a new name at each start, out of chance.
    pub replica: Option<String>,
    /// How long due work may wait under a replica before another takes over. Long enough for a log and a read model that are
    /// slow for a moment; short, because access past its end waits for it.
    pub duty_patience: SignedDuration,
    /// How many times credentials are issued, and consoles opened, for one request. Each is an event of its story, which is read
    /// as a whole: an hour of `aws` calls without a cache is far below, a loop that forgot to keep its credentials is not.
    pub issues_per_request_max: usize,
    /// What the trust policies of the roles ask for as `sts:ExternalId`.
    pub external_id: Option<RoleExternalId>,
    /// Where AWS sends people whose console session is over.
    pub console_issuer: Option<Url>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            start_within: SignedDuration::from_secs(10),
            signature_lifetime: SignedDuration::from_mins(15),
            effect_within: SignedDuration::from_mins(5),
            call_within: Duration::from_secs(10),
            operation_within: Duration::from_mins(1),
            poll_min: Duration::from_millis(200),
            poll_max: Duration::from_secs(5),
            list_lag_max: SignedDuration::from_secs(5),
            retry_horizon: SignedDuration::from_mins(15),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_mins(5),
            eligibility_retry: SignedDuration::from_secs(10),
            sweep_interval: SignedDuration::from_mins(5),
            missing: Missing::Restore,
            organisation_sweep_interval: SignedDuration::from_hours(24),
            organisation_sweep_calls_per_second: 2,
            removal_late_after: SignedDuration::from_mins(5),
            outstanding_max: 10,
            calls_per_second: 20,
            start_lead_max: SignedDuration::ZERO,
            replica: None,
            duty_patience: SignedDuration::from_secs(2),
            issues_per_request_max: 500,
            external_id: None,
            console_issuer: None,
        }
    }
}

impl Settings {
    /// From an attempt to the instant after which its call cannot take effect any more: the deadline that is recorded.
    pub(crate) fn fence(&self) -> SignedDuration {
        self.signature_lifetime.saturating_add(self.effect_within)
    }

    /// How long whoever intends a change in AWS may be silent about it, before another replica may think that they are gone.
    pub(crate) fn operation_patience(&self) -> SignedDuration {
        self.start_within.saturating_add(self.list_lag_max).max(self.duty_patience)
    }

    /// The wait after this many failures in a row, at the longest: doubled with each from `backoff_min` to `backoff_max`.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.backoff_min.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.backoff_max)
    }

    /// How long before a start something may be begun.
    pub(crate) fn start_lead(&self) -> SignedDuration {
        self.start_lead_max.clamp(SignedDuration::ZERO, START_LEAD_LIMIT)
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
