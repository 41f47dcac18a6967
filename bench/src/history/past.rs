//! The past of a large organisation, written as history: most requests are over, those that are pending or active were raised last.

use crate::stories::{self, ASKED, DECIDED_WITHIN, Told};
use crate::{Failed, create};
use aws::simulated::sample;
use domain::ports::Clock as _;
use domain::{
    Actor, Endorsement, EventId, GroupRef, OuId, OuPath, PermissionSetArn, Plan, PrincipalId, Provider,
    RequestId, SignedDuration, Step, Target, Timestamp, Window,
};
use event_log::EventLog;
use futures::StreamExt as _;
use journal::key_store::{KeyStore as _, SqliteKeyStore};
use journal::seal::PersonKey;
use journal::{Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation};
use lifecycle::event::{
    ApprovalBasis, Approved, Closed, ClosedHow, Ended, EndedBecause, Expired, ExpiredBecause, Grounds,
    Rejected, RejectedBecause, Requested,
};
use service_runtime::clock::{SystemClock, SystemEntropy};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// DESIGN §17, beside those of the sample.
pub(super) const ACCOUNTS: u32 = 5_000;
pub(super) const PERMISSION_SETS: u32 = 200;
const RULES: usize = 1_000;
/// Who asks, besides Ada.
pub(super) const DEVELOPERS: u32 = 5_000;
/// Rules of Ada's and the developers' for permission sets that were added, besides those of [`create::policy`] and the one for roles.
const RULES_FOR_SETS: u32 = 20;
/// With fewer, some lists would be empty.
const REQUESTS_MIN: u64 = 10_000;
/// Beyond, someone would ask for the same again, whose assignment has a history then.
const REQUESTS_MAX: u64 = DEVELOPERS as u64 * ACCOUNTS as u64;

/// Of the sign-in that is built into `daypass dev`.
pub(super) const ISSUER: &str = "https://dev.daypass.invalid";
/// One request of so many is Ada's.
const ADAS: u64 = 1_000;
/// The requests that were raised last, of which some are not over: one of so many.
const RECENT: u64 = 50;
/// Over how many days they were raised, and how long ago that ended: nothing is dated later than now.
const DAYS: u64 = 90;
const SINCE: SignedDuration = SignedDuration::from_hours(48);
/// What is active ends long after what is measured here.
const ACTIVE_FOR: SignedDuration = SignedDuration::from_hours(48);
/// Stories that are written at a time.
const CALLERS: usize = 256;

/// The arguments that make the organisation of `daypass dev` large.
pub(super) fn organisation() -> Vec<String> {
    let more = [
        ("--more-accounts", ACCOUNTS),
        ("--more-permission-sets", PERMISSION_SETS),
        ("--more-developers", DEVELOPERS),
    ];
    more.into_iter().flat_map(|(name, number)| [name.to_owned(), number.to_string()]).collect()
}

/// What all stories have in common.
pub(super) struct Past {
    requests: u64,
    now: Timestamp,
    policy_event: EventId,
    developers: BTreeSet<GroupRef>,
    approvers: BTreeSet<GroupRef>,
    ou_path: OuPath,
    /// Ada, then the others.
    people: Vec<Asker>,
}

/// Someone who asks.
struct Asker {
    actor: Actor,
    principal: PrincipalId,
    key: PersonKey,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pending,
    Active,
    Rejected,
    Expired,
    Ended,
}

/// One request.
struct Asked<'a> {
    id: RequestId,
    asker: &'a Asker,
    target: Target,
    provider: Provider,
    raised_at: Timestamp,
    fate: Fate,
    /// When access is, if it comes to that.
    window: Window,
    approver: Actor,
}

impl Past {
    /// Applies the policy, and makes everybody's key in the key store that `daypass dev` has in `folder`.
    pub(super) async fn begin(log: &dyn EventLog, folder: &Path, requests: u64) -> Result<Self, Failed> {
        if !(REQUESTS_MIN..=REQUESTS_MAX).contains(&requests) {
            return Err(format!("from {REQUESTS_MIN} to {REQUESTS_MAX} requests can be written").into());
        }
        let now = SystemClock.now();
        let keys = SqliteKeyStore::open(&folder.join("keys.db"), Arc::new(SystemEntropy))?;
        let mut people = Vec::new();
        for number in 0..=DEVELOPERS {
            let (principal, name) = match number {
                0 => (PrincipalId::new(sample::ADA)?, "ada".to_owned()),
                number => sample::added_developer(number)?,
            };
            let actor = stories::human(ISSUER, &name)?;
            let key = keys.obtain(&actor.person.id()).await?;
            people.push(Asker { actor, principal, key });
        }
        let applied = stories::applied(&policy(), stories::human(ISSUER, "carol")?)?;
        let at = now.checked_sub(SINCE + SignedDuration::from_hours(24 * i64::try_from(DAYS)?))?;
        let applied = Told { writer: Service::Approval, actor: None, at, fact: applied };
        let ids = stories::write(log, &Stream::Policy, vec![applied]).await?;
        Ok(Self {
            requests,
            now,
            policy_event: ids.first().copied().ok_or("no event")?,
            developers: BTreeSet::from([format!("identity-store:{}", sample::DEVELOPERS).parse()?]),
            approvers: BTreeSet::from([format!("identity-store:{}", sample::APPROVERS).parse()?]),
            ou_path: OuPath(vec![OuId::new(sample::ROOT)?, OuId::new(sample::WORKLOADS)?]),
            people,
        })
    }

