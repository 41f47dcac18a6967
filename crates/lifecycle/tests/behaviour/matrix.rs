//! Every phase × every decision: what each one comes to, said in full.

use crate::support::*;
use lifecycle::access::{
    activate, close, elapse, fail, issue_credentials, lose_eligibility, open_console, revoke,
};
use lifecycle::event::{ClosedHow, Expired, ExpiredBecause, Revoked, RevokedAs, Verdict};
use lifecycle::event::{Rejected, RejectedBecause, RequestEvent, Requested};
use lifecycle::raise::withdraw;
use lifecycle::review::{approve, approve_by_rule, expire, reject, reject_without_rule, review_after};
use lifecycle::{Rejection, Request};

/// Everything happens at this second; the window is `[1000, 4600)`, or an hour from 2500 where the start is still to come.
const NOW: i64 = 2000;

const PHASES: [&str; 8] =
    ["pending", "expired", "rejected", "scheduled", "approved", "active", "ended", "closed"];

fn story(phase: &str) -> Story {
    let ask = Requested { asked: from_for(1000, HOUR), ..sts() };
    let late = Requested { asked: from_for(2500, HOUR), ..sts() };
    let revoked =
        RequestEvent::Revoked(Revoked { capacity: RevokedAs::Approver, comment: None, signal: None });
    match phase {
        "pending" => pending(ask),
        "expired" => {
            and(pending(ask), RequestEvent::Expired(Expired { because: ExpiredBecause::NotDecided }), 1500)
        }
        "rejected" => {
            let rejected = Rejected { because: RejectedBecause::RuleVanished, policy_event: None };
            and(pending(ask), RequestEvent::Rejected(rejected), 1500)
        }
        "scheduled" => approved(late),
        "approved" => approved(ask),
        "active" => active(ask, 1100),
        "ended" => and(active(ask, 1100), revoked, 1500),
        "closed" => {
            let closed = RequestEvent::Closed(ClosedHow::NothingCreated.into());
            and(and(active(ask, 1100), revoked, 1500), closed, 1600)
        }
        _ => panic!("no such phase"),
    }
}

fn decide(command: &str, request: &Request) -> Result<RequestEvent, Rejection> {
    let now = at(NOW);
    match command {
        "withdraw" => withdraw(request, &acting("ada"), now),
        "approve" => approve(request, yes(acting("bob"), &["approvers"], NOW)),
        "approve by rule" => approve_by_rule(request, &domain::Plan::none(), policy(), secs(60), now),
        "reject" => reject(request, no(acting("bob"), &["approvers"], NOW)),
        "reject without rule" => reject_without_rule(request, None),
        "expire" => expire(request, now),
        "activate" => activate(request, bound(), false, now),
        "issue credentials" => issue_credentials(request, credentials(NOW + 900), now),
        "open console" => open_console(request, console(NOW + 900), now),
        "revoke" => revoke(request, RevokedAs::Administrator, None),
        "elapse" => elapse(request, now),
        "fail" => fail(request, "AccessDenied".into()),
        "lose eligibility" => lose_eligibility(request, "requester left".into()),
        "close" => close(request, ClosedHow::NothingCreated, now),
        "review after" => review_after(request, &acting("bob"), Verdict::Justified, None),
        _ => panic!("no such decision"),
    }
}

/// The first word of an event's or a rejection's debug form.
fn name(outcome: &Result<RequestEvent, Rejection>) -> String {
    let text = match outcome {
        Ok(event) => format!("+{event:?}"),
        Err(rejection) => format!("{rejection:?}"),
    };
    text.split(|c: char| c != '+' && !c.is_alphanumeric()).next().unwrap().to_owned()
}

/// `+` marks what is written; everything else is a refusal.
#[rustfmt::skip]
const EXPECTED: [(&str, [&str; 8]); 15] = [
    //                        pending         expired         rejected        scheduled        approved         active                ended           closed
    ("withdraw",            ["+Withdrawn",    "Over",         "Over",         "+Withdrawn",    "AlreadyStarted", "AlreadyStarted",     "Over",         "Over"]),
    ("approve",             ["+Approved",     "NotPending",   "NotPending",   "NotPending",    "NotPending",    "NotPending",         "NotPending",   "NotPending"]),
    ("approve by rule",     ["PlanNotEmpty",  "NotPending",   "NotPending",   "NotPending",    "NotPending",    "NotPending",         "NotPending",   "NotPending"]),
    ("reject",              ["+Rejected",     "NotPending",   "NotPending",   "NotPending",    "NotPending",    "NotPending",         "NotPending",   "NotPending"]),
    ("reject without rule", ["+Rejected",     "NotPending",   "NotPending",   "NotPending",    "NotPending",    "NotPending",         "NotPending",   "NotPending"]),
    ("expire",              ["ReviewNotOver", "NotPending",   "NotPending",   "NotPending",    "NotPending",    "NotPending",         "NotPending",   "NotPending"]),
    ("activate",            ["NotApproved",   "Over",         "Over",         "WindowNotBegun", "+Activated",   "AlreadyActive",      "Over",         "Over"]),
    ("issue credentials",   ["NotApproved",   "Over",         "Over",         "WindowNotBegun", "NotActive",    "+CredentialsIssued", "Over",         "Over"]),
    ("open console",        ["NotApproved",   "Over",         "Over",         "WindowNotBegun", "NotActive",    "+ConsoleOpened",     "Over",         "Over"]),
    ("revoke",              ["+Revoked",      "Over",         "Over",         "+Revoked",      "+Revoked",      "+Revoked",           "Over",         "Over"]),
    ("elapse",              ["NotApproved",   "Over",         "Over",         "WindowNotOver", "WindowNotOver", "WindowNotOver",      "Over",         "Over"]),
    ("fail",                ["NotApproved",   "Over",         "Over",         "+Ended",        "+Ended",        "AlreadyActive",      "Over",         "Over"]),
    ("lose eligibility",    ["NotApproved",   "Over",         "Over",         "+Ended",        "+Ended",        "+Ended",             "Over",         "Over"]),
    ("close",               ["NotOver",       "NotOver",      "NotOver",      "NotOver",       "NotOver",       "NotOver",            "+Closed",      "AlreadyClosed"]),
    ("review after",        ["NoReviewOwed",  "NoReviewOwed", "NoReviewOwed", "NoReviewOwed",  "NoReviewOwed",  "NoReviewOwed",       "NoReviewOwed", "NoReviewOwed"]),
];

#[test]
fn every_decision_in_every_phase_comes_to_what_the_table_says() {
    for (command, outcomes) in EXPECTED {
        for (phase, expected) in PHASES.iter().zip(outcomes) {
            let outcome = decide(command, &given(story(phase)).request());
            assert_eq!(name(&outcome), expected, "{command}, when {phase}");
        }
    }
}
