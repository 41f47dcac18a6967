//! Index, Cedar and listings say the same as a plain reading of the rules.

use crate::world::*;
use domain::{
    Entitlement, Groups, OuId, Partition, PermissionSetArn, Person, Plan, Provider, SignedDuration, Target,
};
use policy::{
    AccountFacts, ApprovalPolicy, Ask, Compiled, Denied, OuScope, PlanSource, Policy, Requesters,
    RoleSelector, Rule, Targets, Wanted,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::{BTreeMap, BTreeSet};

const PEOPLE: [&str; 2] = ["ada", "bob"];
const GROUPS: [&str; 3] = ["a", "b", "c"];
const UNITS: [&str; 4] = [ROOT, "ou-1-a", "ou-1-b", "ou-1-c"];
const ACCOUNTS: [&str; 3] = [DEV, PROD, "333333333333"];
const SETS: [&str; 2] = [READ, ADMIN];
const ROLES: [&str; 4] = [
    "Reader",
    "team/Deployer",
    "arn:aws:iam::111111111111:role/Reader",
    "arn:aws:iam::222222222222:role/Breaker",
];
const TAGS: [(&str, [&str; 2]); 2] = [("env", ["dev", "prod"]), ("team", ["x", "y"])];

fn some<T: Clone + std::fmt::Debug + 'static>(of: &'static [T], min: usize) -> impl Strategy<Value = Vec<T>> {
    subsequence(of.to_vec(), min..=of.len())
}

fn few<T: Clone + std::fmt::Debug + 'static>(of: &'static [T]) -> impl Strategy<Value = Vec<T>> {
    subsequence(of.to_vec(), 0..=2.min(of.len()))
}

fn units() -> impl Strategy<Value = BTreeSet<OuScope>> {
    let scope = |(unit, direct)| OuScope { ou: OuId::new(unit).unwrap(), direct };
    prop::collection::btree_map(select(&UNITS[..]), any::<bool>(), 0..=2)
        .prop_map(move |units| units.into_iter().map(scope).collect())
}

fn tags_wanted() -> impl Strategy<Value = BTreeMap<String, BTreeSet<String>>> {
    few(&TAGS).prop_flat_map(|keys| {
        keys.into_iter()
            .map(|(key, values)| {
                subsequence(values.to_vec(), 1..=2).prop_map(move |values| {
                    let values = values.into_iter().map(str::to_owned).collect();
                    (key.to_owned(), values)
                })
            })
            .collect::<Vec<_>>()
            .prop_map(|tags| tags.into_iter().collect())
    })
}

fn targets() -> impl Strategy<Value = Targets> {
    let entitlements = prop_oneof![
        some(&SETS, 1).prop_map(|sets| (sets, Vec::new())),
        some(&ROLES[..2], 1).prop_map(|roles| (Vec::new(), roles)),
        some(&ROLES, 1).prop_map(|roles| (Vec::new(), roles)),
    ];
    (prop::bool::weighted(0.2), few(&ACCOUNTS), units(), tags_wanted(), entitlements).prop_map(
        |(all, accounts, ous, account_tags, (sets, roles))| {
            let mut targets = Targets {
                permission_sets: sets.into_iter().map(|arn| arn.parse().unwrap()).collect(),
                roles: roles.into_iter().map(|role| role.parse().unwrap()).collect(),
                ..Targets::default()
            };
            let some = !accounts.is_empty() || !ous.is_empty() || !account_tags.is_empty();
            if all || !some {
                targets.all_accounts = true;
            } else {
                targets.accounts = accounts.into_iter().map(|id| id.parse().unwrap()).collect();
                targets.ous = ous;
                targets.account_tags = account_tags;
            }
            targets
        },
    )
}

fn a_rule(i: usize) -> impl Strategy<Value = Rule> {
    let plan = prop_oneof![
        Just(PlanSource::None),
        Just(PlanSource::Steps(plan(&[step(1, &["leads"])]))),
        Just(PlanSource::ByApprovalPolicies),
    ];
    (few(&PEOPLE), few(&GROUPS), targets(), 1_i64..4, plan).prop_map(
        move |(people, groups, targets, duration, plan)| {
            let nobody = people.is_empty() && groups.is_empty();
            let mut requesters = Requesters {
                people: people.into_iter().map(person).collect(),
                groups: groups.into_iter().map(group).collect(),
            };
            if nobody {
                requesters.groups.insert(group("a"));
            }
            let provider = if targets.roles.is_empty() { Provider::IdentityCenter } else { Provider::Sts };
            Rule {
                requesters,
                targets,
                duration_max: hours(duration),
                provider,
                plan,
                ..rule(&format!("rule-{i}"))
            }
        },
    )
}

