//! A server that speaks Account Access Manager's protocol: what AWS documents of it, with faults on demand.
//!
//! Changes take effect while they are looked at: time passes with every look, so that nothing has to wait for the clock.

use crate::support::WallClock;
use domain::ports::Clock;
use domain::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(crate) const APPLICATION: &str =
    "arn:aws:account-access:us-east-1:999999999999:application/app-1111111111111111";

/// Looks from a change to its effect.
const LOOKS: u32 = 3;

/// How old a signature may be.
const SIGNATURE_AGE_MAX: SignedDuration = SignedDuration::from_mins(5);

const CREATED_AT: &str = "2026-01-01T00:00:00Z";

/// What happens to one call instead of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// An error, and no effect.
    Refused(u16, &'static str),
    /// The effect, and no answer.
    AnswerLost,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entitlement {
    role: String,
    /// `userId` or `groupId`, and the id.
    principal: (String, String),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Applications: the Identity Center instance of each, and its status.
    pub(crate) applications: BTreeMap<String, (String, &'static str)>,
    pub(crate) users: BTreeSet<String>,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) faults: VecDeque<Fault>,
    entitlements: BTreeMap<String, Entitlement>,
    coming: BTreeMap<String, (Entitlement, u32)>,
    going: BTreeMap<String, u32>,
    made: u32,
}

/// The server. Shared with the test, which owns what it knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Double(Arc<Mutex<State>>);

type Answer = Result<(u16, Value), (u16, &'static str)>;

impl Double {
    /// Begins to serve, with one active application of `instance`.
    pub(crate) async fn serve(&self, instance: &str) -> MockServer {
        self.with(|state| {
            state.applications.insert(APPLICATION.to_owned(), (instance.to_owned(), "ACTIVE"));
        });
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(self.clone()).mount(&server).await;
        server
    }

    /// Looks at, or changes, what it knows.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// An entitlement that others made.
    pub(crate) fn standing(&self, role: &str, kind: &str, id: &str) {
        let principal = (kind.to_owned(), id.to_owned());
        self.with(|state| {
            state.made += 1;
            let entitlement = Entitlement { role: role.to_owned(), principal };
            state.entitlements.insert(format!("standing-{}", state.made), entitlement);
        });
    }
}

impl Respond for Double {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let fault = state.faults.pop_front();
        let answer = match fault {
            Some(Fault::Refused(status, code)) => Err((status, code)),
            Some(Fault::AnswerLost) | None => {
                signature(request).and_then(|()| state.answer(request).unwrap_or(Err(INVALID)))
            }
        };
        let answer = match answer {
            Ok((204, _)) => ResponseTemplate::new(204),
            Ok((status, body)) => ResponseTemplate::new(status).set_body_json(body),
            Err((status, code)) => ResponseTemplate::new(status)
                .insert_header("x-amzn-errortype", code)
                .set_body_json(json!({"message": "because"})),
        };
        match fault {
            Some(Fault::AnswerLost) => answer.set_delay(Duration::from_mins(5)),
            Some(Fault::Refused(..)) | None => answer,
        }
    }
}

const INVALID: (u16, &str) = (400, "ValidationException");
const NOT_FOUND: (u16, &str) = (404, "ResourceNotFoundException");

/// For this service, and fresh.
fn signature(request: &Request) -> Result<(), (u16, &'static str)> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let date = header("x-amz-date");
    let scope = format!("/{}/us-east-1/account-access/aws4_request,", date.get(..8).unwrap_or(""));
    if !header("authorization").contains(&scope) {
        return Err((403, "InvalidSignatureException"));
    }
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or("");
    let (day, time) = (
        format!("{}-{}-{}", part(0..4), part(4..6), part(6..8)),
        format!("{}:{}:{}", part(9..11), part(11..13), part(13..15)),
    );
    let signed_at: Timestamp = format!("{day}T{time}Z").parse().map_err(|_| INVALID)?;
    if WallClock.now().duration_since(signed_at) > SIGNATURE_AGE_MAX {
        return Err((403, "InvalidSignatureException"));
    }
    Ok(())
}

impl State {
    /// `None`: the request is not as the protocol has it.
    fn answer(&mut self, request: &Request) -> Option<Answer> {
        let path = request.url.path();
        let body: Value = if request.body.is_empty() { Value::Null } else { request.body_json().ok()? };
        let query: BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
        match (request.method.as_str(), path) {
            ("POST", "/applications-list") => Some(Ok(self.list_applications(&body))),
            ("POST", "/entitlements-list") => self.list(&body),
            ("POST", "/entitlements") => self.create(&body),
            (method, path) if path.starts_with("/entitlements/") => {
                let id = path.trim_start_matches("/entitlements/");
                self.application(query.get("applicationArn")?).map_or_else(
                    |error| Some(Err(error)),
                    |()| match method {
                        "GET" => Some(self.get(id)),
                        "DELETE" => Some(Ok(self.delete(id))),
                        _other => None,
                    },
                )
            }
            ("GET", path) if path.starts_with("/applications/") => {
                let arn = path.trim_start_matches("/applications/").replace("%3A", ":").replace("%2F", "/");
                Some(self.get_application(&arn))
            }
            _other => None,
        }
    }

    fn application(&self, arn: &str) -> Result<(), (u16, &'static str)> {
        self.applications.contains_key(arn).then_some(()).ok_or(NOT_FOUND)
    }

    /// Time passes.
    fn look(&mut self) {
        for (id, (entitlement, left)) in std::mem::take(&mut self.coming) {
            if left > 1 {
                self.coming.insert(id, (entitlement, left - 1));
            } else {
                self.entitlements.insert(id, entitlement);
            }
        }
        for (id, left) in std::mem::take(&mut self.going) {
            if left > 1 {
                self.going.insert(id, left - 1);
            } else {
                self.entitlements.remove(&id);
            }
        }
    }

    fn list_applications(&self, body: &Value) -> (u16, Value) {
        let arns: Vec<&String> = self.applications.keys().collect();
        let (page, next) = page(&arns, body);
        let page: Vec<Value> = page
            .into_iter()
            .map(|arn| json!({"applicationArn": arn, "createdAt": CREATED_AT, "updatedAt": CREATED_AT}))
            .collect();
        (200, json!({"applications": page, "nextToken": next}))
    }

    fn get_application(&self, arn: &str) -> Answer {
        let (instance, status) = self.applications.get(arn).ok_or(NOT_FOUND)?;
        let source = json!({"identityCenter": {"instanceArn": instance}});
        let times = json!({"identitySource": source, "status": status, "createdAt": CREATED_AT, "updatedAt": CREATED_AT});
        Ok((200, times))
    }

    fn list(&mut self, body: &Value) -> Option<Answer> {
        if let Err(error) = self.application(text(body, "/applicationArn")?) {
            return Some(Err(error));
        }
        let role = text(body, "/filter/principalRole/roleArn");
        let account = text(body, "/filter/principalRole/account")?;
        let user = text(body, "/filter/principalRole/principal/identityCenter/userId");
        self.look();
        let found: Vec<(&String, &Entitlement)> = self
            .entitlements
            .iter()
            .filter(|(_, entitlement)| account_of(&entitlement.role) == account)
            .filter(|(_, entitlement)| role.is_none_or(|role| entitlement.role == role))
            .filter(|(_, entitlement)| user.is_none_or(|user| entitlement.principal.1 == user))
            .collect();
        let (page, next) = page(&found, body);
        let members: Vec<Value> = page.into_iter().map(|(id, entitlement)| member(id, entitlement)).collect();
        Some(Ok((200, json!({"entitlements": members, "nextToken": next}))))
    }

    fn create(&mut self, body: &Value) -> Option<Answer> {
        if let Err(error) = self.application(text(body, "/applicationArn")?) {
            return Some(Err(error));
        }
        let role = text(body, "/entitlement/principalRole/roleArn")?.to_owned();
        let user = text(body, "/entitlement/principalRole/principal/identityCenter/userId")?.to_owned();
        if !self.roles.contains(&role) || !self.users.contains(&user) {
            return Some(Err(NOT_FOUND));
        }
        let wanted = Entitlement { role, principal: ("userId".to_owned(), user) };
        let existing = self.entitlements.iter().find(|(_, entitlement)| **entitlement == wanted);
        let coming = self.coming.iter().find(|(_, (entitlement, _))| *entitlement == wanted);
        let known = existing.map(|(id, _)| id.clone()).or_else(|| coming.map(|(id, _)| id.clone()));
        let id = known.unwrap_or_else(|| {
            self.made += 1;
            let id = format!("ent-{:04}", self.made);
            self.coming.insert(id.clone(), (wanted, LOOKS));
            id
        });
        Some(Ok((200, json!({"entitlementId": id}))))
    }

    fn get(&mut self, id: &str) -> Answer {
        self.look();
        let entitlement = self.entitlements.get(id).ok_or(NOT_FOUND)?;
        Ok((200, member(id, entitlement)))
    }

    fn delete(&mut self, id: &str) -> (u16, Value) {
        if self.entitlements.contains_key(id) {
            self.going.insert(id.to_owned(), LOOKS);
        }
        (204, Value::Null)
    }
}

fn account_of(role: &str) -> &str {
    role.split(':').nth(4).unwrap_or_default()
}

/// An entitlement as it is told, alone or in a list.
fn member(id: &str, entitlement: &Entitlement) -> Value {
    let (kind, principal) = &entitlement.principal;
    let granted = json!({"principalRole": {
        "principal": {"identityCenter": {kind.as_str(): principal}},
        "roleArn": entitlement.role,
        "account": account_of(&entitlement.role),
    }});
    json!({
        "applicationArn": APPLICATION,
        "entitlementId": id,
        "entitlement": granted,
        "createdAt": CREATED_AT,
    })
}

/// The text at a place in a message.
fn text<'a>(body: &'a Value, place: &str) -> Option<&'a str> {
    body.pointer(place)?.as_str()
}

/// One at a time; the first page is empty.
fn page<T: Clone>(all: &[T], body: &Value) -> (Vec<T>, Option<String>) {
    match text(body, "/nextToken").map(|token| token.parse::<usize>().unwrap_or_default()) {
        None if all.is_empty() => (Vec::new(), None),
        None => (Vec::new(), Some("0".to_owned())),
        Some(at) => {
            let next = (at + 1 < all.len()).then(|| (at + 1).to_string());
            (all.get(at).cloned().into_iter().collect(), next)
        }
    }
}
