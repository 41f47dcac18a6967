//! The policy: proposed, accepted, discarded, seeded.

use crate::house::{House, Outside, POLICY, administrator, because, caller, human, person, refusal};
use api::approval::v1::{
    AcceptPolicyRequest, AcceptPolicyResponse, CheckPolicyRequest, DiscardPolicyRequest, GetPolicyRequest,
    ListPoliciesRequest, Policy, PolicyRecord, PolicyStatus, ProposePolicyRequest, ProposePolicyResponse,
};
use approval::Seeded;
use domain::Person;
use event_log::{Envelope, EventLog as _, Expected, Writer};
use identity::Caller;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

async fn get(house: &House, event_id: &str) -> Option<PolicyRecord> {
    let message = GetPolicyRequest { event_id: event_id.to_owned(), ..Default::default() };
    let answer = house.policies().get_policy(house.request(&administrator("carol"), message)).await;
    answer.unwrap().into_inner().record
}

/// What is in force, with production's rule for as many hours.
async fn changed(house: &House, hours: i64) -> (String, Policy) {
    let record = get(house, "").await.unwrap();
    let mut policy = record.policy.unwrap();
    let rule = policy.rules.iter_mut().find(|rule| rule.id == "prod-read").unwrap();
    rule.duration_max = Some(prost_types::Duration { seconds: hours * 3600, nanos: 0 });
    (record.policy_event_id, policy)
}

async fn propose(
    house: &House,
    caller: &Caller,
    base: &str,
    policy: Policy,
) -> Result<ProposePolicyResponse, Status> {
    let message = ProposePolicyRequest {
        idempotency_key: house.key(),
        base_event_id: base.to_owned(),
        policy: Some(policy),
        source_digest: Vec::new(),
    };
    house.policies().propose_policy(house.request(caller, message)).await.map(tonic::Response::into_inner)
}

async fn accept(house: &House, caller: &Caller, proposal: &str) -> Result<AcceptPolicyResponse, Status> {
    let message =
        AcceptPolicyRequest { idempotency_key: house.key(), proposal_event_id: proposal.to_owned() };
    house.policies().accept_policy(house.request(caller, message)).await.map(tonic::Response::into_inner)
}

#[tokio::test(start_paused = true)]
async fn a_policy_comes_back_as_it_was_written() {
    let house = House::new().await;
    let (base, policy) = changed(&house, 4).await;
    let proposed = propose(&house, &administrator("carol"), &base, policy.clone()).await.unwrap();
    let record = proposed.record.unwrap();
    assert_eq!(record.policy.as_ref(), Some(&policy));
    assert_eq!(record.status(), PolicyStatus::Proposed);
    assert!(proposed.warnings.is_empty(), "{:?}", proposed.warnings);
    assert_eq!(get(&house, &record.proposal_event_id).await.unwrap().policy, Some(policy));
}

#[tokio::test(start_paused = true)]
async fn a_second_administrator_is_required() {
    let house = House::new().await;
    let (base, policy) = changed(&house, 4).await;
    let proposal = propose(&house, &administrator("carol"), &base, policy.clone()).await.unwrap();
    let proposal = proposal.record.unwrap().proposal_event_id;
    let own = accept(&house, &administrator("carol"), &proposal).await;
    assert_eq!(refusal(own), because(Code::PermissionDenied, "NOT_ANOTHER_PERSON"));
    // Another identity with the same user of Identity Center, and a linked one.
    let other = Caller { actor: human(person("carol-laptop")), ..administrator("carol") };
    let same_user = accept(&house, &other, &proposal).await;
    assert_eq!(refusal(same_user), because(Code::PermissionDenied, "NOT_ANOTHER_PERSON"));
    let guest = Person::new("https://guests.example", "carol").unwrap();
    house.link(&guest, &person("carol")).await;
    let guest = Caller { actor: human(guest), directory_id: None, ..administrator("carol") };
    let linked = accept(&house, &guest, &proposal).await;
    assert_eq!(refusal(linked), because(Code::PermissionDenied, "NOT_ANOTHER_PERSON"));

    let accepted = accept(&house, &administrator("dave"), &proposal).await.unwrap().record.unwrap();
    assert_eq!(accepted.status(), PolicyStatus::Applied);
    assert_eq!(accepted.accepted_by.unwrap().user_name, "dave");
    let in_force = get(&house, "").await.unwrap();
    assert_eq!((in_force.policy_event_id, in_force.policy), (accepted.policy_event_id, Some(policy)));
    assert_eq!(get(&house, &base).await.unwrap().status(), PolicyStatus::Replaced);
}

#[tokio::test(start_paused = true)]
async fn where_one_administrator_suffices_a_proposal_is_in_force_at_once() {
    let house = House::with_policy(&format!("[settings]\nsecond_administrator = false\n{POLICY}")).await;
    let (base, policy) = changed(&house, 4).await;
    let record = propose(&house, &administrator("carol"), &base, policy).await.unwrap().record.unwrap();
    assert_eq!(record.status(), PolicyStatus::Applied);
    assert_eq!(record.accepted_by, None);
    assert_eq!(get(&house, "").await.unwrap().policy_event_id, record.policy_event_id);
}

#[tokio::test(start_paused = true)]
async fn a_proposal_on_a_stale_base_is_refused() {
    let house = House::new().await;
    let (base, four) = changed(&house, 4).await;
    let (_, five) = changed(&house, 5).await;
    let (_, six) = changed(&house, 6).await;
    let carol = administrator("carol");
    let one = propose(&house, &carol, &base, four).await.unwrap().record.unwrap().proposal_event_id;
    let two = propose(&house, &carol, &base, five).await.unwrap().record.unwrap().proposal_event_id;
    accept(&house, &administrator("dave"), &one).await.unwrap();
    let stale = accept(&house, &administrator("dave"), &two).await;
    assert_eq!(refusal(stale), because(Code::FailedPrecondition, "STALE_BASE"));
    let stale = propose(&house, &carol, &base, six).await;
    assert_eq!(refusal(stale), because(Code::FailedPrecondition, "STALE_BASE"));
    assert_eq!(get(&house, &two).await.unwrap().status(), PolicyStatus::Discarded);
}

