//! Makes messages and servers from the part of KurrentDB's protocol that the engine uses.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["proto/streams.proto", "proto/server_features.proto", "proto/gossip.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().build_client(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
