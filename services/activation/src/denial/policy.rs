//! The policy of an account that denies sessions: what the ledger says of it, and one attempt after the other to make it what it should be.

use super::Ask;
use crate::core::{Core, later};
use crate::fault::Fault;
use aws::session_denials::IN_USE;
use aws::{AwsError, DeniedSessions, ErrorKind, SessionDenials};
use command::aggregate::DenialAggregate;
use command::{Command, CommandError, LoadError, Loaded};
use domain::{AccountId, Entitlement, EventId, RequestId, Timestamp};
use event_log::Position;
use journal::{Fact, Stream};
use lifecycle::denial::{self, DenialEvent, Denials, Denied, SetNames};
use lifecycle::{Rejection, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

/// More rounds than any account needs: resolve, intend, call, record, look.
const ROUNDS_MAX: usize = 6;

/// What is in force in an account of what Daypass would deny there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InForce {
    /// Exactly that.
    Wanted,
    /// Something else.
    Otherwise,
    /// Nothing, which is wanted: the account is not in the organisation, and no policy binds it.
    Nowhere,
}

impl Core {
    /// What was ever denied in an account; `None`: that cannot be read to its end. Then nobody waits for it, nothing is denied or lifted,
    /// and each process tells of it once.
    pub(super) async fn denials(&self, account: &AccountId) -> Result<Option<Arc<Loaded<Denials>>>, Fault> {
        // What is in the log stays as it is: it would only be told again.
        if self.unreadable_denials().contains(account) {
            return Ok(None);
        }
        match self.commander.load::<DenialAggregate>(&Stream::Denial(account.clone())).await {
            Ok(loaded) => Ok(Some(loaded)),
            Err(LoadError::Corrupt(corrupt)) => {
                if self.unreadable_denials().insert(account.clone()) {
                    tracing::error!(%account, error = %corrupt, "what is denied in an account cannot be read: nothing is denied or lifted there");
                }
                Ok(None)
            }
            Err(unavailable @ LoadError::Unavailable(_)) => Err(unavailable.into()),
        }
    }

    /// Whether the ledger of an account's denials can be read, so that something can follow.
    pub(crate) async fn can_deny(&self, account: &AccountId) -> Result<bool, Fault> {
        Ok(self.denials(account).await?.is_some())
    }

    fn unreadable_denials(&self) -> MutexGuard<'_, BTreeSet<AccountId>> {
        self.unreadable_denials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts in which something of ours may be denied, or a late call may yet have us deny something; and those of which that
    /// cannot be read, so that somebody is told.
    pub(crate) async fn accounts_denying(&self) -> Result<BTreeSet<AccountId>, Fault> {
        let (followed, unreadable) = self.followed_denials().await?;
        let open = followed.into_iter().filter(|denials| !self.is_done_with(denials));
        Ok(open.map(|denials| denials.account).chain(unreadable).collect())
    }

    /// Whether nothing of ours is denied, nor can be any more.
    fn is_done_with(&self, denials: &Denials) -> bool {
        denials.is_settled() && !self.may_arrive(denials)
    }

    /// Whether a call of ours may be on its way that was not heard of any more.
    fn may_arrive(&self, denials: &Denials) -> bool {
        self.now() < later(denials.last_at, self.settings.fence())
    }

    /// Whether the policy of an account is known to deny what it should, or nobody can do anything about it.
    pub(crate) async fn denies(&self, account: &AccountId, wanted: &Denied) -> Result<bool, Fault> {
        let Some(loaded) = self.denials(account).await? else { return Ok(true) };
        let open = loaded.state.as_ref().is_some_and(|denials| denials.open.is_some());
        Ok(!open && loaded.state.as_ref().map_or(wanted.is_empty(), |denials| denials.is(wanted)))
    }

