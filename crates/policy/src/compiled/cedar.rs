//! The policy in Cedar: schema, one `permit` for each rule, entities, evaluation.
//!
//! INVARIANT: any error of any kind in an evaluation is an error of the whole. Cedar itself skips a policy that errs, so
//! that a `forbid` that errs does not forbid.

use super::AccountFacts;
use crate::denied::Denied;
use crate::model::{OuScope, RoleSelector, Rule, Targets};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use domain::{AccountId, Entitlement, GroupRef, OuId, Person, Provider, SignedDuration, Target};
use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

/// The vocabulary of rules and guardrails.
const SCHEMA: &str = r"
entity Group;
entity User in [Group];
entity OrgUnit in [OrgUnit];
entity Account in [OrgUnit] { parent?: OrgUnit } tags String;
entity PermissionSet;
entity Role { name: String };
entity Daypass;

type Use = { account: Account, duration_seconds: Long };
type Care = { account: Account };

action request, activate, issueCredentials
  appliesTo { principal: [User], resource: [PermissionSet, Role], context: Use };
action approve, revoke, view
  appliesTo { principal: [User], resource: [PermissionSet, Role], context: Care };
action audit, administer
  appliesTo { principal: [User], resource: [Daypass] };
";

/// What a requester does under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Asks.
    Request,
    /// Is about to receive what was asked for.
    Activate,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Activate => "activate",
        }
    }
}

/// Entity types, parsed once.
#[derive(Debug)]
struct Types {
    user: EntityTypeName,
    group: EntityTypeName,
    unit: EntityTypeName,
    account: EntityTypeName,
    permission_set: EntityTypeName,
    role: EntityTypeName,
    action: EntityTypeName,
}

impl Types {
    fn new() -> Result<Self, String> {
        let parse = |name: &str| name.parse::<EntityTypeName>().map_err(|error| error.to_string());
        Ok(Self {
            user: parse("User")?,
            group: parse("Group")?,
            unit: parse("OrgUnit")?,
            account: parse("Account")?,
            permission_set: parse("PermissionSet")?,
            role: parse("Role")?,
            action: parse("Action")?,
        })
    }

    fn user(&self, person: &Person) -> EntityUid {
        uid(&self.user, person.id().as_str())
    }

    fn group(&self, group: &GroupRef) -> EntityUid {
        uid(&self.group, &group.to_string())
    }

    fn unit(&self, unit: &OuId) -> EntityUid {
        uid(&self.unit, unit.as_str())
    }

    fn account(&self, account: &AccountId) -> EntityUid {
        uid(&self.account, account.as_str())
    }

    fn entitlement(&self, entitlement: &Entitlement) -> EntityUid {
        match entitlement {
            Entitlement::PermissionSet(arn) => uid(&self.permission_set, arn.as_str()),
            Entitlement::Role(arn) => uid(&self.role, arn.as_str()),
        }
    }
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

/// The compiled rules, by their place in the sorted policy.
#[derive(Debug)]
pub(super) struct Rules {
    types: Types,
    schema: Schema,
    permits: Vec<Policy>,
}

/// The schema, read once: that takes longer than compiling a small policy.
static READ_SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(|| {
    let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| error.to_string())?;
    Ok(schema)
});

impl Rules {
    /// Compiles and validates (strictly) one `permit` for each rule.
    pub(super) fn new(rules: &[Rule]) -> Result<Self, String> {
        let types = Types::new()?;
        let schema = READ_SCHEMA.as_ref().map_err(Clone::clone)?.clone();
        let mut permits = Vec::with_capacity(rules.len());
        for rule in rules {
            let text = permit(rule, &types);
            let policy = Policy::parse(Some(policy_id(rule)), text)
                .map_err(|error| format!("{}: {error}", rule.id))?;
            permits.push(policy);
        }
        let all = PolicySet::from_policies(permits.iter().cloned()).map_err(|error| error.to_string())?;
        let result = Validator::new(schema.clone()).validate(&all, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(error.to_string());
        }
        Ok(Self { types, schema, permits })
    }

    /// The text of rule `i`, for people to read.
    pub(super) fn text(&self, i: usize) -> Option<String> {
        self.permits.get(i).and_then(Policy::to_cedar)
    }

