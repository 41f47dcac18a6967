//! The events of a request.

use super::values::{
    Malformed, Stored, empty_as_none, load_all, load_duration, load_provider, load_time, read, read_all,
    required, store_all, store_duration, store_provider, store_time, text, texts,
};
use super::{DecodeError, load as load_set, parse};
use crate::proto;
use domain::{OuPath, Sealed, SignedDuration};
use lifecycle::RequestEvent;
use lifecycle::event::{
    Activated, ApprovalBasis, Approved, Bound, Closed, ClosedHow, ConsoleOpened, CredentialsIssued, Ended,
    EndedBecause, Endorsed, Expired, ExpiredBecause, Grounds, Rejected, RejectedBecause, Requested,
    ReviewedAfter, Revoked, RevokedAs, Verdict,
};
use prost::Message as _;

pub(super) fn store(event: &RequestEvent) -> Vec<u8> {
    match event {
        RequestEvent::Requested(requested) => requested.store().encode_to_vec(),
        RequestEvent::Withdrawn => proto::RequestWithdrawnV1 {}.encode_to_vec(),
        RequestEvent::Endorsed(endorsed) => endorsed.store().encode_to_vec(),
        RequestEvent::Approved(approved) => approved.store().encode_to_vec(),
        RequestEvent::Rejected(rejected) => rejected.store().encode_to_vec(),
        RequestEvent::Expired(expired) => expired.store().encode_to_vec(),
        RequestEvent::Activated(activated) => activated.store().encode_to_vec(),
        RequestEvent::CredentialsIssued(issued) => issued.store().encode_to_vec(),
        RequestEvent::ConsoleOpened(opened) => opened.store().encode_to_vec(),
        RequestEvent::Revoked(revoked) => revoked.store().encode_to_vec(),
        RequestEvent::Ended(ended) => ended.store().encode_to_vec(),
        RequestEvent::Closed(closed) => closed.store().encode_to_vec(),
        RequestEvent::ReviewedAfter(reviewed) => reviewed.store().encode_to_vec(),
    }
}

pub(super) fn load(verb: &str, payload: &[u8]) -> Result<RequestEvent, DecodeError> {
    Ok(match verb {
        "requested.v1" => RequestEvent::Requested(Box::new(Stored::load(parse(payload)?)?)),
        "withdrawn.v1" => {
            parse::<proto::RequestWithdrawnV1>(payload)?;
            RequestEvent::Withdrawn
        }
        "endorsed.v1" => RequestEvent::Endorsed(Stored::load(parse(payload)?)?),
        "approved.v1" => RequestEvent::Approved(Stored::load(parse(payload)?)?),
        "rejected.v1" => RequestEvent::Rejected(Stored::load(parse(payload)?)?),
        "expired.v1" => RequestEvent::Expired(Stored::load(parse(payload)?)?),
        "activated.v1" => RequestEvent::Activated(Stored::load(parse(payload)?)?),
        "credentials_issued.v1" => RequestEvent::CredentialsIssued(Stored::load(parse(payload)?)?),
        "console_opened.v1" => RequestEvent::ConsoleOpened(Stored::load(parse(payload)?)?),
        "revoked.v1" => RequestEvent::Revoked(Stored::load(parse(payload)?)?),
        "ended.v1" => RequestEvent::Ended(Stored::load(parse(payload)?)?),
        "closed.v1" => RequestEvent::Closed(Stored::load(parse(payload)?)?),
        "reviewed_after.v1" => RequestEvent::ReviewedAfter(Stored::load(parse(payload)?)?),
        other => return Err(DecodeError::UnknownType(format!("request.{other}"))),
    })
}

impl Stored for Requested {
    type Proto = proto::RequestRequestedV1;
    fn store(&self) -> Self::Proto {
        proto::RequestRequestedV1 {
            request_id: self.id.to_string(),
            requester: Some(self.requester.store()),
            raiser: Some(self.raiser.store()),
            target: Some(self.target.store()),
            asked: Some(self.asked.store()),
            ticket: text(self.ticket.as_ref()),
            justification: Some(self.justification.store()),
            emergency: self.emergency,
            extends_request_id: text(self.extends.as_ref()),
            chain_duration: Some(store_duration(self.chain_duration)),
            batch_id: text(self.batch.as_ref()),
            decide_by: Some(store_time(self.decide_by)),
            grounds: Some(self.grounds.store()),
            raiser_principal_id: text(self.raiser_principal.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            id: read(&proto.request_id, "request_id")?,
            requester: load_set(proto.requester, "requester")?,
            raiser: load_set(proto.raiser, "raiser")?,
            raiser_principal: empty_as_none(&proto.raiser_principal_id, "raiser_principal_id")?,
            target: load_set(proto.target, "target")?,
            asked: load_set(proto.asked, "asked")?,
            ticket: empty_as_none(&proto.ticket, "ticket")?,
            justification: load_set(proto.justification, "justification")?,
            emergency: proto.emergency,
            extends: empty_as_none(&proto.extends_request_id, "extends_request_id")?,
            chain_duration: load_duration(proto.chain_duration, "chain_duration")?,
            batch: empty_as_none(&proto.batch_id, "batch_id")?,
            decide_by: load_time(proto.decide_by, "decide_by")?,
            grounds: load_set(proto.grounds, "grounds")?,
        })
    }
}

