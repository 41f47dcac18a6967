//! Says everything that is wrong with a policy, at once.
//!
//! INVARIANT: a policy without problems compiles, and each of its rules can match something. Whether the groups, accounts
//! and units it names exist is not asked: what does not exist matches nothing and harms nothing.

use crate::model::{ApprovalPolicy, OuScope, PlanSource, Policy, RoleSelector, Rule, Settings, Targets};
use domain::{
    AccountId, GroupRef, MANAGED_POLICIES_MAX, Partition, Person, Plan, Provider, RuleId, SESSION_POLICY_MAX,
    SignedDuration,
};
use std::collections::BTreeSet;

/// Rules in one policy: what fits into one event of the log, with room to spare.
pub const RULES_MAX: usize = 2_000;
/// Approval policies in one policy, for the same reason.
pub const APPROVAL_POLICIES_MAX: usize = 1_000;
/// Steps in one plan.
pub const STEPS_MAX: usize = 10;
/// People that one step may ask for.
pub const STEP_COUNT_MAX: u8 = 10;
/// Bytes of a rule's description.
pub const DESCRIPTION_MAX: usize = 500;
/// The longest window that any rule may allow.
pub const DURATION_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);
/// STS: the shortest role session (AWS API reference, `AssumeRole`, `DurationSeconds`).
pub const CREDENTIAL_DURATION_MIN: SignedDuration = SignedDuration::from_mins(15);
/// STS: the longest maximum session duration that a role can have.
pub const CREDENTIAL_DURATION_MAX: SignedDuration = SignedDuration::from_hours(12);
/// Organizations: the longest key of a tag.
const TAG_KEY_MAX: usize = 128;
/// Organizations: the longest value of a tag.
const TAG_VALUE_MAX: usize = 256;

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Problem {
    /// Where: `rules[dev-read].targets.accounts`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl Problem {
    /// A problem at `path`.
    pub fn new(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self { path: path.into(), why: why.into() }
    }
}

struct Findings {
    problems: Vec<Problem>,
    /// Whether the policy is about to be accepted; otherwise it may be in force already.
    is_new: bool,
}

impl Findings {
    fn require(&mut self, holds: bool, path: &str, why: &str) {
        if !holds {
            self.problems.push(Problem::new(path, why));
        }
    }
}

impl Policy {
    /// Everything that is wrong with this policy, in the order of the policy.
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        self.check_as(true)
    }

    /// Everything because of which it could not be in force. What sessions are cut down to may be longer than is accepted by now: then
    /// AWS refuses some of them, and not everybody everything.
    pub(crate) fn check_in_force(&self) -> Result<(), Vec<Problem>> {
        self.check_as(false)
    }

    fn check_as(&self, is_new: bool) -> Result<(), Vec<Problem>> {
        let mut findings = Findings { problems: Vec::new(), is_new };
        self.settings.check(&mut findings);
        findings.require(self.rules.len() <= RULES_MAX, "rules", "must be at most 2000");
        findings.require(
            self.approval_policies.len() <= APPROVAL_POLICIES_MAX,
            "approval_policies",
            "must be at most 1000",
        );
        unique("rules", self.rules.iter().map(|rule| &rule.id), &mut findings);
        unique("approval_policies", self.approval_policies.iter().map(|policy| &policy.id), &mut findings);
        for rule in &self.rules {
            rule.check(&self.settings, &mut findings);
        }
        for policy in &self.approval_policies {
            policy.check(&mut findings);
        }
        if findings.problems.is_empty() { Ok(()) } else { Err(findings.problems) }
    }
}

fn unique<'a>(list: &str, ids: impl Iterator<Item = &'a RuleId>, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for id in ids {
        findings.require(seen.insert(id), &format!("{list}[{id}].id"), "is used more than once");
    }
}

impl Settings {
    fn check(&self, findings: &mut Findings) {
        let minute = SignedDuration::from_mins(1);
        let day = SignedDuration::from_hours(24);
        let mut within = |name: &str, value: SignedDuration, min: SignedDuration, max: SignedDuration| {
            let why = format!("must be {} to {}", crate::duration::format(min), crate::duration::format(max));
            findings.require(
                (min..=max).contains(&value) && value.subsec_nanos() == 0,
                &format!("settings.{name}"),
                &why,
            );
        };
        within("decide_within", self.decide_within, minute, day * 30);
        within("start_horizon", self.start_horizon, SignedDuration::ZERO, DURATION_MAX);
        within("duration_min", self.duration_min, SignedDuration::from_secs(1), day); // as the proto says
        within("chain_duration_max", self.chain_duration_max, minute, DURATION_MAX);
        within("group_age_max", self.group_age_max, minute, day);
        within("directory_age_max", self.directory_age_max, minute, day);
    }
}

