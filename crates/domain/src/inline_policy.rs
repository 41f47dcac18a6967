//! An IAM policy document that a rule cuts its sessions down to.
//!
//! INVARIANT: what is not understood is refused, never left out: an unknown element, an element that is named twice, a `null`
//! would each be a restriction that vanishes. The grammar is that of IAM (IAM User Guide, "Grammar of the IAM JSON policy
//! language"), narrowed to what a session policy may say: no `Principal`, and no version in which policy variables are text.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The one version of the policy language. In the other, of 2008, which is also what a missing version means, `${aws:username}`
/// is text and not a variable.
const VERSION: &str = "2012-10-17";

/// The operators of conditions (IAM User Guide, "IAM JSON policy elements: Condition operators"), without `IfExists` and
/// without a set's `ForAllValues:` or `ForAnyValue:`.
const OPERATORS: &[&str] = &[
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "BinaryEquals",
    "Bool",
    "DateEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateNotEquals",
    "IpAddress",
    "NotIpAddress",
    "Null",
    "NumericEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericNotEquals",
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
];

/// Bytes of a document as it is written, with its blanks and its statement ids: what follows is at most 2,048 characters.
const WRITTEN_MAX: usize = 16 * 1024;

/// An IAM policy document, well formed and without blanks: two that say the same in the same order are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InlinePolicy {
    id: Option<String>,
    statements: Vec<Statement>,
}

/// Why a text is no policy document; tells where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[error("must be an IAM policy document: {0}")]
pub struct NotAPolicy(String);

impl NotAPolicy {
    /// Names in the document are repeated, so what could disturb a terminal is taken out.
    fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string().chars().filter(|c| !c.is_control()).take(300).collect())
    }
}

impl InlinePolicy {
    /// Whether some statement allows anything.
    pub fn allows(&self) -> bool {
        self.statements.iter().any(|statement| statement.effect == Effect::Allow)
    }

    /// The statements as AWS is sent them: each a JSON object, without its `Sid`, which decides nothing.
    pub(crate) fn rendered(&self) -> impl Iterator<Item = String> + '_ {
        self.statements.iter().map(|statement| json(&Statement { sid: None, ..statement.clone() }))
    }
}

/// The document, in its one form.
impl fmt::Display for InlinePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let document = Document {
            version: VERSION.to_owned(),
            id: self.id.clone(),
            statements: Statements(self.statements.clone()),
        };
        f.write_str(&json(&document))
    }
}

impl std::str::FromStr for InlinePolicy {
    type Err = NotAPolicy;
    fn from_str(text: &str) -> Result<Self, NotAPolicy> {
        if text.len() > WRITTEN_MAX {
            return Err(NotAPolicy::new("it is longer than 16 KiB"));
        }
        let document: Document = serde_json::from_str(text).map_err(NotAPolicy::new)?;
        if document.version != VERSION {
            return Err(NotAPolicy::new("Version must be \"2012-10-17\""));
        }
        let statements = document.statements.0;
        if statements.is_empty() {
            return Err(NotAPolicy::new("Statement must not be empty"));
        }
        for (i, statement) in statements.iter().enumerate() {
            statement.check().map_err(|why| NotAPolicy::new(format_args!("Statement[{i}]{why}")))?;
        }
        let policy = Self { id: document.id, statements };
        // As the AWS STS API reference has it; control characters are written as escapes.
        if policy.to_string().chars().any(|c| !matches!(c, ' '..='\u{ff}')) {
            return Err(NotAPolicy::new("it has characters beyond U+00FF, which STS does not take"));
        }
        Ok(policy)
    }
}

/// Infallible for these types: keys are texts.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Document {
    version: String,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "Statement")]
    statements: Statements,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    effect: Effect,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    action: Option<Texts>,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    not_action: Option<Texts>,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    resource: Option<Texts>,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    not_resource: Option<Texts>,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    condition: Option<Unique<Unique<Texts>>>,
}

