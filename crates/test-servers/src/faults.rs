//! A reverse proxy before an AWS emulator that fails as AWS does: throttled, 500, slow, the connection lost before or after the
//! call took effect. Which call fails how is chosen by a seed. It can keep calls on their way, too, and refuse old signatures, which
//! emulators do not look at.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The largest body of a call or an answer.
const BODY_MAX: u64 = 4 << 20;

/// How long a call is kept without an answer that it will not get: longer than its caller waits.
const HELD_FOR: Duration = Duration::from_secs(12);

/// Of a thousand calls to the operations named, so many meet each fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Refused with `ThrottlingException`.
    pub throttled: u16,
    /// Answered 500, without effect.
    pub failed: u16,
    /// The connection is closed before the call arrives.
    pub lost: u16,
    /// The call takes effect, and the connection is closed without an answer.
    pub unanswered: u16,
    /// The call takes effect, and no answer comes until the caller gives up.
    pub held: u16,
    /// The longest that any call is late.
    pub delay_max: Duration,
}

/// How often each fault has struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Struck {
    /// Calls of the operations named.
    pub calls: u64,
    /// Calls that did not get their answer.
    pub faults: u64,
}

/// A call that came through to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its `X-Amz-Target`.
    pub operation: String,
    /// Whether AWS took its signature; otherwise it had no effect.
    pub taken: bool,
}

/// Whether AWS takes a signature that was made at this `X-Amz-Date`, when it arrives.
type Takes = Box<dyn Fn(&str) -> bool + Send>;

struct State {
    rates: Rates,
    chance: u64,
    struck: Struck,
    /// Which calls are kept on their way.
    gate: watch::Sender<Option<&'static str>>,
    /// How many are.
    on_their_way: usize,
    arrivals: Vec<Arrival>,
    /// `None`: every signature is good.
    takes: Option<Takes>,
}

#[derive(Clone, Copy)]
enum Fate {
    Answered,
    Throttled,
    Failed,
    Lost,
    Unanswered,
    Held,
}

