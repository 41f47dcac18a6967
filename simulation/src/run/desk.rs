//! Where people are: they give orders to whatever machine answers, hear what came of it, and repeat what they did not hear of.

use super::{Given, Run};
use crate::invariant::Violation;
use crate::order::{Answer, Command, Order};
use crate::people::{self, ADMINISTRATORS};
use crate::process::CALL_MAX;
use crate::schedule::Owner;
use crate::truth::{Known, Truth};
use crate::words;
use aws::AssignmentKey;
use aws::simulated::sample;
use domain::ports::Clock as _;
use domain::{AccountId, RequestId};
use lifecycle::state::Status;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long an order may take, everything included.
const ORDER_MAX: Duration = Duration::from_secs(45);

/// How long an order may take when nothing is wrong.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// How long it may take until everybody knows the organisation as it is.
const DIRECTORY_READ_WITHIN: Duration = Duration::from_mins(2);

/// How long it may take from the order to access, where nobody has to agree and nothing is wrong.
const ACCESS_MAX: Duration = Duration::from_mins(2);

/// Orders that are repeated because their answer did not come.
const REPEATS_MAX: usize = 4;

impl Run {
    pub(super) fn next_orders(&mut self) -> Vec<Order> {
        let mut orders = self.workload.orders(&self.truth, self.clock.now());
        if !self.unheard.is_empty() && self.workload.does(0.7) {
            orders.push(self.unheard.remove(0));
        }
        orders
    }

    /// The machines on which a process is.
    fn answering(&self) -> Vec<usize> {
        (0..self.machines.len())
            .filter(|index| self.machines.get(*index).is_some_and(|machine| machine.process.is_some()))
            .collect()
    }

    /// Somebody has AWS looked at now, by any machine that answers.
    pub(super) fn ask_for_a_look(&mut self) {
        let Some(order) = self.inspector.order(&self.truth) else { return };
        let answering = self.answering();
        let nth = self.inspector.one_of_count(answering.len());
        if let Some(index) = answering.get(nth) {
            self.tally.count(if matches!(order.command, Command::Reconcile(None)) {
                "people: a look at everything"
            } else {
                "people: a look at one assignment"
            });
            self.give_to(*index, order);
        }
    }

    /// Gives an order to any machine on which a process is.
    pub(super) fn give(&mut self, order: Order) {
        let answering = self.answering();
        let nth = self.workload.one_of_count(answering.len());
        if let Some(index) = answering.get(nth) {
            self.give_to(*index, order);
        } else {
            let words = words::order(&order, &self.truth);
            self.trace.note(order.who, &format!("{words} ({}): nobody answers", order.key));
            self.remember(order);
        }
    }

    pub(super) fn give_to(&mut self, index: usize, order: Order) {
        let Some(machine) = self.machines.get(index) else { return };
        let Some(process) = machine.process.clone() else { return };
        let words = words::order(&order, &self.truth);
        self.trace.note(order.who, &format!("{words} ({}) at {}", order.key, machine.name));
        let answer = Rc::new(RefCell::new(None));
        let given = Given { order: order.clone(), owner: process.owner, answer: Rc::clone(&answer) };
        self.scheduler.spawn(process.owner, async move {
            let performed = tokio::time::timeout(CALL_MAX * 2, order.perform(process)).await;
            *answer.borrow_mut() = performed.ok();
        });
        self.given.push(given);
    }

    /// An order is given again later, perhaps by who has signed in anew.
    fn remember(&mut self, order: Order) {
        if self.unheard.len() < REPEATS_MAX {
            let in_capitals = order.in_capitals ^ self.workload.does(0.2);
            self.unheard.push(Order { in_capitals, ..order });
        }
    }

