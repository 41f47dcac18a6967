//! Kinds of callers, and one of each.

use api::{Access, Method};
use aws::simulated::sample;
use domain::{Actor, ActorKind, GroupRef, Groups, Person, Subject, Timestamp};
use identity::{AuthError, Caller};
use service_runtime::config::ServiceIdentity;
use service_runtime::{Authenticate, Roles};

/// Who vouches for everyone.
pub(crate) const ISSUER: &str = "https://idp.example";

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Without a token.
    Nobody,
    /// Ada, who asked.
    Requester,
    /// Bob, who decides on what Ada asked for.
    Approver,
    /// Fay, who decides on other things.
    OtherApprover,
    /// Eve.
    Auditor,
    /// Dave.
    Administrator,
    /// Carol. What she proposes, Dave may accept.
    OtherAdministrator,
    /// A program.
    Workload,
    /// One of Daypass's own programs.
    Service,
}

impl Kind {
    /// Everyone who shows who they are.
    pub(crate) const KNOWN: [Self; 8] = [
        Self::Requester,
        Self::Approver,
        Self::OtherApprover,
        Self::Auditor,
        Self::Administrator,
        Self::OtherAdministrator,
        Self::Workload,
        Self::Service,
    ];

    /// What they show; everyone's token ends with their name.
    pub(crate) fn token(self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::Requester => Some("CANARY-token.ada"),
            Self::Approver => Some("CANARY-token.bob"),
            Self::OtherApprover => Some("CANARY-token.fay"),
            Self::Auditor => Some("CANARY-token.eve"),
            Self::Administrator => Some("CANARY-token.dave"),
            Self::OtherAdministrator => Some("CANARY-token.carol"),
            Self::Workload => Some("CANARY-token.robot"),
            Self::Service => Some("CANARY-token.daypass-activation"),
        }
    }

    fn is(self, access: Access) -> bool {
        let program = matches!(self, Self::Workload | Self::Service);
        match access {
            Access::Unspecified => false,
            Access::Anyone => true,
            Access::Human => !program,
            Access::Workload => program,
            Access::Administrator => matches!(self, Self::Administrator | Self::OtherAdministrator),
            Access::Auditor => self == Self::Auditor,
            Access::Service => self == Self::Service,
        }
    }

    /// Whether the descriptor of `method` lets them in.
    pub(crate) fn may_call(self, method: &Method) -> bool {
        self != Self::Nobody && method.access.iter().any(|access| self.is(*access))
    }
}

/// Knows everyone by name. Fay's group is in her token, all others' in the directory.
pub(crate) struct ByName {
    pub(crate) expires_at: Timestamp,
}

#[async_trait::async_trait]
impl Authenticate for ByName {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        let bearer = bearer.strip_prefix("CANARY-token.").ok_or(AuthError::BadSignature)?;
        let program = ["robot", "daypass-activation"].contains(&bearer);
        let claimed = (bearer == "fay").then(|| GroupRef::new("corp", "other-approvers").unwrap());
        Ok(Caller {
            actor: Actor {
                person: Person::new(ISSUER, bearer).unwrap(),
                kind: if program { ActorKind::Workload } else { ActorKind::Human },
                client_id: None,
                auth_time: None,
                acr: None,
            },
            groups: Some(Groups::Known(claimed.into_iter().collect())),
            directory_id: Some(identity::DirectoryId::External(bearer.to_owned())),
            expires_at: self.expires_at,
        })
    }
}

/// Who is what.
pub(crate) fn roles() -> Roles {
    let group = |id| GroupRef::new(views::who::IDENTITY_STORE, id).unwrap();
    Roles {
        administrators: [group(sample::ADMINS)].into(),
        auditors: [group(sample::AUDITORS)].into(),
        services: vec![ServiceIdentity {
            issuer: Some(ISSUER.parse().unwrap()),
            subject: Some(Subject::new("daypass-activation").unwrap()),
            client_id: None,
            spiffe_id: None,
        }],
    }
}
