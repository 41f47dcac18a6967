//! An issuer's keys over time: found by discovery, kept, asked for again, given up.
//!
//! INVARIANT: one load at a time. A load is a shared future that its waiters drive together, so that a caller who goes away
//! neither ends it nor wastes it. Callers whose key is known never wait for a load that others began.
//!
//! INVARIANT: unknown key names cause at most one load per `miss_interval`, however many there are.

use crate::fetch::{self, FetchError, HttpFetch};
use crate::{Algorithm, AuthError, IssuerConfig, key_set::KeySet};
use domain::{Timestamp, ports::SharedClock};
use futures::future::{BoxFuture, FutureExt as _, Shared};
use jiff::SignedDuration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use url::Url;

/// Pause after a first failed load; doubles with each further one.
const BACKOFF_FIRST: SignedDuration = SignedDuration::from_secs(1);
const BACKOFF_MAX: SignedDuration = SignedDuration::from_secs(60);
/// Where the keys are is asked for again after so long, and after every failure.
const DISCOVERY_AGE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// The keys of one issuer.
pub(crate) struct IssuerKeys {
    loader: Arc<Loader>,
    load: Mutex<Option<Load>>,
}

type Load = Shared<BoxFuture<'static, ()>>;

/// The keys as they were loaded last; `generation` changes when they do.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) set: Arc<KeySet>,
    pub(crate) generation: u64,
}

struct Loader {
    config: Arc<IssuerConfig>,
    clock: SharedClock,
    fetch: Arc<dyn HttpFetch>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<(Keys, Timestamp)>,
    jwks_uri: Option<(Url, Timestamp)>,
    tried_at: Option<Timestamp>,
    failures: u32,
    /// When the last load began that ended without the key that it was begun for.
    missed_at: Option<Timestamp>,
}

/// The key that a token names.
#[derive(Clone)]
struct Wanted {
    kid: String,
    algorithm: Algorithm,
}

impl Wanted {
    fn is_in(&self, set: &KeySet) -> bool {
        set.find(&self.kid, self.algorithm).is_some()
    }
}

/// How old the keys are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Fresh,
    /// Believed, and due to be asked for again.
    Due,
    /// Absent, or no longer believed.
    Closed,
}

impl IssuerKeys {
    pub(crate) fn new(config: Arc<IssuerConfig>, clock: SharedClock, fetch: Arc<dyn HttpFetch>) -> Self {
        let state = Mutex::default();
        Self { loader: Arc::new(Loader { config, clock, fetch, state }), load: Mutex::default() }
    }

    /// The generation of the keys, if nothing speaks for asking for them again.
    pub(crate) fn fresh_generation(&self, now: Timestamp) -> Option<u64> {
        let (age, keys) = self.loader.look(now);
        keys.filter(|_| age == Age::Fresh).map(|keys| keys.generation)
    }

    /// Keys that hold `kid` for `algorithm`; loads them where that may help.
    pub(crate) async fn holding(&self, kid: &str, algorithm: Algorithm) -> Result<Keys, AuthError> {
        let wanted = Wanted { kid: kid.to_owned(), algorithm };
        let mut began = false;
        // Twice: a load that others began may have asked just before the key was published.
        for _ in 0..2 {
            let now = self.loader.clock.now();
            let (age, keys) = self.loader.look(now);
            let known = keys.filter(|keys| wanted.is_in(&keys.set));
            began = match (age, known) {
                (Age::Fresh, Some(keys)) => return Ok(keys),
                (Age::Due, Some(keys)) => {
                    if !self.refresh_due(&wanted, now).await {
                        return Ok(keys);
                    }
                    true
                }
                (Age::Fresh | Age::Due | Age::Closed, _) => self.load_missing(&wanted, now).await,
            };
            if began {
                break;
            }
        }
        self.loader.conclude(&wanted, began)
    }

