//! The programs that go into the machines.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xtask::program::run;

use crate::workspace::{build, cargo};

pub(super) struct Programs {
    pub(super) egressd: PathBuf,
    pub(super) egressctl: PathBuf,
}

impl Programs {
    pub(super) fn build() -> Result<Self> {
        println!("vm: building egressd and egressctl");
        let directory = build()?;
        Ok(Self {
            egressd: directory.join("egressd"),
            egressctl: directory.join("egressctl"),
        })
    }
}

/// The integration tests as one program.
pub(super) fn tests() -> Result<PathBuf> {
    println!("vm: building the tests");
    let built = run(cargo().args([
        "test",
        "--package",
        "egress-agent",
        "--test",
        "it",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]))?;
    let marker = "\"executable\":\"";
    let programs = built.lines().rev().filter_map(|line| {
        let (_, rest) = line.split_once(marker)?;
        rest.split_once('"').map(|(path, _)| PathBuf::from(path))
    });
    // The programs under test are built, and named, too.
    let mut tests = programs.filter(|path| is_test(path));
    tests.next().context("cargo built no test program")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "deps")
}
