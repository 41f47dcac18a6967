//! What a nats-server needs by the number of streams in the log: each is a subject of its own, and the server keeps an index of
//! all subjects in memory.

use crate::{Failed, Measured, hammer, logs, memory, say};
use bytes::Bytes;
use domain::EventId;
use event_log::{Envelope, EventLog, Expected, Revision, StreamName, Writer};
use event_log_jetstream::JetStreamLog;
use futures::{StreamExt, TryStreamExt, stream};
use std::time::Duration;
use test_servers::nats::{NatsOptions, NatsServer};
use tokio::time::Instant;
use uuid::Uuid;

/// As a short event has.
const BODY_BYTES: usize = 300;
/// Appends on their way at a time, while the log is filled.
const CALLERS: usize = 256;
/// How often memory is told while the log is filled.
const STEPS: u64 = 10;
/// How long each kind of call is measured.
const WITHIN: Duration = Duration::from_secs(5);
/// A start may read the whole store.
pub(crate) const START_MAX: Duration = Duration::from_mins(15);

pub(crate) async fn run(streams: u64) -> Result<(), Failed> {
    // Filled without syncing: memory is the same, and the disk is not what is measured.
    let options = NatsOptions { sync_always: false, ready_within: START_MAX, ..NatsOptions::default() };
    let mut server = NatsServer::start(options.clone()).await?;
    let log = logs::jetstream(&server).await?;
    say(&format!("empty: {}", resident(&server)?));
    let began = Instant::now();
    for step in 0..STEPS {
        fill(&log, streams * step / STEPS, streams * (step + 1) / STEPS).await?;
        let written = streams * (step + 1) / STEPS;
        say(&format!(
            "{written:>9} streams after {:.0} s: {}",
            began.elapsed().as_secs_f64(),
            resident(&server)?
        ));
    }
    server.set_options(NatsOptions { sync_always: true, ..options });
    for crashes in [false, true] {
        if crashes {
            server.kill();
        } else {
            server.stop().await?;
        }
        let began = Instant::now();
        server.restart().await?;
        let how = if crashes { "killed" } else { "stopped" };
        say(&format!(
            "started after it was {how}: {:.1} s; {}",
            began.elapsed().as_secs_f64(),
            resident(&server)?
        ));
    }
    use_it(&server, streams).await?;
    say(&format!("after that: {}", resident(&server)?));
    Ok(())
}

/// What a client sees that has just been started.
async fn use_it(server: &NatsServer, streams: u64) -> Result<(), Failed> {
    let began = Instant::now();
    let log = logs::jetstream(server).await?;
    say(&format!("opening the log: {:.1?}", began.elapsed()));
    // Streams far from each other, none of them twice.
    let far = |number: u64, series: u64| (number * 7_919 + series * streams / 3) % streams;
    let reading = hammer(1, WITHIN, |_, number| {
        let (log, stream) = (log.clone(), name(far(number, 0)));
        async move {
            let events: Vec<_> = log.read_stream(&stream?, None).try_collect().await?;
            if events.len() == 1 { Ok(()) } else { Err("the stream has not what was written".into()) }
        }
    });
    reading.await?.say("reading a stream, one caller");
    append(&log, "appending to a new stream, one caller", |number| (streams + number, Expected::NoStream))
        .await?;
    append(&log, "appending to one read just now, one caller", |number| {
        (far(number, 0), Expected::Exact(Revision(0)))
    })
    .await?;
    append(&log, "reading an old stream and appending to it", |number| {
        (far(number, 1), Expected::Exact(Revision(0)))
    })
    .await
}

async fn append(
    log: &JetStreamLog,
    what: &str,
    which: impl Fn(u64) -> (u64, Expected),
) -> Result<(), Failed> {
    let measured: Measured = hammer(1, WITHIN, |_, number| {
        let ((stream, expected), log) = (which(number), log.clone());
        async move {
            let (name, envelope) =
                (name(stream)?, envelope(stream, u64::from(expected != Expected::NoStream))?);
            match log.append(&name, expected, envelope).await {
                // Streams are as far from each other as their number allows; few streams are met twice.
                Ok(_) | Err(event_log::AppendError::Conflict { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    })
    .await?;
    measured.say(what);
    Ok(())
}

async fn fill(log: &JetStreamLog, from: u64, to: u64) -> Result<(), Failed> {
    let appends = (from..to).map(|number| {
        let log = log.clone();
        // A task of its own, so that both cores are used.
        tokio::spawn(async move {
            log.append(&name(number)?, Expected::NoStream, envelope(number, 0)?).await?;
            Ok::<_, Failed>(())
        })
    });
    let mut appends = stream::iter(appends).buffer_unordered(CALLERS);
    while let Some(appended) = appends.next().await {
        appended??;
    }
    Ok(())
}

fn id(stream: u64, revision: u64) -> Uuid {
    let parts = [stream, revision].map(u64::to_be_bytes);
    *EventId::from_parts(parts.iter().map(<[u8; 8]>::as_slice)).as_uuid()
}

fn name(stream: u64) -> Result<StreamName, Failed> {
    Ok(StreamName::new("request", &id(stream, 0).to_string())?)
}

fn envelope(stream: u64, revision: u64) -> Result<Envelope, Failed> {
    let body = Bytes::from(vec![7; BODY_BYTES]);
    Ok(Envelope { event_id: id(stream, revision), writer: Writer::new("request")?, body })
}

fn resident(server: &NatsServer) -> Result<String, Failed> {
    let (now, most) = memory::of(server.pid().ok_or("the server has ended")?)?;
    Ok(format!("{now:.0} MiB resident (at most {most:.0})"))
}
