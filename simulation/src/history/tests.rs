//! Logs that are as they must be, and those in which one thing is not.

use super::*;
use aws::simulated::sample;
use domain::{
    Actor, ActorKind, AskedWindow, IssueId, OuPath, Person, Plan, PrincipalId, Provider, RequestId, RuleId,
    Sealed, Target, Window,
};
use lifecycle::assignment::AssignmentKey;
use lifecycle::event::{
    Activated, ApprovalBasis, Approved, Closed, CredentialsIssued, Ended, EndedBecause, Grounds, Requested,
    Revoked, RevokedAs,
};
use lifecycle::log::LogEvent;

const ROLE: &str = "arn:aws:iam::222222222222:role/Deployer";

/// What was told of an early end.
const TOLD: SignedDuration = SignedDuration::from_mins(30);

/// The window is from 100 to 3,700.
const START: i64 = 100;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ada() -> Actor {
    Actor {
        person: Person::new("https://idp.example", "ada").unwrap(),
        kind: ActorKind::Human,
        client_id: None,
        auth_time: None,
        acr: None,
    }
}

/// A log that is being written.
#[derive(Clone, Default)]
struct Log {
    bodies: Vec<Vec<u8>>,
    last: BTreeMap<Stream, EventId>,
}

impl Log {
    fn add(&mut self, second: i64, stream: Stream, fact: Fact) -> EventId {
        let name = journal::types::type_name(&fact);
        let owner = journal::types::TYPES.iter().find(|(of, _)| *of == name).and_then(|(_, owner)| *owner);
        let id = EventId::from_parts([b"test".as_slice(), &self.bodies.len().to_be_bytes()]);
        let previous = self.last.insert(stream.clone(), id);
        let event = Event {
            id,
            stream,
            at: at(second),
            writer: owner.unwrap(),
            actor: None,
            previous,
            trace: None,
            command_digest: None,
            fact,
        };
        self.bodies.push(journal::encode(&event));
        id
    }

    fn tell(&mut self, second: i64, of: RequestId, event: RequestEvent) {
        self.add(second, Stream::Request(of), Fact::Request(event));
    }

    fn note(&mut self, second: i64, event: AssignmentEvent) -> EventId {
        self.add(second, Stream::assignment(&key()), Fact::Assignment(event))
    }

    fn of_all(&mut self, second: i64, event: LogEvent) {
        self.add(second, Stream::Log, Fact::Log(event));
    }

    /// Ada asks, and has what she asked for from 100 to 3,700 on.
    fn approved(&mut self, number: u8, entitlement: &str, provider: Provider) -> RequestId {
        let id = RequestId::from_parts([[number].as_slice()]);
        let hour = SignedDuration::from_hours(1);
        let requested = Requested {
            id,
            requester: ada().person,
            raiser: ada(),
            raiser_principal: None,
            target: Target::parse(sample::PAYMENTS_PROD, entitlement).unwrap(),
            asked: AskedWindow { start: None, duration: hour },
            ticket: None,
            justification: Sealed { key_of: ada().person.id(), nonce: [0; 12], ciphertext: vec![7; 32] },
            emergency: false,
            extends: None,
            chain_duration: hour,
            batch: None,
            decide_by: at(86_400),
            grounds: Grounds {
                rule: RuleId::new("generous").unwrap(),
                policy_event: EventId::from_parts([b"policy".as_slice()]),
                determining: vec!["rule/generous".to_owned()],
                provider,
                groups: BTreeSet::new(),
                ou_path: OuPath(Vec::new()),
                plan: Plan { steps: Vec::new() },
                principal: Some(PrincipalId::new(sample::ADA).unwrap()),
            },
        };
        self.tell(START, id, RequestEvent::Requested(Box::new(requested)));
        let approved = Approved {
            window: Window::from_duration(at(START), hour).unwrap(),
            basis: ApprovalBasis::Rule,
            approvers: Vec::new(),
            policy_event: EventId::from_parts([b"policy".as_slice()]),
            comment: None,
        };
        self.tell(START, id, RequestEvent::Approved(approved));
        id
    }

    fn activated(&mut self, second: i64, id: RequestId, provider: Provider, chained: SignedDuration) {
        let bound = Bound { at_end: at(3_700) + chained, after_early_end: TOLD + chained, chained };
        self.tell(second, id, RequestEvent::Activated(Activated { provider, bound, standing: false }));
    }

    /// A role that Ada has been lent.
    fn lent(&mut self, chained: SignedDuration) -> RequestId {
        let id = self.approved(1, ROLE, Provider::Sts);
        self.activated(START, id, Provider::Sts, chained);
        id
    }

    fn issued(&mut self, second: i64, id: RequestId, expires_at: i64) {
        let issued = CredentialsIssued {
            issue: IssueId::from_parts([b"issue".as_slice(), &second.to_be_bytes()]),
            access_key_id: "ASIAEXAMPLE".to_owned(),
            session_name: "daypass-1".to_owned(),
            source_identity: "ada".to_owned(),
            expires_at: at(expires_at),
        };
        self.tell(second, id, RequestEvent::CredentialsIssued(issued));
    }

    fn revoked(&mut self, second: i64, id: RequestId) {
        let revoked = Revoked { capacity: RevokedAs::Requester, comment: None, signal: None };
        self.tell(second, id, RequestEvent::Revoked(revoked));
    }

    fn closed(&mut self, second: i64, id: RequestId, how: ClosedHow) {
        self.tell(second, id, RequestEvent::Closed(Closed::from(how)));
    }

    fn attempted(&mut self, second: i64, operation: Operation) -> EventId {
        self.note(second, AssignmentEvent::Attempted { key: key(), operation, deadline: at(second + 1_200) })
    }

