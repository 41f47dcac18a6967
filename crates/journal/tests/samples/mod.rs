//! One event of every stored type, with every field set.

use domain::{
    AccountId, Actor, ActorKind, AskedWindow, BatchId, Endorsement, EventId, GroupRef, IssueId, OuId, OuPath,
    PermissionSetArn, Person, Plan, PrincipalId, Provider, RequestId, RoleArn, RuleId, Sealed, SessionScope,
    SignedDuration, Step, Target, Ticket, Timestamp, Window,
};
use journal::seal::PersonKey;
use journal::{Event, Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, AssignmentKey, Operation};
use lifecycle::denial::{DenialEvent, SetNames};
use lifecycle::duty::DutyClaimed;
use lifecycle::event::*;
use lifecycle::log::LogEvent;
use lifecycle::signal::{PersonLinked, SignalAsk, SignalEvent, SignalKind, SignalReceived, SignalRefused};
use policy::change::{Applied, Discarded, Proposed};
use policy::{
    ApprovalPolicy, OuScope, PlanSource, Policy, PolicyEvent, Requesters, RoleName, RoleSelector, Rule,
    Settings, Targets,
};

/// What the sealed texts say.
pub(crate) const WORDS: &str = "the pager went off";

struct Fixed;
impl domain::ports::Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn person(name: &str) -> Person {
    Person::new("https://idp.example", name).unwrap()
}

fn actor(name: &str) -> Actor {
    Actor {
        person: person(name),
        kind: ActorKind::Human,
        client_id: Some("portal".into()),
        auth_time: Some(at(-60)),
        acr: Some("urn:mfa".into()),
    }
}

fn group(name: &str) -> GroupRef {
    GroupRef::new("identity-store", name).unwrap()
}

fn sealed(place: &str) -> Sealed {
    PersonKey::from_secret(person("ada").id(), [9; 32]).seal(place, WORDS, &Fixed).unwrap()
}

fn target() -> Target {
    Target::parse("111111111111", "arn:aws:sso:::permissionSet/ssoins-1234567890abcdef/ps-1234567890abcdef")
        .unwrap()
}

fn plan() -> Plan {
    Plan {
        steps: vec![Step { count: 2, groups: [group("approvers")].into(), people: [person("bob")].into() }],
    }
}

fn id(seed: &str) -> EventId {
    EventId::from_parts([seed.as_bytes()])
}

fn request() -> RequestId {
    RequestId::from_parts([b"request".as_slice()])
}

fn endorsement() -> Endorsement {
    Endorsement {
        approver: actor("bob"),
        principal: Some(PrincipalId::new("9067e7a1-0000-4000-8000-000000000001").unwrap()),
        groups: [group("approvers")].into(),
        at: at(30),
    }
}

