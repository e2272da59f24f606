//! Builds the kernel programs, for the lib to include.

use anyhow::Context as _;
use aya_build::{Package, Toolchain};

fn main() -> anyhow::Result<()> {
    // aya-build watches the programs' own directory only. They also hold the decision itself, which
    // stands in egress-common: stale, they would decide otherwise than userspace does.
    for source in ["../egress-common", "../Cargo.toml", "../Cargo.lock"] {
        println!("cargo:rerun-if-changed={source}");
    }
    aya_build::build_ebpf(
        [Package {
            name: "egress-ebpf",
            root_dir: "../egress-ebpf",
            ..Package::default()
        }],
        Toolchain::Nightly,
    )
    .context("the kernel programs were not built; `cargo xtask setup` installs what that needs")
}