impl Rule {
    fn check(&self, settings: &Settings, findings: &mut Findings) {
        let at = |field: &str| format!("rules[{}].{field}", self.id);
        findings.require(
            self.description.len() <= DESCRIPTION_MAX && !self.description.chars().any(char::is_control),
            &at("description"),
            "must be at most 500 bytes without control characters",
        );
        findings.require(
            !self.requesters.people.is_empty() || !self.requesters.groups.is_empty(),
            &at("requesters"),
            "must name people or groups",
        );
        findings.require(
            (settings.duration_min..=DURATION_MAX).contains(&self.duration_max)
                && self.duration_max.subsec_nanos() == 0,
            &at("duration_max"),
            "must be whole seconds, from settings.duration_min to 365d",
        );
        self.targets.check(&at("targets"), findings);
        self.check_provider(&at, findings);
        match &self.plan {
            PlanSource::None | PlanSource::ByApprovalPolicies => {}
            PlanSource::Steps(plan) => check_plan(plan, &at("plan"), findings),
        }
    }

    fn check_provider(&self, at: &impl Fn(&str) -> String, findings: &mut Findings) {
        let (fits, why) = match self.provider {
            Provider::IdentityCenter => (
                self.targets.roles.is_empty(),
                "identity_center assigns permission sets: roles need the provider sts or account_access",
            ),
            Provider::Sts | Provider::AccountAccess => (
                self.targets.permission_sets.is_empty(),
                "sts and account_access give roles: permission sets need the provider identity_center",
            ),
        };
        findings.require(fits, &at("provider"), why);
        if let Some(duration) = self.credential_duration_max {
            findings.require(
                self.provider == Provider::Sts,
                &at("credential_duration_max"),
                "is for the provider sts alone",
            );
            findings.require(
                (CREDENTIAL_DURATION_MIN..=CREDENTIAL_DURATION_MAX).contains(&duration)
                    && duration.subsec_nanos() == 0,
                &at("credential_duration_max"),
                "must be 15m to 12h",
            );
        }
        self.check_session(at, findings);
    }

    /// What STS would refuse, and what would not do what it says. The packed size of policies and tags is known to AWS alone.
    fn check_session(&self, at: &impl Fn(&str) -> String, findings: &mut Findings) {
        let session = &self.session;
        let (inline, managed) = (at("session_policy"), at("session_policy_arns"));
        let said = [
            (session.inline.is_some(), &inline),
            (!session.managed.is_empty(), &managed),
            (session.allow_chaining, &at("allow_chaining")),
        ];
        for (said, path) in said {
            findings.require(!said || self.provider == Provider::Sts, path, "is for the provider sts alone");
        }
        findings.require(
            session.inline.as_ref().is_none_or(domain::InlinePolicy::allows) || !session.managed.is_empty(),
            &inline,
            "allows nothing: it must have a statement that allows something, or session_policy_arns must do so",
        );
        let characters = session.characters();
        findings.require(
            characters <= SESSION_POLICY_MAX || !findings.is_new,
            if session.inline.is_some() { &inline } else { &managed },
            &format!(
                "must be shorter: with what binds it to the window, the Deny of chaining and the ARNs it has \
                 {characters} characters, and AWS takes {SESSION_POLICY_MAX}"
            ),
        );
        findings.require(session.managed.len() <= MANAGED_POLICIES_MAX, &managed, "must be at most 10");
        let accounts = self.targets.only_accounts();
        let mut own = session.managed.iter().filter_map(domain::ManagedPolicyArn::account);
        findings.require(
            own.all(|own| accounts.as_ref().is_some_and(|all| all.iter().all(|one| *one == own))),
            &managed,
            "a policy of an account is only there for roles of that account: name AWS's own policies, or one account",
        );
        let partitions: BTreeSet<Partition> = session
            .managed
            .iter()
            .filter_map(domain::ManagedPolicyArn::partition)
            .chain(self.targets.partitions().filter(|_| !session.managed.is_empty()))
            .collect();
        findings.require(
            partitions.len() <= 1,
            &managed,
            "must be of one partition, which is that of the roles",
        );
    }
}

