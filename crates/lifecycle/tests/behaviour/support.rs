//! `given(story).when(decision).then(event)`, and the people, plans and times that the stories are about.

use domain::{
    AccountId, Actor, ActorKind, AskedWindow, Endorsement, Entitlement, EventId, GroupRef, Groups, IssueId,
    OuPath, Person, Plan, PrincipalId, Provider, RequestId, RuleId, Sealed, SignedDuration, Step, Target,
    Timestamp, Window,
};
use lifecycle::assignment::Abandon;
use lifecycle::event::{
    Activated, ApprovalBasis, Approved, Bound, ConsoleOpened, CredentialsIssued, Endorsed, Grounds, Requested,
};
use lifecycle::raise::{Deciders, Limits, Raise};
use lifecycle::review::{Approve, Endorser, Reject};
use lifecycle::state::{Acting, Identities, Status};
use lifecycle::{Rejection, Request, RequestEvent};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Story = Vec<(RequestEvent, Timestamp)>;

/// What a story has come to.
pub(crate) struct Given(Request);

/// What was decided about it.
pub(crate) struct When {
    request: Request,
    decided: Result<RequestEvent, Rejection>,
}

pub(crate) fn given(story: impl IntoIterator<Item = (RequestEvent, Timestamp)>) -> Given {
    let story: Story = story.into_iter().collect();
    Given(Request::fold(story.iter().map(|(event, at)| (event, *at))).unwrap())
}

impl Given {
    pub(crate) fn when(self, decide: impl FnOnce(&Request) -> Result<RequestEvent, Rejection>) -> When {
        let decided = decide(&self.0);
        When { request: self.0, decided }
    }

    pub(crate) fn request(self) -> Request {
        self.0
    }
}

impl When {
    pub(crate) fn then(self, event: RequestEvent) {
        assert_eq!(self.decided, Ok(event));
    }

    pub(crate) fn refused(self, rejection: Rejection) {
        assert_eq!(self.decided, Err(rejection));
    }

    pub(crate) fn event(self) -> RequestEvent {
        self.decided.unwrap()
    }

    pub(crate) fn approved(self) -> Approved {
        let RequestEvent::Approved(approved) = self.event() else { panic!("not approved") };
        approved
    }

    pub(crate) fn then_status(self, status: Status) {
        let at = self.request.last_at;
        let after = Request::evolve(Some(self.request), &self.decided.unwrap(), at).unwrap();
        assert_eq!(after.status(), status);
    }
}

/// Seconds after the day on which everything here happens began.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) fn person(name: &str) -> Person {
    Person::new("https://idp.example", name).unwrap()
}