    fn asked(&self, number: u64) -> Result<Asked<'_>, Failed> {
        let developers = u64::from(DEVELOPERS);
        let of_ada = number % ADAS == 7;
        let developer = number % developers;
        let asker = if of_ada { 0 } else { usize::try_from(developer + 1)? };
        let asker = self.people.get(asker).ok_or("nobody asks")?;
        // Another account whenever the same developer asks.
        let account = (developer + number / developers) % u64::from(ACCOUNTS);
        let account = sample::added_account(u32::try_from(account + 1)?)?;
        let fate = self.fate(number);
        // What is active needs nothing of the simulated AWS, which forgets everything when it starts again.
        let provider = if of_ada || fate == Fate::Active || (fate == Fate::Ended && number % 2 == 1) {
            Provider::Sts
        } else {
            Provider::IdentityCenter
        };
        let target = match provider {
            Provider::Sts => {
                Target::new(account.clone(), sample::role(account.as_str(), "ReadOnly")?.into())?
            }
            Provider::IdentityCenter | Provider::AccountAccess => {
                Target::new(account, PermissionSetArn::new(sample::READ_ONLY)?.into())?
            }
        };
        let ago = DAYS * 86_400 * (self.requests - number) / self.requests;
        let ago = SINCE + SignedDuration::from_secs(i64::try_from(ago)?);
        let raised_at = self.now.checked_sub(ago)?;
        let window = match fate {
            Fate::Active => Window::new(raised_at, self.now.checked_add(ACTIVE_FOR)?)?,
            Fate::Pending | Fate::Rejected | Fate::Expired | Fate::Ended => {
                Window::from_duration(raised_at, ASKED)?
            }
        };
        let approver = match number % 100 {
            3 | 11 => stories::human(ISSUER, "bob")?,
            _ => stories::human(ISSUER, &format!("lead-{}", number % 50))?,
        };
        Ok(Asked {
            id: stories::request_id(number),
            asker,
            target,
            provider,
            raised_at,
            fate,
            window,
            approver,
        })
    }

    /// One in a thousand is pending, one in a hundred active, one in twenty rejected, one in twenty expired.
    fn fate(&self, number: u64) -> Fate {
        let recent = number >= self.requests - self.requests / RECENT;
        match number % 20 {
            0 if recent => Fate::Pending,
            1..=10 if recent => Fate::Active,
            11 => Fate::Rejected,
            12 => Fate::Expired,
            _ => Fate::Ended,
        }
    }

    fn requested(&self, asked: &Asked<'_>) -> Result<Requested, Failed> {
        let rule = match asked.provider {
            Provider::Sts => "roles",
            Provider::IdentityCenter | Provider::AccountAccess => "measured",
        };
        let step = Step { count: 1, groups: self.approvers.clone(), people: BTreeSet::new() };
        let grounds = Grounds {
            groups: self.developers.clone(),
            ou_path: self.ou_path.clone(),
            plan: Plan { steps: vec![step] },
            principal: Some(asked.asker.principal.clone()),
            ..stories::grounds(rule, self.policy_event, asked.provider)?
        };
        let Asker { actor, key, .. } = asked.asker;
        let requested =
            stories::requested(asked.id, actor, key, asked.target.clone(), asked.raised_at, grounds)?;
        Ok(match asked.fate {
            // Nothing expires while this runs.
            Fate::Pending => Requested { decide_by: self.now.checked_add(ACTIVE_FOR)?, ..requested },
            Fate::Active | Fate::Rejected | Fate::Expired | Fate::Ended => requested,
        })
    }

    fn approved(&self, asked: &Asked<'_>) -> RequestEvent {
        let endorsement = Endorsement {
            approver: asked.approver.clone(),
            principal: None,
            groups: self.approvers.clone(),
            at: asked.raised_at,
        };
        RequestEvent::Approved(Approved {
            basis: ApprovalBasis::People,
            approvers: vec![endorsement],
            ..stories::approved(asked.window, self.policy_event)
        })
    }

    fn story(&self, asked: &Asked<'_>) -> Result<Vec<Told>, Failed> {
        let of = |writer, actor, at, fact| Told { writer, actor, at, fact: Fact::Request(fact) };
        let at = asked.raised_at;
        let approver = Some(asked.approver.clone());
        let requested = RequestEvent::Requested(Box::new(self.requested(asked)?));
        let mut told = vec![of(Service::Request, Some(asked.asker.actor.clone()), at, requested)];
        match asked.fate {
            Fate::Pending => {}
            Fate::Rejected => {
                let because = RejectedBecause::Approver { comment: None };
                let rejected = Rejected { because, policy_event: Some(self.policy_event) };
                told.push(of(Service::Approval, approver, at, RequestEvent::Rejected(rejected)));
            }
            Fate::Expired => {
                let expired = RequestEvent::Expired(Expired { because: ExpiredBecause::NotDecided });
                told.push(of(Service::Approval, None, at.checked_add(DECIDED_WITHIN)?, expired));
            }
            Fate::Active | Fate::Ended => {
                told.push(of(Service::Approval, approver, at, self.approved(asked)));
                let end = asked.window.end();
                let activated = stories::activated(asked.window, asked.provider)?;
                told.push(of(Service::Activation, None, at, RequestEvent::Activated(activated)));
                if asked.fate == Fate::Ended {
                    let ended = RequestEvent::Ended(Ended { because: EndedBecause::Elapsed });
                    told.push(of(Service::Activation, None, end, ended));
                    let how = match asked.provider {
                        Provider::Sts => ClosedHow::CredentialsExpired,
                        Provider::IdentityCenter | Provider::AccountAccess => ClosedHow::Deleted,
                    };
                    let closed = RequestEvent::Closed(Closed::from(how));
                    told.push(of(Service::Activation, None, end, closed));
                }
            }
        }
        Ok(told)
    }
}

