//! Two replicas of activation on JetStream, killed (`kill -9`) and paused (`SIGSTOP`, `SIGCONT`) at random, while AWS throttles,
//! fails, is slow, and leaves calls that took effect unanswered. Requests for the same access overlap, follow each other, and are
//! revoked. When the storm is over: nothing is left over in AWS, nothing is missing, and every acknowledged command is in the log.

use crate::deployment::Deployment;
use crate::job;
use crate::world::{World, until};
use api::activation::v1::RevokeAccessRequest;
use api::request::v1::CreateRequestRequest;
use api::types::v1::{AccessPhase, EndReason, RequestStatus};
use domain::SignedDuration;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeSet;
use std::time::Duration;
use test_servers::faults::Rates;
use tokio::time::sleep;

/// How often something is killed or paused, unless `DAYPASS_CYCLES` says otherwise.
const CYCLES: u64 = 30;

/// How often a command that was not answered is given again, under its key.
const TRIES: usize = 40;

/// The access that is to be there when the storm is over.
const KEPT: usize = 2;

/// Who asks.
const PEOPLE: [&str; 2] = ["ada", "bob"];

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    raised: Vec<(&'static str, String)>,
    revoked: BTreeSet<String>,
}

struct Storm {
    world: World,
    deployment: Deployment,
    chance: StdRng,
    acknowledged: Acknowledged,
    commands: u64,
}