impl Stored for Grounds {
    type Proto = proto::Grounds;
    fn store(&self) -> Self::Proto {
        proto::Grounds {
            rule_id: self.rule.to_string(),
            policy_event_id: self.policy_event.to_string(),
            determining_policies: self.determining.clone(),
            provider: store_provider(self.provider),
            groups: store_all(&self.groups),
            ou_path: texts(&self.ou_path.0),
            plan: Some(self.plan.store()),
            principal_id: text(self.principal.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            rule: read(&proto.rule_id, "grounds.rule_id")?,
            policy_event: read(&proto.policy_event_id, "grounds.policy_event_id")?,
            determining: proto.determining_policies,
            provider: load_provider(proto.provider)?,
            groups: load_all(proto.groups)?,
            ou_path: OuPath(read_all(&proto.ou_path, "grounds.ou_path")?),
            plan: load_set(proto.plan, "grounds.plan")?,
            principal: empty_as_none(&proto.principal_id, "grounds.principal_id")?,
        })
    }
}

fn load_comment(comment: Option<proto::Sealed>) -> Result<Option<Sealed>, Malformed> {
    comment.map(Sealed::load).transpose()
}

impl Stored for Endorsed {
    type Proto = proto::RequestEndorsedV1;
    fn store(&self) -> Self::Proto {
        proto::RequestEndorsedV1 {
            endorsement: Some(self.endorsement.store()),
            policy_event_id: self.policy_event.to_string(),
            comment: self.comment.as_ref().map(Stored::store),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            endorsement: load_set(proto.endorsement, "endorsement")?,
            policy_event: read(&proto.policy_event_id, "policy_event_id")?,
            comment: load_comment(proto.comment)?,
        })
    }
}

