//! The policy as a value: what administrators write, and what a policy event keeps.
//!
//! INVARIANT: a [`Policy`] says nothing by being empty: no rule, no access. Values here may be wrong (a rule that matches
//! nothing, two rules of one name); [`Policy::check`] says how. Nothing is decided here.

use domain::{
    AccountId, GroupRef, Invalid, OuId, PermissionSetArn, Person, Plan, Provider, RoleArn, RuleId,
    SessionScope, SignedDuration,
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that administrators decide: one value, one stream, one order of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Policy {
    /// Who may ask for what. Ordered by id (see [`Policy::sorted`]); the order never matters to a decision.
    pub rules: Vec<Rule>,
    /// Who must agree wherever a rule leaves it to the account. Ordered by id.
    pub approval_policies: Vec<ApprovalPolicy>,
    /// Limits that hold for all rules.
    pub settings: Settings,
}

/// Who may ask for which targets, how long, by which provider, under which plan.
///
/// A rule stands alone: nothing of one rule is ever combined with anything of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// The name that administrators gave it; unique among rules.
    pub id: RuleId,
    /// For people to read; decides nothing.
    pub description: String,
    /// Who may ask.
    pub requesters: Requesters,
    /// For what.
    pub targets: Targets,
    /// The longest window that may be asked for. A window may outlast a role session (12 h): new credentials are issued
    /// as long as it is open.
    pub duration_max: SignedDuration,
    /// How the access is brought about.
    pub provider: Provider,
    /// The longest life of one credential, 15 min to 12 h, for [`Provider::Sts`] alone; `None` means
    /// [`Rule::CREDENTIAL_DURATION_DEFAULT`]. This is what an early end may have to wait for.
    pub credential_duration_max: Option<SignedDuration>,
    /// What a session may do at most, for [`Provider::Sts`] alone.
    pub session: SessionScope,
    /// Who must agree.
    pub plan: PlanSource,
}

impl Rule {
    /// STS's own default for a role session.
    pub const CREDENTIAL_DURATION_DEFAULT: SignedDuration = SignedDuration::from_hours(1);

    /// The longest life of one credential under this rule.
    pub fn credential_duration(&self) -> SignedDuration {
        self.credential_duration_max.unwrap_or(Self::CREDENTIAL_DURATION_DEFAULT)
    }
}

/// These people, and the members of any of these groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requesters {
    /// By identity.
    pub people: BTreeSet<Person>,
    /// By membership. A group that nobody is in, or that no longer exists, is harmless.
    pub groups: BTreeSet<GroupRef>,
}

/// What a rule is about: an entitlement out of `permission_sets` or `roles`, in an account that is selected.
///
/// An account is selected when **any** of these holds:
/// - `all_accounts`;
/// - it is in `accounts`;
/// - it is in a unit of `ous` (at any depth, unless the scope says direct children only);
/// - `account_tags` is not empty, and for **every** key of it the account has a tag of that key with **one** of the listed
///   values (keys and values compared exactly).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Targets {
    /// Every account of the organisation, also those to come.
    pub all_accounts: bool,
    /// By account id.
    pub accounts: BTreeSet<AccountId>,
    /// By organisational unit.
    pub ous: BTreeSet<OuScope>,
    /// By tag: key to accepted values.
    pub account_tags: BTreeMap<String, BTreeSet<String>>,
    /// Permission sets, for [`Provider::IdentityCenter`].
    pub permission_sets: BTreeSet<PermissionSetArn>,
    /// Roles, for [`Provider::Sts`] and [`Provider::AccountAccess`].
    pub roles: BTreeSet<RoleSelector>,
}

/// The accounts of an organisational unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OuScope {
    /// The unit; the root of the organisation (`r-…`) is one as well.
    pub ou: OuId,
    /// Only the accounts directly in the unit; otherwise also those of the units below it, at any depth.
    pub direct: bool,
}

/// Which roles.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoleSelector {
    /// This role; its account must be selected as well.
    Arn(RoleArn),
    /// The role of this path and name, in every selected account.
    Name(RoleName),
}

/// The path and name of an IAM role as they follow `role/` in its ARN: `Deployer`, `teams/payments/Deployer`. Compared
/// exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleName(String);

impl RoleName {
    /// Checks and wraps `text`: path (at most 510 characters) and name (at most 64).
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        let role = RoleArn::new(format!("arn:aws:iam::000000000000:role/{text}"));
        let name_fits = text.rsplit('/').next().is_some_and(|name| name.len() <= 64);
        if role.is_ok() && name_fits && text.len() <= 574 {
            Ok(Self(text))
        } else {
            Err(Invalid::new("role name", "must look like Name or path/Name, as in the role's ARN"))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for RoleSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Arn(arn) => arn.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// An ARN, or a path and name.
impl std::str::FromStr for RoleSelector {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("arn:") {
            RoleArn::new(text).map(Self::Arn)
        } else {
            RoleName::new(text).map(Self::Name)
        }
    }
}

/// Where a rule's plan comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlanSource {
    /// Nobody needs to agree.
    None,
    /// The rule's own steps.
    Steps(Plan),
    /// The steps of every approval policy that covers the account; where none does, nobody can decide and the request is
    /// refused.
    ByApprovalPolicies,
}

/// Who must agree to access in these accounts. All approval policies that cover an account apply together: the plan is
/// their steps one after the other, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApprovalPolicy {
    /// The name that administrators gave it; unique among approval policies.
    pub id: RuleId,
    /// These accounts.
    pub accounts: BTreeSet<AccountId>,
    /// The accounts of these units.
    pub ous: BTreeSet<OuScope>,
    /// The steps it asks for; at least one.
    pub plan: Plan,
}

/// Limits that hold for all rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Settings {
    /// How long a request waits for a decision before it expires.
    pub decide_within: SignedDuration,
    /// How far ahead a start may be asked for.
    pub start_horizon: SignedDuration,
    /// The shortest window that may be asked for, and the least that must be left of one when it is approved.
    pub duration_min: SignedDuration,
    /// The longest that a request and its extensions may last together.
    pub chain_duration_max: SignedDuration,
    /// Whether a change of policy needs a second administrator.
    pub second_administrator: bool,
    /// How old the knowledge of someone's groups may be when a decision rests on it.
    pub group_age_max: SignedDuration,
    /// How old the directory of accounts and units may be when a decision rests on it.
    pub directory_age_max: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decide_within: SignedDuration::from_hours(24),
            start_horizon: SignedDuration::from_hours(30 * 24),
            duration_min: SignedDuration::from_mins(5),
            chain_duration_max: SignedDuration::from_hours(24),
            second_administrator: true,
            group_age_max: SignedDuration::from_mins(15),
            directory_age_max: SignedDuration::from_mins(15),
        }
    }
}

impl Policy {
    /// The same policy with rules and approval policies in the order of their ids: two policies that say the same are
    /// then equal.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.rules.sort();
        self.approval_policies.sort();
        self
    }

    /// The rule of this id.
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == *id)
    }
}