pub(crate) async fn blows_over() {
    let seed = number("DAYPASS_SEED", 1);
    let world = World::in_bad_weather(seed).await;
    let deployment = Deployment::two_activations_on_jetstream(&world).await;
    let mut storm = Storm {
        world,
        deployment,
        chance: StdRng::seed_from_u64(seed),
        acknowledged: Acknowledged::default(),
        commands: 0,
    };
    for (account, set) in storm.targets().into_iter().take(KEPT) {
        storm.raise("ada", &account, &set, SignedDuration::from_hours(1)).await;
    }
    for _ in 0..number("DAYPASS_CYCLES", CYCLES) {
        storm.cycle().await;
    }
    storm.calm().await;
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

impl Storm {
    /// What can be asked for; the first ones are kept to the end.
    fn targets(&self) -> Vec<(String, String)> {
        let (accounts, sets) = (&self.world.organisation.accounts, &self.world.organisation.permission_sets);
        let accounts =
            [&accounts.payments_prod, &accounts.shop_prod, &accounts.shop_dev, &accounts.playground];
        let pairs = accounts.into_iter().flat_map(|account| {
            [&sets.read_only, &sets.administrator].map(|set| (account.clone(), set.clone()))
        });
        pairs.collect()
    }

    async fn cycle(&mut self) {
        self.change_the_weather();
        for _ in 0..self.chance.random_range(1..=2) {
            let targets = self.targets();
            let target = self.chance.random_range(0..targets.len());
            let (account, set) = targets.get(target).unwrap().clone();
            let who = PEOPLE.choose(&mut self.chance).copied().unwrap();
            let length = SignedDuration::from_secs(self.chance.random_range(2..15));
            self.raise(who, &account, &set, length).await;
        }
        if self.chance.random_bool(0.3) {
            let any = self.chance.random_range(0..self.acknowledged.raised.len());
            if any >= KEPT {
                self.revoke(any).await;
            }
        }
        self.disturb().await;
        sleep(Duration::from_millis(self.chance.random_range(200..1_200))).await;
    }

    fn change_the_weather(&mut self) {
        let faults = self.world.faults.as_ref().unwrap();
        if self.chance.random_bool(0.2) {
            return faults.heal();
        }
        let mut up_to = |most: u16| self.chance.random_range(0..=most);
        faults.set(Rates {
            throttled: up_to(150),
            failed: up_to(100),
            lost: up_to(100),
            unanswered: up_to(150),
            held: up_to(30),
            delay_max: Duration::from_millis(u64::from(up_to(800)) + 1),
        });
    }

    /// Kills a replica and starts it again, or pauses it for a while, or leaves both in peace.
    async fn disturb(&mut self) {
        let which = self.chance.random_range(0..2);
        let pause = Duration::from_millis(self.chance.random_range(300..4_000));
        let kind = self.chance.random_range(0..10);
        let program = self.deployment.activations().into_iter().nth(which).unwrap();
        match kind {
            0..=4 => {
                program.kill();
                program.launch();
            }
            5..=8 => {
                program.signal("STOP");
                sleep(pause).await;
                program.signal("CONT");
            }
            _peace => {}
        }
    }

    /// Asks until there is an answer: what was acknowledged counts, and a key is one request.
    async fn raise(&mut self, who: &'static str, account: &str, set: &str, length: SignedDuration) {
        self.commands += 1;
        let message = CreateRequestRequest {
            idempotency_key: format!("storm-{}", self.commands),
            ask: Some(job::ask(account, set, length)),
        };
        for _ in 0..TRIES {
            let mut requests = self.world.requests(&self.deployment, who);
            match requests.create_request(message.clone()).await {
                Ok(answer) => {
                    self.acknowledged.raised.push((who, answer.into_inner().request.unwrap().request_id));
                    return;
                }
                Err(status) if status.code() == tonic::Code::Unavailable => {}
                Err(status) => panic!("{status}\n{}", self.deployment.log_tail()),
            }
            sleep(Duration::from_millis(250)).await;
        }
        panic!("nobody answered:\n{}", self.deployment.log_tail());
    }

    async fn revoke(&mut self, place: usize) {
        let (who, id) = self.acknowledged.raised.get(place).unwrap().clone();
        let message = RevokeAccessRequest {
            idempotency_key: "storm".to_owned(),
            request_id: id.clone(),
            comment: String::new(),
        };
        for _ in 0..TRIES {
            match self.world.activations(&self.deployment, who).revoke_access(message.clone()).await {
                Ok(_) => {
                    self.acknowledged.revoked.insert(id);
                    return;
                }
                // Over by itself before it could be revoked.
                Err(status) if status.code() == tonic::Code::FailedPrecondition => return,
                Err(_) => sleep(Duration::from_millis(250)).await,
            }
        }
        panic!("nobody answered:\n{}", self.deployment.log_tail());
    }

    /// The weather clears; everything comes to its end, and is looked at.
    async fn calm(mut self) {
        let struck = self.world.faults.as_ref().unwrap().struck();
        self.world.faults.as_ref().unwrap().heal();
        for program in self.deployment.activations() {
            program.until_ready().await;
        }
        assert!(
            struck.faults > 0 && struck.calls > struck.faults,
            "a storm without faults shows nothing: {struck:?}"
        );
        let kept: BTreeSet<String> =
            self.acknowledged.raised.iter().take(KEPT).map(|(_, id)| id.clone()).collect();
        let (world, deployment) = (&self.world, &self.deployment);
        for (who, id) in &self.acknowledged.raised {
            let request = until("an acknowledged request", deployment, async || {
                let mut requests = world.requests(deployment, who);
                let message =
                    api::request::v1::GetRequestRequest { request_id: id.clone(), ..Default::default() };
                let request = requests.get_request(message).await.ok()?.into_inner().request.unwrap();
                let done = request.status() == RequestStatus::Ended
                    || kept.contains(id) && request.access_phase() == AccessPhase::Active;
                done.then_some(request)
            })
            .await;
            assert_eq!(
                self.acknowledged.revoked.contains(id),
                request.end_reason() == EndReason::Revoked,
                "{request:?}"
            );
        }
        let wanted =
            self.targets().into_iter().take(KEPT).map(|(account, set)| ("ada", account, set)).collect();
        self.until_held(&wanted).await;
        for place in 0..KEPT {
            self.revoke(place).await;
        }
        self.until_held(&BTreeSet::new()).await;
    }

    /// Until AWS shows exactly these assignments, to somebody who knows nothing of Daypass.
    async fn until_held(&self, wanted: &BTreeSet<(&str, String, String)>) {
        let organisation = &self.world.organisation;
        let name = |id: &str| {
            PEOPLE.into_iter().find(|name| organisation.users.get(*name).is_some_and(|of| of == id))
        };
        until("AWS as it should be", &self.deployment, async || {
            let mut held = BTreeSet::new();
            for (account, set) in self.targets() {
                let users =
                    self.world.aws.assigned_users(&organisation.instance_arn, &account, &set).await.ok()?;
                held.extend(users.iter().filter_map(|id| Some((name(id)?, account.clone(), set.clone()))));
            }
            (held == *wanted).then_some(())
        })
        .await;
    }
}
