//! Wrong values for every field that callers can send, made from the descriptors: for the test that each is refused by name.

#![expect(clippy::wildcard_enum_match_arm, reason = "of protobuf's kinds of values, few matter here")]

use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};
use std::error::Error;

/// The kinds of rules about one value that wrong values are made for; another fails, so that none is passed over.
const KINDS: [&str; 8] = ["string", "bytes", "enum", "int32", "uint32", "int64", "uint64", "duration"];

/// An encoded request that must be refused.
#[derive(Clone, Debug)]
pub struct WrongValue {
    /// The field that the refusal must name.
    pub field: String,
    /// What is wrong with it.
    pub wrong: String,
    /// The request, encoded.
    pub message: Vec<u8>,
}

/// The descriptors of every service.
pub fn descriptors() -> Result<DescriptorPool, Box<dyn Error>> {
    Ok(DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET)?)
}

/// For every field in what `method` takes, at any depth, and every constraint on it: a request that violates it. Other fields
/// are left empty, and may be named as well. Fails if a constraint is of a kind that no wrong value is made for, or a constrained
/// field got none.
pub fn wrong_values(method: &crate::Method) -> Result<Vec<WrongValue>, Box<dyn Error>> {
    let pool = descriptors()?;
    let input = pool.get_message_by_name(method.input).ok_or("the descriptors lack the message")?;
    let mut wrong = Vec::new();
    Walk { pool: &pool, root: input.clone(), wrong: &mut wrong }.message(&input, &[])?;
    Ok(wrong)
}

struct Walk<'a> {
    pool: &'a DescriptorPool,
    root: MessageDescriptor,
    wrong: &'a mut Vec<WrongValue>,
}

impl Walk<'_> {
    fn message(
        &mut self,
        message: &MessageDescriptor,
        way: &[FieldDescriptor],
    ) -> Result<(), Box<dyn Error>> {
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let rules = self.extension(&oneof.options(), "buf.validate.oneof");
            if rules.is_some_and(|rules| is_true(&rules, "required")) {
                self.put(way, oneof.name(), "unset", |_| ());
            }
        }
        for field in message.fields() {
            self.field(&field, way)?;
        }
        Ok(())
    }

    /// Fails if the field has a constraint and no value violates it.
    fn field(&mut self, field: &FieldDescriptor, way: &[FieldDescriptor]) -> Result<(), Box<dyn Error>> {
        let rules = self.extension(&field.options(), "buf.validate.field");
        let before = self.wrong.len();
        let repeated = field.cardinality() == Cardinality::Repeated;
        let mut items = rules.clone();
        if let Some(rules) = &rules {
            if is_true(rules, "required") {
                self.put(way, field.name(), "unset", |_| ());
            }
            if repeated {
                let typed = inner(rules, "repeated");
                items = typed.as_ref().and_then(|typed| inner(typed, "items"));
                if let Some(typed) = typed {
                    self.counts(field, way, &typed)?;
                }
            }
        }
        let name = if repeated { format!("{}[0]", field.name()) } else { field.name().to_owned() };
        for (wrong, value) in wrong_items(field, items.as_ref())? {
            let value = if repeated { Value::List(vec![value]) } else { value };
            self.put(way, &name, &wrong, |message| message.set_field(field, value));
        }
        if rules.is_some() && self.wrong.len() == before {
            return Err(format!("{}: constrained, and no wrong value is made", field.full_name()).into());
        }
        if let Kind::Message(message) = field.kind()
            && message.package_name().starts_with("daypass.")
        {
            let mut way = way.to_vec();
            way.push(field.clone());
            self.message(&message, &way)?;
        }
        Ok(())
    }

    fn counts(
        &mut self,
        field: &FieldDescriptor,
        way: &[FieldDescriptor],
        rules: &DynamicMessage,
    ) -> Result<(), Box<dyn Error>> {
        let item = match field.kind() {
            Kind::Message(message) => Value::Message(DynamicMessage::new(message)),
            kind => Value::default_value(&kind),
        };
        for (rule, value) in rules.fields().filter(|(rule, _)| rule.name() != "items") {
            let count = usize::try_from(value.as_u64().unwrap_or_default())?;
            let count = match rule.name() {
                "min_items" => count.saturating_sub(1),
                "max_items" => count + 1,
                other => {
                    return Err(format!(
                        "{}: no wrong value is made for repeated.{other}",
                        field.full_name()
                    )
                    .into());
                }
            };
            let value = Value::List(vec![item.clone(); count]);
            self.put(way, field.name(), &format!("{count} items"), |message| message.set_field(field, value));
        }
        Ok(())
    }

    /// Adds the request in which, at the end of `way`, `change` was made; of repeated fields on the way, the first item.
    fn put(
        &mut self,
        way: &[FieldDescriptor],
        name: &str,
        wrong: &str,
        change: impl FnOnce(&mut DynamicMessage),
    ) {
        let mut field = String::new();
        for part in way {
            field.push_str(part.name());
            field.push_str(if part.is_list() { "[0]." } else { "." });
        }
        field.push_str(name);
        let innermost = way.last().map_or(self.root.clone(), |last| match last.kind() {
            Kind::Message(message) => message,
            _ => self.root.clone(),
        });
        let mut message = DynamicMessage::new(innermost);
        change(&mut message);
        for part in way.iter().rev() {
            let inside = Value::Message(message);
            let mut outer = DynamicMessage::new(part.parent_message().clone());
            outer.set_field(part, if part.is_list() { Value::List(vec![inside]) } else { inside });
            message = outer;
        }
        self.wrong.push(WrongValue { field, wrong: wrong.to_owned(), message: message.encode_to_vec() });
    }

    fn extension(&self, options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
        let extension = self.pool.get_extension_by_name(name)?;
        match options.get_extension(&extension).into_owned() {
            Value::Message(rules) if options.has_extension(&extension) => Some(rules),
            _ => None,
        }
    }
}

