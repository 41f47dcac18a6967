//! S2 and S3, of live sessions: what ended early is denied until its sessions must be dead, and nobody else's ever is.
//!
//! What the service control policies say is evaluated here, written from IAM's rules and not from what writes them. Sessions of
//! Identity Center begin in the simulation whenever one could: those that matter are the last before an end, and the next.

use super::chaining::Chaining;
use super::effect::Effects;
use super::{Violation, later};
use crate::people;
use crate::truth::{Known, Truth};
use crate::words;
use aws::AssignmentKey;
use aws::session_denials::{POLICIES_MAX, REQUEST_TAG, policy_name};
use aws::simulated::{SimulatedAws, SimulatedScps};
use domain::{AccountId, Entitlement, Provider, RequestId, SignedDuration, Timestamp};
use lifecycle::denial::{DenialEvent, Denials};
use lifecycle::event::{Closed, ClosedHow};
use lifecycle::state::{Active, Phase};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How long a policy may say too little, too much, or too long once nothing stands in the way: failures have been waited out for a
/// minute, what others wrote is noticed within two, an attempt of a process that died is waited for.
const SETTLED_WITHIN: SignedDuration = SignedDuration::from_mins(6);

/// How long before its end a session may have begun that the end's own event was not known to.
const MOMENT: SignedDuration = SignedDuration::from_secs(2);

/// What is known of the policies.
#[derive(Debug, Default)]
pub(crate) struct Denying {
    /// When others changed Daypass's policy last.
    others_wrote: BTreeMap<AccountId, Timestamp>,
    /// Accounts with as many policies as AWS allows.
    full: BTreeSet<AccountId>,
    /// When it could not be known who is in which group last.
    disturbed_at: Option<Timestamp>,
    /// Live requests whose sessions are denied for another's sake, and since when.
    wrong_since: BTreeMap<RequestId, Timestamp>,
}

/// A statement of a policy.
type Statement = Map<String, Value>;

/// A session, as conditions see it.
struct Session<'a> {
    key: Option<&'a AssignmentKey>,
    account: &'a AccountId,
    request: Option<RequestId>,
    role: String,
    begun: Timestamp,
}

impl<'a> Session<'a> {
    /// One of Identity Center.
    fn of_key(key: &'a AssignmentKey, begun: Timestamp) -> Self {
        let Entitlement::PermissionSet(set) = key.entitlement() else {
            return Self { role: String::new(), ..Self::of_nobody(key.account(), begun) };
        };
        let name = people::permission_set_name(set);
        let role = format!(
            "arn:aws:iam::{}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_{name}_0123456789abcdef",
            key.account()
        );
        Self { key: Some(key), role, ..Self::of_nobody(key.account(), begun) }
    }

    /// One of STS.
    fn of_request(known: &'a Known, begun: Timestamp) -> Self {
        let target = &known.request.raised.target;
        let role = target.entitlement().arn().to_owned();
        let request = Some(known.request.raised.id);
        Self { request, role, ..Self::of_nobody(target.account(), begun) }
    }

    const fn of_nobody(account: &'a AccountId, begun: Timestamp) -> Self {
        Self { key: None, account, request: None, role: String::new(), begun }
    }
}

impl Denying {
    /// Others write over Daypass's policy.
    pub(crate) fn others_write(&mut self, account: AccountId, now: Timestamp) {
        self.others_wrote.insert(account, now);
    }

    /// The organisation cannot be read: who starts now does not know who is in which group.
    pub(crate) fn directory_is_hidden(&mut self, now: Timestamp) {
        self.disturbed_at = Some(now);
    }

    /// When that was last.
    pub(crate) fn hidden_at(&self) -> Timestamp {
        self.disturbed_at.unwrap_or(Timestamp::MIN)
    }