    /// Loads the keys if they are absent or past half of their time: what a background task calls, so that no caller has to wait.
    pub(crate) async fn refresh_early(&self) {
        let now = self.loader.clock.now();
        let half = self.loader.config.keys.refresh_after / 2;
        let is_early = self.loader.state().age_of_keys(now).is_some_and(|age| age < half);
        if !is_early && let Some((load, _)) = self.join_or_begin(None, now, |state| state.may_try(now)) {
            load.await;
        }
    }

    /// Whether there are keys to check tokens with.
    pub(crate) fn are_available(&self) -> bool {
        let (age, _) = self.loader.look(self.loader.clock.now());
        age != Age::Closed
    }

    /// The first caller to find the keys due loads them (`true`); the others go on with what is known, and lend the load a hand
    /// in passing in case that its first caller has gone.
    async fn refresh_due(&self, wanted: &Wanted, now: Timestamp) -> bool {
        match self.join_or_begin(Some(wanted), now, |state| state.may_try(now)) {
            Some((load, true)) => {
                load.await;
                true
            }
            Some((load, false)) => {
                let _ = load.now_or_never();
                false
            }
            None => false,
        }
    }

    /// Waits for the load that is under way, or begins one (`true`) if that is allowed by now.
    async fn load_missing(&self, wanted: &Wanted, now: Timestamp) -> bool {
        let config = &self.loader.config;
        let is_due = |state: &mut State| {
            let usable = state.keys.as_ref().filter(|_| state.age(config, now) != Age::Closed);
            let Some((keys, _)) = usable else {
                return state.may_try(now);
            };
            // Otherwise a load that ended a moment ago brought the key, or the interval is spent.
            let is_missing = !wanted.is_in(&keys.set);
            is_missing && state.miss_left(config.keys.miss_interval, now).is_zero() && state.may_try(now)
        };
        match self.join_or_begin(Some(wanted), now, is_due) {
            Some((load, began)) => {
                load.await;
                began
            }
            None => false,
        }
    }

    /// The load that is under way, or a new one if it `is_due`; and whether it is new.
    fn join_or_begin(
        &self,
        wanted: Option<&Wanted>,
        now: Timestamp,
        is_due: impl FnOnce(&mut State) -> bool,
    ) -> Option<(Load, bool)> {
        let mut slot = lock(&self.load);
        if let Some(load) = slot.as_ref().filter(|load| load.peek().is_none()) {
            return Some((load.clone(), false));
        }
        let mut state = self.loader.state();
        if !is_due(&mut state) {
            return None;
        }
        state.tried_at = Some(now);
        drop(state);
        let load = Arc::clone(&self.loader).load(wanted.cloned(), now).boxed().shared();
        *slot = Some(load.clone());
        Some((load, true))
    }
}

impl Loader {
    async fn load(self: Arc<Self>, wanted: Option<Wanted>, started_at: Timestamp) {
        let loaded = self.discover_and_fetch(started_at).await;
        let issuer = self.config.issuer.as_str();
        let mut state = self.state();
        if wanted.is_some_and(|wanted| !loaded.as_ref().is_ok_and(|set| wanted.is_in(set))) {
            state.missed_at = Some(started_at);
        }
        match loaded {
            Ok(set) => {
                state.failures = 0;
                let previous = state.keys.take().map(|(keys, _)| keys);
                let keys = match previous {
                    Some(keys) if keys.set.is_same_as(&set) => keys,
                    previous => {
                        tracing::info!(issuer, keys = set.len(), "issuer has new keys");
                        Keys {
                            set: Arc::new(set),
                            generation: previous.map_or(1, |keys| keys.generation + 1),
                        }
                    }
                };
                state.keys = Some((keys, started_at));
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.jwks_uri = None;
                tracing::warn!(issuer, %error, failures = state.failures, "issuer's keys were not loaded");
            }
        }
    }

