//! Where the workspace is, and its cargo.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::program;

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The cargo that runs this task, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command that speaks for itself.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let name = program::spoken(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{name}`"))?;
    ensure!(status.success(), "`{name}` failed ({status})");
    Ok(())
}

/// Fails with one line when this is not root.
pub(crate) fn need_root(task: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "`cargo xtask {task}` needs root for namespaces, cgroups and BPF; run it as root: sudo -E env PATH=\"$PATH\" cargo xtask {task}"
        );
    }
    Ok(())
}

/// Builds `egressd` and `egressctl`, and says in which directory they are.
pub(crate) fn build() -> Result<PathBuf> {
    show(cargo().args(["build", "--quiet", "--package", "egress-agent", "--bins"]))?;
    let programs = target().join("debug");
    ensure!(
        programs.join("egressd").exists(),
        "cargo built no egressd in {}",
        programs.display()
    );
    Ok(programs)
}

/// Builds the one program that is shipped, and says where it is. What is measured is built here too:
/// with other packages beside it, cargo could give a dependency other features.
///
/// Messages of libraries name their sources: where those lie on this machine is nobody's concern, and
/// takes space.
pub(crate) fn build_release() -> Result<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registry = cargo_home
        .context("neither CARGO_HOME nor HOME is set")?
        .join("registry/src");
    show(
        cargo()
            .env(
                "RUSTFLAGS",
                format!("--remap-path-prefix={}=", registry.display()),
            )
            .args(["build", "--quiet", "--release", "--locked"])
            .args(["--package", "egress-agent", "--bin", "egressd"]),
    )?;
    Ok(target().join("release/egressd"))
}

pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |path| root().join(path))
}