fn is_true(rules: &DynamicMessage, name: &str) -> bool {
    rules.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default()
}

fn inner(rules: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let value = rules.get_field_by_name(name).filter(|_| rules.has_field_by_name(name))?;
    value.as_message().cloned()
}

/// Wrong single values of a field, each with what is wrong about it.
fn wrong_items(
    field: &FieldDescriptor,
    rules: Option<&DynamicMessage>,
) -> Result<Vec<(String, Value)>, Box<dyn Error>> {
    let mut wrong: Vec<(String, Value)> = Vec::new();
    if let Kind::Message(message) = field.kind()
        && matches!(message.full_name(), "google.protobuf.Timestamp" | "google.protobuf.Duration")
    {
        wrong.push(("not valid".to_owned(), seconds(&message, 1, 2_000_000_000)));
    }
    let ignore_empty =
        rules.and_then(|rules| rules.get_field_by_name("ignore")?.as_enum_number()).unwrap_or_default() == 1;
    let own = ["required", "ignore", "repeated"];
    for (rule, _) in rules.into_iter().flat_map(DynamicMessage::fields) {
        if !KINDS.contains(&rule.name()) && !own.contains(&rule.name()) {
            return Err(format!("{}: no wrong value is made for {}", field.full_name(), rule.name()).into());
        }
    }
    for kind in KINDS {
        let Some(typed) = rules.and_then(|rules| inner(rules, kind)) else { continue };
        for (rule, value) in typed.fields() {
            let what = format!("{kind}.{}", rule.name());
            match (kind, rule.name()) {
                ("string", "min_len") if !ignore_empty => wrong.push((what, Value::String(String::new()))),
                ("string", "max_len" | "max_bytes") => {
                    let count = usize::try_from(value.as_u64().unwrap_or_default())? + 1;
                    wrong.push((what, Value::String("a".repeat(count))));
                }
                ("string", "uuid") => wrong.push((what, Value::String("not-a-uuid".to_owned()))),
                ("string", "pattern") => {
                    let pattern = regex::Regex::new(value.as_str().unwrap_or_default())?;
                    let candidates = ["", " ", "\u{0}", "a\u{7}b", "\u{202e}", "ä", "A", "-", "1"];
                    let refused = candidates
                        .into_iter()
                        .filter(|text| !(pattern.is_match(text) || ignore_empty && text.is_empty()))
                        .map(|text| (what.clone(), Value::String(text.to_owned())))
                        .collect::<Vec<_>>();
                    if refused.is_empty() {
                        return Err(
                            format!("{}: no candidate violates the pattern", field.full_name()).into()
                        );
                    }
                    wrong.extend(refused);
                }
                ("bytes", "max_len") => {
                    let count = usize::try_from(value.as_u64().unwrap_or_default())? + 1;
                    wrong.push((what, Value::Bytes(vec![0; count].into())));
                }
                ("enum", "defined_only") => wrong.push((what, Value::EnumNumber(9_999))),
                ("enum", "not_in") => {
                    wrong.extend(
                        value
                            .as_list()
                            .unwrap_or_default()
                            .iter()
                            .filter_map(|value| Some((what.clone(), Value::EnumNumber(value.as_i32()?)))),
                    );
                }
                ("int32", "gte") => wrong.push((what, Value::I32(value.as_i32().unwrap_or_default() - 1))),
                ("int32", "lte") => wrong.push((what, Value::I32(value.as_i32().unwrap_or_default() + 1))),
                ("uint32", "gte") => wrong.push((what, Value::U32(value.as_u32().unwrap_or_default() - 1))),
                ("uint32", "lte") => wrong.push((what, Value::U32(value.as_u32().unwrap_or_default() + 1))),
                ("int64", "gte") => wrong.push((what, Value::I64(value.as_i64().unwrap_or_default() - 1))),
                ("int64", "lte") => wrong.push((what, Value::I64(value.as_i64().unwrap_or_default() + 1))),
                ("uint64", "lte") => {
                    let most = value.as_u64().unwrap_or_default();
                    wrong.extend([most + 1, u64::MAX].map(|beyond| (what.clone(), Value::U64(beyond))));
                }
                ("duration", bound @ ("gte" | "lte")) => {
                    let Kind::Message(message) = field.kind() else { continue };
                    let limit = value
                        .as_message()
                        .and_then(|limit| limit.get_field_by_name("seconds")?.as_i64())
                        .unwrap_or_default();
                    let beyond = if bound == "gte" { limit - 1 } else { limit + 1 };
                    wrong.push((what, seconds(&message, beyond, 0)));
                }
                ("string", "min_len") if ignore_empty => {}
                _ => return Err(format!("{}: no wrong value is made for {what}", field.full_name()).into()),
            }
        }
    }
    Ok(wrong)
}

fn seconds(message: &MessageDescriptor, seconds: i64, nanos: i32) -> Value {
    let mut value = DynamicMessage::new(message.clone());
    value.set_field_by_name("seconds", Value::I64(seconds));
    value.set_field_by_name("nanos", Value::I32(nanos));
    Value::Message(value)
}
