//! From the raising of a request to its access on STS, beside many requests that are active: CreateRequest, the yes of another
//! person, the moment in which the requester sees that it is active, and the first credentials. STS is simulated and answers at
//! once, so what is measured is Daypass.
//!
//! The requester hears of it as with a portal: by one watch of their requests, which is open all the time.

use crate::daypass::{Bearer, Daypass, channels, with};
use crate::limits::Limits;
use crate::{Failed, Measured, Quantiles, create, logs, say, stories};
use api::activation::v1::activation_service_client::ActivationServiceClient;
use api::activation::v1::{ActiveScope, IssueCredentialsRequest, WatchActiveRequest};
use api::approval::v1::ApproveRequest;
use api::approval::v1::approval_service_client::ApprovalServiceClient;
use api::request::v1::request_service_client::RequestServiceClient;
use api::request::v1::{RequestFilter, RequestScope, WatchRequestsRequest};
use api::types::v1::AccessPhase;
use domain::ports::Clock as _;
use domain::{AskedWindow, EventId, Provider, RequestId, SignedDuration, Target, Window};
use event_log::EventLog;
use futures::{StreamExt as _, TryStreamExt as _};
use journal::{Fact, Service, Stream};
use lifecycle::RequestEvent;
use lifecycle::event::Requested;
use service_runtime::clock::SystemClock;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use test_servers::nats::{NatsOptions, NatsServer};
use tokio::sync::broadcast;
use tokio::time::Instant;
use tonic::transport::Channel;

/// DESIGN §17.
const SQLITE_BUDGET: Duration = Duration::from_millis(25);
const JETSTREAM_BUDGET: Duration = Duration::from_millis(50);
/// A role of the sample organisation, for which one approver needs to agree.
const ACCOUNT: &str = "111111111111";
const ROLE: &str = "arn:aws:iam::111111111111:role/daypass/ReadOnly";
/// The rule that says so.
const RULE: &str = "production-role";
/// The accounts that the others are in.
const OTHER_ACCOUNTS: u64 = 5_000;
/// Active requests of each of the others.
const OTHERS_EACH: u64 = 20;
/// For how long they are active: beyond what is measured.
const OTHERS_DURATION: SignedDuration = SignedDuration::from_hours(20);
/// Requests before those that are measured: the first ones read keys, compile the policy, and claim the duty.
const WARMING: usize = 100;
/// How long raw calls and raw appends are measured, each.
const RAW_WITHIN: Duration = Duration::from_secs(5);
/// How long a request may take until it is active.
const ACTIVE_WITHIN: Duration = Duration::from_mins(1);
/// What is kept of what was seen for a caller who has not looked yet: far more than callers.
const SEEN_MAX: usize = 1_024;

/// A request that is active, and when that was seen.
type Seen = (String, Instant);

pub(crate) async fn run(live: u64, requests: usize, callers: usize, nats: bool) -> Result<(), Failed> {
    let budget = if nats { JETSTREAM_BUDGET } else { SQLITE_BUDGET };
    say(&format!(
        "raised, approved, active on STS on {}, {requests} requests per part, beside {live} active ones, load generator included",
        logs::engine(nats)
    ));
    let limits = Limits::measure(callers, RAW_WITHIN, nats).await?;
    let server = logs::nats_server(nats, NatsOptions::default()).await?;
    let folder = Arc::new(tempfile::tempdir()?);
    write_others(server.as_ref(), folder.path(), live).await?;
    let more: Vec<String> = server.iter().flat_map(logs::nats_arguments).collect();
    let daypass = Daypass::start_in(folder, None, &more).await?;
    daypass.ready().await?;
    let there = count_active(&daypass).await?;
    if there != live {
        return Err(format!("{there} requests are active, and not {live}").into());
    }
    let caller = Caller::new(&daypass).await?;
    part(&caller, callers, WARMING, "warm").await?;
    let one = part(&caller, 1, requests, "one").await?;
    one.say("one caller", budget);
    let few = part(&caller, callers, requests, "few").await?;
    few.say(&format!("{callers} callers"), budget);
    limits.say_median(&one.until_active(), None);
    let (now, most) = daypass.memory()?;
    say(&format!("memory of the process: {now:.0} MiB, at most {most:.0} MiB"));
    Ok(())
}

