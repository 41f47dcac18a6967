//! Looks at one assignment: now, ahead of its start, and for as long as nothing more urgent waits.

use crate::agenda::Look;
use crate::core::{Core, later};
use crate::fault::Fault;
use crate::traffic::Urgency;
use aws::ErrorKind;
use domain::{Entitlement, SignedDuration};
use lifecycle::assignment::{AssignmentKey, Ledger, Presence};
use std::pin::pin;
use std::time::Duration;

/// How old a look may be when a creation is intended by it: while it waits for its turn, someone else may make the assignment,
/// which then is theirs.
pub(super) const LOOK_AGE_MAX: SignedDuration = SignedDuration::from_secs(3);

/// How long before a start it is looked whether someone else has made the assignment, so that the call is made at the start: less
/// than such a look may be old.
pub(crate) const LOOK_AHEAD: SignedDuration = SignedDuration::from_secs(2);

/// How long something more urgent may wait for an errand that waits itself.
const GIVE_WAY_WITHIN: Duration = Duration::from_secs(1);

impl Core {
    /// Whether the assignment is there, as AWS says now.
    pub(crate) async fn look(&self, key: &AssignmentKey) -> Result<bool, Fault> {
        let asking = self.traffic(key).asking(self.agenda.urgency(key)).await;
        let aws_key = aws::AssignmentKey::of_target(key.principal.clone(), &key.target);
        let port = self.ports.assignments_of(&aws_key)?;
        let look = self.agenda.begin_look(self.now());
        let holders = async {
            match aws_key.entitlement() {
                // AWS lists all users, so this tells of the others as well.
                Entitlement::PermissionSet(_) => {
                    port.holders(aws_key.account(), aws_key.entitlement(), &asking).await
                }
                Entitlement::Role(_) => {
                    let found = port.find(&aws_key, &asking).await;
                    found.map(|found| found.then(|| key.principal.clone()).into_iter().collect())
                }
            }
        };
        match asking.answer(self.settings.call_within, ErrorKind::Unavailable, holders).await {
            // All assignments went with it. AWS's word is not enough: of a wrong instance it knows nothing either.
            Err(error) if error.kind == ErrorKind::NotFound && self.is_deleted(key) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(holders) => {
                self.agenda.note_listed(key, &holders, look);
                Ok(holders.contains(&key.principal))
            }
        }
    }

    /// Whether the directory has the permission set or the account no more.
    fn is_deleted(&self, key: &AssignmentKey) -> bool {
        let target = &key.target;
        self.views.directory.snapshot().is_some_and(|directory| {
            let lacks_set = match target.entitlement() {
                Entitlement::PermissionSet(set) => directory.permission_set(set).is_none(),
                Entitlement::Role(_) => false,
            };
            lacks_set || directory.account(target.account()).is_none()
        })
    }

    /// Whether the assignment is there, for an errand on it that is no reason to hold up what is more urgent.
    pub(super) async fn look_or_give_way(&self, key: &AssignmentKey) -> Result<bool, Fault> {
        self.giving_way(key, self.agenda.urgency(key), self.look(key)).await?
    }

    /// Looks shortly before a start whether the assignment is there, if nobody knows of any. In a queue that is left to its turn,
    /// when the operations of others hide it, and it is not old by the time of the call. A failure is no matter: without a
    /// recent look, one is made at the start.
    pub(super) async fn look_ahead(&self, key: &AssignmentKey, ledger: Option<&Ledger>) {
        let now = self.now();
        let absent =
            ledger.is_none_or(|ledger| ledger.presence == Presence::Absent && ledger.is_settled_absent());
        let looked = self.agenda.looked_ahead_at(key).is_some_and(|at| later(at, LOOK_AHEAD) >= now);
        if !absent || looked || !self.agenda.starts_unqueued(key, now, later(now, LOOK_AHEAD)) {
            return;
        }
        let look = self.agenda.begin_look(now);
        match self.look_or_give_way(key).await {
            Ok(found) => self.agenda.note_looked_ahead(key, look, found),
            Err(fault) => tracing::debug!(target = %key.target, %fault, "not looked at ahead of its start"),
        }
    }

    /// What the look ahead of the start found, if that counts still: nothing of ours has happened since, and not much time.
    pub(super) fn recent_look(&self, key: &AssignmentKey, ledger: Option<&Ledger>) -> Option<(Look, bool)> {
        let (look, found) = self.agenda.take_look_ahead(key)?;
        let age = self.now().duration_since(look.begun_at);
        let recent = !age.is_negative() && age <= LOOK_AGE_MAX;
        (recent && ledger.is_none_or(|ledger| ledger.last_at < look.begun_at)).then_some((look, found))
    }

    /// What comes of `wait`, unless something falls due meanwhile that is more urgent and cannot begin before this errand is over.
    pub(super) async fn giving_way<T>(
        &self,
        key: &AssignmentKey,
        urgency: Urgency,
        wait: impl Future<Output = T>,
    ) -> Result<T, Fault> {
        let mut wait = pin!(wait);
        loop {
            tokio::select! {
                biased;
                done = &mut wait => return Ok(done),
                () = tokio::time::sleep(GIVE_WAY_WITHIN) => {}
            }
            if self.agenda.holds_up(key, urgency, self.now()) {
                return Err(Fault::GivesWay);
            }
        }
    }
}