pub(crate) fn human(name: &str) -> Actor {
    Actor { person: person(name), kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

pub(crate) fn workload(name: &str) -> Actor {
    Actor { kind: ActorKind::Workload, ..human(name) }
}

pub(crate) fn acting(name: &str) -> Acting {
    Acting::alone(human(name))
}

/// `name`, known to be `others` as well.
pub(crate) fn linked(name: &str, others: &[&str]) -> Acting {
    let mut acting = acting(name);
    acting.identities.people.extend(others.iter().map(|other| person(other)));
    acting
}

pub(crate) fn user(id: &str) -> PrincipalId {
    PrincipalId::new(id).unwrap()
}

/// `name`, being this user of Identity Center.
pub(crate) fn as_user(name: &str, id: &str) -> Acting {
    let mut acting = acting(name);
    acting.identities.principal = Some(user(id));
    acting
}

pub(crate) fn group(name: &str) -> GroupRef {
    GroupRef::new("identity-store", name).unwrap()
}

pub(crate) fn group_set(names: &[&str]) -> BTreeSet<GroupRef> {
    names.iter().map(|name| group(name)).collect()
}

pub(crate) fn groups(names: &[&str]) -> Groups {
    Groups::Known(group_set(names))
}

pub(crate) fn plan(steps: &[(u8, &[&str])]) -> Plan {
    let steps = steps
        .iter()
        .map(|(count, names)| Step { count: *count, groups: group_set(names), people: BTreeSet::new() })
        .collect();
    Plan { steps }
}

pub(crate) fn policy() -> EventId {
    EventId::from_parts([b"policy".as_slice()])
}

pub(crate) fn request_id(name: &str) -> RequestId {
    RequestId::from_parts([name.as_bytes()])
}

pub(crate) fn target() -> Target {
    let set = "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-2222222222222222";
    Target::new(AccountId::new("111111111111").unwrap(), Entitlement::from_arn(set).unwrap()).unwrap()
}

pub(crate) fn sealed() -> Sealed {
    Sealed { key_of: person("ada").id(), nonce: [0; 12], ciphertext: vec![1, 2, 3] }
}

/// From approval on.
pub(crate) fn for_secs(duration: i64) -> AskedWindow {
    AskedWindow { start: None, duration: secs(duration) }
}

/// From a fixed start.
pub(crate) fn from_for(start: i64, duration: i64) -> AskedWindow {
    AskedWindow { start: Some(at(start)), duration: secs(duration) }
}

pub(crate) fn grounds() -> Grounds {
    Grounds {
        rule: RuleId::new("operators").unwrap(),
        policy_event: policy(),
        determining: vec!["operators".into()],
        provider: Provider::IdentityCenter,
        groups: group_set(&["operators"]),
        ou_path: OuPath::default(),
        plan: plan(&[(1, &["approvers"])]),
        principal: Some(user("aaaa")),
    }
}

/// Ada asks for an hour from approval on; one approver decides within a day.
pub(crate) fn requested() -> Requested {
    Requested {
        id: request_id("r1"),
        requester: person("ada"),
        raiser: human("ada"),
        raiser_principal: Some(user("aaaa")),
        target: target(),
        asked: for_secs(HOUR),
        ticket: None,
        justification: sealed(),
        emergency: false,
        extends: None,
        chain_duration: secs(HOUR),
        batch: None,
        decide_by: at(DAY),
        grounds: grounds(),
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        decide_within: secs(DAY),
        start_horizon: secs(7 * DAY),
        duration_min: secs(60),
        duration_max: secs(4 * HOUR),
        chain_duration_max: secs(8 * HOUR),
    }
}

/// The command that raises [`requested`] at the first second of the day.
pub(crate) fn raising<'a>() -> Raise<'a> {
    let requested = requested();
    Raise {
        id: requested.id,
        requester: requested.requester,
        raiser: requested.raiser,
        raiser_principal: requested.raiser_principal,
        target: requested.target,
        asked: requested.asked,
        ticket: None,
        justification: requested.justification,
        emergency: false,
        extends: None,
        batch: None,
        grounds: requested.grounds,
        own_rule: false,
        limits: limits(),
        deciders: Deciders::Enough,
        at: at(0),
    }
}

pub(crate) fn pending(requested: Requested) -> Story {
    vec![(RequestEvent::Requested(Box::new(requested)), at(0))]
}

pub(crate) fn endorsement(who: &Acting, in_groups: &[&str], when: i64) -> Endorsement {
    Endorsement {
        approver: who.actor.clone(),
        principal: who.identities.principal.clone(),
        groups: group_set(in_groups),
        at: at(when),
    }
}

pub(crate) fn endorsed(who: &Acting, in_groups: &[&str], when: i64) -> (RequestEvent, Timestamp) {
    let endorsement = endorsement(who, in_groups, when);
    (RequestEvent::Endorsed(Endorsed { endorsement, policy_event: policy(), comment: None }), at(when))
}

pub(crate) fn approved_event(start: i64, end: i64) -> RequestEvent {
    RequestEvent::Approved(Approved {
        window: Window::new(at(start), at(end)).unwrap(),
        basis: ApprovalBasis::People,
        approvers: vec![endorsement(&acting("bob"), &["approvers"], 100)],
        policy_event: policy(),
        comment: None,
    })
}

/// Bob approved at 100 s.
pub(crate) fn approved(requested: Requested) -> Story {
    let window = requested.asked.from_approval(at(100)).unwrap();
    let seconds = |instant: Timestamp| instant.as_second() - at(0).as_second();
    let event = approved_event(seconds(window.start()), seconds(window.end()));
    [pending(requested), vec![(event, at(100))]].concat()
}

pub(crate) fn bound() -> Bound {
    Bound { at_end: at(2 * HOUR), after_early_end: secs(HOUR), chained: secs(0) }
}

pub(crate) fn activated(provider: Provider, standing: bool) -> RequestEvent {
    RequestEvent::Activated(Activated { provider, bound: bound(), standing })
}

/// It became active at `when`.
pub(crate) fn active(requested: Requested, when: i64) -> Story {
    let provider = requested.grounds.provider;
    [approved(requested), vec![(activated(provider, false), at(when))]].concat()
}

pub(crate) fn credentials(expires: i64) -> CredentialsIssued {
    CredentialsIssued {
        issue: IssueId::from_parts([b"issue".as_slice()]),
        access_key_id: "ASIAEXAMPLE".into(),
        session_name: "daypass".into(),
        source_identity: "ada".into(),
        expires_at: at(expires),
    }
}

pub(crate) fn console(expires: i64) -> ConsoleOpened {
    let CredentialsIssued { issue, access_key_id, session_name, source_identity, expires_at } =
        credentials(expires);
    ConsoleOpened { issue, access_key_id, session_name, source_identity, expires_at }
}

/// The story, and one thing more.
pub(crate) fn and(mut story: Story, event: RequestEvent, when: i64) -> Story {
    story.push((event, at(when)));
    story
}

pub(crate) fn sts() -> Requested {
    let grounds = Grounds { provider: Provider::Sts, ..grounds() };
    Requested { grounds, ..requested() }
}

pub(crate) fn with_plan(plan: Plan) -> Requested {
    Requested { grounds: Grounds { plan, ..grounds() }, ..requested() }
}

/// An approver's yes at `when`, under the plan of [`grounds`].
pub(crate) fn yes(approver: Acting, in_groups: &[&str], when: i64) -> Approve {
    Approve {
        approver,
        groups: groups(in_groups),
        endorsers: BTreeMap::new(),
        current: grounds().plan,
        policy_event: policy(),
        duration_min: secs(60),
        comment: None,
        at: at(when),
    }
}

/// The same, with what is known now of those who agreed before.
pub(crate) fn yes_after(
    approver: Acting,
    in_groups: &[&str],
    when: i64,
    before: &[(&Acting, &[&str])],
) -> Approve {
    let endorsers = before
        .iter()
        .map(|(who, names)| {
            let endorser = Endorser { identities: who.identities.clone(), groups: groups(names) };
            (who.actor.person.clone(), endorser)
        })
        .collect();
    Approve { endorsers, ..yes(approver, in_groups, when) }
}

pub(crate) fn no(approver: Acting, in_groups: &[&str], when: i64) -> Reject {
    Reject {
        approver,
        groups: groups(in_groups),
        current: grounds().plan,
        policy_event: policy(),
        comment: None,
        at: at(when),
    }
}

pub(crate) fn nobody() -> Identities {
    Identities { people: BTreeSet::new(), principal: None }
}

/// Someone who asks to give up on removing what nobody needs, in an account, or to a user, that is gone.
pub(crate) fn giving_up(who: &str) -> Abandon {
    Abandon {
        by: human(who),
        identities: Identities::of(person(who)),
        comment: None,
        gone: true,
        needed: false,
    }
}