    /// Others use up the policies that an account can have.
    pub(crate) fn others_fill(&mut self, scps: &SimulatedScps, account: &AccountId) {
        for nth in 0..POLICIES_MAX {
            scps.write(account, &format!("others-{nth}"), r#"{"Version":"2012-10-17","Statement":[]}"#);
        }
        self.full.insert(account.clone());
    }

    /// Looks at every policy.
    pub(crate) fn look(
        &mut self,
        now: Timestamp,
        calm_since: Timestamp,
        truth: &Truth,
        effects: &Effects,
        chaining: &Chaining,
        (aws, scps): (&SimulatedAws, &SimulatedScps),
    ) -> Result<(), Violation> {
        let accounts: BTreeSet<&AccountId> =
            truth.requests.values().map(|known| known.request.raised.target.account()).collect();
        let calm_since = self.disturbed_at.map_or(calm_since, |at| at.max(calm_since));
        let mut wrong = BTreeMap::new();
        for account in accounts {
            let denied = ours(scps.document(account).as_deref())?;
            let denied = denied.as_slice();
            let wrote = self.others_wrote.get(account).copied().unwrap_or(Timestamp::MIN);
            let settled = now > later(calm_since.max(wrote), SETTLED_WITHIN);
            let here = |known: &&Known| known.request.raised.target.account() == account;
            for known in truth.requests.values().filter(here) {
                if is_denied_alive(known, now, truth, aws, denied)? {
                    wrong.insert(known.request.raised.id, now);
                }
                // No policy is in force in an account that has left.
                if settled
                    && !self.full.contains(account)
                    && !scps.has_left(account)
                    && let Some(ended_at) = goes_on(known, now, truth, (effects, chaining), aws, denied)?
                    && now > later(ended_at, SETTLED_WITHIN)
                {
                    let what =
                        format!("sessions of r{} go on after its early end at {ended_at}", known.number);
                    return Err(Violation::new("S2", what));
                }
            }
            of_others(account, now, truth, effects, aws, denied)?;
            if settled {
                lifted(account, now, truth, denied)?;
            }
        }
        for (id, since) in &mut wrong {
            *since = self.wrong_since.get(id).copied().unwrap_or(*since);
        }
        self.wrong_since = wrong;
        let lasting =
            self.wrong_since.iter().find(|(_, since)| now > later(calm_since.max(**since), SETTLED_WITHIN));
        match lasting {
            Some((id, since)) => {
                let what =
                    format!("sessions of {} are denied since {since} for another's sake", truth.name(id));
                Err(Violation::new("S3", what))
            }
            None => Ok(()),
        }
    }
}

/// S3: an attempt to deny is about requests that ended early and had access of their own.
pub(crate) fn attempted(fact: &DenialEvent, truth: &Truth) -> Result<(), Violation> {
    let DenialEvent::Attempted { account, requests, .. } = fact else { return Ok(()) };
    for id in requests.keys() {
        let known = truth.requests.get(id);
        let fits = known.is_some_and(|known| {
            known.request.raised.target.account() == account && may_have_ended_early(known)
        });
        if !fits {
            let what = format!("sessions of {} are to be denied, and it did not end early", truth.name(id));
            return Err(Violation::new("S3", what));
        }
    }
    Ok(())
}

/// S2: what ended early is not closed while its sessions live, be they denied or not: who would lift the denial?
pub(crate) fn closed(closed: &Closed, known: &Known, now: Timestamp, truth: &Truth) -> Result<(), Violation> {
    let (ClosedHow::Deleted, Some((active, ended_at)), Some(key)) =
        (&closed.how, early_end(known), known.key())
    else {
        return Ok(());
    };
    let shared = truth.requests.values().any(|other| {
        let overlaps = other.request.window().is_some_and(|window| window.end() > ended_at);
        other.number != known.number && overlaps && other.key().as_ref() == Some(&key)
    });
    let dead_at = later(ended_at, active.activated.bound.after_early_end);
    if shared || now >= dead_at || known.request.raised.grounds.provider != Provider::IdentityCenter {
        return Ok(());
    }
    Err(Violation::new("S2", format!("r{} is closed while its sessions live until {dead_at}", known.number)))
}

/// L1: nothing of ours is left in any policy, and an account that has left keeps nobody at it.
pub(crate) fn left(truth: &Truth, scps: &SimulatedScps) -> Result<(), Violation> {
    let accounts: BTreeSet<&AccountId> =
        truth.requests.values().map(|known| known.request.raised.target.account()).collect();
    for account in accounts {
        if !ours(scps.document(account).as_deref())?.is_empty() {
            let what = format!("{} of account {account} denies sessions for ever", policy_name(account));
            return Err(Violation::new("L1", what));
        }
        let settled = truth.denials.get(account).is_none_or(Denials::is_settled);
        if scps.has_left(account) && !settled {
            let what = format!("account {account} has left, and what was denied there is never settled");
            return Err(Violation::new("L1", what));
        }
    }
    Ok(())
}

/// The access that a request had of its own, and when it ended, if that was before its window did.
fn early_end(known: &Known) -> Option<(Active, Timestamp)> {
    let Phase::Ended { at, active: Some(active), .. } = &known.request.phase else { return None };
    let window = known.request.window()?;
    (*at < window.end() && !active.activated.standing).then_some((*active, *at))
}

/// Whether it ended before its window did, and had access of its own, or may have: what AWS makes may be there before anybody records it.
fn may_have_ended_early(known: &Known) -> bool {
    let Phase::Ended { at, active: None, .. } = &known.request.phase else {
        return early_end(known).is_some();
    };
    let early = known.request.window().is_some_and(|window| *at < window.end());
    early && known.request.raised.grounds.provider == Provider::IdentityCenter
}

/// Whether a session of live access is denied, for the sake of an earlier request about the same; for the sake of anything else
/// it must not be for a moment.
fn is_denied_alive(
    known: &Known,
    now: Timestamp,
    truth: &Truth,
    aws: &SimulatedAws,
    denied: &[Statement],
) -> Result<bool, Violation> {
    let Ok((_, Some(active))) = known.request.approved() else { return Ok(false) };
    if denied.is_empty() || !known.request.is_live(now) {
        return Ok(false);
    }
    let Some(key) = known.key() else {
        let sessions = sessions_of(known, truth, aws);
        for begun in sessions.into_iter().map(|(begun, _)| begun) {
            if denies(denied, &Session::of_request(known, begun))? {
                let what = format!("credentials of r{} are denied while it is live", known.number);
                return Err(Violation::new("S3", what));
            }
        }
        return Ok(false);
    };
    let begun = [later(active.at, MOMENT).min(now), now];
    for begun in begun {
        if denies(denied, &Session::of_key(&key, begun))? {
            if was_denied_for(&key, truth) {
                return Ok(true);
            }
            let what = format!("sessions of r{} are denied while it is live", known.number);
            return Err(Violation::new("S3", what));
        }
    }
    Ok(false)
}

/// Whether an earlier request about the same assignment ended early.
fn was_denied_for(key: &AssignmentKey, truth: &Truth) -> bool {
    truth.requests.values().any(|known| may_have_ended_early(known) && known.key().as_ref() == Some(key))
}

/// S3: sessions are never denied by assignments of others, nor of permission sets of which no request ended early.
fn of_others(
    account: &AccountId,
    now: Timestamp,
    truth: &Truth,
    effects: &Effects,
    aws: &SimulatedAws,
    denied: &[Statement],
) -> Result<(), Violation> {
    if denied.is_empty() {
        return Ok(());
    }
    let others = aws.assignments().into_iter().filter(|key| effects.is_of_others(key));
    // What the people may have besides, now or later.
    let besides = truth.requests.values().filter_map(Known::key).flat_map(|key| {
        people::permission_sets()
            .map(|set| AssignmentKey::new(key.principal().clone(), key.account().clone(), set))
    });
    let keys: BTreeSet<AssignmentKey> =
        others.chain(besides).filter(|key| key.account() == account).collect();
    for key in keys {
        if !was_denied_for(&key, truth) && denies(denied, &Session::of_key(&key, now))? {
            let what = format!("sessions of {} are denied, and nothing of it ended", words::key(&key));
            return Err(Violation::new("S3", what));
        }
    }
    Ok(())
}

/// When a request ended early whose sessions should be denied by now, and are not.
fn goes_on(
    known: &Known,
    now: Timestamp,
    truth: &Truth,
    (effects, chaining): (&Effects, &Chaining),
    aws: &SimulatedAws,
    denied: &[Statement],
) -> Result<Option<Timestamp>, Violation> {
    let Some((active, ended_at)) = early_end(known) else { return Ok(None) };
    if !known.request.is_closing() || truth.is_stuck(known) {
        return Ok(None);
    }
    let sessions: Vec<Session<'_>> = match known.key() {
        // What is given by Account Access Manager cannot be told apart.
        Some(key) if known.request.raised.grounds.provider == Provider::IdentityCenter => {
            let begun = later(ended_at, -MOMENT);
            let alive = begun >= active.at && now < later(begun, active.activated.bound.after_early_end);
            let needed = truth.needed_until(&key, now).is_none() || effects.is_of_others(&key);
            if !alive || needed {
                return Ok(None);
            }
            return Ok((!denies(denied, &Session::of_key(&key, begun))?).then_some(ended_at));
        }
        Some(_) => Vec::new(),
        None => {
            // What was chained from them carries their tag.
            let own = sessions_of(known, truth, aws).into_iter();
            let all = own.chain(chaining.sessions(known.request.raised.id));
            let alive = all.filter(|(_, expires_at)| now < *expires_at);
            alive.map(|(begun, _)| Session::of_request(known, begun)).collect()
        }
    };
    for session in sessions {
        if !denies(denied, &session)? {
            return Ok(Some(ended_at));
        }
    }
    Ok(None)
}

