//! Events, commands and calls in words, for the trace.

use crate::order::{Command, Order};
use crate::people;
use crate::truth::Truth;
use crate::weather::{Season, Settings};
use activation::Missing;
use api::types::v1::Ask;
use aws::AssignmentKey;
use aws::simulated::{Call, CallRecord, Change, ChangedBy};
use event_log::StreamName;
use journal::{Event, Fact, Stream};
use lifecycle::RequestEvent;
use lifecycle::assignment::{AssignmentEvent, Operation};
use lifecycle::denial::DenialEvent;
use lifecycle::event::{EndedBecause, RejectedBecause};

/// An assignment: `ReadOnly@111111111111 for ada`.
pub(crate) fn key(key: &AssignmentKey) -> String {
    entitlement(key.entitlement().arn(), key.account().as_str()) + " for " + people::name_of(key.principal())
}

fn entitlement(arn: &str, account: &str) -> String {
    let name = match arn.rsplit('/').next() {
        Some("ps-1111111111111111") => "ReadOnly",
        Some("ps-2222222222222222") => "Administrator",
        Some(role) => return format!("role {role}@{account}"),
        None => arn,
    };
    format!("{name}@{account}")
}

/// A season.
pub(crate) fn season(season: &Season) -> String {
    let fair = if season.fair { ", nothing goes wrong" } else { "" };
    let damage = season.damage.map(|(step, damage)| format!(", {damage:?} damaged from step {step} on"));
    let denials = if season.denials { ", live sessions are denied" } else { "" };
    let one_cut = if season.one_cut { ", one stays cut off from AWS" } else { "" };
    let Settings { missing, start_lead, sweep_interval, renamed } = season.settings;
    let missing = if missing == Missing::End { ", what others remove ends its request" } else { "" };
    let lead = if start_lead.is_zero() {
        String::new()
    } else {
        format!(", starts are led by up to {start_lead:#}")
    };
    let sweep = format!(", sweeps every {sweep_interval:#}");
    let renamed = if renamed { ", replicas have no names of their own" } else { "" };
    let damage = damage.unwrap_or_default();
    format!("{} machines{fair}{denials}{one_cut}{missing}{lead}{sweep}{renamed}{damage}", season.machines)
}

/// A stream.
pub(crate) fn stream(stream: &StreamName, truth: &Truth) -> String {
    match stream.as_str().parse() {
        Ok(Stream::Request(id)) => truth.name(&id),
        _other => stream.to_string(),
    }
}

/// What an event is about.
pub(crate) fn about(event: &Event, truth: &Truth) -> String {
    match &event.stream {
        Stream::Request(id) => truth.name(id),
        stream @ Stream::Assignment(_) => truth.key_of(stream).map(key).unwrap_or_default(),
        Stream::Duty(name) => name.clone(),
        Stream::Denial(account) => account.to_string(),
        Stream::Policy | Stream::Signal(_) | Stream::Person(_) | Stream::Log => String::new(),
    }
}

/// An event.
pub(crate) fn event(event: &Event, position: usize, truth: &Truth) -> String {
    let name = journal::types::type_name(&event.fact).trim_end_matches(".v1");
    let by = event.actor.as_ref().map(|actor| format!(" by {}", actor.person.subject)).unwrap_or_default();
    let about = about(event, truth);
    let more = match &event.fact {
        Fact::Request(fact) => request(fact),
        Fact::Assignment(fact) => assignment(fact),
        Fact::Duty(claimed) => format!(" by {}", claimed.holder),
        Fact::Denial(fact) => denial(fact, truth),
        Fact::Policy(_) | Fact::Signal(_) | Fact::Person(_) | Fact::Log(_) => String::new(),
    };
    format!("#{position} {name} {about}{more}{by}")
}

fn request(fact: &RequestEvent) -> String {
    match fact {
        RequestEvent::Requested(raised) => {
            let start = raised.asked.start.map(|start| format!(" from {start}")).unwrap_or_default();
            let target = entitlement(raised.target.entitlement().arn(), raised.target.account().as_str());
            let extends = if raised.extends.is_some() { ", extends" } else { "" };
            format!(
                " = {target} for {}s{start}{extends}, rule {}",
                raised.asked.duration.as_secs(),
                raised.grounds.rule
            )
        }
        RequestEvent::Approved(approved) => {
            format!(" {:?} {}..{}", approved.basis, approved.window.start(), approved.window.end())
        }
        RequestEvent::Rejected(rejected) => match rejected.because {
            RejectedBecause::Approver { .. } => String::new(),
            RejectedBecause::RuleVanished => " because its rule is gone".to_owned(),
        },
        RequestEvent::Expired(expired) => format!(" {:?}", expired.because),
        RequestEvent::Activated(activated) if activated.standing => " standing".to_owned(),
        RequestEvent::CredentialsIssued(issued) => {
            format!(" {} until {}", issued.access_key_id, issued.expires_at)
        }
        RequestEvent::ConsoleOpened(opened) => {
            format!(" {} until {}", opened.access_key_id, opened.expires_at)
        }
        RequestEvent::Revoked(revoked) => format!(" as {:?}", revoked.capacity),
        RequestEvent::Ended(ended) => match &ended.because {
            EndedBecause::Elapsed => " elapsed".to_owned(),
            EndedBecause::Failed { reason } => format!(" failed: {reason}"),
            EndedBecause::NoLongerEligible { reason } => format!(" no longer eligible: {reason}"),
            EndedBecause::RemovedOutside => " removed outside".to_owned(),
        },
        RequestEvent::Closed(closed) => format!(" {:?}", closed.how),
        RequestEvent::Withdrawn
        | RequestEvent::Endorsed(_)
        | RequestEvent::Activated(_)
        | RequestEvent::ReviewedAfter(_) => String::new(),
    }
}

