//! Which requests, and how the read model is asked for them.
//!
//! INVARIANT: a page costs what is on it, and what was left out on the way to it, however many requests there are. SQLite has rows in
//! the order of an index only where it looks at one; "this or that" would have all of both read and sorted, and a status that few have
//! a walk through everybody's. So each way to be selected is asked by itself, for a page and no more.

use super::{Cursor, status_number};
use domain::{AccountId, BatchId, EventId, Person};
use lifecycle::state::Status;
use rusqlite::types::Value;
use std::collections::BTreeSet;

/// Which requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Requested or raised by this person.
    pub involving: Option<Person>,
    /// Requested by this person.
    pub requester: Option<Person>,
    /// Pending, or decided by this person.
    pub pending_or_decided_by: Option<Person>,
    /// Of one account.
    pub account: Option<AccountId>,
    /// Of one batch.
    pub batch: Option<BatchId>,
    /// Of these statuses; none: all.
    pub statuses: BTreeSet<Status>,
    /// Raised under another policy than this event applied.
    pub raised_not_under: Option<EventId>,
    /// Also those whose history cannot be read to its end, as far as it can be: see [`super::Requests::unfinished`].
    pub damaged: bool,
}

/// What decisions of one person are found by; made in the order that is written, a cross join begins with them.
const DECIDED: &str = "decider CROSS JOIN request ON request.position = decider.request";

/// A way to be selected.
struct Way {
    from: &'static str,
    /// The position of the request, in whose order they are found.
    position: &'static str,
    condition: Condition,
}

/// A condition, and the values of its question marks.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Condition {
    fn none() -> Self {
        Self { text: "1 = 1".to_owned(), values: Vec::new() }
    }

    fn and(mut self, part: &str) -> Self {
        self.text.push_str(" AND ");
        self.text.push_str(part);
        self
    }

    fn given(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.values.extend(values);
        self
    }
}

impl Selection {
    /// A condition, for whatever order they are asked for in.
    pub(super) fn condition(&self) -> Condition {
        let mut condition = self.and_involving(self.of_statuses(self.common()));
        if let Some(person) = &self.pending_or_decided_by {
            condition = condition
                .and("(status = 1 OR EXISTS (SELECT 1 FROM decider d WHERE d.person = ? AND d.request = request.position))")
                .given([name(person)]);
        }
        condition
    }

    /// The positions of the newest of them that can be read, those before `before`, at most `limit`: a query with its values.
    pub(super) fn newest(&self, before: Option<Cursor>, limit: usize) -> (String, Vec<Value>) {
        let limit = Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
        let before = Value::Integer(before.map_or(i64::MAX, |cursor| cursor.0));
        let (mut found, mut values) = (Vec::new(), Vec::new());
        for Way { from, position, condition } in self.ways() {
            values.extend(condition.values);
            values.extend([before.clone(), limit.clone()]);
            found.push(format!(
                "SELECT * FROM (SELECT {position} AS position FROM {from} WHERE quarantined = 0 AND {} AND {position} < ?
                 ORDER BY {position} DESC LIMIT ?)",
                condition.text
            ));
        }
        values.push(limit);
        // One request may be found in several ways, and is there once.
        let found = found.join(" UNION ");
        (format!("SELECT position, position FROM ({found}) ORDER BY position DESC LIMIT ?"), values)
    }

    fn ways(&self) -> Vec<Way> {
        let request = |condition| Way { from: "request", position: "request.position", condition };
        if let Some(person) = &self.pending_or_decided_by {
            let common = self.and_involving(self.common());
            let decided = self.of_statuses(common.clone()).and("decider.person = ?").given([name(person)]);
            let decided = Way { from: DECIDED, position: "decider.request", condition: decided };
            let pending = self.statuses.is_empty() || self.statuses.contains(&Status::Requested);
            let pending = pending.then(|| request(common.and("status = 1")));
            return pending.into_iter().chain([decided]).collect();
        }
        if let Some(person) = &self.involving {
            let of = |column| self.of_statuses(self.common()).and(column).given([name(person)]);
            return ["requester = ?", "raiser = ?"].map(|column| request(of(column))).into();
        }
        let is_of_few = self.requester.is_some() || self.account.is_some() || self.batch.is_some();
        if is_of_few || self.statuses.is_empty() {
            return vec![request(self.of_statuses(self.common()))];
        }
        // Each as it is written in the index of its own.
        let of = |status: &Status| self.common().and(&format!("status = {}", status_number(*status)));
        self.statuses.iter().map(|status| request(of(status))).collect()
    }

    /// What is asked of all of them, but for their statuses.
    fn common(&self) -> Condition {
        let mut condition = Condition::none();
        if let Some(person) = &self.requester {
            condition = condition.and("requester = ?").given([name(person)]);
        }
        if let Some(account) = &self.account {
            // `+` keeps its index out: of all that an account has, few are somebody's, or pending.
            let is_of_fewer =
                self.requester.is_some() || self.involving.is_some() || self.pending_or_decided_by.is_some();
            let account_is = if is_of_fewer { "+account = ?" } else { "account = ?" };
            condition = condition.and(account_is).given([Value::Text(account.to_string())]);
        }
        if let Some(batch) = &self.batch {
            condition = condition.and("batch = ?").given([Value::Blob(batch.as_bytes().to_vec())]);
        }
        if let Some(policy) = &self.raised_not_under {
            let event = Value::Blob(policy.as_uuid().as_bytes().to_vec());
            condition = condition.and("policy_event <> ?").given([event]);
        }
        condition
    }

    fn of_statuses(&self, condition: Condition) -> Condition {
        if self.statuses.is_empty() {
            return condition;
        }
        let numbers: Vec<String> =
            self.statuses.iter().map(|status| status_number(*status).to_string()).collect();
        condition.and(&format!("status IN ({})", numbers.join(", ")))
    }

    fn and_involving(&self, condition: Condition) -> Condition {
        match &self.involving {
            Some(person) => {
                condition.and("(requester = ? OR raiser = ?)").given([name(person), name(person)])
            }
            None => condition,
        }
    }
}