/// L1: what is denied is denied no longer than its sessions can live.
fn lifted(account: &AccountId, now: Timestamp, truth: &Truth, denied: &[Statement]) -> Result<(), Violation> {
    if denied.is_empty() {
        return Ok(());
    }
    let Some(denied) = truth.denials.get(account).and_then(Denials::denied) else {
        return Ok(());
    };
    for (id, begun_before) in denied {
        let Some(known) = truth.requests.get(id) else { continue };
        let dead_at = match begun_before {
            Some(begun_before) => {
                // Who was never told a bound has the permission set's.
                later(*begun_before, known.bound.map_or(people::SESSION, |bound| bound.after_early_end))
            }
            None => known.request.issues_expire_at().unwrap_or(Timestamp::MIN),
        };
        if now > later(dead_at, SETTLED_WITHIN) {
            let what =
                format!("sessions of r{} are denied although the last died at {dead_at}", known.number);
            return Err(Violation::new("L1", what));
        }
    }
    Ok(())
}

/// When the credentials of a request were issued that were handed out, and when they expire.
fn sessions_of(known: &Known, truth: &Truth, aws: &SimulatedAws) -> Vec<(Timestamp, Timestamp)> {
    let id = known.request.raised.id.to_string();
    let handed_out = |session: &aws::simulated::Session| truth.issued.contains(&session.access_key_id);
    let of_request = |session: &aws::simulated::Session| session.call.tags().get(REQUEST_TAG) == Some(&id);
    let sessions = aws.sessions().into_iter().filter(|session| of_request(session) && handed_out(session));
    sessions.map(|session| (session.issued_at, session.expires_at)).collect()
}