impl Statement {
    fn check(&self) -> Result<(), String> {
        let sid = self.sid.as_deref().unwrap_or_default();
        if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(".Sid must be letters and digits".to_owned());
        }
        match (&self.action, &self.not_action) {
            (Some(actions), None) | (None, Some(actions)) if actions.all(is_action) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(": an action must be * or look like s3:Get*".to_owned());
            }
            _neither_or_both => return Err(" must have one of Action and NotAction".to_owned()),
        }
        match (&self.resource, &self.not_resource) {
            (Some(resources), None) | (None, Some(resources)) if resources.all(is_resource) => {}
            (Some(_), None) | (None, Some(_)) => return Err(": a resource must be * or an ARN".to_owned()),
            _neither_or_both => return Err(" must have one of Resource and NotResource".to_owned()),
        }
        let operators = self.condition.iter().flat_map(|condition| &condition.0);
        for (operator, keys) in operators {
            if !is_operator(operator) {
                return Err(format!(".Condition.{operator} is no operator that IAM has"));
            }
            if keys.0.is_empty() {
                return Err(format!(".Condition.{operator} must not be empty"));
            }
        }
        if self.condition.as_ref().is_some_and(|condition| condition.0.is_empty()) {
            return Err(".Condition must not be empty".to_owned());
        }
        Ok(())
    }
}

fn is_action(text: &str) -> bool {
    let service = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let action = |b: u8| b.is_ascii_alphanumeric() || b"*?".contains(&b);
    text == "*"
        || text.split_once(':').is_some_and(|(vendor, name)| {
            !vendor.is_empty() && !name.is_empty() && vendor.bytes().all(service) && name.bytes().all(action)
        })
}

fn is_resource(text: &str) -> bool {
    text == "*" || (text.starts_with("arn:") && text.splitn(6, ':').count() == 6)
}

