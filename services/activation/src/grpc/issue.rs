//! What issuing credentials and opening the console have in common: who may have a session now, the session, its event.
//!
//! INVARIANT: no session leaves without the event that says so. What STS made and nobody recorded is dropped here, and dies by
//! itself, bound to the window.

use crate::core::Core;
use crate::role_limits;
use crate::{session, status};
use aws::{AwsError, ErrorKind, SessionCredentials};
use command::Command;
use command::aggregate::RequestAggregate;
use domain::{Entitlement, IssueId, RequestId, SessionScope, SignedDuration, Timestamp};
use event_log::Position;
use journal::{Fact, Stream};
use lifecycle::event::{CredentialsIssued, RequestEvent};
use lifecycle::{Rejection, Request, access};
use policy::{AccountFacts, Ask, Denied, Match};
use service_runtime::Call;
use tonic::Status;
use tracing::Instrument as _;
use views::policy_book::InForce;
use views::{Place, Who, refusal};

/// Someone who may have a session now, and what it will be called.
pub(super) struct Elevated {
    pub(super) request: Request,
    rule: Match,
    issue: IssueId,
    command: Command,
}

impl Elevated {
    /// When the session stops working: when it expires, or with the window, by its session policy.
    pub(super) fn usable_until(&self, expires_at: Timestamp) -> Timestamp {
        self.request.window().map_or(expires_at, |window| window.end().min(expires_at))
    }
}

impl Core {
    /// Authenticated, eligible now, elevated now. `operation` and `key` name the command, whose other fields are `message`.
    pub(super) async fn elevated(
        &self,
        call: &Call,
        id: &str,
        (operation, key): (&str, &str),
        message: &impl prost::Message,
    ) -> Result<Elevated, Status> {
        let id = super::request_id(id)?;
        let in_force = self.views.policy.current().await.map_err(|unknown| refusal::status(&unknown))?;
        let who = self.who(call, Some(&in_force))?;
        self.story(&who, &id, Some(&in_force))?;
        let operation = format!("{operation}:{id}");
        let command = self.command(call, &operation, key, message).await?;
        let request = self.may_have_credentials(&who, id, &command).await?;
        // A restored log may have lost the end of what is active by it.
        if !self.knows_aws().await.map_err(|fault| status::fault(&fault))? {
            return Err(status::not_swept());
        }
        let rule = self.eligible_now(&who, &request, &in_force)?;
        let issue = IssueId::derive(who.person(), &operation, key);
        Ok(Elevated { request, rule, issue, command })
    }

    /// Elevated now: the request is the caller's own, approved, active and inside its window, by the log itself; and nothing was
    /// issued under this key.
    async fn may_have_credentials(
        &self,
        who: &Who,
        id: RequestId,
        command: &command::Command,
    ) -> Result<Request, Status> {
        let loaded = self
            .commander
            .load::<RequestAggregate>(&Stream::Request(id))
            .await
            .map_err(|error| refusal::status(&error))?;
        let request = loaded.state.clone().ok_or_else(|| refusal::not_found("request"))?;
        let raised = &request.raised;
        if !who.acting.identities.same_as(&raised.requester, raised.grounds.principal.as_ref()) {
            return Err(refusal::status(&Rejection::NotEntitled));
        }
        if let Some(known) = loaded.commands.get(&command.event_id) {
            let reused: command::CommandError<Rejection> = command::CommandError::KeyReused;
            let same = known.digest == command.digest;
            return Err(if same { status::issued_already() } else { refusal::command(reused) });
        }
        access::may_issue(&request, self.now()).map_err(|rejection| refusal::status(&rejection))?;
        if request.issues.len() >= self.settings.issues_per_request_max {
            return Err(status::too_many_issues(self.settings.issues_per_request_max));
        }
        Ok(request)
    }

    /// Eligible now: the rule that the request was raised under still permits its requester, with the groups that the caller
    /// has now, by the same provider.
    fn eligible_now(&self, who: &Who, request: &Request, in_force: &InForce) -> Result<Match, Status> {
        self.views.certain_of_time().map_err(|doubt| refusal::status(&doubt))?;
        let raised = &request.raised;
        let settings = in_force.compiled.settings();
        let place = Place::of(&self.views.directory, &raised.target, self.now(), settings.directory_age_max)
            .map_err(|unknown| refusal::status(&unknown))?;
        let ask = Ask {
            requester: &raised.requester,
            groups: &who.groups,
            target: &raised.target,
            account: AccountFacts { ou_path: place.ou_path(), tags: place.tags() },
            duration: request.window().map_or(raised.asked.duration, |window| window.duration()),
        };
        let rule = in_force
            .compiled
            .current(&raised.grounds.rule, &ask)
            .map_err(|denied| refusal::status(&denied))?;
        if rule.provider == raised.grounds.provider {
            Ok(rule)
        } else {
            Err(refusal::status(&Denied::RuleDoesNotPermit(rule.rule)))
        }
    }

