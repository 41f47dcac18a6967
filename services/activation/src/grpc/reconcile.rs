//! Reconcile: look at AWS now; and, where an administrator says so, take what stands there as ours.
//!
//! Any replica looks, and notes what it sees; whoever has the duty hears of that, and alone changes AWS.

use super::get_assignment::read_key;
use crate::core::Core;
use api::activation::v1 as wire;
use command::aggregate::AssignmentAggregate;
use journal::{Fact, Stream};
use lifecycle::Rejection;
use lifecycle::assignment::{AssignmentKey, adopt};
use service_runtime::Call;
use std::collections::BTreeSet;
use tonic::Status;
use views::refusal;

impl Core {
    pub(super) async fn reconcile(
        &self,
        call: &Call,
        mut asked: wire::ReconcileRequest,
    ) -> Result<wire::ReconcileResponse, Status> {
        let idempotency_key = std::mem::take(&mut asked.idempotency_key);
        let in_force = self.policy().await?;
        let who = self.who(call, in_force.as_deref())?;
        super::administrator(&who)?;
        self.refresh().await.map_err(|fault| crate::status::fault(&fault))?;
        let Some(key) = &asked.key else {
            if asked.adopt {
                return Err(refusal::field("adopt", "goes with key"));
            }
            return self.reconcile_all().await;
        };
        let key = read_key(key)?;
        let position = if asked.adopt {
            self.adopt(call, &idempotency_key, &key, &asked).await?
        } else {
            self.inspect(&key).await.map_err(|fault| crate::status::fault(&fault))?;
            String::new()
        };
        let assignment = self.show_assignment(&key).await.map_err(|fault| crate::status::fault(&fault))?;
        Ok(wire::ReconcileResponse { assignments: 1, assignment, position })
    }

    async fn reconcile_all(&self) -> Result<wire::ReconcileResponse, Status> {
        let ledgers = self.open_ledgers().await.map_err(|fault| crate::status::fault(&fault))?;
        let mut keys: BTreeSet<AssignmentKey> = self.agenda.keys().into_iter().collect();
        keys.extend(ledgers.into_iter().map(|ledger| ledger.key));
        let assignments = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        if self.sweeps().await.map_err(|fault| crate::status::fault(&fault))? {
            let now = self.now();
            for key in &keys {
                self.agenda.look_at(key, now);
            }
        } else {
            self.asked.add(keys);
        }
        Ok(wire::ReconcileResponse { assignments, ..wire::ReconcileResponse::default() })
    }

    async fn adopt(
        &self,
        call: &Call,
        idempotency_key: &str,
        key: &AssignmentKey,
        asked: &wire::ReconcileRequest,
    ) -> Result<String, Status> {
        let command = self.command(call, &format!("adopt:{}", key.digest()), idempotency_key, asked).await?;
        let seen = self.look(key).await.map_err(|fault| crate::status::fault(&fault))?;
        let by = &call.caller.actor;
        let outcome = self
            .commander
            .execute::<AssignmentAggregate, Rejection>(Stream::assignment(key), command, |loaded, _| {
                adopt(loaded.state.as_ref(), key, by, seen).map(Fact::Assignment)
            })
            .await
            .map_err(refusal::command)?;
        tracing::warn!(target = %key.target, principal = %key.principal, "adopted: removed when no request needs it");
        Ok(self.views.token(outcome.position))
    }
}
