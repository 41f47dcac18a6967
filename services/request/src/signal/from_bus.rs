//! A message from the bus as a signal of a configured source, or the reason why it is none.
//!
//! Subject, envelope and configuration must agree on who tells what: the subject names the source and the kind, and so does the
//! event. That it is the source is known by the server, which lets nobody else publish there, or by its signature of the body.
//!
//! INVARIANT: what a reason says never repeats what the message says, which may be somebody's words.

use crate::signal::sources::{OnBus, Source, Sources, person_of};
use crate::signal::told::Told;
use api::request::v1 as wire;
use api::validate;
use domain::{Actor, ActorKind, Invalid, Timestamp};
use identity::SignatureError;
use messaging::{CloudEvent, InvalidCloudEvent, Message, SIGNALS_PREFIX};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value};
use std::sync::OnceLock;
use tonic::{Code, Status};
use views::refusal::{self, Refusal};

/// The largest body. A signal has two kilobytes of somebody's words at most, and names.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Why a message is no signal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSignal {
    #[error("its subject is not {SIGNALS_PREFIX}<source>.<kind>")]
    SubjectUnknown,
    #[error("no source of this name is configured that tells over the bus")]
    SourceUnknown,
    #[error("it has more than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("it is not signed")]
    NotSigned,
    #[error("{0}")]
    SignedWrongly(#[from] SignatureError),
    #[error("it is no CloudEvent: {0}")]
    NoEvent(#[from] InvalidCloudEvent),
    #[error("its source or its type is not that of its subject")]
    SubjectDiffers,
    #[error("it does not say when that happened")]
    NoTime,
    #[error("its data is not what IngestSignal takes, or repeats what the event says")]
    Data,
    #[error("{0}")]
    Field(String),
}

impl Refusal for NoSignal {
    /// Nobody is answered over the bus; the words are the same as for those who are.
    fn reason(&self) -> (Code, &'static str) {
        match self {
            Self::SubjectUnknown => (Code::InvalidArgument, "SUBJECT_UNKNOWN"),
            Self::SourceUnknown => (Code::PermissionDenied, "SOURCE_UNKNOWN"),
            Self::TooLarge => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            Self::NotSigned | Self::SignedWrongly(_) => (Code::Unauthenticated, "SIGNATURE_INVALID"),
            Self::SubjectDiffers => (Code::PermissionDenied, "SUBJECT_DIFFERS"),
            Self::NoEvent(_) | Self::NoTime | Self::Data | Self::Field(_) => {
                (Code::InvalidArgument, "MESSAGE_INVALID")
            }
        }
    }
}

impl From<NoSignal> for Status {
    fn from(none: NoSignal) -> Self {
        refusal::status(&none)
    }
}

/// What a message tells, and who.
pub(crate) struct FromBus<'a> {
    pub(crate) source: &'a Source,
    pub(crate) told: Told,
    /// When whoever vouches for the source had it: the server, or we who have seen the signature.
    pub(crate) told_at: Timestamp,
    /// What time it is at the latest, by the clock of whoever vouches.
    pub(crate) now: Timestamp,
    pub(crate) actor: Actor,
}

/// When a message came, and when it is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// When it was first read, by our clock.
    pub(crate) read_at: Timestamp,
    /// When the bus took what has it looked at now: itself, or that it be replayed.
    pub(crate) brought_at: Timestamp,
    /// What time it is now at the latest, as far as we know.
    pub(crate) now: Timestamp,
}