fn approvals() -> impl Strategy<Value = Vec<ApprovalPolicy>> {
    let one = (few(&ACCOUNTS), units()).prop_map(|(accounts, ous)| ApprovalPolicy {
        accounts: accounts.into_iter().map(|id| id.parse().unwrap()).collect(),
        ous,
        ..approval("x", ROOT, "security")
    });
    prop::collection::vec(one, 0..3).prop_map(|approvals| {
        let covering = approvals
            .into_iter()
            .filter(|approval| !approval.accounts.is_empty() || !approval.ous.is_empty());
        (0..)
            .zip(covering)
            .map(|(i, approval)| ApprovalPolicy {
                id: rule_id(&format!("approval-{i}")),
                plan: plan(&[step(1 + i, &["security"])]),
                ..approval
            })
            .collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let rules = (1_usize..8).prop_flat_map(|n| (0..n).map(a_rule).collect::<Vec<_>>());
    (rules, approvals()).prop_map(|(rules, approval_policies)| {
        let mut policy = Policy { rules, approval_policies, ..Policy::default() };
        policy.rules.retain(|rule| {
            let alone = Policy { rules: vec![rule.clone()], ..Policy::default() };
            alone.check().is_ok()
        });
        policy
    })
}

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let one = |id: &'static str| {
        let path = subsequence(UNITS[1..].to_vec(), 0..=3).prop_shuffle();
        let tags =
            TAGS.map(|(key, values)| prop::option::of(select(values.to_vec()).prop_map(move |v| (key, v))));
        (path, tags, any::<bool>()).prop_map(move |(mut path, tags, rooted)| {
            if rooted {
                path.insert(0, ROOT);
            }
            let tags: Vec<_> = tags.into_iter().flatten().collect();
            account(id, &path, &tags)
        })
    };
    ACCOUNTS.map(one).to_vec()
}

fn entitlements(account: &Account) -> Vec<Target> {
    let roles = ["Reader", "team/Deployer", "Breaker", "Other"];
    let roles = roles.map(|role| format!("arn:aws:iam::{}:role/{role}", account.id));
    SETS.iter()
        .map(|arn| (*arn).to_owned())
        .chain(roles)
        .map(|arn| Target::parse(account.id.as_str(), &arn).unwrap())
        .collect()
}

/// The plain reading: does this rule's own text permit this?
fn reads_as_permitting(rule: &Rule, ask: &Ask<'_>) -> bool {
    let groups = ask.groups.known().unwrap();
    let who = rule.requesters.people.contains(ask.requester)
        || rule.requesters.groups.iter().any(|group| groups.contains(group));
    let what = match ask.target.entitlement() {
        Entitlement::PermissionSet(arn) => rule.targets.permission_sets.contains(arn),
        Entitlement::Role(arn) => rule.targets.roles.iter().any(|role| match role {
            RoleSelector::Arn(named) => named == arn,
            RoleSelector::Name(name) => name.as_str() == arn.path_and_name(),
        }),
    };
    let targets = &rule.targets;
    let tagged = !targets.account_tags.is_empty()
        && targets
            .account_tags
            .iter()
            .all(|(key, values)| ask.account.tags.get(key).is_some_and(|value| values.contains(value)));
    let place = targets.all_accounts
        || targets.accounts.contains(ask.target.account())
        || targets.ous.iter().any(|scope| covers(scope, ask.account))
        || tagged;
    who && what && place && ask.duration <= rule.duration_max
}

fn covers(scope: &OuScope, facts: AccountFacts<'_>) -> bool {
    if scope.direct { facts.ou_path.parent() == Some(&scope.ou) } else { facts.ou_path.contains(&scope.ou) }
}

fn plan_as_read(policy: &Policy, rule: &Rule, ask: &Ask<'_>) -> Option<Plan> {
    match &rule.plan {
        PlanSource::None => Some(Plan::none()),
        PlanSource::Steps(plan) => Some(plan.clone()),
        PlanSource::ByApprovalPolicies => {
            let applies = |approval: &&ApprovalPolicy| {
                approval.accounts.contains(ask.target.account())
                    || approval.ous.iter().any(|scope| covers(scope, ask.account))
            };
            let covering: Vec<_> = policy.approval_policies.iter().filter(applies).collect();
            let steps = covering.iter().flat_map(|approval| approval.plan.steps.clone());
            (!covering.is_empty()).then(|| Plan { steps: steps.collect() })
        }
    }
}

fn agree(policy: &Policy, compiled: &Compiled, ask: &Ask<'_>) -> Result<(), TestCaseError> {
    let read = policy.rules.iter().filter(|rule| reads_as_permitting(rule, ask));
    let read: BTreeSet<String> = read.map(|rule| format!("rule/{}", rule.id)).collect();
    prop_assert_eq!(compiled.permitting_without_index(ask), Ok(read));
    let expected: Vec<_> = policy
        .rules
        .iter()
        .filter(|rule| reads_as_permitting(rule, ask))
        .filter_map(|rule| Some((rule.id.clone(), plan_as_read(policy, rule, ask)?)))
        .collect();
    let found = match compiled.eligible(ask) {
        Ok(found) => found,
        Err(Denied::PolicyError(error)) => return Err(TestCaseError::fail(error)),
        Err(_) => Vec::new(),
    };
    let found: Vec<_> = found.into_iter().map(|found| (found.rule, found.plan)).collect();
    prop_assert_eq!(&found, &expected);
    for rule in &policy.rules {
        let plan = compiled.current_plan(&rule.id, ask).ok();
        let expected = expected.iter().find(|(id, _)| *id == rule.id).map(|(_, plan)| plan.clone());
        prop_assert_eq!(plan, expected);
    }
    Ok(())
}