    /// The ids of those of `rules` that permit, sorted. `groups` are those that rules name.
    pub(super) fn permitting<'a>(
        &self,
        rules: impl Iterator<Item = usize>,
        action: Action,
        ask: &super::Ask<'_>,
        groups: impl Iterator<Item = &'a GroupRef>,
    ) -> Result<BTreeSet<String>, Denied> {
        let mut policies = PolicySet::new();
        for permit in rules.filter_map(|rule| self.permits.get(rule)) {
            policies.add(permit.clone()).map_err(|error| Denied::PolicyError(error.to_string()))?;
        }
        self.evaluate(&policies, action, ask, groups).map_err(Denied::PolicyError)
    }

    fn evaluate<'a>(
        &self,
        policies: &PolicySet,
        action: Action,
        ask: &super::Ask<'_>,
        groups: impl Iterator<Item = &'a GroupRef>,
    ) -> Result<BTreeSet<String>, String> {
        // Not held against the schema here, which takes as long as the rest: the tests do that for all that can be asked.
        let entities =
            Entities::from_entities(self.entities(ask, groups)?, None).map_err(|error| error.to_string())?;
        let account = self.types.account(ask.target.account());
        let context = Context::from_pairs([
            ("account".to_owned(), RestrictedExpression::new_entity_uid(account)),
            ("duration_seconds".to_owned(), RestrictedExpression::new_long(whole_seconds(ask.duration))),
        ])
        .map_err(|error| error.to_string())?;
        let request = Request::new(
            self.types.user(ask.requester),
            uid(&self.types.action, action.as_str()),
            self.types.entitlement(ask.target.entitlement()),
            context,
            Some(&self.schema),
        )
        .map_err(|error| error.to_string())?;

        let response = Authorizer::new().is_authorized(&request, policies, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.to_string());
        }
        Ok(match response.decision() {
            Decision::Allow => response.diagnostics().reason().map(ToString::to_string).collect(),
            Decision::Deny => BTreeSet::new(),
        })
    }

    /// Everything that rules may ask about.
    fn entities<'a>(
        &self,
        ask: &super::Ask<'_>,
        groups: impl Iterator<Item = &'a GroupRef>,
    ) -> Result<Vec<Entity>, String> {
        let groups: HashSet<EntityUid> = groups.map(|group| self.types.group(group)).collect();
        let mut entities: Vec<Entity> = groups.iter().cloned().map(Entity::with_uid).collect();
        entities.push(Entity::new_no_attrs(self.types.user(ask.requester), groups));
        entities.extend(self.units(ask.account));
        entities.push(self.account(self.types.account(ask.target.account()), ask.account)?);
        entities.push(self.entitlement(ask.target)?);
        Ok(entities)
    }

    fn units(&self, facts: AccountFacts<'_>) -> Vec<Entity> {
        let mut above: Option<EntityUid> = None;
        let mut units = Vec::with_capacity(facts.ou_path.0.len());
        for unit in &facts.ou_path.0 {
            let unit = self.types.unit(unit);
            units.push(Entity::new_no_attrs(unit.clone(), above.replace(unit).into_iter().collect()));
        }
        units
    }

    fn account(&self, account: EntityUid, facts: AccountFacts<'_>) -> Result<Entity, String> {
        let parent = facts.ou_path.parent().map(|unit| self.types.unit(unit));
        let attribute = |unit: EntityUid| ("parent".to_owned(), RestrictedExpression::new_entity_uid(unit));
        let tag =
            |(key, value): (&String, &String)| (key.clone(), RestrictedExpression::new_string(value.clone()));
        Entity::new_with_tags(account, parent.clone().map(attribute), parent, facts.tags.iter().map(tag))
            .map_err(|error| error.to_string())
    }

    fn entitlement(&self, target: &Target) -> Result<Entity, String> {
        let uid = self.types.entitlement(target.entitlement());
        let name = match target.entitlement() {
            Entitlement::PermissionSet(_) => None,
            Entitlement::Role(arn) => Some(arn.path_and_name().to_owned()),
        };
        let attribute = |name| ("name".to_owned(), RestrictedExpression::new_string(name));
        Entity::new_with_tags(uid, name.map(attribute), [], []).map_err(|error| error.to_string())
    }
}

/// Any begun second counts: 8 h and a nanosecond is more than 8 h.
fn whole_seconds(duration: SignedDuration) -> i64 {
    duration.as_secs().saturating_add(i64::from(duration.subsec_nanos() > 0))
}