/// The proxy. Stops when dropped.
#[derive(Debug)]
pub struct FaultyProxy {
    address: SocketAddr,
    state: Shared,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl FaultyProxy {
    /// Forwards to `target`, an `http://` URL. Calls whose `X-Amz-Target` contains `operations` meet faults, others do not.
    #[expect(clippy::disallowed_methods, reason = "a server of its own, ended when it is dropped")]
    pub async fn start(target: &str, operations: &'static str, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = State {
            rates: Rates::default(),
            chance: seed | 1,
            struck: Struck::default(),
            gate: watch::Sender::new(None),
            on_their_way: 0,
            arrivals: Vec::new(),
            takes: None,
        };
        let state = Shared(Arc::new(Mutex::new(state)));
        let client = reqwest::Client::builder().no_proxy().build().map_err(std::io::Error::other)?;
        let (target, shared) = (target.trim_end_matches('/').to_owned(), state.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (client, target, shared) = (client.clone(), target.clone(), shared.clone());
                connections.spawn(async move {
                    // A caller that goes away in the middle is what this is about.
                    let _ = serve(stream, &client, &target, operations, &shared).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, state, task })
    }

    /// Where it is reached.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, faults strike so often.
    pub fn set(&self, rates: Rates) {
        self.state.lock().rates = rates;
    }

    /// No more faults.
    pub fn heal(&self) {
        self.set(Rates::default());
    }

    /// How often faults have struck.
    pub fn struck(&self) -> Struck {
        self.state.lock().struck
    }

    /// From now on, calls whose `X-Amz-Target` contains `operation` have left their caller and do not arrive, until [`release`](Self::release).
    pub fn hold(&self, operation: &'static str) {
        self.state.lock().gate.send_replace(Some(operation));
    }

    /// How many calls are on their way.
    pub fn on_their_way(&self) -> usize {
        self.state.lock().on_their_way
    }

    /// What is on its way arrives, and what follows is not kept.
    pub fn release(&self) {
        self.state.lock().gate.send_replace(None);
    }

    /// From now on, AWS refuses signatures that it does not take when they arrive: `takes` is told the `X-Amz-Date` of each.
    pub fn take_signatures(&self, takes: impl Fn(&str) -> bool + Send + 'static) {
        self.state.lock().takes = Some(Box::new(takes));
    }

    /// The calls to the operations named that came through to AWS, the first first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.state.lock().arrivals.clone()
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of the next call, and how late.
    fn fate(&self) -> (Fate, Duration) {
        let mut state = self.lock();
        let rates = state.rates;
        state.struck.calls += 1;
        let mut left = u16::try_from(state.next() % 1_000).unwrap_or_default();
        let fates = [
            (rates.throttled, Fate::Throttled),
            (rates.failed, Fate::Failed),
            (rates.lost, Fate::Lost),
            (rates.unanswered, Fate::Unanswered),
            (rates.held, Fate::Held),
        ];
        let mut fate = Fate::Answered;
        for (rate, of) in fates {
            if left < rate {
                fate = of;
                state.struck.faults += 1;
                break;
            }
            left -= rate;
        }
        let delay_max = u64::try_from(rates.delay_max.as_millis()).unwrap_or(u64::MAX);
        let delay = if delay_max == 0 { 0 } else { state.next() % delay_max };
        (fate, Duration::from_millis(delay))
    }

    /// Returns once a call is not kept any more.
    async fn on_its_way(&self, call: &Received) {
        let operation = call.operation();
        let is_kept = |gate: Option<&'static str>| gate.is_some_and(|kept| operation.contains(kept));
        let mut gate = self.lock().gate.subscribe();
        if !is_kept(*gate.borrow()) {
            return;
        }
        self.lock().on_their_way += 1;
        // The gate is there for as long as the proxy is.
        drop(gate.wait_for(|gate| !is_kept(*gate)).await);
        self.lock().on_their_way -= 1;
    }

    /// Takes note that a call arrives; says whether AWS takes its signature.
    fn arrives(&self, call: &Received) -> bool {
        let signed = call.header("x-amz-date").unwrap_or_default();
        let mut state = self.lock();
        let taken = state.takes.as_ref().is_none_or(|takes| takes(signed));
        state.arrivals.push(Arrival { operation: call.operation().to_owned(), taken });
        taken
    }
}

impl State {
    /// Marsaglia's xorshift: enough to choose faults by.
    fn next(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }
}

/// A call, as it came.
struct Received {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// What is called.
    fn operation(&self) -> &str {
        self.header("x-amz-target").unwrap_or_default()
    }
}

async fn serve(
    stream: TcpStream,
    client: &reqwest::Client,
    target: &str,
    operations: &str,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(call) = receive(&mut stream).await? {
        let concerned = call.operation().contains(operations);
        let (fate, delay) = if concerned { shared.fate() } else { (Fate::Answered, Duration::ZERO) };
        tokio::time::sleep(delay).await;
        let answer = match fate {
            Fate::Lost => return Ok(()),
            Fate::Throttled => refusal("400 Bad Request", "ThrottlingException"),
            Fate::Failed => refusal("500 Internal Server Error", "InternalServerException"),
            Fate::Answered | Fate::Unanswered | Fate::Held => {
                if concerned {
                    shared.on_its_way(&call).await;
                }
                if concerned && !shared.arrives(&call) {
                    refusal("403 Forbidden", "InvalidSignatureException")
                } else {
                    forward(client, target, call).await?
                }
            }
        };
        match fate {
            Fate::Unanswered => return Ok(()),
            Fate::Held => {
                tokio::time::sleep(HELD_FOR).await;
                return Ok(());
            }
            Fate::Answered | Fate::Throttled | Fate::Failed | Fate::Lost => {}
        }
        stream.get_mut().write_all(&answer).await?;
    }
    Ok(())
}

async fn receive(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(invalid()) };
    let mut call = Received { method, path, headers: Vec::new(), body: Vec::new() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(invalid)?;
        call.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = call.header("content-length").map_or(Ok(0), str::parse::<u64>).map_err(|_| invalid())?;
    if length > BODY_MAX {
        return Err(invalid());
    }
    stream.take(length).read_to_end(&mut call.body).await?;
    Ok(Some(call))
}

async fn forward(client: &reqwest::Client, target: &str, call: Received) -> std::io::Result<Vec<u8>> {
    let method = call.method.parse::<reqwest::Method>().map_err(std::io::Error::other)?;
    let mut request = client.request(method, format!("{target}{}", call.path));
    for (name, value) in &call.headers {
        let hop = ["host", "connection", "content-length", "transfer-encoding", "expect"];
        if !hop.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
            request = request.header(name, value);
        }
    }
    let answer = request.body(call.body).send().await.map_err(std::io::Error::other)?;
    let mut head = vec![format!("HTTP/1.1 {}", answer.status())];
    for (name, value) in answer.headers() {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            head.push(format!("{name}: {}", value.to_str().unwrap_or_default()));
        }
    }
    let body = answer.bytes().await.map_err(std::io::Error::other)?;
    head.push(format!("content-length: {}\r\n\r\n", body.len()));
    Ok([head.join("\r\n").as_bytes(), &body].concat())
}

fn refusal(status: &str, code: &str) -> Vec<u8> {
    let body = format!("{{\"__type\":\"{code}\",\"message\":\"planted\"}}");
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &str = "Example.CreateAccountAssignment";

    /// A proxy before nothing at all: what it would forward fails.
    async fn proxy() -> FaultyProxy {
        FaultyProxy::start("http://127.0.0.1:9", "AccountAssignment", 1).await.unwrap()
    }

    /// The status that a call is answered with, if it is answered.
    async fn status(endpoint: String, operation: &'static str) -> Option<u16> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let call = client.post(endpoint).header("x-amz-target", operation).header("x-amz-date", "then");
        call.body("{}").send().await.ok().map(|answer| answer.status().as_u16())
    }

    #[tokio::test]
    async fn a_call_that_is_kept_arrives_when_it_is_released_and_its_signature_is_judged_then() {
        let proxy = proxy().await;
        proxy.hold("CreateAccountAssignment");
        let kept = status(proxy.endpoint(), CREATE);
        let meanwhile = async {
            while proxy.on_their_way() == 0 {
                tokio::task::yield_now().await;
            }
            assert!(proxy.arrivals().is_empty());
            // Another call is not kept; nobody is there to answer it.
            assert_eq!(status(proxy.endpoint(), "Example.DeleteAccountAssignment").await, None);
            proxy.take_signatures(|signed| signed != "then");
            proxy.release();
        };
        let (status, ()) = tokio::join!(kept, meanwhile);
        assert_eq!(status, Some(403));
        let arrived: Vec<bool> = proxy.arrivals().iter().map(|arrival| arrival.taken).collect();
        assert_eq!((arrived, proxy.on_their_way()), (vec![true, false], 0));
    }
}
