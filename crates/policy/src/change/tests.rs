use super::*;
use crate::model::{PlanSource, Requesters, Targets};
use domain::{ActorKind, GroupRef, Provider, SignedDuration};

fn actor(subject: &str, kind: ActorKind) -> Actor {
    Actor { person: person(subject), kind, client_id: None, auth_time: None, acr: None }
}

fn human(subject: &str) -> Actor {
    actor(subject, ActorKind::Human)
}

fn person(subject: &str) -> Person {
    Person::new("https://idp.example", subject).unwrap()
}

fn event_id(n: u8) -> EventId {
    EventId::from_parts([[n].as_slice()])
}

fn rule(id: &str, hours: i64) -> Rule {
    Rule {
        id: RuleId::new(id).unwrap(),
        description: String::new(),
        requesters: Requesters {
            people: BTreeSet::new(),
            groups: [GroupRef::new("idp", "developers").unwrap()].into(),
        },
        targets: Targets {
            all_accounts: true,
            roles: ["Reader".parse().unwrap()].into(),
            ..Targets::default()
        },
        duration_max: SignedDuration::from_hours(hours),
        provider: Provider::Sts,
        credential_duration_max: None,
        session: domain::SessionScope::default(),
        plan: PlanSource::None,
    }
}

fn policy(rules: &[Rule]) -> Policy {
    Policy { rules: rules.to_vec(), ..Policy::default() }
}

fn without_second(mut policy: Policy) -> Policy {
    policy.settings.second_administrator = false;
    policy
}

/// The state after these events; the n-th has `event_id(n)`, counting from 1.
fn given(events: &[PolicyEvent]) -> PolicyState {
    (1..).zip(events).fold(PolicyState::default(), |state, (n, event)| state.evolve(event_id(n), event))
}

fn seeded(policy: &Policy) -> PolicyEvent {
    let command = Seed {
        policy: policy.clone(),
        author: actor("daypass", ActorKind::Workload),
        source_digest: [0; 32],
    };
    seed(&PolicyState::default(), command).unwrap()
}

fn proposed(base: Option<u8>, policy: &Policy, author: &str) -> PolicyEvent {
    PolicyEvent::Proposed(Proposed {
        author_principal: None,
        base: base.map(event_id),
        policy: policy.clone(),
        author: human(author),
        source_digest: [1; 32],
    })
}

fn applied(
    base: Option<u8>,
    proposal: u8,
    policy: &Policy,
    author: &str,
    second: Option<&str>,
) -> PolicyEvent {
    PolicyEvent::Applied(Applied {
        author_principal: None,
        base: base.map(event_id),
        proposal: Some(event_id(proposal)),
        policy: policy.clone(),
        author: human(author),
        second: second.map(human),
        source_digest: [1; 32],
    })
}

fn propose_as(
    state: &PolicyState,
    author: Actor,
    base: Option<u8>,
    policy: Policy,
) -> Result<PolicyEvent, Rejection> {
    let command =
        Propose { base: base.map(event_id), policy, author, author_principal: None, source_digest: [1; 32] };
    propose(state, command)
}

fn accept_as(state: &PolicyState, by: Actor, proposal: u8) -> Result<PolicyEvent, Rejection> {
    let command = Accept { proposal: event_id(proposal), by, linked: BTreeSet::new(), principal: None };
    accept(state, command)
}

#[test]
fn a_second_administrator_accepts_what_was_proposed() {
    let (old, new) = (policy(&[rule("a", 1)]), policy(&[rule("a", 2)]));
    let state = given(&[seeded(&old)]);
    let proposal = propose_as(&state, human("ada"), Some(1), new.clone()).unwrap();
    assert_eq!(proposal, proposed(Some(1), &new, "ada"));
    let state = state.evolve(event_id(2), &proposal);
    assert_eq!(accept_as(&state, human("bob"), 2), Ok(applied(Some(1), 2, &new, "ada", Some("bob"))));
}

#[test]
fn the_author_cannot_accept_their_own_change() {
    let state = given(&[seeded(&policy(&[])), proposed(Some(1), &policy(&[rule("a", 1)]), "ada")]);
    assert_eq!(accept_as(&state, human("ada"), 2), Err(Rejection::NotAnotherPerson));
}

