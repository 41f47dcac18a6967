//! What people want next, chosen by the seed.

use crate::order::{CANARY, Command, Order};
use crate::people::{self, ADMINISTRATORS, NAMES};
use crate::truth::Truth;
use api::approval::v1 as approval;
use api::types::v1::{Ask, AskedWindow, Target};
use aws::simulated::sample;
use aws::{AssignmentKey, Contents};
use domain::{AccountId, OuId, OuPath, PermissionSetArn, RequestId, SignedDuration, Timestamp};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

/// Those who ask; some more often.
const REQUESTERS: [&str; 6] = ["ada", "ada", "ada", "mallory", "carol", "bob"];

/// Those who decide, whether they may or not.
const DECIDERS: [&str; 8] = ["bob", "bob", "dave", "carol", "mallory", "mal", "ada", "eve"];

/// Where a role is asked for that is assigned, by Account Access Manager.
const ASSIGNABLE_ROLES: [&str; 2] = [sample::WEB_PROD, sample::WEB_DEV];

/// Where permission sets are asked for.
const ASSIGNABLE: [(&str, &str); 4] = [
    (sample::WEB_PROD, sample::READ_ONLY),
    (sample::PAYMENTS_PROD, sample::READ_ONLY),
    (sample::WEB_PROD, sample::ADMINISTRATOR_ACCESS),
    (sample::WEB_DEV, sample::READ_ONLY),
];

/// Where roles are asked for.
const ASSUMABLE: [&str; 3] = [sample::WEB_DEV, sample::PAYMENTS_DEV, sample::WEB_PROD];

/// Memberships that come and go.
const MOVES: [(&str, &str); 5] = [
    ("bob", sample::APPROVERS),
    ("mallory", sample::APPROVERS),
    ("dave", sample::APPROVERS),
    ("ada", sample::DEVELOPERS),
    ("mallory", sample::DEVELOPERS),
];

/// Chooses.
pub(crate) struct Workload {
    chance: ChaCha8Rng,
    keys: u32,
    /// The policy as it was when someone first looked.
    pub(crate) policy: Option<approval::Policy>,
}

impl Workload {
    pub(crate) fn new(chance: ChaCha8Rng) -> Self {
        Self { chance, keys: 0, policy: None }
    }

    /// The orders of one step: mostly one, at times several at once.
    pub(crate) fn orders(&mut self, truth: &Truth, now: Timestamp) -> Vec<Order> {
        let count = match self.chance.random_range(0..10) {
            0 => 0,
            1..=6 => 1,
            7..=8 => 2,
            _many => 4,
        };
        let together = count > 1 && self.chance.random_bool(0.5);
        if together && let Some(id) = self.some_request(truth, |_| true) {
            return (0..count).map(|_| self.about(id, truth)).collect();
        }
        (0..count).map(|_| self.any(truth, now)).collect()
    }

    pub(crate) fn order(&mut self, who: &'static str, command: Command) -> Order {
        self.keys += 1;
        let in_capitals = self.chance.random_bool(0.1);
        Order { who, in_capitals, key: format!("key-{}", self.keys), command }
    }