    fn confirmed(&mut self, second: i64, attempt: EventId) {
        self.note(second, AssignmentEvent::Confirmed { attempt });
    }

    /// What is wrong with it, if anything is.
    fn wrong(&self) -> Option<&'static str> {
        self.wrong_with(&[])
    }

    fn wrong_with(&self, confidential: &[String]) -> Option<&'static str> {
        let bodies = self.bodies.iter().map(Vec::as_slice);
        check(bodies, confidential).err().map(|violation| violation.invariant)
    }
}

fn key() -> AssignmentKey {
    AssignmentKey {
        principal: PrincipalId::new(sample::ADA).unwrap(),
        target: Target::parse(sample::PAYMENTS_PROD, sample::READ_ONLY).unwrap(),
    }
}

/// Access to an assignment that was made, and is over.
fn assigned() -> (Log, RequestId) {
    let mut log = Log::default();
    let id = log.approved(1, sample::READ_ONLY, Provider::IdentityCenter);
    let attempt = log.attempted(101, Operation::Create);
    log.confirmed(102, attempt);
    log.activated(103, id, Provider::IdentityCenter, SignedDuration::ZERO);
    (log, id)
}

#[test]
fn credentials_that_work_longer_than_was_told_of_an_early_end_are_seen() {
    let hour = SignedDuration::from_hours(1);
    // Half an hour was told, and clocks may be eight seconds apart; at the end of the window they are refused.
    for (issued_at, expires_at, wrong) in [
        (200, 2_000, None),
        (200, 2_008, None),
        (200, 2_009, Some("S2")),
        (3_000, 9_000, None),
        (1_800, 9_000, Some("S2")),
    ] {
        for chained in [SignedDuration::ZERO, hour] {
            let mut log = Log::default();
            let id = log.lent(chained);
            log.issued(issued_at, id, expires_at);
            assert_eq!(log.wrong(), wrong, "{issued_at} {expires_at} {chained:#}");
        }
    }
}

#[test]
fn what_is_closed_while_its_credentials_live_is_seen() {
    let hour = SignedDuration::from_hours(1);
    for (chained, closed_at, wrong) in [
        (SignedDuration::ZERO, 1_100, None),
        (SignedDuration::ZERO, 1_099, Some("S2")),
        (hour, 4_700, None),
        (hour, 4_699, Some("S2")),
    ] {
        let mut log = Log::default();
        let id = log.lent(chained);
        log.issued(200, id, 1_100);
        log.revoked(300, id);
        log.closed(closed_at, id, ClosedHow::CredentialsExpired);
        assert_eq!(log.wrong(), wrong, "{chained:#} {closed_at}");
    }
}

#[test]
fn what_is_closed_as_deleted_and_is_there_by_its_ledger_is_seen() {
    let (mut log, id) = assigned();
    log.revoked(200, id);
    let mut left = log.clone();
    left.closed(203, id, ClosedHow::Deleted);
    assert_eq!(left.wrong(), Some("S2"));

    let attempt = log.attempted(201, Operation::Delete);
    log.confirmed(202, attempt);
    log.closed(203, id, ClosedHow::Deleted);
    assert_eq!(log.wrong(), None);
}

#[test]
fn what_another_request_takes_upon_itself_is_not_left() {
    let (mut log, first) = assigned();
    let second = log.approved(2, sample::READ_ONLY, Provider::IdentityCenter);
    log.revoked(200, first);
    log.closed(203, first, ClosedHow::Deleted);
    assert_eq!(log.wrong(), None, "it is live");
    log.revoked(300, second);
    assert_eq!(log.wrong(), None, "it is closing");
    log.closed(303, second, ClosedHow::Deleted);
    assert_eq!(log.wrong(), Some("S2"));
}

#[test]
fn nothing_is_given_by_a_restored_log_before_aws_was_looked_through() {
    let restored = LogEvent::Restored { backup: domain::LogId::from_parts([b"log".as_slice()]), events: 3 };
    let mut lent = Log::default();
    let role = lent.lent(SignedDuration::ZERO);
    let mut approved = Log::default();
    let set = approved.approved(1, sample::READ_ONLY, Provider::IdentityCenter);
    for swept in [false, true] {
        let begun = |log: &Log| {
            let mut log = log.clone();
            log.of_all(150, restored.clone());
            if swept {
                log.of_all(160, LogEvent::Swept { unknown: 0 });
            }
            log
        };
        let wrong = Some("S10").filter(|_| !swept);
        let mut log = begun(&lent);
        log.issued(200, role, 1_100);
        assert_eq!(log.wrong(), wrong, "credentials");
        let mut log = begun(&approved);
        log.attempted(200, Operation::Create);
        assert_eq!(log.wrong(), wrong, "an attempt");
        let mut log = begun(&approved);
        log.activated(200, set, Provider::IdentityCenter, SignedDuration::ZERO);
        assert_eq!(log.wrong(), wrong, "activation");
        // What is held is kept, and what is over is removed.
        let mut log = begun(&assigned().0);
        let again = log.attempted(200, Operation::Create);
        log.confirmed(201, again);
        log.attempted(3_700, Operation::Delete);
        assert_eq!(log.wrong(), None);
    }
}

#[test]
fn what_was_written_in_confidence_or_handed_out_is_seen_where_it_is_in_the_clear() {
    let mut log = Log::default();
    let id = log.lent(SignedDuration::ZERO);
    log.issued(200, id, 1_100);
    let reason = "the pager went off".to_owned();
    assert_eq!(log.wrong_with(&[reason.clone(), "a secret".to_owned(), String::new()]), None);
    let failed = EndedBecause::Failed { reason: format!("because {reason}") };
    log.tell(300, id, RequestEvent::Ended(Ended { because: failed }));
    assert_eq!(log.wrong_with(&[reason]), Some("S8"));
}
