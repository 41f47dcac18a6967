//! Requests as people read them.

use super::table::{sheet, table};
use super::text::{self, duration, lines, named, party, plan, short, status, time, visible, word};
use api::types::v1::Request;

/// A line for each.
pub(crate) fn list(requests: &[Request]) -> String {
    if requests.is_empty() {
        return "no requests".to_owned();
    }
    let row = |request: &Request| {
        [
            short(&request.request_id),
            status(request),
            text::name(request.requester.as_ref()),
            account(request),
            entitlement(request),
            window(request),
            time(request.requested_at.as_ref()),
        ]
    };
    table(
        ["id", "status", "requester", "account", "entitlement", "window", "requested"],
        requests.iter().map(row),
    )
}

/// Everything about one.
pub(crate) fn sheet_of(request: &Request) -> String {
    let target = request.target.clone().unwrap_or_default();
    let raised_by = request.raiser.as_ref().and_then(|raiser| raiser.person.as_ref());
    let requester = request.requester.as_ref().and_then(|requester| requester.person.as_ref());
    let endorsed = request.endorsements.iter().map(|endorsement| {
        format!("{} at {}", party(endorsement.approver.as_ref()), time(endorsement.endorsed_at.as_ref()))
    });
    sheet([
        ("Request", visible(&request.request_id)),
        ("Status", status(request)),
        ("Requester", party(request.requester.as_ref())),
        (
            "Raised by",
            raised_by.filter(|person| Some(*person) != requester).map(text::person).unwrap_or_default(),
        ),
        ("Account", both(&request.account_name, &target.account_id)),
        ("Entitlement", both(&request.entitlement_name, &target.entitlement_arn)),
        ("Window", window(request)),
        ("Because", lines(&request.justification)),
        ("Ticket", visible(&request.ticket)),
        ("Extends", visible(&request.extends_request_id)),
        ("Rule", visible(&request.rule_id)),
        ("Provider", text::provider(request.provider())),
        ("Must agree", plan(request.plan.as_ref())),
        ("Agreed", endorsed.collect::<Vec<_>>().join("\n")),
        ("Requested", time(request.requested_at.as_ref())),
        (
            "Decide by",
            if request.approved_at.is_none() && request.ended_at.is_none() {
                time(request.decide_by.as_ref())
            } else {
                String::new()
            },
        ),
        ("Approved", time(request.approved_at.as_ref())),
        ("Active since", time(request.activated_at.as_ref())),
        ("Standing", if request.standing { "held this before; stays".to_owned() } else { String::new() }),
        ("Over since", time(request.ended_at.as_ref())),
        ("Ended by", request.ended_by.as_ref().map(|by| party(Some(by))).unwrap_or_default()),
        ("Detail", visible(&request.end_detail)),
        ("Works until", bound(request)),
        ("Closed", closed(request)),
    ])
}

/// How long something can work at most, told honestly.
fn bound(request: &Request) -> String {
    match (&request.bound, &request.ended_at) {
        (_, Some(_)) => time(request.credentials_bound_at.as_ref()),
        (Some(bound), None) => {
            let early = duration(bound.after_early_end.as_ref());
            format!("{} at the latest; when ended early, up to {early} more", time(bound.at_end.as_ref()))
        }
        (None, None) => String::new(),
    }
}

fn closed(request: &Request) -> String {
    let reason = word(request.close_reason().as_str_name(), "CLOSE_REASON_");
    let at = time(request.closed_at.as_ref());
    let past = match duration(request.past_end.as_ref()) {
        length if length.is_empty() => length,
        length => format!(", {length} past its end"),
    };
    if reason.is_empty() { at } else { format!("{at} ({reason}{past})") }
}

fn both(name: &str, id: &str) -> String {
    if name.is_empty() || id.ends_with(name) {
        visible(id)
    } else {
        format!("{} ({})", visible(name), visible(id))
    }
}

/// The name of its account, or the id.
pub(crate) fn account(request: &Request) -> String {
    named(
        &request.account_name,
        request.target.as_ref().map(|target| target.account_id.as_str()).unwrap_or_default(),
    )
}

/// The name of its entitlement, or the ARN.
pub(crate) fn entitlement(request: &Request) -> String {
    let arn = request.target.as_ref().map(|target| target.entitlement_arn.as_str()).unwrap_or_default();
    named(&request.entitlement_name, arn)
}

/// Its window, or what was asked for while it has none.
pub(crate) fn window(request: &Request) -> String {
    if let Some(window) = &request.window {
        return format!("{} – {}", time(window.start.as_ref()), time(window.end.as_ref()));
    }
    let asked = request.asked_window.unwrap_or_default();
    let length = duration(asked.duration.as_ref());
    match &asked.start {
        Some(start) => format!("{length} from {}", time(Some(start))),
        None => format!("{length} from approval"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::types::v1::{AskedWindow, Party, Person, RequestStatus, Target};

    fn sample() -> Request {
        Request {
            request_id: "7f3a9c00-1111-8222-8333-444455556666".to_owned(),
            requester: Some(Party {
                person: Some(Person { issuer: "https://idp.example".to_owned(), subject: "ada".to_owned() }),
                display_name: "Ada\u{1b}[31m".to_owned(),
                user_name: String::new(),
            }),
            target: Some(Target {
                account_id: "111122223333".to_owned(),
                entitlement_arn: "arn:aws:iam::111122223333:role/Deployer".to_owned(),
            }),
            account_name: "payments".to_owned(),
            entitlement_name: "Deployer".to_owned(),
            asked_window: Some(AskedWindow {
                start: None,
                duration: Some(prost_types::Duration { seconds: 5400, nanos: 0 }),
            }),
            justification: "roll back\nStatus: approved\u{202e}".to_owned(),
            requested_at: Some(prost_types::Timestamp { seconds: 1_795_226_400, nanos: 0 }),
            status: RequestStatus::Requested.into(),
            ..Request::default()
        }
    }

    #[test]
    fn a_list_has_a_line_for_each() {
        let expected = " ID        STATUS     REQUESTER     ACCOUNT   ENTITLEMENT  WINDOW               REQUESTED\n \
                        7f3a9c00  requested  Ada\\u{1b}[31m  payments  Deployer     1h30m from approval  2026-11-21T02:00:00Z";
        let got = list(&[sample()]);
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&got), squeeze(expected));
        assert_eq!(got.lines().count(), 2);
    }

    #[test]
    fn text_of_others_cannot_pass_for_a_line_of_ours() {
        let got = sheet_of(&sample());
        let ours: Vec<&str> = got.lines().filter(|line| line.trim_start().starts_with("Status")).collect();
        assert_eq!(ours.len(), 2, "the second is indented to where values are: {got}");
        let indent = |line: &str| line.len() - line.trim_start().len();
        assert!(indent(ours[1]) > indent(ours[0]) + 8, "{got}");
        assert!(!got.contains('\u{202e}') && !got.contains('\u{1b}'));
    }
}
