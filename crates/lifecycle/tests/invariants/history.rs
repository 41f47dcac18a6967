//! Random histories of one request.

use crate::support::*;
use domain::{AskedWindow, Groups, IssueId, Person, Plan, Provider, RequestId, Timestamp};
use lifecycle::access::{
    activate, close, elapse, fail, issue_credentials, lose_eligibility, open_console, revoke,
};
use lifecycle::event::{ClosedHow, ConsoleOpened, CredentialsIssued, Grounds, Requested, RevokedAs, Verdict};
use lifecycle::raise::withdraw;
use lifecycle::review::{
    Approve, Endorser, Reject, approve, approve_by_rule, expire, reject, reject_without_rule, review_after,
};
use lifecycle::state::{Acting, Identities};
use lifecycle::{Rejection, Request, RequestEvent};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Identities, the human behind each, and that human's user in Identity Center as far as this identity shows it.
const CAST: [(&str, &str, Option<&str>); 10] = [
    ("ada", "ada", Some("aaaa")),
    ("ada-linked", "ada", None),
    ("ada-same-user", "ada", Some("aaaa")),
    ("eve", "eve", None),
    ("eve-linked", "eve", None),
    ("bob", "bob", Some("bbbb")),
    ("bob-linked", "bob", None),
    ("bob-same-user", "bob", Some("bbbb")),
    ("carol", "carol", Some("cccc")),
    ("dan", "dan", None),
];

const GROUPS: [&str; 2] = ["approvers", "security"];

/// The human behind an identity.
pub(crate) fn human_behind(person: &Person) -> &'static str {
    let (_, human, _) = CAST.iter().find(|(name, ..)| *name == person.subject.as_str()).unwrap();
    human
}

/// Everything that is known of an identity: links once they are `known`, and the user always.
fn known(index: usize, links: bool) -> Acting {
    let (name, human, principal) = CAST[index];
    let mut acting = acting(name);
    if links {
        let same = CAST.iter().filter(|(_, other, _)| *other == human);
        acting.identities.people.extend(same.map(|(name, ..)| person(name)));
    }
    acting.identities.principal = principal.map(user);
    acting
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Withdraw,
    Approve,
    ApproveByRule,
    Reject,
    RejectWithoutRule,
    Expire,
    Activate,
    IssueCredentials,
    OpenConsole,
    Revoke,
    Elapse,
    Fail,
    LoseEligibility,
    Close(u8),
    ReviewAfter,
}

/// One thing that someone tries.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) what: What,
    who: usize,
    is_human: bool,
    /// Which of [`GROUPS`] each of [`CAST`] is in now: three bits each, all of them set where it is unknown.
    memberships: u32,
    /// The plan as the policy stands now; `None`: as it was when the request was raised.
    changed: Option<Plan>,
    /// Whether links between identities are known by now.
    pub(crate) links: bool,
    /// Seconds since the command before; clocks disagree.
    elapsed: i64,
}

impl Command {
    pub(crate) fn groups_of(&self, person: &Person) -> Groups {
        let index = CAST.iter().position(|(name, ..)| *name == person.subject.as_str()).unwrap();
        let mask = (self.memberships >> (3 * index)) & 0b111;
        if mask == 0b111 {
            return Groups::Unknown("the directory is too old".into());
        }
        let names = GROUPS.iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0);
        Groups::Known(names.map(|(_, name)| group(name)).collect())
    }

    /// The plan as the policy stands now.
    pub(crate) fn current<'a>(&'a self, request: &'a Request) -> &'a Plan {
        self.changed.as_ref().unwrap_or(&request.raised.grounds.plan)
    }

    pub(crate) fn actor(&self) -> Acting {
        let mut acting = known(self.who, self.links);
        if !self.is_human {
            acting.actor.kind = domain::ActorKind::Workload;
        }
        acting
    }

    /// Everyone that `person` is known to be at this command.
    fn identities_of(&self, person: &Person) -> Identities {
        let index = CAST.iter().position(|(name, ..)| *name == person.subject.as_str()).unwrap();
        known(index, self.links).identities
    }

    /// Whether two identities are known to be one human at this command.
    pub(crate) fn same(&self, one: &Person, other: &Person) -> bool {
        self.identities_of(one).overlaps(&self.identities_of(other))
    }

    fn decide(&self, request: &Request, now: Timestamp) -> Result<RequestEvent, Rejection> {
        let acting = self.actor();
        let groups = self.groups_of(&acting.actor.person);
        match self.what {
            What::Withdraw => withdraw(request, &acting, now),
            What::Approve => {
                let endorsers: BTreeMap<_, _> = request
                    .endorsements
                    .iter()
                    .map(|earlier| {
                        let person = &earlier.approver.person;
                        let identities = self.identities_of(person);
                        (person.clone(), Endorser { identities, groups: self.groups_of(person) })
                    })
                    .collect();
                let approver = acting;
                let current = self.current(request).clone();
                let (policy_event, duration_min, at) = (policy(), secs(60), now);
                let comment = None;
                approve(
                    request,
                    Approve { approver, groups, endorsers, current, policy_event, duration_min, comment, at },
                )
            }
            What::ApproveByRule => approve_by_rule(request, self.current(request), policy(), secs(60), now),
            What::Reject => {
                let current = self.current(request).clone();
                let (approver, policy_event, comment, at) = (acting, policy(), None, now);
                reject(request, Reject { approver, groups, current, policy_event, comment, at })
            }
            What::RejectWithoutRule => reject_without_rule(request, None),
            What::Expire => expire(request, now),
            What::Activate => activate(request, bound(), false, now),
            What::IssueCredentials => issue_credentials(request, self.issue(now), now),
            What::OpenConsole => {
                let CredentialsIssued { issue, access_key_id, session_name, source_identity, expires_at } =
                    self.issue(now);
                let opened =
                    ConsoleOpened { issue, access_key_id, session_name, source_identity, expires_at };
                open_console(request, opened, now)
            }
            What::Revoke => revoke(request, RevokedAs::Administrator, None),
            What::Elapse => elapse(request, now),
            What::Fail => fail(request, "Throttled".into()),
            What::LoseEligibility => lose_eligibility(request, "left".into()),
            What::Close(how) => close(request, closed_how(how), now),
            What::ReviewAfter => review_after(request, &acting, Verdict::Justified, None),
        }
    }

    fn issue(&self, now: Timestamp) -> CredentialsIssued {
        let text = format!("{now}");
        let expires_at = now.checked_add(secs(900 + self.elapsed.abs())).unwrap();
        CredentialsIssued { issue: IssueId::from_parts([text.as_bytes()]), expires_at, ..credentials(0) }
    }
}

