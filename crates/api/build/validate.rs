//! Code that checks the `buf.validate` constraints of every message that a caller can send. A constraint that is not known
//! here fails the build: one that is declared and not enforced would be worse than none. So does a field without a bound.
//!
//! The rules themselves are applied by `src/validate.rs`; what is generated only says which rules hold for which field.

use super::names;
use super::options::extension;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    OneofDescriptor, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

type Result<T> = std::result::Result<T, String>;

/// Rust code of `impl Validate` for every request, and for every answer (which is not checked: it is ours).
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String> {
    let mut requests = BTreeMap::new();
    let mut answers = BTreeSet::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        reach(&method.input(), &mut requests)?;
        answers.insert(names::message(&method.output()));
    }
    let mut generator = Generator { pool, patterns: BTreeMap::new(), problems: Vec::new() };
    let mut code = String::new();
    for message in requests.values() {
        let name = names::message(message);
        if answers.contains(&name) {
            return Err(format!(
                "{name} is asked and answered: its constraints would hold for one of the two"
            ));
        }
        let checks = generator.message(message)?;
        let found = if checks.is_empty() { "_found" } else { "found" };
        let _ = write!(
            code,
            "impl Validate for {name} {{\n    const IS_REQUEST: bool = true;\n    \
             fn check(&self, {found}: &mut Violations) {{\n{checks}    }}\n}}\n\n",
        );
    }
    if !generator.problems.is_empty() {
        return Err(generator.problems.join("; "));
    }
    for name in answers {
        let _ = write!(
            code,
            "impl Validate for {name} {{\n    const IS_REQUEST: bool = false;\n    \
             fn check(&self, _found: &mut Violations) {{}}\n}}\n\n",
        );
    }
    for (text, number) in &generator.patterns {
        let _ = writeln!(code, "static PATTERN_{number}: Pattern = Pattern::new({text:?});");
    }
    Ok(code)
}

/// Collects `message` and every message in it.
fn reach(message: &MessageDescriptor, found: &mut BTreeMap<String, MessageDescriptor>) -> Result<()> {
    if !message.package_name().starts_with("daypass.") {
        return Err(format!("{} in a request: not supported", message.full_name()));
    }
    if found.insert(message.full_name().to_owned(), message.clone()).is_some() {
        return Ok(());
    }
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind()
            && instant(&inner).is_none()
        {
            reach(&inner, found)?;
        }
    }
    Ok(())
}

/// `Timestamp` and `Duration`, by the name of what checks them.
fn instant(message: &MessageDescriptor) -> Option<&'static str> {
    match message.full_name() {
        "google.protobuf.Timestamp" => Some("timestamp"),
        "google.protobuf.Duration" => Some("duration"),
        _ => None,
    }
}

struct Generator<'a> {
    pool: &'a DescriptorPool,
    patterns: BTreeMap<String, usize>,
    /// What cannot be enforced, by field.
    problems: Vec<String>,
}

/// What is declared about one field.
#[derive(Default)]
struct Rules {
    required: bool,
    ignore_zero: bool,
    /// The rules for a type of value: its name, and the message that holds them.
    typed: Option<(String, DynamicMessage)>,
}