    /// Makes the policy of one account deny what it should, and nothing else of ours. Says whether it does, as far as is known now:
    /// another replica may be at it.
    pub(crate) async fn see_to_denials(&self, account: &AccountId) -> Result<bool, Fault> {
        let Some(port) = self.ports.session_denials() else { return Ok(true) };
        let mut changed = false;
        for _ in 0..ROUNDS_MAX {
            // Who has lost the duty in between leaves it to who has it.
            if !self.on_duty().await? {
                return Ok(false);
            }
            let closing = self.agenda.closing_in(account);
            if self.resolve_open(account, &closing).await? {
                changed = true;
            }
            let wanted = self.all_sessions_left(account, &closing, Ask::Aws).await?.unless_stuck()?.denied();
            let Some(loaded) = self.denials(account).await? else { return Ok(false) };
            let denials = loaded.state.as_ref();
            if denials.is_some_and(|denials| denials.open.is_some()) {
                continue;
            }
            let as_it_should = denials.map_or(wanted.is_empty(), |denials| denials.is(&wanted));
            if as_it_should {
                self.unlifted().remove(account);
                if changed || denials.is_none_or(|denials| self.is_done_with(denials)) {
                    return Ok(true);
                }
                let sessions = self.sessions(&closing, &wanted, denials)?;
                if !self.have_denials_changed(port, account, &sessions).await? {
                    return Ok(true);
                }
                changed = true;
                continue;
            }
            let sessions = self.sessions(&closing, &wanted, denials)?;
            let names = names(&sessions);
            self.sees_what_was_written()?;
            let written = self
                .write_denial(account, None, |denials, at| {
                    let deadline = later(at, self.settings.signature_lifetime);
                    denial::attempt(denials, account, &wanted, &names, deadline)
                })
                .await?;
            let Some(intended) = written else { return Ok(false) };
            changed = true;
            self.carry_out_denial(port, account, intended, (&wanted, &sessions)).await?;
        }
        Ok(false)
    }

    async fn carry_out_denial(
        &self,
        port: &dyn SessionDenials,
        account: &AccountId,
        (id, at, position): (EventId, Timestamp, Position),
        (wanted, sessions): (&Denied, &BTreeSet<DeniedSessions>),
    ) -> Result<(), Fault> {
        let call = self.signed(at);
        // Its answer tells the time: what is lifted by a clock that is ahead is lifted too soon.
        if let Err(error) = self.in_force(port, account, sessions).await {
            return self.denial_failed(account, id, sessions, error).await;
        }
        let still = self.still_to_deny(account, position, wanted).await;
        if !matches!(still, Ok(true)) {
            self.write_denial(account, Some(id), |denials, _| denial::abandon(known(denials)?, id)).await?;
            return still.map(|_| ());
        }
        let said = self.in_time(port.deny(account, sessions, call)).await;
        // Whatever was said: what is there counts.
        let there = self.in_force(port, account, sessions).await;
        match (said, there) {
            // The policy that such an account leaves denies nobody. Where there are very many policies, it is not even found in time.
            (said, Ok(InForce::Nowhere)) => {
                if let Err(error) = said {
                    tracing::warn!(%account, %error, "the policy of an account that left could not be deleted: it denies nobody");
                }
                self.denied_as_it_should(account, id, wanted).await
            }
            // A policy that is lifted halfway denies nothing, and is left: that is done by what AWS says alone.
            (Err(error), Ok(InForce::Wanted)) if sessions.is_empty() && error.code != IN_USE => {
                self.denial_failed(account, id, sessions, error).await
            }
            (said, Ok(InForce::Wanted)) => {
                if sessions.is_empty()
                    && let Err(error) = said
                {
                    // Here it denies nobody any more. Where it does is for whoever attached it there.
                    tracing::warn!(%account, %error, "others have attached elsewhere what denied sessions here: it is left to them");
                }
                self.denied_as_it_should(account, id, wanted).await
            }
            (Err(error), _) | (Ok(()), Err(error)) => self.denial_failed(account, id, sessions, error).await,
            (Ok(()), Ok(InForce::Otherwise)) => {
                let overwritten =
                    AwsError::new(ErrorKind::Conflict, "Overwritten", "another has changed the policy");
                self.denial_failed(account, id, sessions, overwritten).await
            }
        }
    }

    async fn denied_as_it_should(
        &self,
        account: &AccountId,
        id: EventId,
        wanted: &Denied,
    ) -> Result<(), Fault> {
        tracing::info!(%account, requests = wanted.len(), "live sessions are denied as they should be");
        self.write_denial(account, Some(id), |denials, _| denial::confirm(known(denials)?, id)).await?;
        Ok(())
    }

    /// Catches up to the attempt, and computes again what is to be denied, and whether that is ours to do.
    async fn still_to_deny(
        &self,
        account: &AccountId,
        position: Position,
        wanted: &Denied,
    ) -> Result<bool, Fault> {
        self.see(position).await?;
        self.refresh().await?;
        let closing = self.agenda.closing_in(account);
        let left = self.all_sessions_left(account, &closing, Ask::Aws).await?.unless_stuck()?;
        Ok(left.denied() == *wanted && self.on_duty().await?)
    }

