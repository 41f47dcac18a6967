//! What a signal has raised for a person: the same checks as for whoever asks, with the source as the recorded raiser.
//!
//! INVARIANT: of a signal there is one request, or a recorded refusal. Two replicas may look at the same instant and see different
//! things; then there may be both, and the request is what counts.

use crate::RequestService;
use crate::ask::{Ask, Justification};
use crate::raise::{Naming, Raiser};
use crate::status::Refused;
use command::aggregate::{RequestAggregate, SignalAggregate};
use command::{Command, CommandError, Outcome};
use domain::{ActorKind, EventId, SignedDuration, Timestamp};
use identity::Caller;
use journal::{Event, Fact, Stream};
use lifecycle::signal::{self, SignalReceived};
use lifecycle::{Rejection, Request};
use views::refusal::Refusal as _;
use views::requests::raised_by;

/// How long it is tried where something is not available. Whoever wants access now does not want it hours later.
const RAISE_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// Why nothing was raised where it could not be told in time whether it may be.
const NOT_IN_TIME: &str = "NotInTime";

impl RequestService {
    /// Raises what `received`, recorded by `event` as the signal `id`, asks for; or records that it is refused.
    pub(crate) async fn raise_for_person(
        &self,
        id: &str,
        event: &Event,
        received: &SignalReceived,
    ) -> Result<Outcome<Request>, CommandError<Refused>> {
        let raised = match (ask_of(received), &event.actor) {
            (Some(ask), Some(actor)) => {
                let naming = Naming {
                    request: raised_by(id),
                    event: EventId::from_parts([b"raised by signal".as_slice(), event.id.as_bytes()]),
                    digest: None,
                    batch: None,
                };
                let caller = Caller {
                    actor: domain::Actor { kind: ActorKind::Workload, ..actor.clone() },
                    groups: None,
                    directory_id: None,
                    expires_at: Timestamp::MAX,
                };
                self.raise_as(Raiser::Signal(&caller), &ask, &naming, event.trace.clone()).await
            }
            (Some(_) | None, _) => {
                Err(CommandError::Refused(Refused::Rejected(Rejection::SignalIncomplete { missing: "ask" })))
            }
        };
        let Err(error) = raised else { return raised };
        let late = self.views.clock.now().duration_since(event.at) > RAISE_WITHIN;
        let is_final = match &error {
            CommandError::Refused(refused) if refused.is_final() => Some(refused.reason().1),
            CommandError::Refused(_)
            | CommandError::KeyReused
            | CommandError::Contended
            | CommandError::Unknown(_)
            | CommandError::Unavailable(_)
            | CommandError::Corrupt(_)
            | CommandError::TooLarge { .. }
            | CommandError::NotOurs { .. } => None,
        };
        let Some(reason) = is_final.or(late.then_some(NOT_IN_TIME)) else { return Err(error) };
        self.refuse(id, event, reason).await?;
        Err(error)
    }

    /// Records that nothing is raised, unless something was.
    async fn refuse(&self, id: &str, event: &Event, reason: &str) -> Result<(), CommandError<Refused>> {
        let request = self.commander.load::<RequestAggregate>(&Stream::Request(raised_by(id))).await?;
        if request.state.is_some() {
            return Ok(());
        }
        tracing::warn!(signal = id, reason, "nothing is raised by this signal");
        let command = Command {
            event_id: EventId::from_parts([b"signal refused".as_slice(), event.id.as_bytes()]),
            actor: None,
            digest: None,
            trace: None,
        };
        let refused = self
            .commander
            .execute::<SignalAggregate, Refused>(Stream::Signal(id.to_owned()), command, |loaded, _| {
                let signal = loaded.state.as_ref().ok_or(Rejection::NotFound)?;
                Ok(Fact::Signal(signal::refuse(signal, reason)?))
            })
            .await;
        match refused {
            Ok(_) | Err(CommandError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The ask of a recorded signal.
fn ask_of(received: &SignalReceived) -> Option<Ask> {
    let ask = received.ask.as_ref()?;
    Some(Ask {
        target: received.target.clone()?,
        window: ask.asked,
        justification: Justification::Sealed(ask.justification.clone()),
        ticket: received.ticket.clone(),
        rule: ask.rule.clone(),
        on_behalf_of: Some(received.about.clone()?),
        extends: ask.extends,
    })
}