impl Generator<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> Result<String> {
        if extension(self.pool, &message.options(), "buf.validate.message").is_some() {
            return Err(format!("{}: rules on messages are not supported", message.full_name()));
        }
        let mut code = String::new();
        for field in message.fields() {
            let in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
            if !in_oneof {
                match self.field(&field) {
                    Ok(checks) => code.push_str(&checks),
                    Err(why) => self.problems.push(format!("{}: {why}", field.full_name())),
                }
            }
        }
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let checks =
                self.oneof(message, &oneof).map_err(|why| format!("{}: {why}", oneof.full_name()))?;
            code.push_str(&checks);
        }
        Ok(code)
    }

    fn oneof(&mut self, message: &MessageDescriptor, oneof: &OneofDescriptor) -> Result<String> {
        let required = match extension(self.pool, &oneof.options(), "buf.validate.oneof") {
            Some(Value::Message(rules)) => {
                rules.get_field_by_name("required").and_then(|value| value.as_bool()).unwrap_or_default()
            }
            _ => false,
        };
        let package = names::message(message);
        let package = package.rsplit_once("::").map_or("", |(package, _)| package);
        let kind = format!("{package}::{}::{}", names::snake(message.name()), names::pascal(oneof.name()));
        let mut code = format!("        match &self.{} {{\n", oneof.name());
        for field in oneof.fields() {
            let checks = self.value(&field, &self.rules(&field)?, "value", None)?;
            let _ = writeln!(
                code,
                "            Some({kind}::{}(value)) => {checks},",
                names::pascal(field.name())
            );
        }
        let none = if required { format!("found.required({:?})", oneof.name()) } else { "{}".to_owned() };
        let _ = write!(code, "            None => {none},\n        }}\n");
        Ok(code)
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<String> {
        let rules = self.rules(field)?;
        let name = field.name();
        let this = format!("self.{}", names::field(name));
        if field.is_map() {
            return Err("maps in requests are not supported".to_owned());
        }
        if field.cardinality() == Cardinality::Repeated {
            return self.repeated(field, &rules);
        }
        let optional = field.supports_presence();
        if optional {
            let checks = self.value(field, &rules, "value", None)?;
            if checks == "{}" && !rules.required {
                return Ok(String::new());
            }
            let none = if rules.required { format!("found.required({name:?})") } else { "{}".to_owned() };
            return Ok(format!(
                "        match &{this} {{\n            Some(value) => {checks},\n            None => {none},\n        }}\n"
            ));
        }
        if rules.required {
            return Err("`required` on a field without presence: say min_len or not_in".to_owned());
        }
        let checks = self.value(field, &rules, &format!("&{this}"), None)?;
        if checks == "{}" { Ok(String::new()) } else { Ok(format!("        {checks};\n")) }
    }

    fn repeated(&mut self, field: &FieldDescriptor, rules: &Rules) -> Result<String> {
        let name = field.name();
        let (mut min, mut max, mut items) = (None, None, Rules::default());
        if let Some((kind, typed)) = &rules.typed {
            if kind != "repeated" {
                return Err(format!("{kind} rules on a repeated field"));
            }
            for (rule, value) in typed.fields() {
                match rule.name() {
                    "min_items" => min = value.as_u64(),
                    "max_items" => max = value.as_u64(),
                    "items" => items = rules_of(value.as_message().ok_or("items")?)?,
                    other => return Err(format!("repeated.{other} is not supported")),
                }
            }
        }
        let max = max.ok_or("a repeated field in a request needs max_items")?;
        let checks = self.value(field, &items, "value", Some("index"))?;
        let this = format!("self.{}", names::field(name));
        let count = format!("found.items({name:?}, {this}.len(), {}, {max})", min.unwrap_or_default());
        Ok(if checks == "{}" {
            format!("        {count};\n")
        } else {
            format!(
                "        if {count} {{\n            for (index, value) in {this}.iter().enumerate() {{\n                \
                 {checks};\n            }}\n        }}\n"
            )
        })
    }

    fn rules(&self, field: &FieldDescriptor) -> Result<Rules> {
        match extension(self.pool, &field.options(), "buf.validate.field") {
            Some(Value::Message(rules)) => rules_of(&rules),
            _ => Ok(Rules::default()),
        }
    }

    /// An expression that checks `value` (a reference); `{}` when there is nothing to check.
    fn value(
        &mut self,
        field: &FieldDescriptor,
        rules: &Rules,
        value: &str,
        index: Option<&str>,
    ) -> Result<String> {
        let name = field.name();
        let at = index.map_or_else(|| format!("{name:?}"), |index| format!("({name:?}, {index})"));
        let ignore = rules.ignore_zero;
        let none = || rules.typed.is_none();
        Ok(match field.kind() {
            Kind::Message(message) => match instant(&message) {
                Some("duration") => {
                    format!("found.duration({at}, {value}, {})", duration_rules(rules)?)
                }
                Some(_) if none() => format!("found.timestamp({at}, {value})"),
                Some(_) => return Err("rules on timestamps are not supported".to_owned()),
                None if none() => format!("found.within({at}, |found| {value}.check(found))"),
                None => return Err("rules on this message are not supported".to_owned()),
            },
            Kind::String => format!("found.string({at}, {value}, &{})", self.string_rules(rules, ignore)?),
            Kind::Bytes => format!("found.bytes({at}, {value}, {})", bytes_max(rules)?),
            Kind::Enum(kind) => enumeration(rules, &kind, &at, value)?,
            Kind::Bool if none() => "{}".to_owned(),
            Kind::Uint64 => {
                // What is beyond an i64 is beyond every bound that can be declared.
                let (min, max) = integer_bounds(rules, &field.kind())?;
                format!("found.integer({at}, i64::try_from(*{value}).unwrap_or(i64::MAX), {min}, {max})")
            }
            Kind::Int32 | Kind::Uint32 | Kind::Int64 => {
                let (min, max) = integer_bounds(rules, &field.kind())?;
                format!("found.integer({at}, i64::from(*{value}), {min}, {max})")
            }
            other => return Err(format!("rules on {other:?} are not supported")),
        })
    }

    fn string_rules(&mut self, rules: &Rules, ignore_zero: bool) -> Result<String> {
        let mut code = format!("StringRules {{ ignore_empty: {ignore_zero}, ");
        let mut bounded = false;
        for (name, value) in typed(rules, "string")? {
            bounded |= matches!(name.as_str(), "max_len" | "max_bytes" | "uuid");
            let _ = match name.as_str() {
                "min_len" => write!(code, "min_len: {}, ", number(&value)?),
                "max_len" => write!(code, "max_len: {}, ", number(&value)?),
                "max_bytes" => write!(code, "max_bytes: {}, ", number(&value)?),
                "uuid" => write!(code, "uuid: true, "),
                "pattern" => {
                    let text = value.as_str().ok_or("pattern")?.to_owned();
                    regex::Regex::new(&text).map_err(|error| error.to_string())?;
                    let anchored = text.starts_with('^') && text.ends_with('$');
                    bounded |= anchored && !text.contains(['*', '+']) && !text.contains(",}");
                    let next = self.patterns.len();
                    let number = self.patterns.entry(text).or_insert(next);
                    write!(code, "pattern: Some(&PATTERN_{number}), ")
                }
                other => return Err(format!("string.{other} is not supported")),
            };
        }
        if !bounded {
            return Err(
                "a string in a request needs max_len, max_bytes, uuid or a pattern without `*` and `+`"
                    .to_owned(),
            );
        }
        code.push_str("..StringRules::NONE }");
        Ok(code)
    }
}