fn is_operator(text: &str) -> bool {
    let one = text.strip_prefix("ForAllValues:").or(text.strip_prefix("ForAnyValue:")).unwrap_or(text);
    OPERATORS.contains(&one.strip_suffix("IfExists").unwrap_or(one))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// What is there is not `null`.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// One statement, or a list of them.
#[derive(Serialize)]
struct Statements(Vec<Statement>);

impl<'de> Deserialize<'de> for Statements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Statements;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a statement or a list of statements")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Statements, A::Error> {
                Statement::deserialize(MapAccessDeserializer::new(map)).map(|one| Statements(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statements, A::Error> {
                let mut statements = Vec::new();
                while let Some(statement) = list.next_element()? {
                    statements.push(statement);
                }
                Ok(Statements(statements))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// One text, or a list of them; at least one. IAM takes a number or a truth value for its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Texts(Vec<String>);

impl Texts {
    fn all(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.0.iter().all(|text| holds(text))
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be a text or a list of texts")]
        enum Scalar {
            Text(String),
            Flag(bool),
            Number(i64),
        }
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be a text or a list of texts")]
        enum Read {
            One(Scalar),
            Many(Vec<Scalar>),
        }
        let texts: Vec<String> = match Read::deserialize(deserializer)? {
            Read::One(one) => vec![one],
            Read::Many(several) => several,
        }
        .into_iter()
        .map(|scalar| match scalar {
            Scalar::Text(text) => text,
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Number(number) => number.to_string(),
        })
        .collect();
        if texts.is_empty() { Err(D::Error::custom("a list must not be empty")) } else { Ok(Self(texts)) }
    }
}

/// An object whose keys are all different.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Unique<V>(BTreeMap<String, V>);

impl<V: Serialize> Serialize for Unique<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Read<V> {
            type Value = Unique<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
                let mut unique = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, V>()? {
                    if unique.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
                    }
                }
                Ok(Unique(unique))
            }
        }
        deserializer.deserialize_map(Read(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(statement: &str) -> Result<InlinePolicy, NotAPolicy> {
        format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#).parse()
    }

    #[test]
    fn a_document_has_one_form_however_it_is_written() {
        let written = r#"
          { "Statement": {
              "Resource": "arn:aws:s3:::reports/${aws:PrincipalTag/team}/*", "Action": ["s3:GetObject"], "Effect": "Allow",
              "Condition": { "Bool": { "aws:SecureTransport": true }, "ForAnyValue:StringLikeIfExists": { "k": ["a", 1] } }
            },
            "Version": "2012-10-17" }"#;
        let policy: InlinePolicy = written.parse().unwrap();
        let form = concat!(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","#,
            r#""Resource":"arn:aws:s3:::reports/${aws:PrincipalTag/team}/*","#,
            r#""Condition":{"Bool":{"aws:SecureTransport":"true"},"ForAnyValue:StringLikeIfExists":{"k":["a","1"]}}}]}"#,
        );
        assert_eq!(policy.to_string(), form);
        assert_eq!(form.parse::<InlinePolicy>().unwrap(), policy);
        assert!(policy.allows());
    }

    #[test]
    fn statement_ids_are_kept_and_not_sent() {
        let policy = with(r#"{"Sid":"Read","Effect":"Deny","NotAction":"s3:*","NotResource":"*"}"#).unwrap();
        assert!(policy.to_string().contains(r#""Sid":"Read""#));
        let sent: Vec<String> = policy.rendered().collect();
        assert_eq!(sent, [r#"{"Effect":"Deny","NotAction":"s3:*","NotResource":"*"}"#]);
        assert!(!policy.allows());
    }

    #[test]
    fn what_is_not_understood_is_refused_and_never_left_out() {
        for (statement, why) in [
            (
                r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#,
                "unknown field `Principal`",
            ),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Conditon":{}}"#, "unknown field `Conditon`"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":null}"#, "invalid type: null"),
            (r#"{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}"#, "duplicate field"),
            (r#"{"Effect":"Permit","Action":"*","Resource":"*"}"#, "unknown variant `Permit`"),
            (r#"{"Effect":"Allow","Resource":"*"}"#, "one of Action and NotAction"),
            (
                r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#,
                "one of Action and NotAction",
            ),
            (r#"{"Effect":"Allow","Action":"*"}"#, "one of Resource and NotResource"),
            (r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#, "must not be empty"),
            (r#"{"Effect":"Allow","Action":"s3","Resource":"*"}"#, "an action must be"),
            (r#"{"Effect":"Allow","Action":"s3:Get Object","Resource":"*"}"#, "an action must be"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"my-bucket"}"#, "a resource must be"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}"#, "must not be empty"),
            (
                r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{}}}"#,
                "must not be empty",
            ),
            (
                r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Equals":{"k":"v"}}}"#,
                "no operator",
            ),
            (
                r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"k":"1"},"Bool":{"k":"2"}}}"#,
                "duplicate field `Bool`",
            ),
            (r#"{"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"}"#, ".Sid"),
            (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::€"}"#, "U+00FF"),
        ] {
            let refused = with(statement).unwrap_err().to_string();
            assert!(refused.contains(why), "{statement}: {refused}");
        }
        let statement = r#""Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]"#;
        for document in [
            format!("{{{statement}}}"),
            format!(r#"{{"Version":"2008-10-17",{statement}}}"#),
            format!(r#"{{"Version":"2012-10-17",{statement},"Extra":1}}"#),
            r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
            "[]".to_owned(),
            String::new(),
            " ".repeat(WRITTEN_MAX + 1),
        ] {
            assert!(document.parse::<InlinePolicy>().is_err(), "{document}");
        }
    }

    #[test]
    fn a_refusal_carries_no_control_characters() {
        let refused = with("{\"\\u001b[2J\":1}").unwrap_err().to_string();
        assert!(!refused.contains('\u{1b}'), "{refused:?}");
    }
}