/// Reads a message.
pub(crate) fn read<'a>(sources: &'a Sources, message: &Message, times: Times) -> Result<FromBus<'a>, Status> {
    let (name, kind) = message
        .subject
        .strip_prefix(SIGNALS_PREFIX)
        .and_then(|rest| rest.split_once('.'))
        .filter(|(_, kind)| !kind.contains('.'))
        .ok_or(NoSignal::SubjectUnknown)?;
    let source = sources.named(name).ok_or(NoSignal::SourceUnknown)?;
    if message.body.len() > BODY_BYTES_MAX {
        return Err(NoSignal::TooLarge.into());
    }
    let (told_at, now) = match &source.on_bus {
        OnBus::Unknown => return Err(NoSignal::SourceUnknown.into()),
        // Our own clock has no say: wrong, it would overrule the one that is right.
        OnBus::Account => (message.sent_at, message.sent_at.max(times.brought_at)),
        OnBus::Signature(keys) => {
            let signature = message.signature.as_deref().ok_or(NoSignal::NotSigned)?;
            keys.verify(signature, &message.body).map_err(NoSignal::SignedWrongly)?;
            (times.read_at, times.now)
        }
    };
    let event = CloudEvent::from_json(&message.body).map_err(NoSignal::NoEvent)?;
    if event.source != name || event.type_name.strip_prefix(SIGNALS_PREFIX) != Some(kind) {
        return Err(NoSignal::SubjectDiffers.into());
    }
    let told = Told::read(&signal_of(event, kind)?)
        .map_err(|status| if has_reason(&status) { status } else { wrong_field(&status) })?;
    let actor = actor_of(source).map_err(|invalid| NoSignal::Field(invalid.to_string()))?;
    Ok(FromBus { source, told, told_at, now, actor })
}

/// The message that says the same over gRPC.
fn signal_of(event: CloudEvent, kind: &str) -> Result<wire::IngestSignalRequest, NoSignal> {
    let said = data_of(event.data)?;
    let kind = format!("SIGNAL_KIND_{}", kind.to_ascii_uppercase());
    let signal = wire::IngestSignalRequest {
        // Nothing of it is kept; over gRPC it must be there.
        idempotency_key: "bus".to_owned(),
        source: event.source,
        source_id: event.id,
        kind: wire::SignalKind::from_str_name(&kind).unwrap_or_default().into(),
        occurred_at: Some(views::wire::time(event.time.ok_or(NoSignal::NoTime)?)),
        ..said
    };
    match validate::violations(&signal).first() {
        None => Ok(signal),
        Some(wrong) => Err(NoSignal::Field(format!("{}: {}", wrong.field, wrong.description))),
    }
}

/// What the event's own attributes do not say.
fn data_of(data: Option<Value>) -> Result<wire::IngestSignalRequest, NoSignal> {
    let data = data.unwrap_or_else(|| Value::Object(Map::new()));
    let descriptor = descriptor().ok_or(NoSignal::Data)?;
    let message = DynamicMessage::deserialize(descriptor, data).map_err(|_| NoSignal::Data)?;
    let said: wire::IngestSignalRequest = message.transcode_to().map_err(|_| NoSignal::Data)?;
    let wire::IngestSignalRequest { idempotency_key, source, source_id, kind, occurred_at, .. } = &said;
    let repeats = ![idempotency_key, source, source_id].into_iter().all(String::is_empty);
    if repeats || *kind != 0 || occurred_at.is_some() { Err(NoSignal::Data) } else { Ok(said) }
}

fn descriptor() -> Option<MessageDescriptor> {
    static DESCRIPTOR: OnceLock<Option<MessageDescriptor>> = OnceLock::new();
    let found = DESCRIPTOR.get_or_init(|| {
        let pool = DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).ok()?;
        pool.get_message_by_name("daypass.request.v1.IngestSignalRequest")
    });
    found.clone()
}

/// Who tells: over the bus a source has no token, so it is known by its configured name.
fn actor_of(source: &Source) -> Result<Actor, Invalid> {
    let person = person_of(&source.name)?;
    Ok(Actor { person, kind: ActorKind::Workload, client_id: None, auth_time: None, acr: None })
}

fn has_reason(status: &Status) -> bool {
    refusal::reason_of(status).is_some()
}

fn wrong_field(status: &Status) -> Status {
    NoSignal::Field(status.message().to_owned()).into()
}