fn name(person: &Person) -> Value {
    Value::Text(person.id().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::model::{INDICES, SCHEMA};
    use super::*;
    use rusqlite::{Connection, params, params_from_iter};

    fn person(subject: &str) -> Person {
        Person::new("https://idp.example", subject).unwrap()
    }

    fn tables() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection.execute_batch(INDICES).unwrap();
        connection
    }

    fn raise(connection: &Connection, position: i64, (requester, raiser): (&str, &str), status: Status) {
        let account = if position % 2 == 0 { "222222222222" } else { "111111111111" };
        connection
            .execute(
                "INSERT INTO request (position, id, last_position, requester, raiser, account, entitlement, policy_event, status,
                     decide_until, by_rule)
                 VALUES (?1, ?2, ?1, ?3, ?4, ?5, '', X'00', ?6, 0, 0)",
                params![
                    position,
                    position.to_be_bytes(),
                    person(requester).id().as_str(),
                    person(raiser).id().as_str(),
                    account,
                    status_number(status)
                ],
            )
            .unwrap();
    }

    fn found(connection: &Connection, selection: &Selection, before: Option<i64>, limit: usize) -> Vec<i64> {
        let (text, values) = selection.newest(before.map(Cursor), limit);
        let mut statement = connection.prepare(&text).unwrap();
        let rows = statement.query_map(params_from_iter(values), |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// One of each kind, with what else may be asked of it.
    fn selections() -> Vec<Selection> {
        let own = Selection { involving: Some(person("ada")), ..Selection::default() };
        let decidable = Selection { pending_or_decided_by: Some(person("bob")), ..Selection::default() };
        let requester = Selection { requester: Some(person("ada")), ..Selection::default() };
        let account = AccountId::new("111111111111").unwrap();
        let of_account = Selection { account: Some(account.clone()), ..Selection::default() };
        let kinds = [own, decidable, requester, of_account, Selection::default()];
        let live = BTreeSet::from([Status::Requested, Status::Approved]);
        let statuses = [live, BTreeSet::from([Status::Rejected]), BTreeSet::from([Status::Expired])];
        let with_statuses = kinds
            .clone()
            .into_iter()
            .flat_map(|kind| statuses.clone().map(|statuses| Selection { statuses, ..kind.clone() }));
        let in_account =
            kinds.clone().into_iter().map(|kind| Selection { account: Some(account.clone()), ..kind });
        kinds.clone().into_iter().chain(with_statuses).chain(in_account).collect()
    }

    #[test]
    fn no_page_walks_through_what_is_not_on_it() {
        let connection = tables();
        for selection in selections() {
            let (text, values) = selection.newest(None, 51);
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
            let steps = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
            // Nothing but the newest of all is read in the order of the table itself.
            let walks = |step: &String| {
                step.starts_with("SCAN request") || step.contains("INTEGER PRIMARY KEY (rowid<?)")
            };
            let all = selection == Selection::default();
            assert_eq!(steps.iter().any(walks), all, "{selection:?}: {steps:#?}");
            let of_account_alone = selection.account.is_some()
                && selection.requester.is_none()
                && selection.involving.is_none()
                && selection.pending_or_decided_by.is_none();
            let by_account = steps.iter().any(|step| step.contains("request_account"));
            assert_eq!(by_account, of_account_alone, "{selection:?}: {steps:#?}");
        }
    }

    #[test]
    fn every_way_to_be_selected_finds_what_the_condition_says_newest_first_and_once() {
        let connection = tables();
        let statuses =
            [Status::Requested, Status::Rejected, Status::Expired, Status::Approved, Status::Ended];
        let parties = [("ada", "ada"), ("ada", "robot"), ("robot", "ada"), ("eve", "eve")];
        for position in 1..=40_i64 {
            let at = usize::try_from(position).unwrap();
            raise(&connection, position, parties[at % parties.len()], statuses[at % statuses.len()]);
            if position % 3 == 0 {
                connection
                    .execute(
                        "INSERT INTO decider (person, request) VALUES (?1, ?2)",
                        params![person("bob").id().as_str(), position],
                    )
                    .unwrap();
            }
        }
        for selection in selections() {
            let Condition { text, values } = selection.condition();
            let text = format!("SELECT position FROM request WHERE {text} ORDER BY position DESC");
            let mut statement = connection.prepare(&text).unwrap();
            let rows = statement.query_map(params_from_iter(values), |row| row.get(0)).unwrap();
            let all: Vec<i64> = rows.collect::<Result<_, _>>().unwrap();
            let (mut pages, mut before) = (Vec::new(), None);
            loop {
                let page = found(&connection, &selection, before, 3);
                before = page.last().copied();
                pages.extend(page);
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(pages, all, "{selection:?}");
        }
    }
}
