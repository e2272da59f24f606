//! `cargo xtask holds`: writes what the escape suite found into the README.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use xtask::holds;

use crate::workspace::{build, need_root, root};

/// Relative to the workspace.
const REPORTS: &str = "tests/bypass/reports";

#[derive(clap::Args, Debug)]
pub(crate) struct Holds {
    /// Run the suite on this machine and keep its report
    #[arg(long)]
    run: bool,
    /// Keep reports that `egressctl doctor --escape --json` has written elsewhere
    #[arg(long, value_name = "FILE")]
    add: Vec<PathBuf>,
}

pub(crate) fn run(holds: &Holds) -> Result<()> {
    for file in &holds.add {
        let report =
            fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        keep(&report)?;
    }
    if holds.run {
        keep(&own()?)?;
    }
    let section = holds::section(&holds::reports(&root().join(REPORTS))?)?;
    let readme = root().join("README.md");
    let text = fs::read_to_string(&readme)?;
    fs::write(&readme, holds::replace(&text, &section)?)?;
    println!("holds: README.md says what the reports say");
    Ok(())
}

/// Puts a report beside the others, in the place of an older one of its kernel series.
pub(crate) fn keep(report: &str) -> Result<()> {
    let (series, kept) = holds::keep(report)?;
    let directory = root().join(REPORTS);
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{series}.json"));
    fs::write(&path, kept).with_context(|| format!("write {}", path.display()))?;
    println!("holds: {} is written", path.display());
    Ok(())
}

/// The report of this machine.
fn own() -> Result<String> {
    need_root("holds --run")?;
    let egressctl = build()?.join("egressctl");
    let output = Command::new(&egressctl)
        .args(["doctor", "--escape", "--json"])
        .args(["--as", "agent", "--as", "root", "--as", "bare"])
        .output()
        .with_context(|| format!("start {}", egressctl.display()))?;
    // A row that is not held ends it with 1, and belongs into the report all the same.
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!(
            "the escape suite failed: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
