//! The policy and its changes.

use super::values::{
    Malformed, Stored, empty_as_none, load_all, load_duration, load_provider, read, read_all, store_all,
    store_duration, store_provider, text, texts,
};
use super::{DecodeError, load as load_set, parse};
use crate::proto;
use domain::{Plan, SessionScope};
use policy::change::{Applied, Discarded, Proposed, SourceDigest};
use policy::{ApprovalPolicy, OuScope, PlanSource, Policy, PolicyEvent, Requesters, Rule, Settings, Targets};
use prost::Message as _;

pub(super) fn store(event: &PolicyEvent) -> Vec<u8> {
    match event {
        PolicyEvent::Proposed(proposed) => proposed.store().encode_to_vec(),
        PolicyEvent::Applied(applied) => applied.store().encode_to_vec(),
        PolicyEvent::Discarded(discarded) => discarded.store().encode_to_vec(),
    }
}

pub(super) fn load(verb: &str, payload: &[u8]) -> Result<PolicyEvent, DecodeError> {
    Ok(match verb {
        "proposed.v1" => PolicyEvent::Proposed(Stored::load(parse(payload)?)?),
        "applied.v1" => PolicyEvent::Applied(Stored::load(parse(payload)?)?),
        "discarded.v1" => PolicyEvent::Discarded(Stored::load(parse(payload)?)?),
        other => return Err(DecodeError::UnknownType(format!("policy.{other}"))),
    })
}

fn load_digest(digest: &[u8]) -> Result<SourceDigest, Malformed> {
    digest.try_into().map_err(|_| Malformed("source_digest"))
}

impl Stored for Proposed {
    type Proto = proto::PolicyProposedV1;
    fn store(&self) -> Self::Proto {
        proto::PolicyProposedV1 {
            base_event_id: text(self.base.as_ref()),
            policy: Some(self.policy.store()),
            author: Some(self.author.store()),
            source_digest: self.source_digest.to_vec(),
            author_principal_id: text(self.author_principal.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            base: empty_as_none(&proto.base_event_id, "base_event_id")?,
            policy: load_set(proto.policy, "policy")?,
            author: load_set(proto.author, "author")?,
            author_principal: empty_as_none(&proto.author_principal_id, "author_principal_id")?,
            source_digest: load_digest(&proto.source_digest)?,
        })
    }
}

impl Stored for Applied {
    type Proto = proto::PolicyAppliedV1;
    fn store(&self) -> Self::Proto {
        proto::PolicyAppliedV1 {
            proposal_event_id: text(self.proposal.as_ref()),
            base_event_id: text(self.base.as_ref()),
            policy: Some(self.policy.store()),
            author: Some(self.author.store()),
            accepted_by: self.second.as_ref().map(Stored::store),
            source_digest: self.source_digest.to_vec(),
            author_principal_id: text(self.author_principal.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            base: empty_as_none(&proto.base_event_id, "base_event_id")?,
            proposal: empty_as_none(&proto.proposal_event_id, "proposal_event_id")?,
            policy: load_set(proto.policy, "policy")?,
            author: load_set(proto.author, "author")?,
            author_principal: empty_as_none(&proto.author_principal_id, "author_principal_id")?,
            second: proto.accepted_by.map(Stored::load).transpose()?,
            source_digest: load_digest(&proto.source_digest)?,
        })
    }
}

impl Stored for Discarded {
    type Proto = proto::PolicyDiscardedV1;
    fn store(&self) -> Self::Proto {
        proto::PolicyDiscardedV1 { proposal_event_id: self.proposal.to_string(), by: Some(self.by.store()) }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            proposal: read(&proto.proposal_event_id, "proposal_event_id")?,
            by: load_set(proto.by, "by")?,
        })
    }
}

impl Stored for Policy {
    type Proto = proto::Policy;
    fn store(&self) -> Self::Proto {
        proto::Policy {
            rules: store_all(&self.rules),
            approval_policies: store_all(&self.approval_policies),
            settings: Some(self.settings.store()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            rules: load_all(proto.rules)?,
            approval_policies: load_all(proto.approval_policies)?,
            settings: load_set(proto.settings, "settings")?,
        })
    }
}