    /// Goes on until every order is answered, or its process has crashed or is paused: nobody waits for that. A paused process
    /// carries out what it was given once it goes on, perhaps after another was given the same.
    pub(super) async fn hear(&mut self) -> Result<(), Violation> {
        self.go_on_until(ORDER_MAX, |run| {
            run.given.iter().all(|given| given.answer.borrow().is_some() || !run.is_at_work(given.owner))
        })
        .await?;
        for given in std::mem::take(&mut self.given) {
            let answer = given.answer.borrow_mut().take();
            let key = given.order.key.clone();
            // A look that is wanted again is another one; what others do next does not depend on it.
            let once = matches!(given.order.command, Command::Reconcile(_));
            match answer {
                None => {
                    self.trace.note(given.order.who, &format!("{key}: no answer"));
                    if !once {
                        self.remember(given.order);
                    }
                }
                Some(_) if !once && !self.season.fair && self.workload.loses_answer() => {
                    self.tally.count("people: answer lost");
                    self.trace.note(given.order.who, &format!("{key}: the answer is lost"));
                    self.remember(given.order);
                }
                Some(answer) => {
                    self.take_answer(&given.order, answer)?;
                    // A double click.
                    if !once && self.workload.does(0.05) {
                        self.remember(given.order);
                    }
                }
            }
        }
        Ok(())
    }

    fn is_at_work(&self, owner: Owner) -> bool {
        self.machines.iter().any(|machine| machine.owner() == Some(owner) && !machine.paused)
    }

    fn take_answer(&mut self, order: &Order, answer: Answer) -> Result<(), Violation> {
        let (who, key) = (order.who, order.key.as_str());
        self.trace.note(who, &format!("{key}: {}", answer.words));
        self.stats.answers += 1;
        if answer.inexplicable && !self.is_about_damage(order) {
            return Err(Violation::new("X1", format!("{who} is answered {} ({key})", answer.words)));
        }
        if let Some(policy) = answer.policy {
            self.workload.policy.get_or_insert(policy);
        }
        if let Some((issue, secrets)) = answer.handed_out {
            if !self.truth.issued.contains(&issue) {
                return Err(Violation::new("S1", format!("{issue} was handed out without an event")));
            }
            self.secrets.extend(secrets);
        }
        if let Some((id, status)) = answer.shown {
            let known = self.truth.requests.get(&id);
            if known.is_none_or(|known| !known.reached.iter().any(|reached| name_of(*reached) == status)) {
                let name = self.truth.name(&id);
                let what = format!("{key}: {name} is said to be {status}, which the log does not say");
                return Err(Violation::new("S5", what));
            }
        }
        if let Some((assignment, about)) = answer.assignment {
            self.is_known(key, &assignment, &about)?;
        }
        if let Some(id) = answer.created
            && *self.made.entry(key.to_owned()).or_insert(id) != id
        {
            return Err(Violation::new("S6", format!("{key}, repeated, made another request")));
        }
        Ok(())
    }

    /// S5, of an assignment that is shown: the log knows of it, and of the requests that it is said to be there for.
    fn is_known(&self, order: &str, key: &AssignmentKey, about: &[RequestId]) -> Result<(), Violation> {
        let of_key = |known: &Known| known.key().as_ref() == Some(key);
        let nobodys = self.truth.ledger_of(key).is_none() && !self.truth.requests.values().any(of_key);
        let strange = about.iter().find(|id| self.truth.requests.get(*id).is_none_or(|known| !of_key(known)));
        if !nobodys && strange.is_none() {
            return Ok(());
        }
        let what = match strange {
            Some(id) => format!("{order}: {} is said to be about {}", self.truth.name(id), words::key(key)),
            None => format!("{order}: {} is shown, of which the log says nothing", words::key(key)),
        };
        Err(Violation::new("S5", what))
    }

