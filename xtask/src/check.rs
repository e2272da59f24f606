//! Everything that reads the sources and runs nothing.

use std::process::Command;

use anyhow::Result;

use crate::{
    setup::{self, NIGHTLY},
    workspace::{cargo, root, show},
};

pub(crate) fn run() -> Result<()> {
    setup::install()?;
    step("format");
    show(cargo().args(["fmt", "--all", "--check"]))?;
    step("lints for the host");
    show(cargo().args([
        "clippy",
        "--quiet",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    step("lints for the kernel programs");
    show(
        Command::new("rustup")
            .current_dir(root())
            // Cargo has told this process about its own toolchain; the child must not hear of it.
            .env_remove("CARGO")
            .env_remove("RUSTC")
            .args([
                "run",
                NIGHTLY,
                "cargo",
                "clippy",
                "--quiet",
                "-Z",
                "build-std=core",
            ])
            .args([
                "--target",
                "bpfel-unknown-none",
                "--package",
                "egress-ebpf",
                "--",
                "--deny",
                "warnings",
            ]),
    )?;
    step("documentation");
    show(cargo().env("RUSTDOCFLAGS", "--deny warnings").args([
        "doc",
        "--quiet",
        "--no-deps",
        "--document-private-items",
    ]))?;
    println!("check: all is well");
    Ok(())
}

fn step(name: &str) {
    println!("check: {name}");
}
