//! The table of methods: who may call each at all, and which are planned.

use super::names;
use super::options::extension;
use prost_reflect::{DescriptorPool, EnumDescriptor, MethodDescriptor, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rust code of the table, ordered by path.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String, String> {
    let access =
        pool.get_enum_by_name("daypass.options.v1.Access").ok_or("daypass.options.v1.Access is missing")?;
    let mut rows = BTreeMap::new();
    for service in pool.services().filter(|service| service.full_name().starts_with("daypass.")) {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            rows.insert(path.clone(), row(pool, &access, &path, &method)?);
        }
    }
    let mut code = String::from("/// Every method of every service, ordered by path.\n");
    writeln!(code, "pub const METHODS: &[Method] = &[").map_err(|error| error.to_string())?;
    code.extend(rows.into_values());
    code.push_str("];\n");
    Ok(code)
}

fn row(
    pool: &DescriptorPool,
    access: &EnumDescriptor,
    path: &str,
    method: &MethodDescriptor,
) -> Result<String, String> {
    let options = method.options();
    let who = match extension(pool, &options, "daypass.options.v1.access") {
        Some(Value::List(values)) => values
            .iter()
            .map(|value| {
                let number = value.as_enum_number().unwrap_or_default();
                match access.get_value(number) {
                    Some(value) if number != 0 => {
                        Ok(format!("Access::{}", variant(value.name().trim_start_matches("ACCESS_"))))
                    }
                    _ => Err(format!("{path}: unknown access {number}")),
                }
            })
            .collect::<Result<Vec<_>, _>>()?,
        _ => Vec::new(),
    };
    if who.is_empty() {
        return Err(format!("{path} does not say who may call it: option (daypass.options.v1.access) = …"));
    }
    if method.is_client_streaming() {
        return Err(format!("{path} streams its requests: field constraints are not enforced on those"));
    }
    let planned = extension(pool, &options, "daypass.options.v1.planned")
        .and_then(|value| value.as_bool())
        .unwrap_or_default();
    Ok(format!(
        "    Method {{ path: {path:?}, service: {:?}, name: {:?}, access: &[{}], planned: {planned}, \
         server_streaming: {}, input: {:?}, output: {:?} }},\n",
        method.parent_service().full_name(),
        method.name(),
        who.join(", "),
        method.is_server_streaming(),
        method.input().full_name(),
        method.output().full_name(),
    ))
}

fn variant(screaming: &str) -> String {
    names::pascal(&screaming.to_ascii_lowercase())
}
