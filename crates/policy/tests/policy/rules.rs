//! What rules permit, who must agree, and what went wrong elsewhere.

use crate::world::*;
use domain::{Groups, Plan, Provider, Target};
use policy::{Denied, PlanSource, Targets, choose};
use std::collections::BTreeSet;

#[test]
fn without_a_rule_nothing_is_permitted() {
    let question = question(&["developers"], dev(), READ);
    assert_eq!(compiled(&[], &[]).eligible(&question.ask()), Err(Denied::NoRule));
}

#[test]
fn a_match_says_what_its_rule_says() {
    let compiled = compiled(&[rule("read")], &[]);
    let found = compiled.eligible(&question(&["developers"], dev(), READ).ask()).unwrap();
    assert_eq!(ids(&found), ["read"]);
    assert_eq!(found[0].provider, Provider::IdentityCenter);
    assert_eq!(found[0].plan, Plan::none());
    assert_eq!(found[0].duration_max, hours(8));
    assert_eq!(found[0].determining, ["rule/read"]);
}

#[test]
fn other_people_and_other_entitlements_are_not_permitted() {
    let compiled = compiled(&[rule("read")], &[]);
    for question in [
        question(&["designers"], dev(), READ),
        question(&[], dev(), READ),
        question(&["developers"], dev(), ADMIN),
        question(&["developers"], dev(), "arn:aws:iam::111111111111:role/Reader"),
    ] {
        assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule));
    }
}

#[test]
fn a_person_named_by_a_rule_needs_no_group() {
    let mut named = rule("named");
    named.requesters = policy::Requesters { people: [person("ada")].into(), groups: BTreeSet::new() };
    let compiled = compiled(&[named], &[]);
    let mut question = question(&[], dev(), READ);
    assert!(compiled.eligible(&question.ask()).is_ok());
    question.requester = person("Ada");
    assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule));
}

#[test]
fn unknown_groups_are_denied_and_say_why() {
    let compiled = compiled(&[rule("read")], &[]);
    let mut question = question(&[], dev(), READ);
    question.groups = Groups::Unknown("the token leaves groups out".into());
    let denied = Denied::GroupsUnknown("the token leaves groups out".into());
    assert_eq!(compiled.eligible(&question.ask()), Err(denied.clone()));
    assert_eq!(compiled.current_plan(&rule_id("read"), &question.ask()), Err(denied.clone()));
    let plan = plan(&[step(1, &["leads"])]);
    assert_eq!(compiled.approves(&person("bob"), &question.groups, &plan), Err(denied));
}

/// TEAM (source): maximum duration of any rule applies to every target.
#[test]
fn the_maximum_duration_of_any_rule_applies_to_no_other_target() {
    let mut admin = rule("admin");
    admin.targets.permission_sets = [ADMIN.parse().unwrap()].into();
    admin.duration_max = hours(1);
    let compiled = compiled(&[rule("read"), admin], &[]);
    let mut question = question(&["developers"], dev(), ADMIN);
    question.duration = hours(8);
    let denied = Denied::DurationTooLong { max: hours(1) };
    assert_eq!(compiled.eligible(&question.ask()), Err(denied));
}

#[test]
fn beyond_one_rules_duration_only_the_other_rule_matches_with_its_own_plan() {
    let mut long = rule("long");
    long.duration_max = hours(24);
    long.plan = PlanSource::Steps(plan(&[step(2, &["leads"])]));
    let compiled = compiled(&[rule("short"), long], &[]);
    let mut question = question(&["developers"], dev(), READ);
    assert_eq!(ids(&compiled.eligible(&question.ask()).unwrap()), ["long", "short"]);
    question.duration = hours(9);
    let found = compiled.eligible(&question.ask()).unwrap();
    assert_eq!(ids(&found), ["long"]);
    assert_eq!(found[0].plan, plan(&[step(2, &["leads"])]));
    question.duration = hours(25);
    let denied = Denied::DurationTooLong { max: hours(24) };
    assert_eq!(compiled.eligible(&question.ask()), Err(denied));
}