fn key() -> AssignmentKey {
    AssignmentKey {
        principal: PrincipalId::new("9067e7a1-0000-4000-8000-000000000002").unwrap(),
        target: target(),
    }
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn policy() -> Policy {
    let scope = OuScope { ou: OuId::new("ou-ab12-11111111").unwrap(), direct: true };
    let rule = |name: &str, plan| Rule {
        id: RuleId::new(name).unwrap(),
        description: "who is on call".into(),
        requesters: Requesters { people: [person("ada")].into(), groups: [group("developers")].into() },
        targets: Targets {
            all_accounts: true,
            accounts: [AccountId::new("111111111111").unwrap()].into(),
            ous: [scope.clone()].into(),
            account_tags: [("env".to_owned(), ["prod".to_owned(), "stage".to_owned()].into())].into(),
            permission_sets: [PermissionSetArn::new("arn:aws:sso:::permissionSet/ssoins-1/ps-1").unwrap()]
                .into(),
            roles: [
                RoleSelector::Arn(RoleArn::new("arn:aws:iam::111111111111:role/Deploy").unwrap()),
                RoleSelector::Name(RoleName::new("team/Deploy").unwrap()),
            ]
            .into(),
        },
        duration_max: hours(8),
        provider: Provider::Sts,
        credential_duration_max: Some(hours(1)),
        session: SessionScope::default(),
        plan,
    };
    Policy {
        rules: vec![
            rule("a", PlanSource::None),
            rule("b", PlanSource::Steps(plan())),
            rule("c", PlanSource::ByApprovalPolicies),
        ],
        approval_policies: vec![ApprovalPolicy {
            id: RuleId::new("prod").unwrap(),
            accounts: [AccountId::new("111111111111").unwrap()].into(),
            ous: [scope].into(),
            plan: plan(),
        }],
        settings: Settings::default(),
    }
}

fn requested() -> Requested {
    Requested {
        id: request(),
        requester: person("ada"),
        raiser: Actor { kind: ActorKind::Workload, ..actor("itsm") },
        raiser_principal: Some(PrincipalId::new("9067e7a1-0000-4000-8000-000000000003").unwrap()),
        target: target(),
        asked: AskedWindow { start: Some(at(3_600)), duration: hours(2) },
        ticket: Some(Ticket::new("OPS-1234").unwrap()),
        justification: sealed("justification"),
        emergency: true,
        extends: Some(RequestId::from_parts([b"earlier".as_slice()])),
        chain_duration: hours(4),
        batch: Some(BatchId::from_parts([b"batch".as_slice()])),
        decide_by: at(86_400),
        grounds: Grounds {
            rule: RuleId::new("on-call").unwrap(),
            policy_event: id("policy"),
            determining: vec!["on-call".into()],
            provider: Provider::IdentityCenter,
            groups: [group("developers")].into(),
            ou_path: OuPath(vec![OuId::new("r-ab12").unwrap(), OuId::new("ou-ab12-11111111").unwrap()]),
            plan: plan(),
            principal: Some(PrincipalId::new("9067e7a1-0000-4000-8000-000000000002").unwrap()),
        },
    }
}

fn request_facts() -> Vec<(Service, RequestEvent)> {
    let comment = || Some(sealed("comment"));
    let issue = IssueId::from_parts([b"issue".as_slice()]);
    vec![
        (Service::Request, RequestEvent::Requested(Box::new(requested()))),
        (Service::Request, RequestEvent::Withdrawn),
        (
            Service::Approval,
            RequestEvent::Endorsed(Endorsed {
                endorsement: endorsement(),
                policy_event: id("policy"),
                comment: comment(),
            }),
        ),
        (
            Service::Approval,
            RequestEvent::Approved(Approved {
                window: Window::new(at(3_600), at(10_800)).unwrap(),
                basis: ApprovalBasis::People,
                approvers: vec![endorsement()],
                policy_event: id("policy"),
                comment: comment(),
            }),
        ),
        (
            Service::Approval,
            RequestEvent::Rejected(Rejected {
                because: RejectedBecause::Approver { comment: comment() },
                policy_event: Some(id("policy")),
            }),
        ),
        (Service::Approval, RequestEvent::Expired(Expired { because: ExpiredBecause::WindowPassed })),
        (
            Service::Activation,
            RequestEvent::Activated(Activated {
                provider: Provider::AccountAccess,
                bound: Bound { at_end: at(14_400), after_early_end: hours(1), chained: hours(0) },
                standing: true,
            }),
        ),
        (
            Service::Activation,
            RequestEvent::CredentialsIssued(CredentialsIssued {
                issue,
                access_key_id: "ASIAEXAMPLE".into(),
                session_name: "daypass-1".into(),
                source_identity: "ada".into(),
                expires_at: at(7_200),
            }),
        ),
        (
            Service::Activation,
            RequestEvent::ConsoleOpened(ConsoleOpened {
                issue,
                access_key_id: "ASIAEXAMPLE".into(),
                session_name: "daypass-1".into(),
                source_identity: "ada".into(),
                expires_at: at(7_200),
            }),
        ),
        (
            Service::Activation,
            RequestEvent::Revoked(Revoked {
                capacity: RevokedAs::Administrator,
                comment: comment(),
                signal: None,
            }),
        ),
        (
            Service::Activation,
            RequestEvent::Ended(Ended { because: EndedBecause::Failed { reason: "AccessDenied".into() } }),
        ),
        (Service::Activation, RequestEvent::Closed(ClosedHow::CarriedBy(request()).into())),
        (
            Service::Approval,
            RequestEvent::ReviewedAfter(ReviewedAfter { verdict: Verdict::NotJustified, comment: comment() }),
        ),
    ]
}

fn assignment_facts() -> Vec<AssignmentEvent> {
    vec![
        AssignmentEvent::Attempted { key: key(), operation: Operation::Delete, deadline: at(60) },
        AssignmentEvent::AttemptAbandoned { attempt: id("attempt") },
        AssignmentEvent::Confirmed { attempt: id("attempt") },
        AssignmentEvent::Failed { attempt: id("attempt"), reason: "Conflict".into(), definite: true },
        AssignmentEvent::StandingFound { key: key() },
        AssignmentEvent::DriftFound { present: true },
        AssignmentEvent::Adopted { key: key() },
        AssignmentEvent::AbandonAsked {
            by: actor("carol"),
            principal: Some(user()),
            comment: Some(sealed("comment")),
        },
        AssignmentEvent::Abandoned { by: actor("dave"), principal: None, comment: Some(sealed("comment")) },
    ]
}

fn user() -> PrincipalId {
    PrincipalId::new("9067e7a1-0000-4000-8000-000000000003").unwrap()
}

fn denial_facts() -> Vec<DenialEvent> {
    vec![
        DenialEvent::Attempted {
            account: key().target.account().clone(),
            requests: [(request(), Some(at(30)))].into(),
            names: SetNames::new(),
            deadline: at(60),
        },
        DenialEvent::AttemptAbandoned { attempt: id("attempt") },
        DenialEvent::Confirmed { attempt: id("attempt") },
        DenialEvent::Failed { attempt: id("attempt"), reason: "ConstraintViolation".into() },
        DenialEvent::DriftFound,
    ]
}

fn policy_facts() -> Vec<PolicyEvent> {
    vec![
        PolicyEvent::Proposed(Proposed {
            author_principal: Some(PrincipalId::new("9067e7a1-0000-4000-8000-000000000003").unwrap()),
            base: Some(id("base")),
            policy: policy(),
            author: actor("carol"),
            source_digest: [3; 32],
        }),
        PolicyEvent::Applied(Applied {
            author_principal: Some(PrincipalId::new("9067e7a1-0000-4000-8000-000000000003").unwrap()),
            base: Some(id("base")),
            proposal: Some(id("proposal")),
            policy: policy(),
            author: actor("carol"),
            second: Some(actor("dave")),
            source_digest: [3; 32],
        }),
        PolicyEvent::Discarded(Discarded { proposal: id("proposal"), by: actor("dave") }),
    ]
}

/// One of each, in the order of [`journal::types::TYPES`].
/// Fields that a type got later, each set, by the name of their golden file. What was stored before them is in the file of the
/// type itself, and decodes as if they had not been set.
pub(crate) fn with_later_fields() -> Vec<(&'static str, Event)> {
    let mut policy = policy();
    for rule in &mut policy.rules {
        rule.session = SessionScope {
            inline: Some(
                r#"{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}"#
                    .parse()
                    .unwrap(),
            ),
            managed: ["arn:aws:iam::aws:policy/ReadOnlyAccess".parse().unwrap()].into(),
            allow_chaining: true,
        };
    }
    let proposed = Proposed {
        base: None,
        policy,
        author: actor("carol"),
        author_principal: None,
        source_digest: [8; 32],
    };
    let event = Event {
        id: id("event"),
        stream: Stream::Policy,
        at: at(0),
        writer: Service::Approval,
        actor: Some(actor("carol")),
        previous: None,
        trace: None,
        command_digest: None,
        fact: Fact::Policy(PolicyEvent::Proposed(proposed)),
    };
    let of = |stream, writer, fact| Event { stream, writer, fact, ..event.clone() };
    let raise = of(
        Stream::Signal("0af7".into()),
        Service::Request,
        received(SignalReceived {
            source: "itsm".into(),
            source_id: "CHG-78".into(),
            kind: SignalKind::RaiseForPerson,
            occurred_at: at(-5),
            about: Some(person("ada")),
            about_principal: Some(key().principal),
            decided_by: None,
            target: Some(target()),
            ticket: None,
            may_revoke: true,
            ask: Some(SignalAsk {
                asked: AskedWindow { start: Some(at(60)), duration: SignedDuration::from_hours(1) },
                justification: sealed(&format!("request-{}/justification", request())),
                rule: Some(RuleId::new("read-only").unwrap()),
                extends: Some(request()),
            }),
        }),
    );
    let by_signal = Revoked { capacity: RevokedAs::Signal, comment: None, signal: Some(id("signal")) };
    let revoked =
        of(Stream::Request(request()), Service::Activation, Fact::Request(RequestEvent::Revoked(by_signal)));
    let chaining = Activated {
        provider: Provider::Sts,
        bound: Bound { at_end: at(14_400), after_early_end: hours(2), chained: hours(1) },
        standing: false,
    };
    let activated =
        of(Stream::Request(request()), Service::Activation, Fact::Request(RequestEvent::Activated(chaining)));
    let removed = Closed { how: ClosedHow::Deleted, removed_at: Some(at(-30)) };
    let closed =
        of(Stream::Request(request()), Service::Activation, Fact::Request(RequestEvent::Closed(removed)));
    let account = key().target.account().clone();
    let denial = DenialEvent::Attempted {
        account: account.clone(),
        requests: [(request(), Some(at(30)))].into(),
        names: [(request(), "ReadOnly".to_owned())].into(),
        deadline: at(60),
    };
    let denied = of(Stream::Denial(account), Service::Activation, Fact::Denial(denial));
    vec![
        ("policy.proposed.v1.session", event),
        ("signal.received.v1.ask", raise),
        ("request.revoked.v1.signal", revoked),
        ("request.activated.v1.chained", activated),
        ("request.closed.v1.removed", closed),
        ("denial.attempted.v1.named", denied),
    ]
}

fn received(signal: SignalReceived) -> Fact {
    Fact::Signal(SignalEvent::Received(Box::new(signal)))
}

pub(crate) fn one_of_each() -> Vec<Event> {
    let signal = SignalReceived {
        source: "itsm".into(),
        source_id: "CHG-77".into(),
        kind: SignalKind::TicketApproved,
        occurred_at: at(-5),
        about: Some(person("ada")),
        decided_by: Some(person("bob")),
        target: Some(target()),
        ticket: Some(Ticket::new("OPS-1234").unwrap()),
        about_principal: None,
        may_revoke: false,
        ask: None,
    };
    let linked = PersonLinked { person: person("ada"), same_as: person("ada2") };
    let event = |stream, writer, fact| Event {
        id: id("event"),
        stream,
        at: at(0),
        writer,
        actor: Some(actor("ada")),
        previous: Some(id("previous")),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        command_digest: Some([5; 32]),
        fact,
    };
    request_facts()
        .into_iter()
        .map(|(writer, fact)| event(Stream::Request(request()), writer, Fact::Request(fact)))
        .chain(
            assignment_facts()
                .into_iter()
                .map(|fact| event(Stream::assignment(&key()), Service::Activation, Fact::Assignment(fact))),
        )
        .chain(denial_facts().into_iter().map(|fact| {
            event(Stream::Denial(key().target.account().clone()), Service::Activation, Fact::Denial(fact))
        }))
        .chain(
            policy_facts()
                .into_iter()
                .map(|fact| event(Stream::Policy, Service::Approval, Fact::Policy(fact))),
        )
        .chain([
            event(
                Stream::Duty("removals".into()),
                Service::Audit,
                Fact::Duty(DutyClaimed { holder: "activation-0".into() }),
            ),
            event(Stream::Signal("0af7".into()), Service::Request, received(signal)),
            event(
                Stream::Signal("0af7".into()),
                Service::Request,
                Fact::Signal(SignalEvent::Refused(SignalRefused { reason: "NO_RULE".into() })),
            ),
            event(Stream::Person(person("ada").id()), Service::Request, Fact::Person(linked)),
            event(
                Stream::Log,
                Service::Activation,
                Fact::Log(LogEvent::Restored {
                    backup: "01900000-0000-8000-8000-000000000001".parse().unwrap(),
                    events: 4_711,
                }),
            ),
            event(Stream::Log, Service::Activation, Fact::Log(LogEvent::Swept { unknown: 3 })),
        ])
        .collect()
}