    /// Whether an order is about history that cannot be read: then a fault may be told.
    fn is_about_damage(&self, order: &Order) -> bool {
        if self.truth.policy_damaged.is_some() {
            return true;
        }
        match &order.command {
            Command::Withdraw(id)
            | Command::Approve(id)
            | Command::Reject(id)
            | Command::Revoke(id)
            | Command::Issue(id)
            | Command::OpenConsole(id)
            | Command::Get(id) => self.truth.is_damaged(id),
            // An extension is decided on what it extends.
            Command::Create(_)
            | Command::CreateBatch(_)
            | Command::Reconcile(_)
            | Command::ListOwn
            | Command::ListPending => self.truth.any_damage(),
            Command::Abandon(_)
            | Command::Propose { .. }
            | Command::Accept(_)
            | Command::Discard(_)
            | Command::GetPolicy
            | Command::ListEvents => false,
        }
    }

    /// L1, for what AWS refuses to remove: two people give it up, and its requests are closed.
    pub(super) async fn give_up(&mut self) -> Result<(), Violation> {
        let cloud = self.outside.cloud.clone();
        let closing = |truth: &Truth, key: &AssignmentKey| {
            truth.requests.values().any(|known| {
                !truth.is_stuck(known) && known.request.is_closing() && known.key().as_ref() == Some(key)
            })
        };
        let lost: Vec<AssignmentKey> = cloud
            .aws
            .assignments()
            .into_iter()
            .filter(|key| cloud.is_lost(key.account()) && closing(&self.truth, key))
            .collect();
        if lost.is_empty() || self.truth.policy_damaged.is_some() {
            return Ok(());
        }
        self.go_on(DIRECTORY_READ_WITHIN).await?;
        for key in &lost {
            for who in ADMINISTRATORS {
                let order = self.workload.order(who, Command::Abandon(key.clone()));
                self.give_to(0, order);
                self.hear().await?;
            }
        }
        self.go_on(ACCESS_MAX).await?;
        match lost.iter().find(|key| closing(&self.truth, key)) {
            Some(key) => {
                let what = format!("{} was given up by two, and is not closed", words::key(key));
                Err(Violation::new("L1", what))
            }
            None => Ok(()),
        }
    }

    /// L2, by trying it: now that nothing is wrong, every machine gives access for which nobody has to agree, and soon.
    pub(super) async fn probe(&mut self) -> Result<(), Violation> {
        let rule = self.truth.policy.as_ref().is_some_and(|(_, policy)| {
            policy.rules.iter().any(|rule| rule.id.as_str() == "read-development")
        });
        if !rule || self.truth.policy_damaged.is_some() {
            return Ok(());
        }
        let open = |account: &&str| !self.outside.cloud.is_lost(&people::known(AccountId::new(*account)));
        let Some(account) = [sample::WEB_DEV, sample::PAYMENTS_DEV].into_iter().find(open) else {
            return Ok(());
        };
        self.go_on(DIRECTORY_READ_WITHIN).await?;
        for index in 0..self.machines.len() {
            let count = self.truth.requests.len();
            let order = self.workload.ask_for_role("ada", account, 120);
            self.give_to(index, order);
            let given = self.given.pop();
            let heard = |_: &Self| given.as_ref().is_some_and(|given| given.answer.borrow().is_some());
            self.go_on_until(PROBE_MAX, heard).await?;
            let words = given.and_then(|given| given.answer.borrow_mut().take()).map(|answer| answer.words);
            self.trace.note("ada", words.as_deref().unwrap_or("no answer"));
            if self.truth.requests.len() == count {
                let what = format!("nothing is wrong, and ada is answered {}", words.unwrap_or_default());
                return Err(Violation::new("L2", what));
            }
            let active = |run: &Self| {
                run.truth.requests.values().any(|known| known.number == count + 1 && known.was_active())
            };
            self.go_on_until(ACCESS_MAX, active).await?;
            if !active(self) {
                let what = format!("nothing is wrong, and r{} does not become active", count + 1);
                return Err(Violation::new("L2", what));
            }
        }
        Ok(())
    }
}

/// A status as the APIs name it.
fn name_of(status: Status) -> &'static str {
    match status {
        Status::Requested => "requested",
        Status::Expired => "expired",
        Status::Rejected => "rejected",
        Status::Approved => "approved",
        Status::Ended => "ended",
    }
}
