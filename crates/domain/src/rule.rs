//! Names that a decision records: the rule, the provider, the ticket.

use crate::invalid::{printable, text};

text!(
    /// A rule or approval policy, by the name that administrators gave it.
    RuleId, "rule id", "must be 1 to 64 of a-z, 0-9, '-', '_' and '.'",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
);

text!(
    /// A reference to a ticket elsewhere: `OPS-1234`. A reference, not text: it is stored in the clear.
    Ticket, "ticket", "must be 1 to 64 of letters, digits, '-', '_', '.', '#' and '/'",
    |text| printable(text, 64) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.#/".contains(&b))
);

/// How access is brought about, and its end enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// An account assignment, deleted at the end.
    IdentityCenter,
    /// Credentials on demand, bound to the window by their session policy.
    Sts,
    /// An entitlement of Account Access Manager.
    AccountAccess,
}