    fn one_of<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        items.choose(&mut self.chance).copied().unwrap_or(otherwise)
    }

    fn any(&mut self, truth: &Truth, now: Timestamp) -> Order {
        match self.chance.random_range(0..100) {
            0..=24 => self.ask(truth, now),
            25..=28 => self.ask_for_several(now),
            29..=59 => match self.some_request(truth, |known| known.pending().is_ok()) {
                Some(id) => self.decision(id),
                None => self.ask(truth, now),
            },
            60..=69 => match self.some_request(truth, |known| known.approved().is_ok()) {
                Some(id) => self.use_of(id, truth),
                None => self.ask(truth, now),
            },
            70..=79 => match self.some_request(truth, |_| true) {
                Some(id) => self.about(id, truth),
                None => self.ask(truth, now),
            },
            80..=89 => self.about_policy(truth),
            _look => self.look(truth),
        }
    }

    fn some_request(
        &mut self,
        truth: &Truth,
        wanted: impl Fn(&lifecycle::Request) -> bool,
    ) -> Option<RequestId> {
        let mut fitting: Vec<(usize, RequestId)> = truth
            .requests
            .iter()
            .filter(|(_, known)| wanted(&known.request))
            .map(|(id, known)| (known.number, *id))
            .collect();
        fitting.sort_unstable();
        // What is young is interesting.
        let young = fitting.len().saturating_sub(8);
        fitting.split_off(young).choose(&mut self.chance).map(|(_, id)| *id)
    }

    fn requester_of(&mut self, id: RequestId, truth: &Truth) -> &'static str {
        let own = truth.requests.get(&id).map(|known| known.request.raised.requester.subject.as_str());
        let stranger = self.one_of(&NAMES, "eve");
        match own.and_then(|own| NAMES.into_iter().find(|name| *name == own)) {
            Some(own) if self.chance.random_bool(0.9) => own,
            _stranger => stranger,
        }
    }

    fn decision(&mut self, id: RequestId) -> Order {
        let who = self.one_of(&DECIDERS, "bob");
        let yes = self.chance.random_bool(0.85);
        self.order(who, if yes { Command::Approve(id) } else { Command::Reject(id) })
    }

    /// Something about an approved request.
    fn use_of(&mut self, id: RequestId, truth: &Truth) -> Order {
        let own = self.requester_of(id, truth);
        match self.chance.random_range(0..10) {
            0..=3 => self.order(own, Command::Issue(id)),
            4..=6 => self.order(own, Command::OpenConsole(id)),
            7 => self.order(own, Command::Withdraw(id)),
            8 => self.order(own, Command::Revoke(id)),
            _revoked => {
                let who = self.one_of(&DECIDERS, "bob");
                self.order(who, Command::Revoke(id))
            }
        }
    }

    /// Anything about one request.
    fn about(&mut self, id: RequestId, truth: &Truth) -> Order {
        let own = self.requester_of(id, truth);
        match self.chance.random_range(0..10) {
            0..=4 => self.decision(id),
            5 => self.order(own, Command::Withdraw(id)),
            6 => self.order(own, Command::Issue(id)),
            7 => self.order(own, Command::Revoke(id)),
            8 => {
                let who = self.one_of(&NAMES, "eve");
                self.order(who, Command::Revoke(id))
            }
            _look => self.order(own, Command::Get(id)),
        }
    }

    fn ask(&mut self, truth: &Truth, now: Timestamp) -> Order {
        let who = self.one_of(&REQUESTERS, "ada");
        let extended = if self.chance.random_bool(0.15) {
            self.some_request(truth, |known| {
                known.raised.requester.subject.as_str() == who && known.approved().is_ok()
            })
        } else {
            None
        };
        let mut ask = self.some_ask(now);
        if let Some(known) = extended.and_then(|id| truth.requests.get(&id)) {
            ask.extends_request_id = known.request.raised.id.to_string();
            ask.target = Some(views::wire::target(&known.request.raised.target));
            if let (Some(window), Some(asked)) = (known.request.window(), ask.window.as_mut()) {
                asked.start = Some(views::wire::time(window.end()));
            }
        }
        self.order(who, Command::Create(ask))
    }

    fn ask_for_several(&mut self, now: Timestamp) -> Order {
        let who = self.one_of(&REQUESTERS, "ada");
        let count = self.chance.random_range(2..=4);
        let asks = (0..count).map(|_| self.some_ask(now)).collect();
        self.order(who, Command::CreateBatch(asks))
    }

    fn some_ask(&mut self, now: Timestamp) -> Ask {
        let (account, arn) = match self.chance.random_range(0..20) {
            0..=11 => {
                let (account, set) = self.one_of(&ASSIGNABLE, (sample::WEB_PROD, sample::READ_ONLY));
                (account, set.to_owned())
            }
            12..=14 => {
                let account = self.one_of(&ASSIGNABLE_ROLES, sample::WEB_DEV);
                (account, format!("arn:aws:iam::{account}:role/daypass/Administrator"))
            }
            _assumed => {
                let account = self.one_of(&ASSUMABLE, sample::WEB_DEV);
                (account, format!("arn:aws:iam::{account}:role/daypass/ReadOnly"))
            }
        };
        let assumed = arn.ends_with("role/daypass/ReadOnly");
        let seconds = match self.chance.random_range(0..20) {
            0 => 3_600,
            1..=4 if assumed => self.chance.random_range(1_200..1_800),
            _usual => self.chance.random_range(60..420),
        };
        let start = self.chance.random_bool(0.25).then(|| {
            let wait = SignedDuration::from_secs(self.chance.random_range(30..400));
            views::wire::time(now.checked_add(wait).unwrap_or(now))
        });
        Ask {
            target: Some(Target { account_id: account.to_owned(), entitlement_arn: arn }),
            window: Some(AskedWindow { start, duration: Some(prost_types::Duration { seconds, nanos: 0 }) }),
            justification: format!("{CANARY} {seconds}"),
            ..Ask::default()
        }
    }

    /// An order for the role that everybody may have.
    pub(crate) fn ask_for_role(&mut self, who: &'static str, account: &str, seconds: i64) -> Order {
        let arn = format!("arn:aws:iam::{account}:role/daypass/ReadOnly");
        let duration = Some(prost_types::Duration { seconds, nanos: 0 });
        let ask = Ask {
            target: Some(Target { account_id: account.to_owned(), entitlement_arn: arn }),
            window: Some(AskedWindow { start: None, duration }),
            justification: format!("{CANARY} {seconds}"),
            ..Ask::default()
        };
        self.order(who, Command::Create(ask))
    }

    /// An assignment that somebody could make.
    pub(crate) fn some_key(&mut self) -> AssignmentKey {
        let (account, set) = self.one_of(&ASSIGNABLE, (sample::WEB_PROD, sample::READ_ONLY));
        let who = self.one_of(&NAMES, "eve");
        AssignmentKey::new(
            people::principal(who),
            people::known(AccountId::new(account)),
            people::known(PermissionSetArn::new(set)),
        )
    }

    fn about_policy(&mut self, truth: &Truth) -> Order {
        let who = if self.chance.random_bool(0.9) {
            self.one_of(&ADMINISTRATORS, "carol")
        } else {
            self.one_of(&NAMES, "eve")
        };
        let Some(original) = self.policy.clone() else {
            return self.order(who, Command::GetPolicy);
        };
        let proposals: Vec<_> = truth.proposals.iter().copied().collect();
        if let Some(proposal) = proposals.choose(&mut self.chance).copied() {
            let command = match self.chance.random_range(0..10) {
                0..=7 => Command::Accept(proposal),
                _discard => Command::Discard(proposal),
            };
            return self.order(who, command);
        }
        let (policy, what) = self.variant(original);
        let base = truth.policy.as_ref().map(|(id, _)| *id);
        self.order(who, Command::Propose { policy, base, what })
    }

    fn variant(&mut self, mut policy: approval::Policy) -> (approval::Policy, &'static str) {
        let choice = self.chance.random_range(0..8);
        let what = match choice {
            0 | 1 => "as it was",
            2 => {
                policy.rules.retain(|rule| rule.id != "read-workloads");
                "without read-workloads"
            }
            3 => {
                policy.rules.retain(|rule| rule.id != "read-development");
                "without read-development"
            }
            4 => {
                let steps = policy
                    .rules
                    .iter_mut()
                    .filter_map(|rule| rule.plan.as_mut())
                    .flat_map(|plan| &mut plan.steps);
                steps.for_each(|step| step.count = 2);
                "two approvers everywhere"
            }
            5 | 6 => {
                let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
                let of_sts = |rule: &&mut approval::Rule| rule.credential_duration_max.is_some();
                let otherwise = choice == 6;
                policy.rules.iter_mut().filter(of_sts).for_each(|rule| {
                    rule.credential_duration_max = Some(hour);
                    rule.allow_chaining ^= otherwise;
                });
                if otherwise {
                    "an hour's credentials, which chain where they did not"
                } else {
                    "an hour's credentials"
                }
            }
            _short => {
                let short = prost_types::Duration { seconds: 180, nanos: 0 };
                policy.rules.iter_mut().for_each(|rule| rule.duration_max = Some(short));
                "three minutes at most"
            }
        };
        (policy, what)
    }

    fn look(&mut self, truth: &Truth) -> Order {
        let who = self.one_of(&NAMES, "eve");
        let command = match self.chance.random_range(0..4) {
            0 => Command::ListOwn,
            1 => Command::ListPending,
            2 => return self.order("eve", Command::ListEvents),
            _get => self.some_request(truth, |_| true).map_or(Command::ListOwn, Command::Get),
        };
        self.order(who, command)
    }

    /// Someone joins or leaves a group, or is locked out; at times.
    pub(crate) fn change_organisation(&mut self, contents: &mut Contents) -> Option<String> {
        if self.chance.random_bool(0.85) {
            return None;
        }
        if self.chance.random_bool(0.1) {
            return self.move_account(contents);
        }
        if self.chance.random_bool(0.1) {
            let who = self.one_of(&NAMES, "eve");
            contents.users.remove(&people::principal(who))?;
            return Some(format!("{who} leaves"));
        }
        if self.chance.random_bool(0.2) {
            let who = self.one_of(&NAMES, "eve");
            let user = contents.users.get_mut(&people::principal(who))?;
            user.enabled = !user.enabled;
            return Some(format!("{who} is {}", if user.enabled { "let in again" } else { "locked out" }));
        }
        let (who, group) = self.one_of(&MOVES, ("bob", sample::APPROVERS));
        let joins = self.chance.random_bool(0.6);
        people::set_member(contents, who, group, joins);
        Some(format!("{who} {} {group}", if joins { "is in" } else { "leaves" }))
    }

    /// An account comes into another unit, where other rules hold.
    fn move_account(&mut self, contents: &mut Contents) -> Option<String> {
        let id = self.one_of(&[sample::WEB_PROD, sample::WEB_DEV], sample::WEB_DEV);
        let secured = self.chance.random_bool(0.4);
        let home: &[&str] = if id == sample::WEB_PROD {
            &[sample::ROOT, sample::WORKLOADS, sample::PRODUCTION]
        } else {
            &[sample::ROOT, sample::WORKLOADS, sample::DEVELOPMENT]
        };
        let path = if secured { &[sample::ROOT, sample::SECURITY] } else { home };
        let account = contents.accounts.get_mut(&people::known(AccountId::new(id)))?;
        account.ou_path = OuPath(path.iter().map(|unit| people::known(OuId::new(*unit))).collect());
        Some(format!("account {id} is {}", if secured { "moved to security" } else { "where it was" }))
    }

    /// One of `count`.
    pub(crate) fn one_of_count(&mut self, count: usize) -> usize {
        if count > 1 { self.chance.random_range(0..count) } else { 0 }
    }

    /// Whether someone, this time, does not hear the answer.
    pub(crate) fn loses_answer(&mut self) -> bool {
        self.chance.random_bool(0.1)
    }

    /// Whether something is done at a time when it may or may not be.
    pub(crate) fn does(&mut self, probability: f64) -> bool {
        self.chance.random_bool(probability)
    }

    /// How long nobody does anything.
    pub(crate) fn pause(&mut self) -> std::time::Duration {
        let millis = match self.chance.random_range(0..10) {
            0..=3 => self.chance.random_range(0..3_000),
            4..=8 => self.chance.random_range(3_000..40_000),
            _long => self.chance.random_range(40_000..240_000),
        };
        std::time::Duration::from_millis(millis)
    }
}