/// TEAM (source): one no-approval rule frees others.
#[test]
fn one_rule_without_approval_frees_no_other() {
    let mut prod_rule = rule("prod");
    prod_rule.targets = Targets { accounts: [prod().id].into(), ..rule("x").targets };
    prod_rule.targets.all_accounts = false;
    prod_rule.plan = PlanSource::Steps(plan(&[step(1, &["leads"])]));
    let mut dev_rule = prod_rule.clone();
    dev_rule.id = rule_id("dev");
    dev_rule.targets.accounts = [dev().id].into();
    dev_rule.plan = PlanSource::None;
    let compiled = compiled(&[dev_rule, prod_rule], &[]);
    let found = compiled.eligible(&question(&["developers"], prod(), READ).ask()).unwrap();
    assert_eq!(choose(found, None).unwrap().plan, plan(&[step(1, &["leads"])]));
}

/// A rule's people and another rule's targets make no permission.
#[test]
fn the_people_of_one_rule_and_the_targets_of_another_do_not_combine() {
    let mut admin = rule("admin");
    admin.requesters = requesters(&["admins"]);
    admin.targets.permission_sets = [ADMIN.parse().unwrap()].into();
    let compiled = compiled(&[rule("read"), admin], &[]);
    let question = question(&["developers"], dev(), ADMIN);
    assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule));
}

/// broker (source): group match by substring, `Admin` matches `S3Admin`.
#[test]
fn groups_match_exactly_and_never_by_substring() {
    let mut admins = rule("admins");
    admins.requesters = requesters(&["Admin"]);
    let compiled = compiled(&[admins], &[]);
    for other in ["S3Admin", "Admins", "admin", "Admin ", "A"] {
        let question = question(&[other], dev(), READ);
        assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule), "{other}");
    }
    assert!(compiled.eligible(&question(&["Admin"], dev(), READ).ask()).is_ok());
}

#[test]
fn groups_of_another_source_are_other_groups() {
    let compiled = compiled(&[rule("read")], &[]);
    let mut question = question(&[], dev(), READ);
    let guest = domain::GroupRef::new("guests", "developers").unwrap();
    question.groups = Groups::Known([guest].into());
    assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule));
}

#[test]
fn a_hostile_group_name_is_only_a_name() {
    let hostile = "x\"] || true || principal in [Group::\"y\u{301}'\\";
    let mut strange = rule("strange");
    strange.requesters = requesters(&[hostile]);
    let compiled = compiled(&[strange], &[]);
    assert!(compiled.eligible(&question(&[hostile], dev(), READ).ask()).is_ok());
    let question = question(&["y"], dev(), READ);
    assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule));
}

/// TEAM #41, #423: nested OUs not included.
#[test]
fn accounts_of_nested_units_are_included() {
    let mut nested = rule("nested");
    nested.targets.all_accounts = false;
    nested.targets.ous = in_unit(WORKLOADS, false);
    let compiled = compiled(&[nested], &[]);
    assert!(compiled.eligible(&question(&["developers"], dev(), READ).ask()).is_ok());
    assert!(compiled.eligible(&question(&["developers"], prod(), READ).ask()).is_ok());
    let moved = account(PROD, &[ROOT, "ou-1-suspended"], &[]);
    let question = question(&["developers"], moved, READ);
    assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule));
}

#[test]
fn direct_children_only_means_no_nested_units() {
    let mut direct = rule("direct");
    direct.targets.all_accounts = false;
    direct.targets.ous = in_unit(WORKLOADS, true);
    let compiled = compiled(&[direct], &[]);
    assert!(compiled.eligible(&question(&["developers"], dev(), READ).ask()).is_ok());
    let question = question(&["developers"], prod(), READ);
    assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule));
}

#[test]
fn every_tag_must_match_with_one_of_its_values() {
    let mut tagged = rule("tagged");
    tagged.targets.all_accounts = false;
    let values = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<BTreeSet<_>>();
    tagged.targets.account_tags =
        [("env".to_owned(), values(&["prod", "stage"])), ("team".to_owned(), values(&["payments"]))].into();
    let compiled = compiled(&[tagged], &[]);
    assert!(compiled.eligible(&question(&["developers"], prod(), READ).ask()).is_ok());
    for tags in
        [&[("env", "prod")][..], &[("team", "payments")], &[], &[("env", "Prod"), ("team", "payments")]]
    {
        let question = question(&["developers"], account(PROD, &[ROOT], tags), READ);
        assert_eq!(compiled.eligible(&question.ask()), Err(Denied::NoRule), "{tags:?}");
    }
}