impl Stored for Approved {
    type Proto = proto::RequestApprovedV1;
    fn store(&self) -> Self::Proto {
        let basis = match self.basis {
            ApprovalBasis::People => proto::ApprovalBasis::People,
            ApprovalBasis::Rule => proto::ApprovalBasis::Rule,
            ApprovalBasis::Signal => proto::ApprovalBasis::Signal,
            ApprovalBasis::BreakGlass => proto::ApprovalBasis::BreakGlass,
        };
        proto::RequestApprovedV1 {
            window: Some(self.window.store()),
            basis: basis.into(),
            approvers: store_all(&self.approvers),
            policy_event_id: self.policy_event.to_string(),
            comment: self.comment.as_ref().map(Stored::store),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let basis = match proto::ApprovalBasis::try_from(proto.basis) {
            Ok(proto::ApprovalBasis::People) => ApprovalBasis::People,
            Ok(proto::ApprovalBasis::Rule) => ApprovalBasis::Rule,
            Ok(proto::ApprovalBasis::Signal) => ApprovalBasis::Signal,
            Ok(proto::ApprovalBasis::BreakGlass) => ApprovalBasis::BreakGlass,
            Ok(proto::ApprovalBasis::Unspecified) | Err(_) => return Err(Malformed("basis")),
        };
        Ok(Self {
            window: load_set(proto.window, "window")?,
            basis,
            approvers: load_all(proto.approvers)?,
            policy_event: read(&proto.policy_event_id, "policy_event_id")?,
            comment: load_comment(proto.comment)?,
        })
    }
}

impl Stored for Rejected {
    type Proto = proto::RequestRejectedV1;
    fn store(&self) -> Self::Proto {
        let (because, comment) = match &self.because {
            RejectedBecause::Approver { comment } => (proto::RejectedBecause::Approver, comment.as_ref()),
            RejectedBecause::RuleVanished => (proto::RejectedBecause::RuleVanished, None),
        };
        proto::RequestRejectedV1 {
            because: because.into(),
            comment: comment.map(Stored::store),
            policy_event_id: text(self.policy_event.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let because = match proto::RejectedBecause::try_from(proto.because) {
            Ok(proto::RejectedBecause::Approver) => {
                RejectedBecause::Approver { comment: load_comment(proto.comment)? }
            }
            Ok(proto::RejectedBecause::RuleVanished) => RejectedBecause::RuleVanished,
            Ok(proto::RejectedBecause::Unspecified) | Err(_) => return Err(Malformed("because")),
        };
        Ok(Self { because, policy_event: empty_as_none(&proto.policy_event_id, "policy_event_id")? })
    }
}

impl Stored for Expired {
    type Proto = proto::RequestExpiredV1;
    fn store(&self) -> Self::Proto {
        let because = match self.because {
            ExpiredBecause::NotDecided => proto::ExpiredBecause::NotDecided,
            ExpiredBecause::WindowPassed => proto::ExpiredBecause::WindowPassed,
        };
        proto::RequestExpiredV1 { because: because.into() }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        match proto::ExpiredBecause::try_from(proto.because) {
            Ok(proto::ExpiredBecause::NotDecided) => Ok(Self { because: ExpiredBecause::NotDecided }),
            Ok(proto::ExpiredBecause::WindowPassed) => Ok(Self { because: ExpiredBecause::WindowPassed }),
            Ok(proto::ExpiredBecause::Unspecified) | Err(_) => Err(Malformed("because")),
        }
    }
}

impl Stored for Activated {
    type Proto = proto::RequestActivatedV1;
    fn store(&self) -> Self::Proto {
        proto::RequestActivatedV1 {
            provider: store_provider(self.provider),
            bound_at_end: Some(store_time(self.bound.at_end)),
            bound_after_early_end: Some(store_duration(self.bound.after_early_end)),
            standing: self.standing,
            bound_chained: (!self.bound.chained.is_zero()).then(|| store_duration(self.bound.chained)),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            provider: load_provider(proto.provider)?,
            bound: Bound {
                at_end: load_time(proto.bound_at_end, "bound_at_end")?,
                after_early_end: load_duration(proto.bound_after_early_end, "bound_after_early_end")?,
                chained: match proto.bound_chained {
                    Some(chained) => load_duration(Some(chained), "bound_chained")?,
                    None => SignedDuration::ZERO,
                },
            },
            standing: proto.standing,
        })
    }
}

impl Stored for CredentialsIssued {
    type Proto = proto::RequestCredentialsIssuedV1;
    fn store(&self) -> Self::Proto {
        proto::RequestCredentialsIssuedV1 {
            issue_id: self.issue.to_string(),
            access_key_id: self.access_key_id.clone(),
            session_name: self.session_name.clone(),
            source_identity: self.source_identity.clone(),
            expires_at: Some(store_time(self.expires_at)),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            issue: read(&proto.issue_id, "issue_id")?,
            access_key_id: proto.access_key_id,
            session_name: proto.session_name,
            source_identity: proto.source_identity,
            expires_at: load_time(proto.expires_at, "expires_at")?,
        })
    }
}

impl Stored for ConsoleOpened {
    type Proto = proto::RequestConsoleOpenedV1;
    fn store(&self) -> Self::Proto {
        proto::RequestConsoleOpenedV1 {
            issue_id: self.issue.to_string(),
            access_key_id: self.access_key_id.clone(),
            session_name: self.session_name.clone(),
            source_identity: self.source_identity.clone(),
            expires_at: Some(store_time(self.expires_at)),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        Ok(Self {
            issue: read(&proto.issue_id, "issue_id")?,
            access_key_id: proto.access_key_id,
            session_name: proto.session_name,
            source_identity: proto.source_identity,
            expires_at: load_time(proto.expires_at, "expires_at")?,
        })
    }
}

impl Stored for Revoked {
    type Proto = proto::RequestRevokedV1;
    fn store(&self) -> Self::Proto {
        let capacity = match self.capacity {
            RevokedAs::Requester => proto::RevokedAs::Requester,
            RevokedAs::Approver => proto::RevokedAs::Approver,
            RevokedAs::Administrator => proto::RevokedAs::Administrator,
            RevokedAs::Signal => proto::RevokedAs::Signal,
        };
        proto::RequestRevokedV1 {
            capacity: capacity.into(),
            comment: self.comment.as_ref().map(Stored::store),
            signal_event_id: text(self.signal.as_ref()),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let capacity = match proto::RevokedAs::try_from(proto.capacity) {
            Ok(proto::RevokedAs::Requester) => RevokedAs::Requester,
            Ok(proto::RevokedAs::Approver) => RevokedAs::Approver,
            Ok(proto::RevokedAs::Administrator) => RevokedAs::Administrator,
            Ok(proto::RevokedAs::Signal) => RevokedAs::Signal,
            Ok(proto::RevokedAs::Unspecified) | Err(_) => return Err(Malformed("capacity")),
        };
        Ok(Self {
            capacity,
            comment: load_comment(proto.comment)?,
            signal: empty_as_none(&proto.signal_event_id, "signal_event_id")?,
        })
    }
}

impl Stored for Ended {
    type Proto = proto::RequestEndedV1;
    fn store(&self) -> Self::Proto {
        let (because, reason) = match &self.because {
            EndedBecause::Elapsed => (proto::EndedBecause::Elapsed, String::new()),
            EndedBecause::Failed { reason } => (proto::EndedBecause::Failed, reason.clone()),
            EndedBecause::NoLongerEligible { reason } => {
                (proto::EndedBecause::NoLongerEligible, reason.clone())
            }
            EndedBecause::RemovedOutside => (proto::EndedBecause::RemovedOutside, String::new()),
        };
        proto::RequestEndedV1 { because: because.into(), reason }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let reason = proto.reason;
        let because = match proto::EndedBecause::try_from(proto.because) {
            Ok(proto::EndedBecause::Elapsed) => EndedBecause::Elapsed,
            Ok(proto::EndedBecause::Failed) => EndedBecause::Failed { reason },
            Ok(proto::EndedBecause::NoLongerEligible) => EndedBecause::NoLongerEligible { reason },
            Ok(proto::EndedBecause::RemovedOutside) => EndedBecause::RemovedOutside,
            Ok(proto::EndedBecause::Unspecified) | Err(_) => return Err(Malformed("because")),
        };
        Ok(Self { because })
    }
}

impl Stored for Closed {
    type Proto = proto::RequestClosedV1;
    fn store(&self) -> Self::Proto {
        let (how, carried_by) = match &self.how {
            ClosedHow::Deleted => (proto::ClosedHow::Deleted, None),
            ClosedHow::CarriedBy(other) => (proto::ClosedHow::Carried, Some(other)),
            ClosedHow::Standing => (proto::ClosedHow::Standing, None),
            ClosedHow::NothingCreated => (proto::ClosedHow::NothingCreated, None),
            ClosedHow::CredentialsExpired => (proto::ClosedHow::CredentialsExpired, None),
            ClosedHow::Abandoned => (proto::ClosedHow::Abandoned, None),
        };
        proto::RequestClosedV1 {
            how: how.into(),
            carried_by_request_id: text(carried_by),
            removed_at: self.removed_at.map(store_time),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let carried_by = empty_as_none(&proto.carried_by_request_id, "carried_by_request_id")?;
        let how = match proto::ClosedHow::try_from(proto.how) {
            Ok(proto::ClosedHow::Deleted) => ClosedHow::Deleted,
            Ok(proto::ClosedHow::Carried) => {
                ClosedHow::CarriedBy(required(carried_by, "carried_by_request_id")?)
            }
            Ok(proto::ClosedHow::Standing) => ClosedHow::Standing,
            Ok(proto::ClosedHow::NothingCreated) => ClosedHow::NothingCreated,
            Ok(proto::ClosedHow::CredentialsExpired) => ClosedHow::CredentialsExpired,
            Ok(proto::ClosedHow::Abandoned) => ClosedHow::Abandoned,
            Ok(proto::ClosedHow::Unspecified) | Err(_) => return Err(Malformed("how")),
        };
        let removed_at = proto.removed_at.map(|at| load_time(Some(at), "removed_at")).transpose()?;
        Ok(Self { how, removed_at })
    }
}

impl Stored for ReviewedAfter {
    type Proto = proto::RequestReviewedAfterV1;
    fn store(&self) -> Self::Proto {
        let verdict = match self.verdict {
            Verdict::Justified => proto::Verdict::Justified,
            Verdict::NotJustified => proto::Verdict::NotJustified,
        };
        proto::RequestReviewedAfterV1 {
            verdict: verdict.into(),
            comment: self.comment.as_ref().map(Stored::store),
        }
    }
    fn load(proto: Self::Proto) -> Result<Self, Malformed> {
        let verdict = match proto::Verdict::try_from(proto.verdict) {
            Ok(proto::Verdict::Justified) => Verdict::Justified,
            Ok(proto::Verdict::NotJustified) => Verdict::NotJustified,
            Ok(proto::Verdict::Unspecified) | Err(_) => return Err(Malformed("verdict")),
        };
        Ok(Self { verdict, comment: load_comment(proto.comment)? })
    }
}