impl Stored for Rule {
    type Proto = proto::Rule;
    fn store(&self) -> Self::Proto {
        let (source, plan) = match &self.plan {
            PlanSource::None => (proto::PlanSource::None, None),
            PlanSource::Steps(plan) => (proto::PlanSource::Steps, Some(plan.store())),
            PlanSource::ByApprovalPolicies => (proto::PlanSource::ApprovalPolicies, None),
        };
        proto::Rule {
            id: self.id.to_string(),
            description: self.description.clone(),
            requester_people: store_all(&self.requesters.people),
            requester_groups: store_all(&self.requesters.groups),
            targets: Some(self.targets.store()),
            duration_max: Some(store_duration(self.duration_max)),
            provider: store_provider(self.provider),
            credential_duration_max: self.credential_duration_max.map(store_duration),
            plan_source: source.into(),
            plan,
            session_policy: text(self.session.inline.as_ref()),
            session_policy_arns: texts(&self.session.managed),
            allow_chaining: self.session.allow_chaining,
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let plan = match proto::PlanSource::try_from(proto.plan_source) {
            Ok(proto::PlanSource::None) => PlanSource::None,
            Ok(proto::PlanSource::Steps) => PlanSource::Steps(load_set::<Plan>(proto.plan, "rule.plan")?),
            Ok(proto::PlanSource::ApprovalPolicies) => PlanSource::ByApprovalPolicies,
            Ok(proto::PlanSource::Unspecified) | Err(_) => return Err(Malformed("rule.plan_source")),
        };
        Ok(Self {
            id: read(&proto.id, "rule.id")?,
            description: proto.description,
            requesters: Requesters {
                people: load_all(proto.requester_people)?,
                groups: load_all(proto.requester_groups)?,
            },
            targets: load_set(proto.targets, "rule.targets")?,
            duration_max: load_duration(proto.duration_max, "rule.duration_max")?,
            provider: load_provider(proto.provider)?,
            credential_duration_max: proto
                .credential_duration_max
                .map(|duration| load_duration(Some(duration), "rule.credential_duration_max"))
                .transpose()?,
            session: SessionScope {
                inline: empty_as_none(&proto.session_policy, "rule.session_policy")?,
                managed: read_all(&proto.session_policy_arns, "rule.session_policy_arns")?,
                allow_chaining: proto.allow_chaining,
            },
            plan,
        })
    }
}

impl Stored for Targets {
    type Proto = proto::Targets;
    fn store(&self) -> Self::Proto {
        let account_tags = self.account_tags.iter().map(|(key, values)| proto::TagSelector {
            key: key.clone(),
            values: values.iter().cloned().collect(),
        });
        proto::Targets {
            all_accounts: self.all_accounts,
            account_ids: texts(&self.accounts),
            ous: store_all(&self.ous),
            account_tags: account_tags.collect(),
            permission_set_arns: texts(&self.permission_sets),
            roles: texts(&self.roles),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let account_tags = proto
            .account_tags
            .into_iter()
            .map(|selector| (selector.key, selector.values.into_iter().collect()));
        Ok(Self {
            all_accounts: proto.all_accounts,
            accounts: read_all(&proto.account_ids, "targets.account_ids")?,
            ous: load_all(proto.ous)?,
            account_tags: account_tags.collect(),
            permission_sets: read_all(&proto.permission_set_arns, "targets.permission_set_arns")?,
            roles: read_all(&proto.roles, "targets.roles")?,
        })
    }
}

impl Stored for OuScope {
    type Proto = proto::OuScope;
    fn store(&self) -> Self::Proto {
        proto::OuScope { ou_id: self.ou.to_string(), direct: self.direct }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self { ou: read(&proto.ou_id, "ou_id")?, direct: proto.direct })
    }
}

impl Stored for ApprovalPolicy {
    type Proto = proto::ApprovalPolicy;
    fn store(&self) -> Self::Proto {
        proto::ApprovalPolicy {
            id: self.id.to_string(),
            account_ids: texts(&self.accounts),
            ous: store_all(&self.ous),
            plan: Some(self.plan.store()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            id: read(&proto.id, "approval_policy.id")?,
            accounts: read_all(&proto.account_ids, "approval_policy.account_ids")?,
            ous: load_all(proto.ous)?,
            plan: load_set(proto.plan, "approval_policy.plan")?,
        })
    }
}

impl Stored for Settings {
    type Proto = proto::Settings;
    fn store(&self) -> Self::Proto {
        proto::Settings {
            decide_within: Some(store_duration(self.decide_within)),
            start_horizon: Some(store_duration(self.start_horizon)),
            duration_min: Some(store_duration(self.duration_min)),
            chain_duration_max: Some(store_duration(self.chain_duration_max)),
            second_administrator: self.second_administrator,
            group_age_max: Some(store_duration(self.group_age_max)),
            directory_age_max: Some(store_duration(self.directory_age_max)),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            decide_within: load_duration(proto.decide_within, "settings.decide_within")?,
            start_horizon: load_duration(proto.start_horizon, "settings.start_horizon")?,
            duration_min: load_duration(proto.duration_min, "settings.duration_min")?,
            chain_duration_max: load_duration(proto.chain_duration_max, "settings.chain_duration_max")?,
            second_administrator: proto.second_administrator,
            group_age_max: load_duration(proto.group_age_max, "settings.group_age_max")?,
            directory_age_max: load_duration(proto.directory_age_max, "settings.directory_age_max")?,
        })
    }
}
