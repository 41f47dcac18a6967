//! `Debug` for messages with secret fields (`debug_redact = true`), so that no secret is ever printed by accident.

use super::names;
use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};
use std::fmt::Write as _;

/// The messages that have a secret field.
pub(crate) fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages()
        .filter(|message| message.package_name().starts_with("daypass."))
        .filter(|message| message.fields().any(|field| is_secret(&field)))
        .collect()
}

fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").and_then(|value| value.as_bool()).unwrap_or_default()
}

/// Rust code of their `Debug`.
pub(crate) fn generate(messages: &[MessageDescriptor]) -> String {
    let mut code = String::new();
    for message in messages {
        let _ = writeln!(
            code,
            "impl std::fmt::Debug for {} {{\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
             f.debug_struct({:?})",
            names::message(message),
            message.name(),
        );
        for field in message.fields() {
            let name = field.name();
            let _ = if is_secret(&field) {
                writeln!(code, "            .field({name:?}, &format_args!(\"[redacted]\"))")
            } else {
                writeln!(code, "            .field({name:?}, &self.{})", names::field(name))
            };
        }
        code.push_str("            .finish()\n    }\n}\n");
    }
    code
}
