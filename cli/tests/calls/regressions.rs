//! What went wrong in systems of this kind, where several services are concerned; `docs/regressions.md` has the list.

use crate::callers::{ISSUER, Kind};
use crate::house::House;
use crate::messages;
use api::approval::v1 as approval;
use api::audit::v1 as audit;
use api::request::v1 as request;
use api::types::v1 as wire;
use aws::simulated::sample;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

fn no<A: std::fmt::Debug>(answer: Result<A, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason)
}

fn denied(reason: &str) -> (Code, String) {
    (Code::PermissionDenied, reason.to_owned())
}

impl House {
    /// The request as someone sees it, with its story.
    async fn told(&self, kind: Kind, id: &str) -> request::GetRequestResponse {
        let message = request::GetRequestRequest {
            request_id: id.to_owned(),
            with_timeline: true,
            wait_for_position: String::new(),
        };
        self.done("/daypass.request.v1.RequestService/GetRequest", kind, &message).await
    }

    /// The types of the events that match, newest first.
    async fn history(&self, filter: audit::EventFilter) -> Vec<audit::Event> {
        let message =
            audit::ListEventsRequest { filter: Some(filter), ..audit::ListEventsRequest::default() };
        let path = "/daypass.audit.v1.AuditService/ListEvents";
        let answer: audit::ListEventsResponse = self.done(path, Kind::Auditor, &message).await;
        answer.events
    }

    async fn create(&self, kind: Kind, ask: wire::Ask) -> Result<wire::Request, Status> {
        let message = request::CreateRequestRequest { idempotency_key: self.key(), ask: Some(ask) };
        let path = "/daypass.request.v1.RequestService/CreateRequest";
        let answer: request::CreateRequestResponse = self.tried(path, kind, &message).await?;
        Ok(answer.request.unwrap())
    }

    async fn accept(&self, kind: Kind, proposal_event_id: &str) -> Result<(), Status> {
        let proposal_event_id = proposal_event_id.to_owned();
        let message = approval::AcceptPolicyRequest { idempotency_key: self.key(), proposal_event_id };
        let path = "/daypass.approval.v1.PolicyService/AcceptPolicy";
        let _: approval::AcceptPolicyResponse = self.tried(path, kind, &message).await?;
        Ok(())
    }

    /// Carol proposes to change the rules.
    async fn propose_rules(&self, change: impl FnOnce(&mut Vec<approval::Rule>)) -> String {
        let in_force = self.policy().await;
        let mut policy = in_force.policy.unwrap();
        change(&mut policy.rules);
        let message = approval::ProposePolicyRequest {
            idempotency_key: self.key(),
            base_event_id: in_force.policy_event_id,
            policy: Some(policy),
            source_digest: Vec::new(),
        };
        let path = "/daypass.approval.v1.PolicyService/ProposePolicy";
        let answer: approval::ProposePolicyResponse =
            self.done(path, Kind::OtherAdministrator, &message).await;
        answer.record.unwrap().proposal_event_id
    }

    /// Carol proposes to change the rules, and Dave accepts.
    async fn change_rules(&self, change: impl FnOnce(&mut Vec<approval::Rule>)) {
        let proposal = self.propose_rules(change).await;
        self.accept(Kind::Administrator, &proposal).await.unwrap();
    }
}

