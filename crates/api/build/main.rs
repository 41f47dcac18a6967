//! Makes the crate's code from `proto/daypass`, without a protoc on the machine: messages, clients and servers (prost, tonic),
//! checks of field constraints ([`validate`]), the table of methods ([`methods`]) and `Debug` that hides secrets ([`redact`]).
//!
//! INVARIANT: an RPC without `access`, a field of a request without a constraint, or a constraint that cannot be enforced,
//! fails the build. `tests/build.rs` shows that.

#![expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of protobuf's kinds, those that are not named fail the build"
)]

mod methods;
mod names;
mod options;
mod redact;
mod validate;

use std::error::Error;
use std::path::{Path, PathBuf};

/// The packages of this crate. `daypass.log` is `journal`'s.
const PACKAGES: [&str; 6] =
    ["activation/v1", "approval/v1", "audit/v1", "options/v1", "request/v1", "types/v1"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = proto_files(root)?;
    let includes = [root.to_owned(), root.join("vendor")];

    // Once with comments, which become documentation; once without, for reflection.
    let documented = compile(&files, &includes, true)?;
    let plain = compile(&files, &includes, false)?;
    std::fs::write(out.join("descriptors.bin"), plain.encode_file_descriptor_set())?;

    let pool = plain.descriptor_pool();
    std::fs::write(out.join("methods.rs"), methods::generate(&pool)?)?;
    std::fs::write(out.join("validate.rs"), validate::generate(&pool)?)?;
    let secrets = redact::messages(&pool);
    std::fs::write(out.join("redact.rs"), redact::generate(&secrets))?;

    let mut ours = documented.file_descriptor_set();
    ours.file.retain(|file| file.package() != "buf.validate");
    tonic_prost_build::configure()
        .codec_path("crate::codec::ValidatingCodec")
        .generate_default_stubs(true)
        .skip_debug(secrets.iter().map(|message| format!(".{}", message.full_name())).collect::<Vec<_>>())
        .compile_fds(ours)?;
    Ok(())
}

fn proto_files(root: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut files = Vec::new();
    for package in PACKAGES {
        for entry in std::fs::read_dir(root.join("daypass").join(package))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn compile(
    files: &[PathBuf],
    includes: &[PathBuf],
    comments: bool,
) -> Result<protox::Compiler, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(includes)?;
    compiler.include_imports(true).include_source_info(comments);
    compiler.open_files(files)?;
    Ok(compiler)
}
