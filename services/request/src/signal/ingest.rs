//! The way of every signal into the log, and to what follows at once.

use crate::RequestService;
use crate::ask::Justification;
use crate::signal::sources::{Source, person_of};
use crate::signal::told::Told;
use crate::status::Refused;
use command::aggregate::SignalAggregate;
use command::{Command, CommandError, Outcome};
use domain::{Actor, EventId, Person, PrincipalId, RequestId, Timestamp, canonical_digest, hex};
use event_log::Position;
use journal::{Fact, Stream};
use lifecycle::signal::{self, Receive, Signal, SignalAsk, SignalKind, SignalReceived};
use views::requests::raised_by;
use views::resource;

/// A signal that is in the log.
pub(crate) struct Ingested {
    /// Its id; its stream is `signal-` and this.
    pub(crate) id: String,
    /// Where in the log it is, or what followed from it.
    pub(crate) position: Position,
    /// What was raised, where something was to be.
    pub(crate) raised: Option<Result<RequestId, CommandError<Refused>>>,
}

/// Who told it, and when.
pub(crate) struct Telling<'a> {
    pub(crate) source: &'a Source,
    pub(crate) actor: Actor,
    pub(crate) trace: Option<String>,
    /// When whoever vouches for the source was told.
    pub(crate) at: Timestamp,
    /// What time it is at the latest, by the clock of whoever vouches.
    pub(crate) now: Timestamp,
}

/// The id of a signal: the same for ever, through any replica, however it comes.
pub(crate) fn id_of(source: &str, source_id: &str) -> String {
    let digest = canonical_digest([b"signal".as_slice(), source.as_bytes(), source_id.as_bytes()]);
    hex(digest.split_at(16).0)
}

impl RequestService {
    /// Records `told` once, then has raised what it asks for. Whatever else follows, others do who follow the log.
    pub(crate) async fn ingest(
        &self,
        told: &Told,
        telling: &Telling<'_>,
    ) -> Result<Ingested, CommandError<Refused>> {
        let id = id_of(&told.source, &told.source_id);
        let outcome = self.receive(&id, told, telling).await?;
        let mut position = outcome.position;
        let to_raise = outcome.state.as_ref().filter(|_| told.kind == SignalKind::RaiseForPerson);
        let raised = match to_raise {
            None => None,
            Some(Signal { refused: Some(refused), .. }) => {
                let reason = refused.reason.clone();
                Some(Err(CommandError::Refused(Refused::NothingRaised { reason })))
            }
            Some(signal) => {
                let raised = self.raise_for_person(&id, &outcome.event, &signal.received).await;
                Some(raised.map(|raised| {
                    position = raised.position;
                    raised_by(&id)
                }))
            }
        };
        Ok(Ingested { id, position, raised })
    }

    async fn receive(
        &self,
        id: &str,
        told: &Told,
        telling: &Telling<'_>,
    ) -> Result<Outcome<Signal>, CommandError<Refused>> {
        let received = self.received(id, told).await.map_err(CommandError::Refused)?;
        let owner = match &told.about {
            Some(about) => about.clone(),
            None => {
                person_of(&telling.source.name).map_err(|_| CommandError::Refused(Refused::SourceUnknown))?
            }
        };
        if told.ask.is_some() {
            // Under the key of whom it is about: with that erased nothing can be learnt from the digest.
            let key = self.views.keys.obtain(&owner.id()).await;
            let key = key.map_err(|error| CommandError::Refused(error.into()))?;
            return self.record(id, &received, telling, key.digest(&told.content)).await;
        }
        // Without an ask the event says all of the content anyway. So it needs no key, and nobody keeps access for want of one.
        let plain = canonical_digest([told.content.as_slice()]);
        let recorded = self.record(id, &received, telling, plain).await;
        if !matches!(recorded, Err(CommandError::KeyReused)) {
            return recorded;
        }
        // Earlier builds took a key for it all the same. Where that is not to be had, nothing is lost: something is recorded.
        match self.views.keys.find(&owner.id()).await {
            Ok(Some(key)) => self.record(id, &received, telling, key.digest(&told.content)).await,
            Ok(None) | Err(_) => recorded,
        }
    }

    /// Records it once; the same id with another digest is refused.
    async fn record(
        &self,
        id: &str,
        received: &SignalReceived,
        telling: &Telling<'_>,
        digest: [u8; 32],
    ) -> Result<Outcome<Signal>, CommandError<Refused>> {
        let command = Command {
            event_id: EventId::from_parts([
                b"signal".as_slice(),
                received.source.as_bytes(),
                received.source_id.as_bytes(),
            ]),
            actor: Some(telling.actor.clone()),
            digest: Some(digest),
            trace: telling.trace.clone(),
        };
        self.commander
            .execute_first::<SignalAggregate, Refused, _>(Stream::Signal(id.to_owned()), command, |_, _| {
                let receive = Receive {
                    told: received.clone(),
                    belief: &telling.source.belief,
                    told_at: telling.at,
                    now: telling.now,
                };
                std::future::ready(signal::receive(receive).map(Fact::Signal).map_err(Refused::from))
            })
            .await
    }

    /// What is recorded of it, before it is decided what it may do.
    async fn received(&self, id: &str, told: &Told) -> Result<SignalReceived, Refused> {
        Ok(SignalReceived {
            source: told.source.clone(),
            source_id: told.source_id.clone(),
            kind: told.kind,
            occurred_at: told.occurred_at,
            about: told.about.clone(),
            about_principal: match &told.about {
                Some(about) => self.user_of(about)?,
                None => None,
            },
            decided_by: told.decided_by.clone(),
            target: told.target.clone(),
            ticket: told.ticket.clone(),
            may_revoke: false,
            ask: match (&told.ask, &told.about) {
                (Some(ask), Some(about)) => {
                    let place = resource::justification_place(&raised_by(id));
                    let justification = match &ask.justification {
                        Justification::Text(text) => self.seal(about, &place, text).await?,
                        Justification::Sealed(sealed) => sealed.clone(),
                    };
                    Some(SignalAsk {
                        asked: ask.window,
                        justification,
                        rule: ask.rule.clone(),
                        extends: ask.extends,
                    })
                }
                (Some(_) | None, _) => None,
            },
        })
    }

    /// The user in Identity Center that a person is: recorded, because the directory may have forgotten them when it matters.
    fn user_of(&self, person: &Person) -> Result<Option<PrincipalId>, Refused> {
        let everyone = self.views.everyone(person, None)?;
        match everyone.principal {
            Some(principal) => Ok(Some(principal)),
            None => Ok(self.views.requests.principal_of(&everyone.people)?),
        }
    }
}