fn askers() -> impl Strategy<Value = (Person, Groups)> {
    (select(&PEOPLE[..]), few(&GROUPS)).prop_map(|(who, of)| (person(who), groups(&of)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn invariant_index_and_cedar_agree_with_a_plain_reading(
        policy in policies(),
        accounts in accounts(),
        (requester, groups) in askers(),
        duration in 1_i64..4,
    ) {
        let compiled = Compiled::new(policy.clone()).unwrap();
        for account in &accounts {
            for target in entitlements(account) {
                let duration = hours(duration);
                let ask = Ask { requester: &requester, groups: &groups, target: &target, account: account.facts(), duration };
                agree(&policy, &compiled, &ask)?;
            }
        }
    }

    #[test]
    fn invariant_listings_agree_with_asking(
        policy in policies(),
        accounts in accounts(),
        (requester, groups) in askers(),
    ) {
        let compiled = Compiled::new(policy).unwrap();
        let permission_sets: BTreeSet<PermissionSetArn> = SETS.iter().map(|arn| arn.parse().unwrap()).collect();
        let everything = Wanted {
            permission_sets: permission_sets.iter().collect(),
            role_names: compiled.role_names().collect(),
            partition: Partition::Aws,
        };
        let mut listed = compiled.entitlements_for(&requester, &groups, everything).unwrap();
        let mut offers = BTreeMap::new();
        for account in &accounts {
            let account = listed.in_account(&account.id, account.facts());
            prop_assert_eq!(account.len(), account.offers().count());
            for offer in account.offers() {
                let rules: Vec<_> = offer.rules.iter().map(|rule| rule.id.clone()).collect();
                offers.insert(offer.target, rules);
            }
        }
        let mut expected = BTreeMap::new();
        for account in &accounts {
            for target in entitlements(account) {
                let duration = SignedDuration::from_mins(5);
                let ask = Ask { requester: &requester, groups: &groups, target: &target, account: account.facts(), duration };
                if let Ok(found) = compiled.eligible(&ask) {
                    expected.insert(target.clone(), found.into_iter().map(|found| found.rule).collect::<Vec<_>>());
                }
            }
        }
        prop_assert_eq!(offers, expected);
    }

    #[test]
    fn invariant_a_policy_written_is_the_policy_read(policy in policies()) {
        let text = policy.to_toml();
        prop_assert_eq!(Policy::from_toml(&text), Ok(policy.sorted()), "{}", text);
    }
}

/// A thousand rules for one permission set, in 1,000 groups and accounts.
fn a_thousand_rules() -> Vec<Rule> {
    (0..1_000)
        .map(|i| {
            let mut rule = rule(&format!("rule-{i:04}"));
            rule.requesters = requesters(&[&format!("group-{}", i / 2), "everyone"]);
            if i % 4 != 0 {
                rule.targets.all_accounts = false;
                rule.targets.accounts = [format!("{:012}", i % 500).parse().unwrap()].into();
            }
            rule
        })
        .collect()
}

#[test]
fn of_a_thousand_rules_those_that_match_are_found() {
    let compiled = compiled(&a_thousand_rules(), &[]);
    let question = question(&["group-251"], account("000000000003", &[ROOT], &[]), READ);
    assert_eq!(ids(&compiled.eligible(&question.ask()).unwrap()), ["rule-0503"]);
    let everywhere = account("000000000777", &[ROOT], &[]);
    let question = crate::world::question(&["everyone"], everywhere, READ);
    assert_eq!(compiled.eligible(&question.ask()).unwrap().len(), 250);
}

#[test]
fn five_thousand_accounts_are_listed_under_a_thousand_rules() {
    let sets: BTreeSet<PermissionSetArn> = (0..200)
        .map(|i| format!("arn:aws:sso:::permissionSet/ssoins-1/ps-{i:03}").parse().unwrap())
        .collect();
    let mut rules = a_thousand_rules();
    for rule in &mut rules {
        rule.targets.permission_sets.clone_from(&sets);
    }
    let compiled = compiled(&rules, &[]);
    let accounts: Vec<Account> = (0..5_000).map(|i| account(&format!("{i:012}"), &[ROOT], &[])).collect();
    let everything = Wanted {
        permission_sets: sets.iter().collect(),
        role_names: BTreeSet::new(),
        partition: Partition::Aws,
    };
    let mut listed = compiled.entitlements_for(&person("ada"), &groups(&["everyone"]), everything).unwrap();
    let (mut pairs, mut first) = (0, None);
    for account in &accounts {
        let account = listed.in_account(&account.id, account.facts());
        pairs += account.len();
        first = first.or_else(|| account.offers().next().map(|offer| offer.rules.len()));
    }
    assert_eq!(pairs, 1_000_000);
    assert_eq!(first, Some(250));
}
