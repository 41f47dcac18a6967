//! A request of Ada's, for the tests of the agenda.

use aws::simulated::sample;
use domain::{
    Actor, ActorKind, AskedWindow, EventId, GroupRef, OuPath, Person, Plan, PrincipalId, Provider, RequestId,
    RuleId, Sealed, SignedDuration, Target, Timestamp, Window,
};
use lifecycle::Request;
use lifecycle::event::{ApprovalBasis, Approved, Grounds, Requested};
use lifecycle::state::{Grant, Phase};
use std::collections::BTreeSet;

/// A time, in seconds.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn ada() -> Actor {
    let person = Person::new("https://idp.example", "ada").unwrap();
    Actor { person, kind: ActorKind::Human, client_id: None, auth_time: None, acr: None }
}

pub(super) fn policy_event() -> EventId {
    EventId::from_parts([b"policy".as_slice()])
}

/// The request of this number, for reading in the account of that one, with these groups and under this plan.
pub(super) fn requested(number: u64, account: u64, groups: BTreeSet<GroupRef>, plan: Plan) -> Requested {
    let hour = SignedDuration::from_hours(1);
    Requested {
        id: RequestId::from_parts([b"test".as_slice(), &number.to_be_bytes()]),
        requester: ada().person,
        raiser: ada(),
        raiser_principal: None,
        target: Target::parse(&format!("7{account:011}"), sample::READ_ONLY).unwrap(),
        asked: AskedWindow { start: None, duration: hour },
        ticket: None,
        justification: Sealed { key_of: ada().person.id(), nonce: [0; 12], ciphertext: vec![0; 32] },
        emergency: false,
        extends: None,
        chain_duration: hour,
        batch: None,
        decide_by: at(86_400),
        grounds: Grounds {
            rule: RuleId::new("read-only").unwrap(),
            policy_event: policy_event(),
            determining: vec!["rule/read-only".to_owned()],
            provider: Provider::IdentityCenter,
            groups,
            ou_path: OuPath(Vec::new()),
            plan,
            principal: Some(PrincipalId::new(sample::ADA).unwrap()),
        },
    }
}

/// The same, approved by people for the seconds from `start` to `end`, and not begun.
pub(super) fn approved(raised: Requested, start: i64, end: i64) -> Request {
    let approved = Approved {
        window: Window::new(at(start), at(end)).unwrap(),
        basis: ApprovalBasis::People,
        approvers: Vec::new(),
        policy_event: policy_event(),
        comment: None,
    };
    Request {
        raised,
        raised_at: at(0),
        last_at: at(0),
        endorsements: Vec::new(),
        phase: Phase::Approved { grant: Grant { at: at(0), approved }, active: None },
        issues: Vec::new(),
        reviewed_after: None,
    }
}