/// The name of a rule among all policies that may determine a decision.
pub(super) fn determining(rule: &Rule) -> String {
    format!("rule/{}", rule.id)
}

fn policy_id(rule: &Rule) -> PolicyId {
    PolicyId::new(determining(rule))
}

fn permit(rule: &Rule, types: &Types) -> String {
    let kind = match rule.provider {
        Provider::IdentityCenter => "PermissionSet",
        Provider::Sts | Provider::AccountAccess => "Role",
    };
    format!(
        "@id({id})\npermit (principal, action in [Action::\"request\", Action::\"activate\", \
         Action::\"issueCredentials\"], resource is {kind})\nwhen {{ {who} }}\nwhen {{ {what} }}\nwhen {{ {place} }}\n\
         when {{ context.duration_seconds <= {longest} }};",
        id = quoted(rule.id.as_str()),
        who = any([
            one_of("principal in", rule.requesters.people.iter().map(|person| types.user(person))),
            one_of("principal in", rule.requesters.groups.iter().map(|group| types.group(group))),
        ]),
        what = entitlements(&rule.targets, types),
        place = accounts(&rule.targets, types),
        longest = rule.duration_max.as_secs(),
    )
}

fn entitlements(targets: &Targets, types: &Types) -> String {
    let sets = targets.permission_sets.iter().map(|arn| uid(&types.permission_set, arn.as_str()));
    let (mut arns, mut names) = (Vec::new(), Vec::new());
    for role in &targets.roles {
        match role {
            RoleSelector::Arn(arn) => arns.push(uid(&types.role, arn.as_str())),
            RoleSelector::Name(name) => names.push(quoted(name.as_str())),
        }
    }
    any([
        one_of("resource in", sets),
        one_of("resource in", arns),
        (!names.is_empty()).then(|| format!("[{}].contains(resource.name)", names.join(", "))),
    ])
}

fn accounts(targets: &Targets, types: &Types) -> String {
    if targets.all_accounts {
        return "true".to_owned();
    }
    let (direct, below): (Vec<_>, Vec<_>) = targets.ous.iter().partition(|scope| scope.direct);
    let units = |scopes: Vec<&OuScope>| -> Vec<EntityUid> {
        scopes.into_iter().map(|scope| types.unit(&scope.ou)).collect()
    };
    any([
        one_of("context.account in", targets.accounts.iter().map(|account| types.account(account))),
        one_of("context.account in", units(below)),
        list(units(direct))
            .map(|units| format!("(context.account has parent && {units}.contains(context.account.parent))")),
        tags(targets),
    ])
}

fn tags(targets: &Targets) -> Option<String> {
    let key = |(key, values): (&String, &BTreeSet<String>)| {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        let key = quoted(key);
        format!(
            "(context.account.hasTag({key}) && [{}].contains(context.account.getTag({key})))",
            values.join(", ")
        )
    };
    let keys: Vec<String> = targets.account_tags.iter().map(key).collect();
    (!keys.is_empty()).then(|| format!("({})", keys.join(" && ")))
}

fn any<const N: usize>(terms: [Option<String>; N]) -> String {
    let terms: Vec<String> = terms.into_iter().flatten().collect();
    if terms.is_empty() { "false".to_owned() } else { terms.join(" || ") }
}

fn one_of(test: &str, uids: impl IntoIterator<Item = EntityUid>) -> Option<String> {
    list(uids).map(|list| format!("{test} {list}"))
}

fn list(uids: impl IntoIterator<Item = EntityUid>) -> Option<String> {
    let uids: Vec<String> = uids.into_iter().map(|uid| uid.to_string()).collect();
    (!uids.is_empty()).then(|| format!("[{}]", uids.join(", ")))
}