impl Targets {
    fn check(&self, path: &str, findings: &mut Findings) {
        let some = !self.accounts.is_empty() || !self.ous.is_empty() || !self.account_tags.is_empty();
        findings.require(
            some || self.all_accounts,
            path,
            "must select accounts: accounts, ous, account_tags or all_accounts = true",
        );
        findings.require(
            !(some && self.all_accounts),
            path,
            "all_accounts selects every account: leave out accounts, ous and account_tags",
        );
        findings.require(
            !self.permission_sets.is_empty() || !self.roles.is_empty(),
            path,
            "must name permission_sets or roles",
        );
        for (key, values) in &self.account_tags {
            let fits =
                |text: &str, max: usize| text.chars().count() <= max && !text.chars().any(char::is_control);
            findings.require(
                !key.is_empty()
                    && fits(key, TAG_KEY_MAX)
                    && !values.is_empty()
                    && values.iter().all(|value| fits(value, TAG_VALUE_MAX)),
                &format!("{path}.account_tags"),
                "must be keys of 1 to 128 characters, each with at least one value of at most 256",
            );
        }
        check_ous(&self.ous, path, findings);
        let only_listed = !self.all_accounts && self.ous.is_empty() && self.account_tags.is_empty();
        for role in &self.roles {
            match role {
                RoleSelector::Arn(arn) => findings.require(
                    !only_listed || arn.account().is_some_and(|account| self.accounts.contains(&account)),
                    &format!("{path}.roles"),
                    "names a role of an account that is not selected",
                ),
                RoleSelector::Name(_) => {}
            }
        }
    }
}

impl Targets {
    /// The accounts, where it can be told without a directory: those of the roles that are named by ARN, or those listed.
    fn only_accounts(&self) -> Option<BTreeSet<AccountId>> {
        let of_roles = self.roles.iter().map(|role| match role {
            RoleSelector::Arn(arn) => arn.account(),
            RoleSelector::Name(_) => None,
        });
        let of_roles: Option<BTreeSet<AccountId>> = of_roles.collect();
        let listed = !self.all_accounts && self.ous.is_empty() && self.account_tags.is_empty();
        of_roles.or_else(|| listed.then(|| self.accounts.clone()))
    }

    /// The partitions of the roles that are named by ARN.
    fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        self.roles.iter().filter_map(|role| match role {
            RoleSelector::Arn(arn) => Some(arn.partition()),
            RoleSelector::Name(_) => None,
        })
    }
}

fn check_ous(ous: &BTreeSet<OuScope>, path: &str, findings: &mut Findings) {
    let units: BTreeSet<_> = ous.iter().map(|scope| &scope.ou).collect();
    findings.require(
        units.len() == ous.len(),
        &format!("{path}.ous"),
        "names a unit both with and without `direct`",
    );
}

impl ApprovalPolicy {
    fn check(&self, findings: &mut Findings) {
        let path = format!("approval_policies[{}]", self.id);
        findings.require(
            !self.accounts.is_empty() || !self.ous.is_empty(),
            &path,
            "must cover accounts or ous",
        );
        check_ous(&self.ous, &path, findings);
        check_plan(&self.plan, &format!("{path}.steps"), findings);
    }
}

/// A plan that could be met by someone: the members of a group may be anyone, named people are who they are.
fn check_plan(plan: &Plan, path: &str, findings: &mut Findings) {
    findings.require((1..=STEPS_MAX).contains(&plan.steps.len()), path, "must have 1 to 10 steps");
    for (i, step) in plan.steps.iter().enumerate() {
        let path = format!("{path}[{i}]");
        findings.require(
            (1..=STEP_COUNT_MAX).contains(&step.count),
            &format!("{path}.count"),
            "must be 1 to 10",
        );
        findings.require(
            !step.groups.is_empty() || !step.people.is_empty(),
            &path,
            "must name groups or people",
        );
        findings.require(
            !step.groups.is_empty() || step.people.is_empty() || step.people.len() >= usize::from(step.count),
            &path,
            "names fewer people than it needs",
        );
    }
    let named_only =
        Plan { steps: plan.steps.iter().filter(|step| step.groups.is_empty()).cloned().collect() };
    let nowhere: BTreeSet<GroupRef> = BTreeSet::new();
    let everyone: BTreeSet<&Person> = named_only.steps.iter().flat_map(|step| &step.people).collect();
    let each_alone = named_only.steps.iter().all(|step| step.people.len() >= usize::from(step.count));
    findings.require(
        !each_alone || named_only.is_met_by(everyone.into_iter().map(|person| (person, &nowhere))),
        path,
        "needs more distinct people than it names",
    );
}