#[test]
fn the_author_cannot_accept_their_own_change_under_a_linked_identifier() {
    let state = given(&[seeded(&policy(&[])), proposed(Some(1), &policy(&[rule("a", 1)]), "ada")]);
    let command = Accept {
        proposal: event_id(2),
        by: human("ada.admin"),
        linked: [person("ada")].into(),
        principal: None,
    };
    assert_eq!(accept(&state, command), Err(Rejection::NotAnotherPerson));
}

#[test]
fn a_proposal_cannot_free_itself_from_the_second_administrator() {
    let free = without_second(policy(&[rule("a", 1)]));
    let state = given(&[seeded(&policy(&[])), proposed(Some(1), &free, "ada")]);
    assert_eq!(accept_as(&state, human("ada"), 2), Err(Rejection::NotAnotherPerson));
}

#[test]
fn without_any_policy_a_second_administrator_is_needed() {
    let state = given(&[proposed(None, &policy(&[rule("a", 1)]), "ada")]);
    assert_eq!(accept_as(&state, human("ada"), 1), Err(Rejection::NotAnotherPerson));
    assert!(accept_as(&state, human("bob"), 1).is_ok());
}

#[test]
fn where_the_policy_says_so_one_administrator_is_enough() {
    let new = without_second(policy(&[rule("a", 1)]));
    let state = given(&[seeded(&without_second(policy(&[]))), proposed(Some(1), &new, "ada")]);
    assert_eq!(accept_as(&state, human("ada"), 2), Ok(applied(Some(1), 2, &new, "ada", None)));
}

#[test]
fn of_two_proposals_on_one_base_the_second_is_stale() {
    let (one, two) = (policy(&[rule("a", 1)]), policy(&[rule("b", 1)]));
    let events = [
        seeded(&policy(&[])),
        proposed(Some(1), &one, "ada"),
        proposed(Some(1), &two, "bob"),
        applied(Some(1), 2, &one, "ada", Some("eve")),
    ];
    let refusal = Rejection::StaleBase { applied: Some(event_id(4)) };
    let state = given(&events);
    assert_eq!(accept_as(&state, human("eve"), 3), Err(refusal.clone()));
    assert_eq!(propose_as(&state, human("bob"), Some(1), two), Err(refusal));
    assert_eq!(state.applied(), Some((event_id(4), &one)));
}

#[test]
fn workloads_do_not_change_the_policy() {
    let pipeline = actor("pipeline", ActorKind::Workload);
    let state = given(&[seeded(&policy(&[])), proposed(Some(1), &policy(&[rule("a", 1)]), "ada")]);
    assert_eq!(
        propose_as(&state, pipeline.clone(), Some(1), policy(&[rule("b", 1)])),
        Err(Rejection::NotHuman)
    );
    assert_eq!(accept_as(&state, pipeline.clone(), 2), Err(Rejection::NotHuman));
    let command = Discard { proposal: event_id(2), by: pipeline };
    assert_eq!(discard(&state, command), Err(Rejection::NotHuman));
}

#[test]
fn what_is_discarded_cannot_be_accepted() {
    let state = given(&[seeded(&policy(&[])), proposed(Some(1), &policy(&[rule("a", 1)]), "ada")]);
    let command = Discard { proposal: event_id(2), by: human("ada") };
    let event = discard(&state, command.clone()).unwrap();
    let state = state.evolve(event_id(3), &event);
    assert_eq!(accept_as(&state, human("bob"), 2), Err(Rejection::NothingProposed(event_id(2))));
    assert_eq!(discard(&state, command), Err(Rejection::NothingProposed(event_id(2))));
}

#[test]
fn an_accepted_proposal_cannot_be_accepted_again() {
    let new = policy(&[rule("a", 1)]);
    let events =
        [seeded(&policy(&[])), proposed(Some(1), &new, "ada"), applied(Some(1), 2, &new, "ada", Some("bob"))];
    assert_eq!(accept_as(&given(&events), human("bob"), 2), Err(Rejection::NothingProposed(event_id(2))));
}

