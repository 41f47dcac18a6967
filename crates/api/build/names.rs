//! How prost spells the names of protobuf in Rust.

use prost_reflect::{EnumDescriptor, MessageDescriptor};

/// The Rust path of a message: `crate::types::v1::Target`.
pub(crate) fn message(message: &MessageDescriptor) -> String {
    path(message.package_name(), message.name())
}

/// The Rust path of an enum.
pub(crate) fn enumeration(enumeration: &EnumDescriptor) -> String {
    path(enumeration.package_name(), enumeration.name())
}

fn path(package: &str, name: &str) -> String {
    let module = package.trim_start_matches("daypass.").replace('.', "::");
    format!("crate::{module}::{name}")
}

/// The Rust name of a field. `type` and its like would be raw identifiers, and are not used in our protos.
pub(crate) fn field(name: &str) -> &str {
    name
}

/// `created_at` → `CreatedAt`, as prost names the variants of a oneof.
pub(crate) fn pascal(snake: &str) -> String {
    snake
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect::<String>()
        })
        .collect()
}

/// `GetAsOf` → `get_as_of`, as prost names the module of a message's oneofs.
pub(crate) fn snake(pascal: &str) -> String {
    let mut snake = String::new();
    for (i, letter) in pascal.char_indices() {
        if letter.is_ascii_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
