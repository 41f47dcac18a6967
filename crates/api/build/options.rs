//! Reads the options that protos set.

use prost_reflect::{DescriptorPool, DynamicMessage, Value};

/// The value of the extension `name` in `options`, if it is set.
pub(crate) fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = pool.get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}