/// The statements that Daypass wrote.
fn ours(document: Option<&str>) -> Result<Vec<Statement>, Violation> {
    let Some(document) = document else { return Ok(Vec::new()) };
    let unreadable = || Violation::new("S2", "a service control policy is not JSON".to_owned());
    let document: Value = serde_json::from_str(document).map_err(|_| unreadable())?;
    let statements = document.get("Statement").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ours = statements.iter().filter_map(Value::as_object).cloned();
    let named = |statement: &Statement| {
        statement.get("Sid").and_then(Value::as_str).is_some_and(|sid| sid.starts_with("Daypass"))
    };
    Ok(ours.filter(named).collect())
}

/// Whether what Daypass wrote denies a session everything.
fn denies(denied: &[Statement], session: &Session<'_>) -> Result<bool, Violation> {
    for statement in denied {
        let everything =
            ["Action", "Resource"].iter().all(|part| statement.get(*part) == Some(&Value::from("*")));
        if statement.get("Effect") != Some(&Value::from("Deny")) || !everything {
            return Err(Violation::new(
                "S3",
                "a statement of Daypass's does more than deny everything".to_owned(),
            ));
        }
        let conditions = statement.get("Condition").and_then(Value::as_object);
        let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) else {
            return Err(Violation::new("S3", "a statement of Daypass's denies everybody".to_owned()));
        };
        let mut holds = true;
        for (operator, keys) in conditions {
            for (key, value) in keys.as_object().into_iter().flatten() {
                holds &= condition_holds(operator, key, value, session)?;
            }
        }
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

fn condition_holds(
    operator: &str,
    key: &str,
    value: &Value,
    session: &Session<'_>,
) -> Result<bool, Violation> {
    let texts: Vec<&str> = match value {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            value.as_str().into_iter().collect()
        }
    };
    let tag = format!("aws:PrincipalTag/{REQUEST_TAG}");
    let has = match key {
        "aws:PrincipalAccount" => Some(session.account.as_str().to_owned()),
        "identitystore:UserId" => session.key.map(|key| key.principal().as_str().to_owned()),
        "aws:PrincipalArn" => Some(session.role.clone()),
        "aws:TokenIssueTime" => Some(session.begun.to_string()),
        key if key == tag => session.request.map(|request| request.to_string()),
        _unknown => None,
    };
    let Some(has) = has else { return Ok(false) };
    Ok(match operator {
        "StringEquals" => texts.contains(&has.as_str()),
        "ArnLike" => texts.iter().any(|pattern| fits(pattern.as_bytes(), has.as_bytes())),
        "DateLessThan" => texts.iter().filter_map(|text| text.parse::<Timestamp>().ok()).any(|limit| {
            // IAM compares whole seconds.
            session.begun.as_second() < limit.as_second()
        }),
        other => {
            let what = format!("a statement of Daypass's has the condition {other}, which is not known here");
            return Err(Violation::new("S3", what));
        }
    })
}

/// IAM's wildcards: `*` any characters, `?` one.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            fits(rest, text) || text.split_first().is_some_and(|(_, left)| fits(pattern, left))
        }
        ([b'?', rest @ ..], [_, left @ ..]) => fits(rest, left),
        ([one, rest @ ..], [other, left @ ..]) => one == other && fits(rest, left),
        _else => false,
    }
}
