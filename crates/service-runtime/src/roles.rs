//! Who is an administrator, an auditor, one of Daypass's services: the deployment's configuration says so, and nothing that
//! changes at run time.

use crate::config::{Problem, RolesConfig, ServiceIdentity, TokenIdentity};
use api::Access;
use domain::{ActorKind, GroupRef, Groups};
use identity::Caller;
use std::collections::BTreeSet;

/// Tells groups that a token does not tell: those of the directory.
pub trait DirectoryGroups: Send + Sync + 'static {
    /// The groups of the caller's user in the directory; unknown when the directory is too old.
    fn groups_of(&self, caller: &Caller) -> Groups;
}

/// Who has which role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Their members are administrators.
    pub administrators: BTreeSet<GroupRef>,
    /// Their members are auditors.
    pub auditors: BTreeSet<GroupRef>,
    /// Workloads that are Daypass's own services: they read the directory.
    pub services: Vec<ServiceIdentity>,
}

/// The roles of one caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// A human in a group of administrators.
    pub administrator: bool,
    /// A member of a group of auditors.
    pub auditor: bool,
    /// One of Daypass's own services.
    pub service: bool,
}

impl Roles {
    /// The roles that `config` gives.
    pub fn new(config: &RolesConfig) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut groups = |field: &str, texts: &[String]| {
            texts
                .iter()
                .enumerate()
                .filter_map(|(index, text)| match text.parse::<GroupRef>() {
                    Ok(group) => Some(group),
                    Err(invalid) => {
                        problems.push(Problem::new(format!("roles.{field}[{index}]"), invalid.to_string()));
                        None
                    }
                })
                .collect::<BTreeSet<_>>()
        };
        let administrators = groups("administrators", &config.administrators);
        let auditors = groups("auditors", &config.auditors);
        for (index, service) in config.services.iter().enumerate() {
            if !service.names_one() {
                problems.push(Problem::new(
                    format!("roles.services[{index}]"),
                    "must have an issuer with either a subject or a client_id, or a spiffe_id alone",
                ));
            }
        }
        if problems.is_empty() {
            Ok(Self { administrators, auditors, services: config.services.clone() })
        } else {
            Err(problems)
        }
    }

    /// What `caller` holds. Groups that are not known give nothing.
    pub fn held_by(&self, caller: &Caller, directory: Option<&dyn DirectoryGroups>) -> Held {
        let by_directory = directory.map(|directory| directory.groups_of(caller));
        let in_any = |wanted: &BTreeSet<GroupRef>| {
            caller.groups.iter().chain(by_directory.iter()).any(|groups| groups.any_of(wanted))
        };
        Held {
            administrator: caller.actor.is_human() && in_any(&self.administrators),
            auditor: in_any(&self.auditors),
            service: self.services.iter().any(|service| service.is(caller)),
        }
    }
}

impl ServiceIdentity {
    fn names_one(&self) -> bool {
        match (&self.spiffe_id, self.token()) {
            (Some(_), _) => self.issuer.is_none() && self.subject.is_none() && self.client_id.is_none(),
            (None, Some(token)) => token.names_one(),
            (None, None) => false,
        }
    }

    fn token(&self) -> Option<TokenIdentity> {
        let (issuer, subject, client_id) =
            (self.issuer.clone()?, self.subject.clone(), self.client_id.clone());
        Some(TokenIdentity { issuer, subject, client_id })
    }

    /// Whether this is the caller.
    pub fn is(&self, caller: &Caller) -> bool {
        let by_name = match &self.spiffe_id {
            Some(id) => id.person().is_ok_and(|person| person == caller.actor.person),
            None => self.token().is_some_and(|token| token.is(caller)),
        };
        caller.actor.kind == ActorKind::Workload && self.names_one() && by_name
    }
}

impl TokenIdentity {
    pub(crate) fn names_one(&self) -> bool {
        self.subject.is_some() != self.client_id.is_some()
    }

    /// Whether this is the caller.
    pub fn is(&self, caller: &Caller) -> bool {
        let actor = &caller.actor;
        let by_name = match &self.subject {
            Some(subject) => actor.person.subject == *subject,
            None => actor.client_id == self.client_id,
        };
        actor.kind == ActorKind::Workload && actor.person.issuer == self.issuer && self.names_one() && by_name
    }
}

impl Held {
    /// Whether a caller of this kind may call a method that asks for any of `access`.
    pub fn may(self, kind: ActorKind, access: &[Access]) -> bool {
        access.iter().any(|access| match access {
            Access::Unspecified => false,
            Access::Anyone => true,
            Access::Human => kind == ActorKind::Human,
            Access::Workload => kind == ActorKind::Workload,
            Access::Administrator => self.administrator,
            Access::Auditor => self.auditor,
            Access::Service => self.service,
        })
    }
}