impl Asked<'_> {
    /// The ledger of its assignment, which was made and removed; `None`: there was none.
    fn ledger(&self) -> Result<Option<(Stream, Vec<Told>)>, Failed> {
        if self.fate != Fate::Ended || self.provider != Provider::IdentityCenter {
            return Ok(None);
        }
        let key = AssignmentKey { principal: self.asker.principal.clone(), target: self.target.clone() };
        let stream = Stream::assignment(&key);
        let mut told = Vec::new();
        let attempts = [(Operation::Create, self.window.start()), (Operation::Delete, self.window.end())];
        for (operation, at) in attempts {
            let deadline = at.checked_add(SignedDuration::from_mins(20))?;
            let attempt = stories::event_id(&stream, told.len());
            let attempted = AssignmentEvent::Attempted { key: key.clone(), operation, deadline };
            for fact in [attempted, AssignmentEvent::Confirmed { attempt }] {
                let fact = Fact::Assignment(fact);
                told.push(Told { writer: Service::Activation, actor: None, at, fact });
            }
        }
        Ok(Some((stream, told)))
    }
}

/// Writes all stories; says how many events the log has then.
pub(super) async fn write(past: &Arc<Past>, log: &Arc<dyn EventLog>) -> Result<u64, Failed> {
    let stories = (0..past.requests).map(|number| {
        let (past, log) = (Arc::clone(past), Arc::clone(log));
        // A task of its own, so that both cores are used.
        tokio::spawn(async move { write_one(&past, log.as_ref(), number).await })
    });
    let mut stories = futures::stream::iter(stories).buffer_unordered(CALLERS);
    // The policy is there already.
    let mut events = 1;
    while let Some(written) = stories.next().await {
        events += written??;
    }
    Ok(events)
}

async fn write_one(past: &Past, log: &dyn EventLog, number: u64) -> Result<u64, Failed> {
    let asked = past.asked(number)?;
    let mut written = 0;
    if let Some((stream, told)) = asked.ledger()? {
        written += stories::write(log, &stream, told).await?.len();
    }
    written += stories::write(log, &Stream::Request(asked.id), past.story(&asked)?).await?.len();
    Ok(u64::try_from(written)?)
}

/// A policy of so many rules as the design counts with, of which some are Ada's and the developers'.
fn policy() -> String {
    let own = usize::try_from(RULES_FOR_SETS).unwrap_or_default() + 1;
    let mut text = create::policy(RULES - own);
    let mut rule = |id: &str, what: &str, provider: &str| {
        let _ = write!(
            text,
            "\n[[rules]]\nid = \"{id}\"\nrequesters = {{ groups = [\"identity-store:developers\"] }}\n\
             targets = {{ ous = [\"{}\"], {what} }}\nduration_max = \"8h\"\nprovider = \"{provider}\"\n\
             plan = [{{ count = 1, groups = [\"identity-store:approvers\"] }}]\n",
            sample::WORKLOADS
        );
    };
    rule("roles", "roles = [\"daypass/ReadOnly\"]", "sts");
    let each = PERMISSION_SETS / RULES_FOR_SETS;
    for number in 0..RULES_FOR_SETS {
        let sets = (number * each + 1..=(number + 1) * each).filter_map(|set| {
            sample::added_permission_set(set).ok().map(|arn| format!("{:?}", arn.as_str()))
        });
        let sets = sets.collect::<Vec<_>>().join(", ");
        rule(&format!("sets-{number}"), &format!("permission_sets = [{sets}]"), "identity_center");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Policy;

    #[test]
    fn the_policy_has_as_many_rules_as_the_design_counts_with() {
        assert_eq!(Policy::from_toml(&policy()).unwrap().rules.len(), RULES);
    }
}
