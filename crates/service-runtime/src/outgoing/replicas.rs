//! The replicas of a neighbour: every address that its names stand for now. Calls go to one after the other; one that failed is
//! left in peace for a while, as long as there are others.
//!
//! INVARIANT: while an address is known, at most one call at a time waits for names to be looked up; the others go to what is known.
//!
//! INVARIANT: connections are made with the certificates of the day. When those are renewed, calls go over new connections, and what
//! is under way on old ones is finished there.

use super::{ConnectError, ended_with};
use crate::config::{ClientCertificateConfig, NeighbourConfig};
use crate::tls::{self, Reloading};
use futures::future::{BoxFuture, join_all};
use http::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{BoxError, Service as _, ServiceExt as _};

/// A connection, keys agreed on, is tried for so long.
const CONNECT_DURATION_MAX: Duration = Duration::from_secs(5);
/// A silent connection is probed after so long, and given up when the probe stays unanswered for as long: a replica that went away
/// silently, or is paused, is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Names are looked up again after so long: as long as DNS of Kubernetes is commonly cached.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(10);
/// A look-up may take so long; then the addresses of before stand.
const LOOK_UP_DURATION_MAX: Duration = Duration::from_secs(2);
/// A replica that failed is not called for so long, if there is another.
const REST: Duration = Duration::from_secs(5);

/// A neighbour.
pub(super) struct Replicas {
    places: Vec<Place>,
    tls: Option<Reloading<ClientConfig>>,
    look_up: LookUp,
    /// Whose call looks names up.
    looking: Mutex<()>,
    /// Held for moments.
    known: std::sync::Mutex<Known>,
}

/// What finds the addresses of a host and a port.
type LookUp = fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// Where a URL says that it is.
#[derive(Clone)]
struct Place {
    /// As calls name it.
    origin: Uri,
    host: String,
    port: u16,
    secure: bool,
}

#[derive(Default)]
struct Known {
    replicas: BTreeMap<(usize, SocketAddr), Replica>,
    /// When it was begun to look names up.
    looked_up_at: Option<Instant>,
    /// How often names were looked up to the end.
    look_ups: u64,
    /// What the connections were made with.
    tls: Option<Arc<ClientConfig>>,
    /// The replica that was called last.
    last: Option<(usize, SocketAddr)>,
}

struct Replica {
    channel: Channel,
    rests_until: Option<Instant>,
}

/// What is wrong with a URL of a neighbour.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    place(url).map(|_| ())
}

fn place(url: &str) -> Result<Place, String> {
    let wrong = || "must be a URL of http or https, without a path".to_owned();
    let origin: Uri = url.parse().map_err(|_| wrong())?;
    let secure = match origin.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) | None => return Err(wrong()),
    };
    if !matches!(origin.path(), "" | "/") || origin.query().is_some() {
        return Err(wrong());
    }
    let host = origin.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let port = origin.port_u16().unwrap_or(if secure { 443 } else { 80 });
    Ok(Place { origin, host, port, secure })
}

impl Replicas {
    pub(super) fn new(
        neighbour: &NeighbourConfig,
        own: Option<&ClientCertificateConfig>,
    ) -> Result<Self, ConnectError> {
        let places: Result<Vec<Place>, String> = neighbour.address.iter().map(place).collect();
        let places = places.map_err(ConnectError::Address)?;
        let secure = places.iter().any(|place| place.secure);
        let tls = secure.then(|| tls::client::of_neighbour(neighbour, own)).transpose()?;
        let (looking, known) = (Mutex::default(), std::sync::Mutex::default());
        Ok(Self { places, tls, look_up: by_dns, looking, known })
    }

    /// Calls one replica, once.
    pub(super) async fn call(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (name, mut channel) = self.next().await?;
        let answer = async { channel.ready().await?.call(request).await }.await;
        if answer.as_ref().map_or(true, |answer| ended_with(answer, tonic::Code::Unavailable)) {
            self.let_rest(name);
        }
        Ok(answer?)
    }

    /// Whose turn it is.
    async fn next(&self) -> Result<((usize, SocketAddr), Channel), BoxError> {
        self.learn().await;
        let mut known = self.known();
        self.renew(&mut known);
        let turn = known.turn(Instant::now()).ok_or_else(|| {
            let names: Vec<String> = self.places.iter().map(|place| place.origin.to_string()).collect();
            io::Error::new(io::ErrorKind::NotFound, format!("{} stands for no address", names.join(", ")))
        })?;
        known.last = Some(turn.0);
        Ok(turn)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns the addresses anew, if that was long ago. One call does; only who knows none waits for it. What cannot be looked up stays
    /// as it was.
    async fn learn(&self) {
        let (is_in_need, look_ups) = {
            let known = self.known();
            (known.replicas.is_empty(), known.look_ups)
        };
        let turn = if is_in_need { Some(self.looking.lock().await) } else { self.looking.try_lock().ok() };
        let Some(_turn) = turn else { return };
        if !self.known().begin(look_ups) {
            return;
        }
        // All at once: each that hangs takes the whole time.
        let found = join_all(self.places.iter().map(|place| self.addresses(place))).await;
        let mut known = self.known();
        known.look_ups += 1;
        for (index, (place, found)) in self.places.iter().zip(found).enumerate() {
            let Some(found) = found else { continue };
            known.replicas.retain(|(of, address), _| *of != index || found.contains(address));
            for address in found {
                let made = || Replica { channel: self.channel(place, address), rests_until: None };
                known.replicas.entry((index, address)).or_insert_with(made);
            }
        }
    }

    /// What a name stands for; `None`: that cannot be told now.
    async fn addresses(&self, place: &Place) -> Option<Vec<SocketAddr>> {
        let found = timeout(LOOK_UP_DURATION_MAX, (self.look_up)(place.host.clone(), place.port)).await;
        match found.map_err(io::Error::from).flatten() {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::debug!(host = place.host, %error, "a neighbour's name cannot be looked up");
                None
            }
        }
    }