#[test]
fn a_role_is_named_by_arn_or_by_path_and_name() {
    let mut roles = rule("roles");
    roles.provider = Provider::Sts;
    roles.targets.permission_sets = BTreeSet::new();
    roles.targets.roles =
        ["team/Deployer", "arn:aws:iam::222222222222:role/Breaker"].map(|role| role.parse().unwrap()).into();
    let compiled = compiled(&[roles], &[]);
    let permitted = |account: crate::world::Account, role: &str| {
        let arn = format!("arn:aws:iam::{}:role/{role}", account.id);
        compiled.eligible(&question(&["developers"], account, &arn).ask()).is_ok()
    };
    assert!(permitted(dev(), "team/Deployer") && permitted(prod(), "team/Deployer"));
    assert!(permitted(prod(), "Breaker") && !permitted(dev(), "Breaker"));
    assert!(!permitted(dev(), "Deployer") && !permitted(dev(), "other/team/Deployer"));
}

#[test]
fn too_short_is_refused() {
    let compiled = compiled(&[rule("read")], &[]);
    let mut question = question(&["developers"], dev(), READ);
    let min = domain::SignedDuration::from_mins(5);
    for duration in [domain::SignedDuration::from_secs(299), domain::SignedDuration::ZERO, hours(-1)] {
        question.duration = duration;
        assert_eq!(compiled.eligible(&question.ask()), Err(Denied::DurationTooShort { min }));
    }
}

#[test]
fn the_approval_policies_of_the_account_and_of_all_its_units_apply_together() {
    let mut left = rule("left");
    left.plan = PlanSource::ByApprovalPolicies;
    let compiled = compiled(
        &[left],
        &[
            approval("b-payments", PAYMENTS, "payments-leads"),
            approval("a-all", ROOT, "security"),
            approval("other", "ou-1-other", "nobody"),
        ],
    );
    let found = compiled.eligible(&question(&["developers"], prod(), READ).ask()).unwrap();
    assert_eq!(found[0].plan, plan(&[step(1, &["security"]), step(1, &["payments-leads"])]));
    assert_eq!(found[0].determining, ["approval_policy/a-all", "approval_policy/b-payments", "rule/left"]);
    let found = compiled.eligible(&question(&["developers"], dev(), READ).ask()).unwrap();
    assert_eq!(found[0].plan, plan(&[step(1, &["security"])]));
}

#[test]
fn where_no_approval_policy_covers_the_account_nobody_can_decide() {
    let mut left = rule("left");
    left.plan = PlanSource::ByApprovalPolicies;
    let approvals = [approval("payments", PAYMENTS, "leads")];
    let alone = compiled(std::slice::from_ref(&left), &approvals);
    let question = question(&["developers"], dev(), READ);
    assert_eq!(alone.eligible(&question.ask()), Err(Denied::NobodyCanDecide));
    let beside = compiled(&[left, rule("other")], &approvals);
    assert_eq!(ids(&beside.eligible(&question.ask()).unwrap()), ["other"]);
}

#[test]
fn fewest_steps_then_fewest_approvers_then_rule_id_unless_one_is_named() {
    let with = |id: &str, source: PlanSource| policy::Rule { plan: source, ..rule(id) };
    let steps = |steps: &[domain::Step]| PlanSource::Steps(plan(steps));
    let rules = [
        with("a", steps(&[step(1, &["x"]), step(1, &["y"])])),
        with("b", steps(&[step(3, &["x"])])),
        with("d", steps(&[step(2, &["x"])])),
        with("c", steps(&[step(2, &["y"])])),
    ];
    let compiled = compiled(&rules, &[]);
    let found = compiled.eligible(&question(&["developers"], dev(), READ).ask()).unwrap();
    assert_eq!(choose(found.clone(), None).unwrap().rule, rule_id("c"));
    assert_eq!(choose(found.clone(), Some(&rule_id("a"))).unwrap().rule, rule_id("a"));
    assert_eq!(choose(found, Some(&rule_id("e"))), Err(Denied::RuleDoesNotPermit(rule_id("e"))));
    assert_eq!(choose(Vec::new(), None), Err(Denied::NoRule));
}