#[tokio::test(start_paused = true)]
async fn every_wrong_field_is_told_at_once() {
    let house = House::new().await;
    let (base, mut policy) = changed(&house, 4).await;
    policy.rules[1].targets.as_mut().unwrap().permission_set_arns.clear();
    policy.rules[1].requester_groups.clear();
    let status = propose(&house, &administrator("carol"), &base, policy.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<String> = status
        .get_details_bad_request()
        .unwrap()
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect();
    assert_eq!(fields, ["policy.rules[prod-read].requesters", "policy.rules[prod-read].targets"]);
    policy.rules[0].plan = policy.rules[1].plan.clone();
    let status = propose(&house, &administrator("carol"), &base, policy).await.unwrap_err();
    let fields = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(fields[0].field, "policy.rules[0].plan");
}

#[tokio::test(start_paused = true)]
async fn what_the_directory_does_not_know_is_a_warning() {
    let house = House::new().await;
    let (base, mut policy) = changed(&house, 4).await;
    policy.rules[1].requester_groups[0].id = "no-such-group".to_owned();
    let proposed = propose(&house, &administrator("carol"), &base, policy).await.unwrap();
    assert_eq!(proposed.warnings.len(), 1);
    assert!(proposed.warnings[0].contains("no-such-group"));
}

#[tokio::test(start_paused = true)]
async fn a_discarded_proposal_is_gone_and_the_list_tells_what_became_of_each() {
    let house = House::new().await;
    let (base, four) = changed(&house, 4).await;
    let (_, five) = changed(&house, 5).await;
    let carol = administrator("carol");
    let one = propose(&house, &carol, &base, four).await.unwrap().record.unwrap().proposal_event_id;
    let two = propose(&house, &carol, &base, five).await.unwrap().record.unwrap().proposal_event_id;
    let message = DiscardPolicyRequest { idempotency_key: house.key(), proposal_event_id: one.clone() };
    let discarded = house.policies().discard_policy(house.request(&administrator("dave"), message)).await;
    assert_eq!(discarded.unwrap().into_inner().record.unwrap().status(), PolicyStatus::Discarded);
    assert_eq!(
        refusal(accept(&house, &administrator("dave"), &one).await),
        because(Code::NotFound, "NOT_FOUND")
    );

    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let message = ListPoliciesRequest { page_size: 2, page_token, ..Default::default() };
        let page = house.policies().list_policies(house.request(&carol, message)).await.unwrap().into_inner();
        assert!(page.records.iter().all(|record| record.policy.is_none()));
        found.extend(page.records.iter().map(|record| (record.proposal_event_id.clone(), record.status())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let expected = [
        (two, PolicyStatus::Proposed),
        (one.clone(), PolicyStatus::Discarded),
        (String::new(), PolicyStatus::Applied),
    ];
    assert_eq!(found, expected);
    let only = ListPoliciesRequest { statuses: vec![PolicyStatus::Discarded.into()], ..Default::default() };
    let only = house.policies().list_policies(house.request(&carol, only)).await.unwrap().into_inner();
    assert_eq!(only.records.iter().map(|record| &record.proposal_event_id).collect::<Vec<_>>(), [&one]);
}

#[tokio::test(start_paused = true)]
async fn only_administrators_change_the_policy() {
    let house = House::new().await;
    let (base, policy) = changed(&house, 4).await;
    assert_eq!(
        propose(&house, &caller("bob"), &base, policy).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let message = CheckPolicyRequest { policy: Some(Policy::default()) };
    let planned = house.policies().check_policy(house.request(&administrator("carol"), message)).await;
    assert_eq!(planned.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_seeded_on_an_empty_log_only() {
    let outside = Outside::new();
    let house = outside.start().await;
    assert_eq!(get(&house, "").await, None);
    let root = human(person("root"));
    assert!(house.service.seed("rules = 1", root.clone()).await.is_err());
    assert_eq!(house.service.seed(POLICY, root.clone()).await.unwrap(), Seeded::Applied);
    let other = outside.start().await;
    assert_eq!(other.service.seed(POLICY, root.clone()).await.unwrap(), Seeded::Ignored);
    let changed = POLICY.replace("8h", "4h");
    assert_eq!(other.service.seed(&changed, root).await.unwrap(), Seeded::Ignored);
    assert_eq!(house.events(), 1);
    let record = get(&house, "").await.unwrap();
    assert_eq!((record.status(), record.proposal_event_id.as_str()), (PolicyStatus::Applied, ""));
}

#[tokio::test(start_paused = true)]
async fn a_file_beside_a_damaged_policy_keeps_no_process_from_starting() {
    let outside = Outside::new();
    let garbage = Envelope {
        event_id: *domain::EventId::from_parts([b"garbage".as_slice()]).as_uuid(),
        writer: Writer::new("approval").unwrap(),
        body: b"garbage".as_slice().into(),
    };
    outside.log.append(&"policy-main".parse().unwrap(), Expected::NoStream, garbage).await.unwrap();
    let house = outside.start().await;
    // Nothing is granted by a policy that cannot be read; what removes access runs in the same process.
    assert_eq!(house.service.seed(POLICY, human(person("root"))).await.unwrap(), Seeded::Ignored);
    assert_eq!(house.events(), 1);
}