fn rules_of(message: &DynamicMessage) -> Result<Rules> {
    let mut rules = Rules::default();
    for (field, value) in message.fields() {
        match (field.name(), value) {
            ("required", Value::Bool(required)) => rules.required = *required,
            ("ignore", Value::EnumNumber(1)) => rules.ignore_zero = true,
            (kind, Value::Message(typed)) => rules.typed = Some((kind.to_owned(), typed.clone())),
            (other, _) => return Err(format!("{other} is not supported")),
        }
    }
    Ok(rules)
}

/// The rules that are set, by name, when they are for the type `kind`.
fn typed(rules: &Rules, kind: &str) -> Result<Vec<(String, Value)>> {
    match &rules.typed {
        None => Ok(Vec::new()),
        Some((of, _)) if of != kind => Err(format!("{of} rules on a {kind}")),
        Some((_, message)) => {
            if message.unknown_fields().next().is_some() {
                return Err("has rules that are not known".to_owned());
            }
            Ok(message.fields().map(|(field, value)| (field.name().to_owned(), value.clone())).collect())
        }
    }
}

fn number(value: &Value) -> Result<i64> {
    match value {
        Value::U64(number) => i64::try_from(*number).map_err(|error| error.to_string()),
        Value::U32(number) => Ok(i64::from(*number)),
        Value::I64(number) => Ok(*number),
        Value::I32(number) => Ok(i64::from(*number)),
        other => Err(format!("{other:?} is not a whole number")),
    }
}

fn bytes_max(rules: &Rules) -> Result<i64> {
    match typed(rules, "bytes")?.as_slice() {
        [(name, value)] if name == "max_len" => number(value),
        _ => Err("bytes in a request need max_len, and no other rule on them is supported".to_owned()),
    }
}

fn integer_bounds(rules: &Rules, kind: &Kind) -> Result<(i64, i64)> {
    let unsigned = matches!(kind, Kind::Uint32 | Kind::Uint64);
    let (mut min, mut max) = (unsigned.then_some(0), None);
    if let Some((kind, _)) = &rules.typed {
        for (name, value) in typed(rules, kind)? {
            match name.as_str() {
                "gte" => min = Some(number(&value)?),
                "lte" => max = Some(number(&value)?),
                other => return Err(format!("{kind}.{other} is not supported")),
            }
        }
    }
    min.zip(max)
        .ok_or_else(|| "a whole number in a request needs gte and lte, an unsigned one lte".to_owned())
}

/// `Some((min, max))` in whole seconds.
fn duration_rules(rules: &Rules) -> Result<String> {
    let (mut min, mut max) = (i64::MIN, i64::MAX);
    for (name, value) in typed(rules, "duration")? {
        let duration = value.as_message().ok_or("a bound of a duration")?;
        let part = |name: &str| duration.get_field_by_name(name).map_or(Ok(0), |value| number(&value));
        if part("nanos")? != 0 {
            return Err("bounds of durations are whole seconds".to_owned());
        }
        match name.as_str() {
            "gte" => min = part("seconds")?,
            "lte" => max = part("seconds")?,
            other => return Err(format!("duration.{other} is not supported")),
        }
    }
    if max == i64::MAX {
        return Err("a duration in a request needs lte".to_owned());
    }
    Ok(format!("Some(({min}, {max}))"))
}

fn enumeration(rules: &Rules, kind: &EnumDescriptor, at: &str, value: &str) -> Result<String> {
    let mut not_in = Vec::new();
    let mut defined_only = false;
    for (name, value) in typed(rules, "enum")? {
        match (name.as_str(), &value) {
            ("defined_only", Value::Bool(true)) => defined_only = true,
            ("not_in", Value::List(values)) => {
                not_in = values.iter().map(number).collect::<Result<Vec<_>>>()?;
            }
            (other, _) => return Err(format!("enum.{other} is not supported")),
        }
    }
    if !defined_only {
        return Err("an enum in a request needs defined_only".to_owned());
    }
    Ok(format!("found.enumeration({at}, *{value}, {}::is_valid, &{not_in:?})", names::enumeration(kind)))
}