#[test]
fn a_rule_that_is_gone_is_told_apart_from_one_that_does_not_permit() {
    let mut changed = rule("read");
    changed.requesters = requesters(&["others"]);
    let question = question(&["developers"], dev(), READ);
    let read = rule_id("read");
    let gone = compiled(&[rule("other")], &[]);
    assert_eq!(gone.current_plan(&read, &question.ask()), Err(Denied::RuleVanished(read.clone())));
    let changed = compiled(&[changed, rule("other")], &[]);
    assert_eq!(changed.current_plan(&read, &question.ask()), Err(Denied::RuleDoesNotPermit(read.clone())));
    let mut shorter = rule("read");
    shorter.duration_max = domain::SignedDuration::from_mins(30);
    let denied = Denied::DurationTooLong { max: domain::SignedDuration::from_mins(30) };
    assert_eq!(compiled(&[shorter], &[]).current_plan(&read, &question.ask()), Err(denied));
    assert_eq!(compiled(&[rule("read")], &[]).current_plan(&read, &question.ask()), Ok(Plan::none()));
}

/// TEAM (source), Glide: approvers frozen at creation; a removed approver still approves.
#[test]
fn approvers_are_those_of_the_policy_as_it_stands_now() {
    let with = |approvers: &str| {
        let mut read = rule("read");
        read.plan = PlanSource::Steps(plan(&[step(1, &[approvers])]));
        compiled(&[read], &[])
    };
    let question = question(&["developers"], dev(), READ);
    let bob = (person("bob"), groups(&["leads"]));
    let decides = |compiled: &policy::Compiled| {
        let plan = compiled.current_plan(&rule_id("read"), &question.ask()).unwrap();
        compiled.approves(&bob.0, &bob.1, &plan)
    };
    assert_eq!(decides(&with("leads")), Ok(true));
    assert_eq!(decides(&with("security")), Ok(false));
}

/// TEAM #585: a deleted group breaks approvals for everyone.
#[test]
fn a_group_that_no_longer_exists_harms_nobody() {
    let mut read = rule("read");
    read.requesters = requesters(&["deleted", "developers"]);
    read.plan = PlanSource::Steps(plan(&[step(1, &["deleted-too", "leads"])]));
    let compiled = compiled(&[read], &[]);
    let found = compiled.eligible(&question(&["developers"], dev(), READ).ask()).unwrap();
    assert_eq!(compiled.approves(&person("bob"), &groups(&["leads"]), &found[0].plan), Ok(true));
}

#[test]
fn approvers_of_a_target_under_any_rule_may_revoke_access_to_it() {
    let mut read = rule("read");
    read.plan = PlanSource::Steps(plan(&[step(1, &["leads"])]));
    let mut left = rule("left");
    left.plan = PlanSource::ByApprovalPolicies;
    let compiled = compiled(&[read, left], &[approval("payments", PAYMENTS, "payments-leads")]);
    let may = |account: crate::world::Account, ids: Groups, entitlement: &str| {
        let target = Target::parse(account.id.as_str(), entitlement).unwrap();
        compiled.may_decide_on_target(&person("bob"), &ids, &target, account.facts())
    };
    assert!(may(dev(), groups(&["leads"]), READ));
    assert!(may(prod(), groups(&["payments-leads"]), READ));
    assert!(!may(dev(), groups(&["payments-leads"]), READ));
    assert!(!may(dev(), groups(&["leads"]), ADMIN));
    assert!(!may(dev(), groups(&["developers"]), READ));
    assert!(!may(dev(), Groups::Unknown("no claim".into()), READ));
}

#[test]
fn a_path_that_goes_in_circles_is_a_policy_error() {
    let compiled = compiled(&[rule("read")], &[]);
    let circle = account(DEV, &[ROOT, WORKLOADS, ROOT], &[]);
    let question = question(&["developers"], circle, READ);
    assert!(matches!(compiled.eligible(&question.ask()), Err(Denied::PolicyError(_))));
}

#[test]
fn rules_can_be_read_in_cedar() {
    let compiled = compiled(&[rule("read")], &[]);
    let text = compiled.cedar_text(&rule_id("read")).unwrap();
    assert!(text.contains("@id(\"read\")") && text.contains("Group::\"idp:developers\""), "{text}");
    assert_eq!(compiled.cedar_text(&rule_id("other")), None);
}
