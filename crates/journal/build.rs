//! Compiles the stored types without a system `protoc`, and keeps their descriptors for the JSON view.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let names = ["envelope", "values", "request", "assignment", "denial", "policy", "duty", "signal", "log"];
    let files: Vec<PathBuf> =
        names.iter().map(|name| root.join(format!("daypass/log/v1/{name}.proto"))).collect();
    println!("cargo:rerun-if-changed={}", root.join("daypass/log").display());
    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("log.binpb"), prost::Message::encode_to_vec(&descriptors))?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
