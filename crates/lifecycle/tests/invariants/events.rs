//! Folding events that no decider would write, in any order: it never panics, and nothing that is over comes back.

use crate::support::*;
use domain::{Provider, Window};
use lifecycle::Request;
use lifecycle::event::{
    ApprovalBasis, Approved, ClosedHow, Ended, EndedBecause, Expired, ExpiredBecause, Rejected,
    RejectedBecause, RequestEvent, Requested, ReviewedAfter, Revoked, RevokedAs, Verdict,
};
use lifecycle::state::{Phase, Status};
use proptest::collection::vec;
use proptest::prelude::*;

fn event() -> impl Strategy<Value = RequestEvent> {
    let who = || prop_oneof![Just("bob"), Just("carol")];
    prop_oneof![
        (0..3u8).prop_map(|id| {
            RequestEvent::Requested(Box::new(Requested { id: request_id(&id.to_string()), ..requested() }))
        }),
        Just(RequestEvent::Withdrawn),
        who().prop_map(|who| endorsed(&acting(who), &["approvers"], 10).0),
        (0..100i64, any::<bool>()).prop_map(|(start, glass)| {
            let basis = if glass { ApprovalBasis::BreakGlass } else { ApprovalBasis::Rule };
            let window = Window::new(at(start), at(start + 100)).unwrap();
            let approvers = Vec::new();
            RequestEvent::Approved(Approved {
                window,
                basis,
                approvers,
                policy_event: policy(),
                comment: None,
            })
        }),
        Just(RequestEvent::Rejected(Rejected { because: RejectedBecause::RuleVanished, policy_event: None })),
        Just(RequestEvent::Expired(Expired { because: ExpiredBecause::NotDecided })),
        any::<bool>().prop_map(|standing| activated(Provider::IdentityCenter, standing)),
        (0..900i64).prop_map(|expires| RequestEvent::CredentialsIssued(credentials(expires))),
        (0..900i64).prop_map(|expires| RequestEvent::ConsoleOpened(console(expires))),
        Just(RequestEvent::Revoked(Revoked { capacity: RevokedAs::Signal, comment: None, signal: None })),
        Just(RequestEvent::Ended(Ended { because: EndedBecause::Elapsed })),
        Just(RequestEvent::Closed(ClosedHow::Deleted.into())),
        prop_oneof![Just(Verdict::Justified), Just(Verdict::NotJustified)]
            .prop_map(|verdict| RequestEvent::ReviewedAfter(ReviewedAfter { verdict, comment: None })),
    ]
}

/// Whether a request may go from one status to the other.
fn may_follow(before: Status, after: Status) -> bool {
    match before {
        Status::Requested => true,
        Status::Approved => matches!(after, Status::Approved | Status::Ended),
        Status::Expired | Status::Rejected | Status::Ended => before == after,
    }
}

proptest! {
    #[test]
    fn invariant_evolve_is_total_and_nothing_over_comes_back(story in vec((event(), -50..500i64), 0..40)) {
        let mut state: Option<Request> = None;
        for (event, when) in story {
            let Some(before) = state else {
                let first = matches!(event, RequestEvent::Requested(_));
                state = Request::evolve(None, &event, at(when));
                prop_assert_eq!(state.is_some(), first);
                continue;
            };
            let after = Request::evolve(Some(before.clone()), &event, at(when)).unwrap();
            prop_assert!(may_follow(before.status(), after.status()));
            prop_assert_eq!(&before.raised, &after.raised);
            prop_assert_eq!(before.raised_at, after.raised_at);
            prop_assert!(before.last_at <= after.last_at);
            prop_assert!(before.window().is_none() || before.window() == after.window());
            prop_assert!(before.reviewed_after.is_none() || before.reviewed_after == after.reviewed_after);
            prop_assert!(after.issues.starts_with(&before.issues), "what was handed out is never forgotten");
            if let (Phase::Approved { active: Some(one), .. }, Phase::Approved { active, .. }) = (&before.phase, &after.phase) {
                prop_assert_eq!(Some(*one), *active);
            }
            if !before.is_closing() && before.status() == Status::Ended {
                prop_assert_eq!(&before.phase, &after.phase);
            }
            state = Some(after);
        }
    }
}
