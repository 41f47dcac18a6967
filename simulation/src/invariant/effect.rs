//! S1, S2, S3, S7: what AWS is asked, and what comes of it, follows the log.

use super::Violation;
use crate::truth::Truth;
use crate::words;
use aws::simulated::{Call, CallRecord, Change, ChangedBy, SimulatedAws};
use aws::{AssignmentKey, ErrorKind};
use domain::{SignedDuration, Timestamp};
use lifecycle::assignment::Operation;
use lifecycle::event::CredentialsIssued;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of AWS's side.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Assignments that others made.
    pub(crate) standing: BTreeSet<AssignmentKey>,
    /// Creates that came to AWS, by key.
    created: BTreeMap<AssignmentKey, u32>,
    /// Deletes that came to AWS, by key.
    deleted: BTreeMap<AssignmentKey, u32>,
    /// Creates whose outcome has not been observed, and whether even AWS's answer did not come.
    unresolved: BTreeMap<AssignmentKey, bool>,
    changes_seen: usize,
}

impl Effects {
    /// One call that came to AWS.
    pub(crate) fn call(&mut self, record: &CallRecord, truth: &Truth) -> Result<(), Violation> {
        match &record.call {
            Call::Create(key, attempt) => {
                let shown = words::key(key);
                let found = truth.attempts.get(&(key.clone(), Operation::Create, attempt.signed_at));
                let Some(found) = found else {
                    return Err(Violation::new("S1", format!("{shown} is created without an attempt")));
                };
                if !found.wanted {
                    let what = format!("{shown} is created by an attempt for which no request was live");
                    return Err(Violation::new("S1", what));
                }
                let unknown = record.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Unknown);
                if record.error.is_none() || unknown {
                    if self.unresolved.contains_key(key) {
                        let what = format!("{shown} is created again before the outcome was observed");
                        return Err(Violation::new("S7", what));
                    }
                    self.unresolved.insert(key.clone(), unknown);
                    *self.created.entry(key.clone()).or_default() += 1;
                }
            }
            Call::Delete(key, attempt) => {
                let shown = words::key(key);
                if self.standing.contains(key) {
                    return Err(Violation::new("S3", format!("{shown} is deleted, and was there before")));
                }
                let found = truth.attempts.get(&(key.clone(), Operation::Delete, attempt.signed_at));
                let Some(found) = found else {
                    return Err(Violation::new("S1", format!("{shown} is deleted without an attempt")));
                };
                if found.wanted {
                    let what = format!("{shown} is deleted while a live request needs it");
                    return Err(Violation::new("S3", what));
                }
                *self.deleted.entry(key.clone()).or_default() += 1;
            }
            Call::Holders(account, entitlement) => {
                self.unresolved.retain(|key, _| key.account() != account || key.entitlement() != entitlement);
            }
            Call::AssumeRole(_)
            | Call::CallerIdentity
            | Call::CreationStatus(_)
            | Call::DeletionStatus(_)
            | Call::FetchDirectory => {}
        }
        Ok(())
    }

    /// An attempt was concluded in the log: that counts as observed where AWS had answered.
    pub(crate) fn concluded(&mut self, key: &AssignmentKey) {
        if self.unresolved.get(key) == Some(&false) {
            self.unresolved.remove(key);
        }
    }

    /// Every change since the last time that Daypass made follows a call that was let through.
    pub(crate) fn changes(&mut self, aws: &SimulatedAws) -> Result<Vec<Change>, Violation> {
        let news = aws.changes().split_off(self.changes_seen);
        self.changes_seen += news.len();
        for change in &news {
            let calls = if change.present { &self.created } else { &self.deleted };
            match change.by {
                ChangedBy::Daypass if !calls.contains_key(&change.key) => {
                    let what = format!("{} changed without a call", words::key(&change.key));
                    return Err(Violation::new("S1", what));
                }
                ChangedBy::Daypass if self.standing.contains(&change.key) => {
                    let what = format!("{} changed, and was there before", words::key(&change.key));
                    return Err(Violation::new("S3", what));
                }
                ChangedBy::Daypass | ChangedBy::Others => {}
            }
        }
        Ok(news)
    }
}

/// S2: credentials work inside the window, and nowhere else. IAM compares whole seconds, and the session policy rounds against
/// its holder: within a second of either end nothing is promised.
pub(crate) fn credentials(
    issued: &CredentialsIssued,
    window: domain::Window,
    at: Timestamp,
    aws: &SimulatedAws,
) -> Result<(), Violation> {
    let second = SignedDuration::from_secs(1);
    let shifted = |at: Timestamp, by: SignedDuration| at.checked_add(by).unwrap_or(at);
    let well_inside = shifted(window.start(), second) <= at && at < shifted(window.end(), -second);
    let mut moments = vec![
        ("before the window", shifted(window.start(), -second), false),
        ("when the window ends", window.end(), false),
        ("after the window", shifted(window.end(), second), false),
    ];
    if well_inside && at < issued.expires_at {
        moments.push(("inside the window", at, true));
    }
    for (when, at, usable) in moments {
        let may = aws.session_may(&issued.access_key_id, "ec2:DescribeInstances", at);
        if may != Ok(usable) {
            let what = format!("credentials {} are {may:?} {when}, should be {usable}", issued.access_key_id);
            return Err(Violation::new("S2", what));
        }
    }
    Ok(())
}