/// A request disappeared when it expired, and auditors had nothing.
#[tokio::test(start_paused = true)]
async fn teleport_68308_history_after_expiry() {
    let house = House::new().await;
    let id = house.ask(messages::read_only(sample::WEB_PROD)).await;
    tokio::time::sleep(Duration::from_hours(49)).await;
    for kind in [Kind::Requester, Kind::Approver, Kind::Auditor, Kind::Administrator] {
        let told = house.told(kind, &id).await;
        let shown = told.request.unwrap();
        assert_eq!(shown.status(), wire::RequestStatus::Expired, "{kind:?}");
        assert_eq!(shown.end_reason(), wire::EndReason::NotDecided);
        let types: Vec<_> = told.timeline.iter().map(|entry| entry.event_type.as_str()).collect();
        assert_eq!(types, ["request.requested.v1", "request.expired.v1"], "{kind:?}");
    }
    let events =
        house.history(audit::EventFilter { stream: format!("request-{id}"), ..Default::default() }).await;
    assert_eq!(events.len(), 2);
    let raised = events.last().unwrap();
    assert_eq!(raised.actor.as_ref().unwrap().person.as_ref().unwrap().subject, "ada");
    assert!(raised.payload.is_some());
    let message = request::ListRequestsRequest {
        filter: Some(request::RequestFilter {
            scope: request::RequestScope::All.into(),
            ..request::RequestFilter::default()
        }),
        ..request::ListRequestsRequest::default()
    };
    let path = "/daypass.request.v1.RequestService/ListRequests";
    let listed: request::ListRequestsResponse = house.done(path, Kind::Auditor, &message).await;
    assert!(listed.requests.iter().any(|request| request.request_id == id));
}

/// An administrator adds a rule, uses it, and removes it.
#[tokio::test(start_paused = true)]
async fn an_administrator_adds_a_rule_uses_it_and_removes_it() {
    let house = House::new().await;
    let ask = || messages::read_only(sample::WEB_PROD);
    let carol = Kind::OtherAdministrator;
    assert_eq!(no(house.create(carol, ask()).await), denied("NO_RULE"));

    // She needs a second person for it to count at all.
    let mine = |rules: &mut Vec<approval::Rule>| {
        let mut rule = rules.iter().find(|rule| rule.id == "read-production").unwrap().clone();
        rule.id = "mine".to_owned();
        rule.requester_groups.clear();
        rule.requester_people = vec![wire::Person { issuer: ISSUER.to_owned(), subject: "carol".to_owned() }];
        rule.plan_source = approval::PlanSource::None.into();
        rule.plan = None;
        rules.push(rule);
    };
    let proposal = house.propose_rules(mine).await;
    house.accept(carol, &proposal).await.unwrap_err();
    assert_eq!(no(house.create(carol, ask()).await), denied("NO_RULE"));
    house.accept(Kind::Administrator, &proposal).await.unwrap();

    // Even then her own rule alone gives her nothing.
    assert_eq!(no(house.create(carol, ask()).await), denied("OWN_RULE"));
    house
        .change_rules(|rules| {
            let plan = rules.iter().find(|rule| rule.id == "read-production").unwrap().plan.clone();
            let rule = rules.iter_mut().find(|rule| rule.id == "mine").unwrap();
            rule.plan_source = approval::PlanSource::Steps.into();
            rule.plan = plan;
        })
        .await;
    let pending = house.create(carol, ask()).await.unwrap();
    assert_eq!(pending.status(), wire::RequestStatus::Requested, "somebody else decides");

    // Once the rule is gone, so is what was asked under it; and all of it can be read afterwards.
    house.change_rules(|rules| rules.retain(|rule| rule.id != "mine")).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let shown = house.told(Kind::Auditor, &pending.request_id).await.request.unwrap();
    assert_eq!(shown.end_reason(), wire::EndReason::RuleVanished);
    let applied =
        audit::EventFilter { event_types: vec!["policy.applied.v1".to_owned()], ..Default::default() };
    let applied = house.history(applied).await;
    assert_eq!(applied.len(), 4, "the seed, the rule, its change, its removal");
    let by = |event: &audit::Event| event.actor.as_ref().unwrap().person.as_ref().unwrap().subject.clone();
    assert!(applied.iter().take(3).all(|event| by(event) == "dave"));
    let payload = format!("{:?}", applied.get(2).unwrap().payload);
    assert!(payload.contains("\"mine\"") && payload.contains("\"carol\""), "{payload}");
    assert!(house.aws.assignments().is_empty());
}