    async fn denial_failed(
        &self,
        account: &AccountId,
        id: EventId,
        sessions: &BTreeSet<DeniedSessions>,
        error: AwsError,
    ) -> Result<(), Fault> {
        let code = error.code.clone();
        self.write_denial(account, Some(id), |denials, _| denial::fail(known(denials)?, id, code.clone()))
            .await?;
        let for_good = sessions.is_empty() && !error.retriable();
        let first = for_good && self.unlifted().insert(account.clone());
        match (sessions.is_empty(), error.retriable()) {
            (false, true) => {
                tracing::warn!(%account, %error, "live sessions could not be denied; tried again");
            }
            (false, false) => {
                tracing::error!(%account, %error, "live sessions cannot be denied: they live as long as was told");
            }
            (true, true) => {
                tracing::warn!(%account, %error, "what denies sessions could not be lifted; tried again");
            }
            // Nobody's access goes on by it, and it is tried every few minutes for ever.
            (true, false) if first => {
                tracing::error!(%account, %error, "what denies sessions cannot be lifted");
            }
            (true, false) => {
                tracing::debug!(%account, %error, "what denies sessions can still not be lifted");
            }
        }
        Err(error.into())
    }

    fn unlifted(&self) -> MutexGuard<'_, BTreeSet<AccountId>> {
        self.unlifted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether exactly `sessions` are denied, as AWS says now.
    async fn in_force(
        &self,
        port: &dyn SessionDenials,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
    ) -> Result<InForce, AwsError> {
        match self.in_time(port.denies_exactly(account, sessions)).await {
            Ok(true) => Ok(InForce::Wanted),
            Ok(false) => Ok(InForce::Otherwise),
            Err(error) if sessions.is_empty() && self.has_left(account, &error) => Ok(InForce::Nowhere),
            Err(error) => Err(error),
        }
    }

    /// Whether an account of which AWS said `error` is not in the organisation any more. AWS's word is not enough: of another
    /// organisation's accounts it knows nothing either.
    fn has_left(&self, account: &AccountId, error: &AwsError) -> bool {
        error.kind == ErrorKind::NotFound
            && self
                .views
                .directory
                .snapshot()
                .is_some_and(|directory| directory.account(account).is_none_or(|account| !account.active))
    }

    /// Learns what came of an attempt that is open in an account, and says whether there was one. It takes nobody's word on who has
    /// sessions there: the policy says what it denies.
    pub(crate) async fn resolve_open(&self, account: &AccountId, closing: &[Request]) -> Result<bool, Fault> {
        let Some(port) = self.ports.session_denials() else { return Ok(false) };
        let Some(loaded) = self.denials(account).await? else { return Ok(false) };
        let Some(denials) = &loaded.state else { return Ok(false) };
        let Some((id, attempt)) = &denials.open else { return Ok(false) };
        self.resolve_denial(port, denials, closing, *id, attempt).await?;
        Ok(true)
    }

    /// An attempt that was found open: whoever made it is gone, or still at it.
    async fn resolve_denial(
        &self,
        port: &dyn SessionDenials,
        denials: &Denials,
        closing: &[Request],
        id: EventId,
        attempt: &denial::Attempt,
    ) -> Result<(), Fault> {
        let account = &denials.account;
        let there = match self.sessions(closing, &attempt.requests, Some(denials)) {
            Ok(sessions) if !sessions.is_empty() => {
                // What cannot be read is not waited for beyond the patience: it may be so for good (no rights).
                let looked = self.in_time(port.denies_exactly(account, &sessions)).await;
                looked.unwrap_or_else(|error| {
                    tracing::debug!(%account, %error, "what came of an attempt to deny cannot be read");
                    false
                })
            }
            // Lifted halfway, it denies nothing either.
            Ok(_) | Err(_) => false,
        };
        if there {
            self.write_denial(account, Some(id), |denials, _| denial::confirm(known(denials)?, id)).await?;
            return Ok(());
        }
        // One that is dated later than now was made by a clock that is ahead: nobody knows when. Denying twice is harmless.
        let now = self.now();
        if attempt.at <= now && now < later(attempt.at, self.settings.removal_patience()) {
            return Err(Fault::Behind);
        }
        let reason = "NoOutcome".to_owned();
        self.write_denial(account, Some(id), |denials, _| denial::fail(known(denials)?, id, reason.clone()))
            .await?;
        Ok(())
    }