/// A Cedar string literal. Cedar's escapes are Rust's.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiled::Ask;
    use crate::model::{PlanSource, Requesters};
    use domain::{Groups, OuPath, RuleId};
    use std::collections::BTreeMap;

    fn rule(person: &Person) -> Rule {
        Rule {
            id: RuleId::new("everyone-reads").unwrap(),
            description: String::new(),
            requesters: Requesters { people: [person.clone()].into(), groups: BTreeSet::new() },
            targets: Targets {
                all_accounts: true,
                roles: ["Reader".parse().unwrap()].into(),
                ..Targets::default()
            },
            duration_max: SignedDuration::from_hours(8),
            provider: Provider::Sts,
            credential_duration_max: None,
            session: domain::SessionScope::default(),
            plan: PlanSource::None,
        }
    }

    /// What an account outside of any unit is answered, when `also` stands beside a rule that permits.
    fn answer(also: &str, duration: SignedDuration) -> Result<BTreeSet<String>, Denied> {
        let requester = Person::new("https://idp.example", "ada").unwrap();
        let mut rules = Rules::new(&[rule(&requester)]).unwrap();
        let also = Policy::parse(Some(PolicyId::new("guardrail/also")), also).unwrap();
        rules.permits.push(also);
        let ask = Ask {
            requester: &requester,
            groups: &Groups::Known(BTreeSet::new()),
            target: &Target::parse("111111111111", "arn:aws:iam::111111111111:role/Reader").unwrap(),
            account: AccountFacts { ou_path: &OuPath::default(), tags: &BTreeMap::new() },
            duration,
        };
        rules.permitting(0..2, Action::Request, &ask, [].iter())
    }

    /// Whoever evaluates takes it for granted.
    #[test]
    fn all_that_can_be_asked_about_conforms_to_the_schema() {
        let requester = Person::new("https://idp.example", "ada").unwrap();
        let rules = Rules::new(&[rule(&requester)]).unwrap();
        let entitlements = [
            "arn:aws:iam::111111111111:role/team/Reader",
            "arn:aws:sso:::permissionSet/ssoins-1111111111111111/ps-1111111111111111",
        ];
        let paths = [vec![], vec!["r-ab12"], vec!["r-ab12", "ou-ab12-11111111", "ou-ab12-22222222"]];
        let tags = [BTreeMap::new(), [("env".to_owned(), "dev".to_owned())].into()];
        let groups =
            [GroupRef::new("oidc", "on-call").unwrap(), GroupRef::new("identity-store", "1").unwrap()];
        for entitlement in entitlements {
            let target = Target::parse("111111111111", entitlement).unwrap();
            for path in &paths {
                let ou_path = OuPath(path.iter().map(|unit| OuId::new(*unit).unwrap()).collect());
                for tags in &tags {
                    for groups in [&[], &groups[..1], &groups[..]] {
                        let ask = Ask {
                            requester: &requester,
                            groups: &Groups::Known(groups.iter().cloned().collect()),
                            target: &target,
                            account: AccountFacts { ou_path: &ou_path, tags },
                            duration: HOUR,
                        };
                        let entities = rules.entities(&ask, groups.iter()).unwrap();
                        Entities::from_entities(entities.clone(), Some(&rules.schema)).unwrap();
                        let odd = Entity::new_no_attrs(
                            rules.types.user(&requester),
                            [rules.types.account(target.account())].into(),
                        );
                        let with_odd = entities.into_iter().skip(groups.len() + 1).chain([odd]);
                        assert!(Entities::from_entities(with_odd, Some(&rules.schema)).is_err());
                    }
                }
            }
        }
    }

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    /// From the facts on Cedar: a policy whose evaluation errs is skipped, so "a `forbid` that errs does not forbid".
    #[test]
    fn a_forbid_that_errs_denies() {
        let errs =
            "forbid (principal, action, resource) when { context.account.parent == OrgUnit::\"r-1\" };";
        assert!(matches!(answer(errs, HOUR), Err(Denied::PolicyError(_))));
    }

    #[test]
    fn a_permit_that_errs_denies_whatever_else_permits() {
        let errs =
            "permit (principal, action, resource) when { context.account.getTag(\"env\") == \"dev\" };";
        assert!(matches!(answer(errs, HOUR), Err(Denied::PolicyError(_))));
    }

    #[test]
    fn a_forbid_that_holds_denies_and_one_that_does_not_hold_does_not() {
        let holds = "forbid (principal, action, resource) when { context.duration_seconds > 60 };";
        assert_eq!(answer(holds, HOUR), Ok(BTreeSet::new()));
        let other = "forbid (principal, action, resource) when { context.duration_seconds > 3600 };";
        assert_eq!(answer(other, HOUR), Ok(["rule/everyone-reads".to_owned()].into()));
    }

    #[test]
    fn a_begun_second_counts() {
        let never = "forbid (principal, action, resource) when { false };";
        let max = SignedDuration::from_hours(8);
        assert!(!answer(never, max).unwrap().is_empty());
        assert!(answer(never, max + SignedDuration::from_nanos(1)).unwrap().is_empty());
    }
}