#[test]
fn what_changes_nothing_or_is_wrong_is_not_proposed() {
    let now = policy(&[rule("a", 1), rule("b", 1)]);
    let state = given(&[seeded(&now)]);
    let reordered = policy(&[rule("b", 1), rule("a", 1)]);
    assert_eq!(propose_as(&state, human("ada"), Some(1), reordered), Err(Rejection::NothingChanged));
    let twice = policy(&[rule("a", 1), rule("a", 2)]);
    assert!(matches!(propose_as(&state, human("ada"), Some(1), twice), Err(Rejection::Invalid(_))));
}

#[test]
fn open_proposals_are_bounded() {
    let mut events = vec![seeded(&policy(&[]))];
    events.extend((1..=20).map(|hours| proposed(Some(1), &policy(&[rule("a", hours)]), "ada")));
    assert_eq!(
        propose_as(&given(&events), human("ada"), Some(1), policy(&[rule("a", 21)])),
        Err(Rejection::TooManyProposals)
    );
}

#[test]
fn a_seed_is_for_an_empty_log_only() {
    let events = [
        vec![seeded(&policy(&[]))],
        vec![proposed(None, &policy(&[rule("a", 1)]), "ada")],
        vec![
            proposed(None, &policy(&[rule("a", 1)]), "ada"),
            PolicyEvent::Discarded(Discarded { proposal: event_id(1), by: human("ada") }),
        ],
    ];
    for events in events {
        let command = Seed { policy: policy(&[rule("b", 1)]), author: human("ada"), source_digest: [0; 32] };
        assert_eq!(seed(&given(&events), command), Err(Rejection::AlreadySeeded));
    }
}

/// From the table of what went wrong elsewhere: "an administrator adds a rule, uses it, removes it".
#[test]
fn an_administrator_who_adds_a_rule_cannot_use_it_alone() {
    let with = policy(&[rule("mine", 1), rule("old", 1)]);
    let without = policy(&[rule("old", 1)]);
    let mut events = vec![
        seeded(&without),
        proposed(Some(1), &with, "ada"),
        applied(Some(1), 2, &with, "ada", Some("bob")),
    ];
    let state = given(&events);
    let (mine, old) = (RuleId::new("mine").unwrap(), RuleId::new("old").unwrap());
    assert!(state.author_uses_own_rule(&mine, &person("ada")));
    assert!(!state.author_uses_own_rule(&mine, &person("bob")));
    assert!(!state.author_uses_own_rule(&old, &person("ada")));
    events.push(applied(Some(3), 9, &without, "bob", Some("ada")));
    assert_eq!(given(&events).authors().get(&mine), None);
}

#[test]
fn who_changes_what_a_rule_decides_becomes_its_author_and_who_mends_its_wording_does_not() {
    let first = policy(&[rule("a", 1)]);
    let mut worded = rule("a", 1);
    worded.description = "readers".into();
    let worded = policy(&[worded]);
    let longer = policy(&[rule("a", 2)]);
    let a = RuleId::new("a").unwrap();
    let mut events =
        vec![applied(None, 9, &first, "ada", Some("bob")), applied(Some(1), 9, &worded, "bob", Some("ada"))];
    assert_eq!(given(&events).authors().get(&a).map(|author| &author.person), Some(&person("ada")));
    events.push(applied(Some(2), 9, &longer, "bob", Some("ada")));
    assert_eq!(given(&events).authors().get(&a).map(|author| &author.person), Some(&person("bob")));
}

#[test]
fn the_same_user_under_another_identity_is_no_second_person() {
    let user = domain::PrincipalId::new("aaaa").unwrap();
    let state = given(&[seeded(&policy(&[rule("a", 1)]))]);
    let command = Propose {
        base: Some(event_id(1)),
        policy: policy(&[rule("b", 1)]),
        author: human("ada"),
        author_principal: Some(user.clone()),
        source_digest: [1; 32],
    };
    let event = propose(&state, command).unwrap();
    let proposed = state.evolve(event_id(2), &event);
    let command = Accept {
        proposal: event_id(2),
        by: human("ada.elsewhere"),
        linked: BTreeSet::new(),
        principal: Some(user),
    };
    assert_eq!(accept(&proposed, command), Err(Rejection::NotAnotherPerson));
}