    /// Whether AWS is known to deny something else than it should, where anything of ours may be denied.
    pub(crate) async fn is_denied_otherwise(
        &self,
        account: &AccountId,
        closing: &[Request],
        wanted: &Denied,
    ) -> bool {
        let Ok(Some(loaded)) = self.denials(account).await else { return false };
        if loaded.state.as_ref().is_none_or(|denials| self.is_done_with(denials)) {
            return false;
        }
        let sessions = self.sessions(closing, wanted, loaded.state.as_ref());
        let (Some(port), Ok(sessions)) = (self.ports.session_denials(), sessions) else { return false };
        self.in_time(port.denies_exactly(account, &sessions)).await == Ok(false)
    }

    /// Whether others have changed what is denied.
    async fn have_denials_changed(
        &self,
        port: &dyn SessionDenials,
        account: &AccountId,
        sessions: &BTreeSet<DeniedSessions>,
    ) -> Result<bool, Fault> {
        if self.in_force(port, account, sessions).await? != InForce::Otherwise {
            return Ok(false);
        }
        tracing::warn!(%account, "another has changed what Daypass denies");
        self.write_denial(account, None, |denials, _| denial::drift(known(denials)?)).await?;
        Ok(true)
    }

    /// What AWS is told. What a permission set is called, `denials` alone may say.
    fn sessions(
        &self,
        closing: &[Request],
        wanted: &Denied,
        denials: Option<&Denials>,
    ) -> Result<BTreeSet<DeniedSessions>, Fault> {
        let by_id: BTreeMap<RequestId, &Request> =
            closing.iter().map(|request| (request.raised.id, request)).collect();
        let unknown = |what: &str| AwsError::new(ErrorKind::Unavailable, "Unknown", what);
        let one = |(id, begun_before): (&RequestId, &Option<Timestamp>)| {
            let Some(begun_before) = *begun_before else { return Ok(DeniedSessions::OfRequest(*id)) };
            let request = by_id.get(id).ok_or_else(|| unknown("the request is closed"))?;
            let Entitlement::PermissionSet(set) = request.raised.target.entitlement() else {
                return Ok(DeniedSessions::OfRequest(*id));
            };
            let user = request.raised.grounds.principal.clone();
            let name = self.name_of(set).or_else(|| denials?.names.get(id).cloned());
            Ok(DeniedSessions::OfPermissionSet {
                request: *id,
                user: user.ok_or_else(|| unknown("the user is not known"))?,
                permission_set: name
                    .ok_or_else(|| unknown("what the permission set is called is not known"))?,
                begun_before,
            })
        };
        wanted.iter().map(one).collect::<Result<_, AwsError>>().map_err(Fault::from)
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        tokio::time::timeout(self.settings.call_within, call)
            .await
            .unwrap_or_else(|_| Err(AwsError::new(ErrorKind::Unknown, "Timeout", "no answer came")))
    }

    /// Writes one event of an account's denials; what came of `attempt` has an id of its own, so that it is said once.
    async fn write_denial(
        &self,
        account: &AccountId,
        attempt: Option<EventId>,
        decide: impl Fn(Option<&Denials>, Timestamp) -> Result<DenialEvent, Rejection>,
    ) -> Result<Option<(EventId, Timestamp, Position)>, Fault> {
        let event_id = if let Some(attempt) = attempt {
            EventId::from_parts([b"denial outcome".as_slice(), attempt.as_bytes().as_slice()])
        } else {
            let mut chance = [0_u8; 16];
            self.views.entropy.fill(&mut chance);
            EventId::from_parts([b"denial".as_slice(), chance.as_slice()])
        };
        let command = Command { event_id, actor: None, digest: None, trace: None };
        let outcome = self
            .commander
            .execute::<DenialAggregate, Rejection>(Stream::Denial(account.clone()), command, |loaded, at| {
                decide(loaded.state.as_ref(), at).map(Fact::Denial)
            })
            .await;
        match outcome {
            Ok(outcome) => Ok(Some((outcome.event.id, outcome.event.at, outcome.position))),
            // Another replica was faster.
            Err(CommandError::Refused(_)) => Ok(None),
            Err(error) => Err(Fault::of_command(&error)),
        }
    }
}

/// What the permission sets of those whose sessions are denied are called.
fn names(sessions: &BTreeSet<DeniedSessions>) -> SetNames {
    let name = |denied: &DeniedSessions| match denied {
        DeniedSessions::OfRequest(_) => None,
        DeniedSessions::OfPermissionSet { request, permission_set, .. } => {
            Some((*request, permission_set.clone()))
        }
    };
    sessions.iter().filter_map(name).collect()
}

fn known(denials: Option<&Denials>) -> Result<&Denials, Rejection> {
    denials.ok_or(Rejection::NoSuchAttempt)
}
