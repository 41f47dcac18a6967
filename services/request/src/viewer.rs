//! Who is looking, and what they may know of.

use crate::RequestService;
use aws::Directory;
use domain::Plan;
use identity::Caller;
use lifecycle::Request;
use policy::{AccountFacts, Settings};
use std::sync::Arc;
use tonic::Status;
use views::policy_book::InForce;
use views::visibility::{agrees, sees};
use views::{Story, Who};

/// Someone who looks at requests.
pub(crate) struct Viewer {
    pub(crate) who: Who,
    in_force: Option<Arc<InForce>>,
    directory: Option<Arc<Directory>>,
}

impl RequestService {
    /// `caller`, looking now. Without a policy that can be read, what rests on the policy as it stands is not seen; the rest is.
    pub(crate) async fn viewer(&self, caller: &Caller) -> Result<Viewer, Status> {
        let in_force = match self.views.policy.current().await {
            Ok(in_force) => Some(in_force),
            Err(error) => {
                tracing::debug!(%error, "requests are looked at without a policy");
                None
            }
        };
        let settings = in_force.as_ref().map(|in_force| in_force.compiled.settings());
        let age_max =
            settings.map_or_else(|| Settings::default().group_age_max, |settings| settings.group_age_max);
        let who = self.views.who(caller, age_max)?;
        Ok(Viewer { who, in_force, directory: self.views.directory.snapshot() })
    }
}

impl Viewer {
    /// Whether they may know of the request.
    pub(crate) fn sees(&self, story: &Story) -> bool {
        sees(&self.who, story, self.current_plan(&story.request).as_ref())
    }

    /// Whether they are among those whose yes could count, whatever has been decided since.
    pub(crate) fn is_decider(&self, request: &Request) -> bool {
        self.who.acting.actor.is_human()
            && !request.involves(&self.who.acting.everyone())
            && (agrees(&self.who, &request.raised.grounds.plan)
                || self.current_plan(request).is_some_and(|plan| agrees(&self.who, &plan)))
    }

    /// The plan of the request's rule as policy and organisation stand now; `None` where the rule or the account is gone.
    fn current_plan(&self, request: &Request) -> Option<Plan> {
        let compiled = &self.in_force.as_ref()?.compiled;
        let rule = compiled.policy().rule(&request.raised.grounds.rule)?;
        let id = request.raised.target.account();
        let account = self.directory.as_ref()?.account(id)?;
        compiled.plan_for(rule, id, AccountFacts { ou_path: &account.ou_path, tags: &account.tags }).ok()
    }
}