fn assignment(fact: &AssignmentEvent) -> String {
    match fact {
        AssignmentEvent::Attempted { operation: Operation::Create, .. } => " create".to_owned(),
        AssignmentEvent::Attempted { operation: Operation::Delete, .. } => " delete".to_owned(),
        AssignmentEvent::Failed { reason, definite, .. } => {
            format!(" {reason}{}", if *definite { "" } else { ", perhaps" })
        }
        AssignmentEvent::DriftFound { present } => {
            format!(" {}", if *present { "is there" } else { "is not there" })
        }
        AssignmentEvent::AttemptAbandoned { .. }
        | AssignmentEvent::Confirmed { .. }
        | AssignmentEvent::StandingFound { .. }
        | AssignmentEvent::Adopted { .. }
        | AssignmentEvent::AbandonAsked { .. }
        | AssignmentEvent::Abandoned { .. } => String::new(),
    }
}

fn denial(fact: &DenialEvent, truth: &Truth) -> String {
    match fact {
        DenialEvent::Attempted { requests, .. } if requests.is_empty() => " none".to_owned(),
        DenialEvent::Attempted { requests, .. } => {
            let sessions = requests.iter().map(|(id, begun_before)| match begun_before {
                Some(before) => format!("{} begun before {before}", truth.name(id)),
                None => truth.name(id),
            });
            format!(" sessions of {}", sessions.collect::<Vec<_>>().join(", "))
        }
        DenialEvent::Failed { reason, .. } => format!(" {reason}"),
        DenialEvent::AttemptAbandoned { .. } | DenialEvent::Confirmed { .. } | DenialEvent::DriftFound => {
            String::new()
        }
    }
}

/// What someone orders.
pub(crate) fn order(order: &Order, truth: &Truth) -> String {
    match &order.command {
        Command::Create(ask) => format!("asks for {}", asked(ask)),
        Command::CreateBatch(asks) => {
            let asks: Vec<String> = asks.iter().map(asked).collect();
            format!("asks for {}", asks.join(" and "))
        }
        Command::Withdraw(id) => format!("withdraws {}", truth.name(id)),
        Command::Approve(id) => format!("approves {}", truth.name(id)),
        Command::Reject(id) => format!("rejects {}", truth.name(id)),
        Command::Revoke(id) => format!("revokes {}", truth.name(id)),
        Command::Issue(id) => format!("wants credentials of {}", truth.name(id)),
        Command::OpenConsole(id) => format!("wants a console of {}", truth.name(id)),
        Command::Propose { what, .. } => format!("proposes a policy: {what}"),
        Command::Accept(_) => "accepts the policy".to_owned(),
        Command::Discard(_) => "discards the policy".to_owned(),
        Command::GetPolicy => "looks at the policy".to_owned(),
        Command::Abandon(assignment) => format!("gives up {}", key(assignment)),
        Command::Reconcile(Some(assignment)) => format!("has {} looked at", key(assignment)),
        Command::Reconcile(None) => "has everything looked at".to_owned(),
        Command::Get(id) => format!("looks at {}", truth.name(id)),
        Command::ListOwn => "lists own requests".to_owned(),
        Command::ListPending => "lists what is pending".to_owned(),
        Command::ListEvents => "lists events".to_owned(),
    }
}

fn asked(ask: &Ask) -> String {
    let target = ask.target.as_ref();
    let target =
        target.map(|target| entitlement(&target.entitlement_arn, &target.account_id)).unwrap_or_default();
    let window = ask.window.as_ref();
    let seconds = window.and_then(|window| window.duration).map_or(0, |duration| duration.seconds);
    let later = if window.is_some_and(|window| window.start.is_some()) { ", later" } else { "" };
    let extends = if ask.extends_request_id.is_empty() { "" } else { ", extending" };
    format!("{target} for {seconds}s{later}{extends}")
}

/// A call that can change something.
pub(crate) fn call(record: &CallRecord) -> Option<String> {
    let what = match &record.call {
        Call::Create(assignment, _) => format!("create {}", key(assignment)),
        Call::Delete(assignment, _) => format!("delete {}", key(assignment)),
        Call::AssumeRole(call) => format!("assume {} for {}s", call.role(), call.duration().as_secs()),
        Call::CallerIdentity
        | Call::CreationStatus(_)
        | Call::DeletionStatus(_)
        | Call::Holders(..)
        | Call::HeldIn(_)
        | Call::FetchDirectory
        | Call::SignIn => return None,
    };
    let answer = record.error.as_ref().map_or_else(|| "taken".to_owned(), |error| error.code.clone());
    Some(format!("{what}: {answer}"))
}

/// An assignment came or went.
pub(crate) fn change(change: &Change) -> String {
    let verb = if change.present { "exists" } else { "is gone" };
    let by = match change.by {
        ChangedBy::Daypass => "",
        ChangedBy::Others => ", by others",
    };
    format!("{} {verb} since {}{by}", key(&change.key), change.at)
}