/// Writes the others into a log that nobody has open yet.
async fn write_others(server: Option<&NatsServer>, folder: &Path, live: u64) -> Result<(), Failed> {
    say(&format!("writing {live} active requests"));
    let log = logs::open(server, folder).await?;
    let now = SystemClock.now();
    let window = Window::new(now, now.checked_add(OTHERS_DURATION)?)?;
    futures::stream::iter(0..live)
        .map(|number| write_other(&log, number, window))
        .buffer_unordered(256)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn write_other(log: &Arc<dyn EventLog>, number: u64, window: Window) -> Result<(), Failed> {
    let at = window.start();
    let account = format!("7{:011}", number % OTHER_ACCOUNTS);
    let role = format!("arn:aws:iam::{account}:role/daypass/ReadOnly");
    let id = RequestId::from_parts([b"other".as_slice(), number.to_be_bytes().as_slice()]);
    let raiser = stories::human("https://idp.example", &format!("person-{}", number / OTHERS_EACH))?;
    let key = stories::key(&raiser.person);
    let policy_event = EventId::from_parts([b"policy".as_slice()]);
    let grounds = stories::grounds(RULE, policy_event, Provider::Sts)?;
    let requested = Requested {
        asked: AskedWindow { start: None, duration: window.duration() },
        chain_duration: window.duration(),
        ..stories::requested(id, &raiser, &key, Target::parse(&account, &role)?, at, grounds)?
    };
    let facts = [
        (Service::Request, RequestEvent::Requested(Box::new(requested))),
        (Service::Approval, RequestEvent::Approved(stories::approved(window, policy_event))),
        (Service::Activation, RequestEvent::Activated(stories::activated(window, Provider::Sts)?)),
    ];
    let facts = facts.map(|(service, fact)| (service, Fact::Request(fact)));
    stories::write(log.as_ref(), &Stream::Request(id), stories::at_once(facts, None, at)).await?;
    Ok(())
}

/// How many requests are active, as an auditor is told. Activation answers when it has taken up all of them.
async fn count_active(daypass: &Daypass) -> Result<u64, Failed> {
    let message = WatchActiveRequest { scope: ActiveScope::All.into(), ..WatchActiveRequest::default() };
    let mut client = ActivationServiceClient::new(connection(daypass).await?);
    let mut told = client.watch_active(with(&daypass.bearer("eve")?, message)).await?.into_inner();
    let mut count = 0;
    while let Some(next) = told.message().await? {
        if next.caught_up {
            return Ok(count);
        }
        if next.request.is_some_and(|request| request.access_phase() == AccessPhase::Active) {
            count += 1;
        }
    }
    Err("not all that is active was told".into())
}

async fn connection(daypass: &Daypass) -> Result<Channel, Failed> {
    channels(&daypass.url, 1).await?.pop().ok_or_else(|| "no channel".into())
}

/// Ada, who asks, and Bob, who agrees.
struct Caller {
    channel: Channel,
    requester: Bearer,
    approver: Bearer,
    seen: broadcast::Receiver<Seen>,
}

impl Caller {
    async fn new(daypass: &Daypass) -> Result<Self, Failed> {
        let (requester, approver) = (daypass.bearer("ada")?, daypass.bearer("bob")?);
        let seen = watch(connection(daypass).await?, &requester).await?;
        Ok(Self { channel: connection(daypass).await?, requester, approver, seen })
    }

    /// The same people, at another desk.
    fn another(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            requester: self.requester.clone(),
            approver: self.approver.clone(),
            seen: self.seen.resubscribe(),
        }
    }

    /// One request, from its raising to its first credentials.
    async fn request(&mut self, key: String) -> Result<Times, Failed> {
        let began = Instant::now();
        let ask = create::ask(key.clone(), ACCOUNT, ROLE);
        let mut requests = RequestServiceClient::new(self.channel.clone());
        let answer = requests.create_request(with(&self.requester, ask)).await?.into_inner();
        let raised = began.elapsed();
        let request_id = answer.request.ok_or("no request")?.request_id;
        let yes = ApproveRequest {
            idempotency_key: key.clone(),
            request_id: request_id.clone(),
            ..ApproveRequest::default()
        };
        let mut approvals = ApprovalServiceClient::new(self.channel.clone());
        approvals.approve(with(&self.approver, yes)).await?;
        let approved = began.elapsed();
        let active = self.active_at(&request_id).await?.duration_since(began);
        let message = IssueCredentialsRequest { idempotency_key: key, request_id, duration: None };
        let mut access = ActivationServiceClient::new(self.channel.clone());
        access.issue_credentials(with(&self.requester, message)).await?;
        Ok(Times { raised, approved, active, credentials: began.elapsed() })
    }

    /// When a request was seen to be active, perhaps before this asks.
    async fn active_at(&mut self, request_id: &str) -> Result<Instant, Failed> {
        let seen = async {
            loop {
                let (id, at) = self.seen.recv().await?;
                if id == request_id {
                    return Ok::<_, Failed>(at);
                }
            }
        };
        tokio::time::timeout(ACTIVE_WITHIN, seen).await.map_err(|_| "a request was not active in time")?
    }
}