fn closed_how(how: u8) -> ClosedHow {
    match how {
        0 => ClosedHow::Deleted,
        1 => ClosedHow::CarriedBy(RequestId::from_parts([b"another".as_slice()])),
        2 => ClosedHow::Standing,
        3 => ClosedHow::NothingCreated,
        _ => ClosedHow::CredentialsExpired,
    }
}

/// One accepted command.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) before: Request,
    pub(crate) command: Command,
    pub(crate) event: RequestEvent,
    /// The event's time.
    pub(crate) at: Timestamp,
    pub(crate) after: Request,
}

/// Lives through a history.
pub(crate) fn live((requested, commands): (Requested, Vec<Command>)) -> Vec<Step> {
    let mut request = Request::evolve(None, &RequestEvent::Requested(Box::new(requested)), at(0)).unwrap();
    let mut now = at(0);
    let mut steps = Vec::new();
    for command in commands {
        now = now.checked_add(secs(command.elapsed)).unwrap();
        let Ok(event) = command.decide(&request, now) else { continue };
        let at = request.time_of_next(now);
        let after = Request::evolve(Some(request.clone()), &event, at).unwrap();
        steps.push(Step { before: request, command, event, at, after: after.clone() });
        request = after;
    }
    steps
}

/// What was asked, and what everybody tries.
pub(crate) fn history() -> impl Strategy<Value = (Requested, Vec<Command>)> {
    (ask(), vec(command(), 1..40))
}

fn ask() -> impl Strategy<Value = Requested> {
    let start = prop_oneof![Just(None), (0..5000i64).prop_map(|start| Some(at(start)))];
    let raiser = prop_oneof![Just(human("ada")), Just(human("eve")), Just(workload("portal"))];
    let provider = prop_oneof![3 => Just(Provider::Sts), 1 => Just(Provider::IdentityCenter)];
    (start, 60..5000i64, 100..6000i64, plans(), raiser, provider, any::<bool>()).prop_map(
        |(start, duration, decide_by, plan, raiser, provider, emergency)| Requested {
            asked: AskedWindow { start, duration: secs(duration) },
            decide_by: at(decide_by),
            grounds: Grounds { plan, provider, ..grounds() },
            raiser,
            raiser_principal: None,
            emergency,
            ..requested()
        },
    )
}

fn plans() -> impl Strategy<Value = Plan> {
    prop_oneof![
        3 => Just(plan(&[(1, &["approvers"])])),
        2 => Just(plan(&[(2, &["approvers"])])),
        1 => Just(plan(&[(1, &["approvers"]), (1, &["security"])])),
        1 => Just(plan(&[(3, &["approvers", "security"])])),
        2 => Just(Plan::none()),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    // Weighted so that many a request is approved and used before somebody ends it.
    let what = prop_oneof![
        1 => Just(What::Withdraw),
        40 => Just(What::Approve),
        8 => Just(What::ApproveByRule),
        1 => Just(What::Reject),
        1 => Just(What::RejectWithoutRule),
        2 => Just(What::Expire),
        20 => Just(What::Activate),
        10 => Just(What::IssueCredentials),
        5 => Just(What::OpenConsole),
        1 => Just(What::Revoke),
        8 => Just(What::Elapse),
        1 => Just(What::Fail),
        1 => Just(What::LoseEligibility),
        12 => (0..5u8).prop_map(What::Close),
        5 => Just(What::ReviewAfter),
    ];
    let is_human = prop_oneof![1 => Just(false), 9 => Just(true)];
    let elapsed = prop_oneof![6 => -5..200i64, 1 => 0..3000i64];
    (
        what,
        0..CAST.len(),
        is_human,
        any::<u32>(),
        proptest::option::weighted(0.3, plans()),
        any::<bool>(),
        elapsed,
    )
        .prop_map(|(what, who, is_human, memberships, changed, links, elapsed)| Command {
            what,
            who,
            is_human,
            memberships,
            changed,
            links,
            elapsed,
        })
}

/// The humans behind `people`.
pub(crate) fn humans<'a>(people: impl IntoIterator<Item = &'a Person>) -> BTreeSet<&'static str> {
    people.into_iter().map(human_behind).collect()
}