    /// Makes new connections, if the certificates are others.
    fn renew(&self, known: &mut Known) {
        let Some(current) = self.tls.as_ref().map(Reloading::current) else { return };
        if known.tls.as_ref().is_some_and(|before| !Arc::ptr_eq(before, &current)) {
            for ((index, address), replica) in &mut known.replicas {
                if let Some(place) = self.places.get(*index) {
                    replica.channel = self.channel(place, *address);
                }
            }
        }
        known.tls = Some(current);
    }

    fn let_rest(&self, name: (usize, SocketAddr)) {
        if let Some(replica) = self.known().replicas.get_mut(&name) {
            replica.rests_until = Some(Instant::now() + REST);
        }
    }

    /// A connection that is made when it is needed, with what is configured now.
    fn channel(&self, place: &Place, address: SocketAddr) -> Channel {
        let tls = self.tls.as_ref().filter(|_| place.secure).map(Reloading::current);
        let host = place.host.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let (tls, host) = (tls.clone(), host.clone());
            async move {
                let connected = timeout(CONNECT_DURATION_MAX, connect(address, tls, host)).await;
                connected.map_err(io::Error::from).flatten().map(TokioIo::new)
            }
        });
        // Plain for tonic: TLS is the connector's.
        Endpoint::from(Uri::from_static("http://neighbour"))
            .origin(place.origin.clone())
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_INTERVAL)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(connector)
    }
}

impl Known {
    /// Begins a look-up, if one is due. It is not if another has ended since `look_ups` was read: what that found has to do, though it
    /// be nothing. One that was given up with its call has not ended, and counts for those who know an address.
    fn begin(&mut self, look_ups: u64) -> bool {
        let is_fresh = self.looked_up_at.is_some_and(|at| at.elapsed() < LOOK_UP_AGAIN);
        if self.look_ups != look_ups || (is_fresh && !self.replicas.is_empty()) {
            return false;
        }
        self.looked_up_at = Some(Instant::now());
        true
    }

    /// The next in order after the last that was called, and that need not rest; if all must, the next.
    fn turn(&self, now: Instant) -> Option<((usize, SocketAddr), Channel)> {
        let later = self.replicas.iter().filter(|(name, _)| Some(**name) > self.last);
        let earlier = self.replicas.iter().filter(|(name, _)| Some(**name) <= self.last);
        let in_order: Vec<_> = later.chain(earlier).collect();
        let rested =
            in_order.iter().find(|(_, replica)| replica.rests_until.is_none_or(|until| until <= now));
        let (name, replica) = rested.or(in_order.first())?;
        Some((**name, replica.channel.clone()))
    }
}

fn by_dns(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move {
        let found: Vec<SocketAddr> = lookup_host((host.as_str(), port)).await?.collect();
        Ok(found)
    })
}

async fn connect(
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    host: String,
) -> io::Result<Either<TcpStream, Box<tokio_rustls::client::TlsStream<TcpStream>>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Either::Left(stream)) };
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls).connect(name, stream).await?;
    Ok(Either::Right(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Addresses;

    /// Everything stands for this machine, but names that are never answered.
    fn half_dead(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            if host.starts_with("hangs") {
                std::future::pending::<()>().await;
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        })
    }

    fn replicas(hosts: &[&str]) -> Replicas {
        let urls = hosts.iter().map(|host| format!("http://{host}:1")).collect();
        let neighbour = NeighbourConfig { address: Addresses::Several(urls), ca_file: None, spiffe_id: None };
        Replicas { look_up: half_dead, ..Replicas::new(&neighbour, None).unwrap() }
    }

    /// Whether there is an address to call, and for how many seconds that was waited for.
    async fn waited(replicas: &Replicas) -> (bool, u64) {
        let began = Instant::now();
        let is_there = replicas.next().await.is_ok();
        (is_there, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_hang_hold_up_one_call_for_the_time_of_one_while_an_address_is_known() {
        let replicas = replicas(&["there", "hangs-1", "hangs-2"]);
        assert_eq!(waited(&replicas).await, (true, 2), "both names at the same time");
        assert_eq!(waited(&replicas).await, (true, 0), "what is known is fresh");
        tokio::time::advance(LOOK_UP_AGAIN).await;
        let calls = tokio::join!(waited(&replicas), waited(&replicas), waited(&replicas));
        assert_eq!(calls, ((true, 2), (true, 0), (true, 0)));
        assert_eq!(waited(&replicas).await, (true, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_know_no_address_share_one_look_up() {
        let replicas = replicas(&["hangs"]);
        let calls = tokio::join!(waited(&replicas), waited(&replicas), waited(&replicas));
        assert_eq!(calls, ((false, 2), (false, 2), (false, 2)));
        assert_eq!(waited(&replicas).await, (false, 2), "the next looks anew");
    }

    /// Its call may have had less time than a look-up takes.
    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_was_given_up_is_made_again_only_for_who_knows_no_address() {
        let known = replicas(&["there", "hangs"]);
        assert_eq!(waited(&known).await, (true, 2));
        tokio::time::advance(LOOK_UP_AGAIN).await;
        assert!(timeout(Duration::from_secs(1), known.next()).await.is_err());
        assert_eq!(waited(&known).await, (true, 0));

        let unknown = replicas(&["there", "hangs"]);
        let given_up = timeout(Duration::from_secs(1), unknown.next());
        let (given_up, waiting) = tokio::join!(given_up, waited(&unknown));
        assert!(given_up.is_err());
        assert_eq!(waiting, (true, 3));
    }
}