    async fn discover_and_fetch(&self, now: Timestamp) -> Result<KeySet, FetchError> {
        let known = self.state().jwks_uri.clone();
        let jwks_uri = match known {
            Some((uri, at)) if now.duration_since(at).abs() < DISCOVERY_AGE_MAX => uri,
            Some(_) | None => self.discover(now).await?,
        };
        let body = fetch::get(&*self.fetch, &jwks_uri, self.config.network).await?;
        KeySet::parse(&body, &self.config.algorithms)
    }

    /// OIDC Discovery §4: where the keys are. §4.3: the document must be of exactly the issuer that was asked for.
    async fn discover(&self, now: Timestamp) -> Result<Url, FetchError> {
        #[derive(serde::Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: Url,
        }
        let base = self.config.issuer.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/.well-known/openid-configuration"))
            .map_err(|_| FetchError::NotAllowed("the issuer is not a URL"))?;
        let body = fetch::get(&*self.fetch, &url, self.config.network).await?;
        let discovery: Discovery =
            serde_json::from_slice(&body).map_err(|_| FetchError::Unusable("not a discovery document"))?;
        if discovery.issuer != self.config.issuer.as_str() {
            return Err(FetchError::Unusable("the discovery document is another issuer's"));
        }
        self.state().jwks_uri = Some((discovery.jwks_uri.clone(), now));
        Ok(discovery.jwks_uri)
    }

    /// The answer after all that could be loaded was.
    fn conclude(&self, wanted: &Wanted, began: bool) -> Result<Keys, AuthError> {
        let now = self.clock.now();
        let state = self.state();
        let backoff = state.backoff_left(now);
        match (state.age(&self.config, now), &state.keys) {
            (Age::Closed, _) | (Age::Fresh | Age::Due, None) => {
                Err(AuthError::KeysUnavailable { retry_after: backoff })
            }
            (Age::Fresh | Age::Due, Some((keys, _))) if wanted.is_in(&keys.set) => Ok(keys.clone()),
            (Age::Fresh | Age::Due, Some(_)) => {
                let is_definite = began && state.failures == 0;
                let pause = state.miss_left(self.config.keys.miss_interval, now).max(backoff);
                Err(AuthError::UnknownKey { retry_after: (!is_definite).then_some(pause) })
            }
        }
    }

    fn look(&self, now: Timestamp) -> (Age, Option<Keys>) {
        let state = self.state();
        let keys = state.keys.as_ref().map(|(keys, _)| keys.clone());
        (state.age(&self.config, now), keys)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Either way of a clock that was set counts: keys from the future are as little proved as old ones.
    fn age_of_keys(&self, now: Timestamp) -> Option<SignedDuration> {
        self.keys.as_ref().map(|(_, at)| now.duration_since(*at).abs())
    }

    fn age(&self, config: &IssuerConfig, now: Timestamp) -> Age {
        match self.age_of_keys(now) {
            Some(age) if age < config.keys.refresh_after => Age::Fresh,
            Some(age) if age < config.keys.age_max => Age::Due,
            Some(_) | None => Age::Closed,
        }
    }

    fn may_try(&self, now: Timestamp) -> bool {
        self.backoff_left(now).is_zero()
    }

    fn backoff_left(&self, now: Timestamp) -> SignedDuration {
        match (self.failures, self.tried_at) {
            (0, _) | (_, None) => SignedDuration::ZERO,
            (failures, Some(at)) => {
                let doublings = 1_i32 << (failures - 1).min(10);
                left((BACKOFF_FIRST * doublings).min(BACKOFF_MAX), at, now)
            }
        }
    }

    fn miss_left(&self, interval: SignedDuration, now: Timestamp) -> SignedDuration {
        self.missed_at.map_or(SignedDuration::ZERO, |at| left(interval, at, now))
    }
}

/// What is left of `pause` that began `at`; nothing once the clock is `pause` away in either direction.
fn left(pause: SignedDuration, at: Timestamp, now: Timestamp) -> SignedDuration {
    (pause - now.duration_since(at).abs()).max(SignedDuration::ZERO)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