    /// Asks STS. A role that refuses a long session is asked for the hour that every role allows; if that is not refused, for what
    /// lies between, and for no more than it allowed for a while.
    pub(super) async fn assume(
        &self,
        elevated: &Elevated,
        wanted: Option<SignedDuration>,
    ) -> Result<(CredentialsIssued, SessionCredentials), Status> {
        let Elevated { request, rule, issue, .. } = elevated;
        let Entitlement::Role(role) = request.raised.target.entitlement() else {
            return Err(refusal::status(&Rejection::NoCredentials));
        };
        let window = request.window().ok_or_else(|| refusal::status(&Rejection::NotApproved))?;
        let (_, active) =
            access::may_issue(request, self.now()).map_err(|rejection| refusal::status(&rejection))?;
        let longest = access::credential_duration_max(active, rule.credential_duration_max);
        let allow_chaining = access::may_chain(active, rule.session.allow_chaining);
        let scope = SessionScope { allow_chaining, ..rule.session.clone() };
        let mut duration = session::duration(wanted, longest, &window, self.now());
        let hour = session::chained(duration);
        duration = duration.min(self.role_limits.longest(role, self.now()));
        if duration > hour && self.is_chained().await {
            duration = hour;
        }
        let mut asking = session::Session {
            role,
            request: request.raised.id,
            requester: &request.raised.requester,
            issue: *issue,
            window,
            scope: &scope,
            duration,
            external_id: self.settings.external_id.as_ref(),
        };
        let mut answer = self.ask_sts(&asking).await;
        if duration > hour && answer.as_ref().is_err_and(status::may_be_too_long) {
            asking.duration = hour;
            answer = self.ask_sts(&asking).await;
            if answer.is_ok() {
                match self.longest_below(duration, &mut asking).await {
                    Ok(Some(longer)) => {
                        self.role_limits.note(role, asking.duration, self.now());
                        answer = Ok(longer);
                    }
                    Ok(None) => self.role_limits.note(role, hour, self.now()),
                    Err(error) => {
                        tracing::debug!(%role, %error, "how long its sessions may be is asked again");
                    }
                }
            }
        }
        let credentials = answer.map_err(|error| status::sts(&error))?;
        let invalid = |invalid: domain::Invalid| status::sts(&AwsError::from(invalid));
        let issued = CredentialsIssued {
            issue: *issue,
            access_key_id: credentials.access_key_id.clone(),
            session_name: session::session_name(*issue).map_err(invalid)?.as_str().to_owned(),
            source_identity: session::source_identity(&request.raised.requester)
                .map_err(invalid)?
                .as_str()
                .to_owned(),
            expires_at: credentials.expires_at,
        };
        Ok((issued, credentials))
    }

    /// Writes that a session was handed out, before it is. A repeat has no answer: no secret is stored.
    pub(super) async fn record_issue(
        &self,
        elevated: &Elevated,
        decide: impl Fn(&Request, Timestamp) -> Result<RequestEvent, Rejection>,
    ) -> Result<Position, Status> {
        let stream = Stream::Request(elevated.request.raised.id);
        let outcome = self
            .commander
            .execute::<RequestAggregate, Rejection>(stream, elevated.command.clone(), |loaded, at| {
                let request = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
                decide(request, at).map(Fact::Request)
            })
            .await
            .map_err(refusal::command)?;
        if outcome.repeated { Err(status::issued_already()) } else { Ok(outcome.position) }
    }

    /// The longest session, of those that are tried, that a role allows which refused `refused`; `None`: no more than an hour. An
    /// error is no refusal, and tells nothing of the role.
    async fn longest_below(
        &self,
        refused: SignedDuration,
        asking: &mut session::Session<'_>,
    ) -> Result<Option<SessionCredentials>, AwsError> {
        for shorter in role_limits::shorter_than(refused) {
            asking.duration = shorter;
            match self.ask_sts(asking).await {
                Ok(credentials) => return Ok(Some(credentials)),
                Err(error) if status::may_be_too_long(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn ask_sts(&self, session: &session::Session<'_>) -> Result<SessionCredentials, AwsError> {
        let call = session.assume_role()?;
        let span = tracing::info_span!(
            "aws",
            otel.name = "AssumeRole",
            otel.kind = "client",
            rpc.system = "aws-api"
        );
        tokio::time::timeout(self.settings.call_within, self.ports.sts.assume_role(&call))
            .instrument(span)
            .await
            .unwrap_or_else(|_| Err(AwsError::new(ErrorKind::Unknown, "Timeout", "no answer came")))
    }

    /// Whether AWS takes us for a role session. When it cannot be told, yes: a short session is better than none.
    async fn is_chained(&self) -> bool {
        let ask =
            || async { self.ports.sts.caller_identity().await.map(|identity| identity.is_role_session()) };
        let asked = tokio::time::timeout(self.settings.call_within, self.chained.get_or_try_init(ask)).await;
        !matches!(asked, Ok(Ok(false)))
    }
}