/// Watches the requests of whoever has this token, and tells of each that is active.
async fn watch(channel: Channel, bearer: &Bearer) -> Result<broadcast::Receiver<Seen>, Failed> {
    let filter = RequestFilter { scope: RequestScope::Own.into(), ..RequestFilter::default() };
    let message = WatchRequestsRequest { filter: Some(filter), ..WatchRequestsRequest::default() };
    let mut client = RequestServiceClient::new(channel);
    let mut told = client.watch_requests(with(bearer, message)).await?.into_inner();
    let (tell, seen) = broadcast::channel(SEEN_MAX);
    // When the watch ends, so does what tells of it, and nobody waits in vain.
    tokio::spawn(async move {
        while let Ok(Some(next)) = told.message().await {
            let active = next.request.filter(|request| request.access_phase() == AccessPhase::Active);
            if let Some(request) = active {
                // At the very end nobody may be left who waits.
                let _ = tell.send((request.request_id, Instant::now()));
            }
        }
    });
    Ok(seen)
}

/// What came how long after the call of CreateRequest.
struct Times {
    /// Its answer.
    raised: Duration,
    /// The answer to Approve.
    approved: Duration,
    /// The message by which the requester sees that the request is active: perhaps before the approver has an answer.
    active: Duration,
    /// Credentials, which are asked for after both.
    credentials: Duration,
}

/// What was measured together.
struct Part {
    times: Vec<Times>,
    took: Duration,
}

/// So many requests by so many callers at a time, each of whom begins one when theirs before is over.
async fn part(caller: &Caller, callers: usize, requests: usize, series: &str) -> Result<Part, Failed> {
    let began = Instant::now();
    let tasks = (0..callers).map(|first| {
        let mut caller = caller.another();
        let keys = (first..requests).step_by(callers).map(|number| format!("{series}-{number}"));
        let keys: Vec<String> = keys.collect();
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(keys.len());
            for key in keys {
                times.push(caller.request(key).await?);
            }
            Ok::<_, Failed>(times)
        })
    });
    let done = futures::future::try_join_all(tasks).await?;
    let took = began.elapsed();
    let mut times = Vec::with_capacity(requests);
    for of_one in done {
        times.extend(of_one?);
    }
    Ok(Part { times, took })
}

impl Part {
    fn say(&self, who: &str, budget: Duration) {
        let what = [
            ("CreateRequest is answered", self.quantiles(|times| times.raised), String::new()),
            ("Approve is answered", self.quantiles(|times| times.approved), String::new()),
            (
                "it is seen to be active",
                self.quantiles(|times| times.active),
                format!("  budget: p99 {budget:?}"),
            ),
            ("credentials are there", self.quantiles(|times| times.credentials), String::new()),
        ];
        for (what, quantiles, budget) in what {
            say(&format!("{who}, {what:<25}  {quantiles}  ({} requests){budget}", self.times.len()));
        }
    }

    fn quantiles(&self, of: impl Fn(&Times) -> Duration) -> Quantiles {
        Quantiles::of(self.times.iter().map(of).collect())
    }

    fn until_active(&self) -> Measured {
        Measured::new(self.times.iter().map(|times| times.active).collect(), self.took)
    }
}
