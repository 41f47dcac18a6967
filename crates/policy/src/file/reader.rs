//! Takes a TOML table apart key by key, and notes what is missing, wrong, or left over.

use crate::check::Problem;
use crate::duration;
use domain::SignedDuration;
use std::collections::BTreeSet;
use std::str::FromStr;
use toml::{Table, Value};

/// A table that is being read, and where it is in the file.
pub(super) struct Reader<'p> {
    path: String,
    table: Table,
    /// What was wrong so far, in the whole file.
    pub(super) problems: &'p mut Vec<Problem>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(path: &str, table: Table, problems: &'p mut Vec<Problem>) -> Self {
        Self { path: path.to_owned(), table, problems }
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn problem(&mut self, key: &str, why: &str) {
        let path = self.at(key);
        self.problems.push(Problem::new(path, why));
    }

    pub(super) fn peek(&self, key: &str) -> Option<&Value> {
        self.table.get(key)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.table.remove(key)
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// `read`, with a problem when the key is not there at all.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Self, &str) -> Option<T>,
    ) -> Option<T> {
        if self.table.contains_key(key) {
            return read(self, key);
        }
        self.problem(key, "is missing");
        None
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        if let Value::String(text) = value {
            return Some(text);
        }
        self.problem(key, "must be a string");
        None
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let flag = self.take(key)?.as_bool();
        if flag.is_none() {
            self.problem(key, "must be true or false");
        }
        flag
    }

    /// A number of people; 1 when it is not there.
    pub(super) fn count(&mut self, key: &str) -> u8 {
        let Some(value) = self.take(key) else { return 1 };
        let count = value.as_integer().and_then(|count| u8::try_from(count).ok());
        if count.is_none() {
            self.problem(key, "must be a number of people");
        }
        count.unwrap_or(1)
    }

    pub(super) fn duration(&mut self, key: &str) -> Option<SignedDuration> {
        let text = self.text(key)?;
        let duration = duration::parse(&text);
        if let Err(invalid) = &duration {
            self.problem(key, invalid.why);
        }
        duration.ok()
    }

    /// A required value that is written as a string.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        self.required(key, |table, key| {
            let value = table.take(key)?;
            let path = table.at(key);
            table.parse_value(&path, &value)
        })
    }

    /// A value that is written as a string and may be left out.
    pub(super) fn optional<T: FromStr>(&mut self, key: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let value = self.take(key)?;
        let path = self.at(key);
        self.parse_value(&path, &value)
    }

    pub(super) fn parse_value<T: FromStr>(&mut self, path: &str, value: &Value) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let parsed = match value.as_str() {
            Some(text) => text.parse::<T>().map_err(|error| error.to_string()),
            None => Err("must be a string".to_owned()),
        };
        parsed.map_err(|why| self.problems.push(Problem::new(path, why))).ok()
    }

    /// A list of strings without repetition; empty when it is not there.
    pub(super) fn parsed_set<T: FromStr + Ord>(&mut self, key: &str) -> BTreeSet<T>
    where
        T::Err: std::fmt::Display,
    {
        let mut set = BTreeSet::new();
        for (path, value) in self.list(key) {
            let Some(item) = self.parse_value(&path, &value) else { continue };
            if !set.insert(item) {
                self.problems.push(Problem::new(path, "is listed twice"));
            }
        }
        set
    }

    /// The items of a list with their paths; none when it is not there.
    pub(super) fn list(&mut self, key: &str) -> Vec<(String, Value)> {
        let path = self.at(key);
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let name = |(i, item): (usize, Value)| (format!("{path}[{}]", label(i, &item)), item);
                items.into_iter().enumerate().map(name).collect()
            }
            Some(_) => {
                self.problem(key, "must be a list");
                Vec::new()
            }
        }
    }

    /// The items of a list of tables.
    pub(super) fn tables(&mut self, key: &str) -> Vec<(String, Table)> {
        let mut tables = Vec::new();
        for (path, value) in self.list(key) {
            if let Value::Table(table) = value {
                tables.push((path, table));
            } else {
                self.problems.push(Problem::new(path, "must be a table"));
            }
        }
        tables
    }

    pub(super) fn table(&mut self, key: &str) -> Option<Reader<'_>> {
        let path = self.at(key);
        let value = self.take(key)?;
        if let Value::Table(table) = value {
            return Some(Reader::new(&path, table, self.problems));
        }
        self.problem(key, "must be a table");
        None
    }

    /// Notes every key that nobody took.
    pub(super) fn finish(mut self) {
        for key in self.keys() {
            self.problem(&key, "is not known here");
        }
    }
}

/// The id of an item that has one, as the check names it as well; otherwise its place.
fn label(i: usize, item: &Value) -> String {
    item.get("id")
        .and_then(Value::as_str)
        .filter(|id| domain::RuleId::new(*id).is_ok())
        .map_or_else(|| i.to_string(), str::to_owned)
}
