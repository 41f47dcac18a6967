//! One ask as values, out of the message that passed the constraints of the proto.

use api::types::v1 as wire;
use domain::{AskedWindow, Invalid, Person, RequestId, RuleId, Sealed, Target, Ticket};
use std::str::FromStr;
use tonic::{Code, Status};
use views::refusal;

/// What someone asks for. Never printed: it holds the justification.
pub(crate) struct Ask {
    pub(crate) target: Target,
    pub(crate) window: AskedWindow,
    pub(crate) justification: Justification,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) rule: Option<RuleId>,
    pub(crate) on_behalf_of: Option<Person>,
    pub(crate) extends: Option<RequestId>,
}

/// Why, in someone's words.
pub(crate) enum Justification {
    /// As it came.
    Text(String),
    /// Sealed to the request already.
    Sealed(Sealed),
}

impl Ask {
    /// Reads `ask`, which is the field `at` of its request.
    pub(crate) fn read(ask: &wire::Ask, at: &str) -> Result<Self, Status> {
        if ask.emergency {
            return Err(refusal::with_reason(
                Code::Unimplemented,
                "EMERGENCY_NOT_SERVED",
                "emergencies are not served yet",
            ));
        }
        let target =
            ask.target.as_ref().ok_or_else(|| refusal::field(format!("{at}.target"), "must be set"))?;
        let window =
            ask.window.as_ref().ok_or_else(|| refusal::field(format!("{at}.window"), "must be set"))?;
        let person = ask.on_behalf_of.as_ref().map(views::wire::read_person).transpose();
        Ok(Self {
            target: views::wire::read_target(target).map_err(wrong(at, "target"))?,
            window: views::wire::read_asked(window).map_err(wrong(at, "window"))?,
            justification: Justification::Text(ask.justification.clone()),
            ticket: unless_empty(&ask.ticket).map_err(wrong(at, "ticket"))?,
            rule: unless_empty(&ask.rule_id).map_err(wrong(at, "rule_id"))?,
            on_behalf_of: person.map_err(wrong(at, "on_behalf_of"))?,
            extends: unless_empty(&ask.extends_request_id).map_err(wrong(at, "extends_request_id"))?,
        })
    }
}

/// A value that is left out by being empty.
pub(crate) fn unless_empty<T: FromStr<Err = Invalid>>(text: &str) -> Result<Option<T>, Invalid> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn wrong(at: &str, name: &str) -> impl FnOnce(Invalid) -> Status {
    let field = format!("{at}.{name}");
    move |invalid| refusal::field(field, invalid.why)
}
