//! Runs the fuzz targets of `tests/fuzz`, one after the other.
//!
//! What libFuzzer adds to the corpus stays in `target/fuzz`; the committed corpus is read only. An
//! input that breaks something goes into the committed one by hand, under a name that says what it
//! is, together with the change that mends it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use xtask::program;

use crate::{
    setup::NIGHTLY,
    workspace::{root, show},
};

const CARGO_FUZZ: &str = "0.13.2";
/// Bytes of an input, DNS over TCP being the longest that a stranger may send.
const LONGEST: &str = "65536";

pub(crate) fn run(names: &[String], seconds: u32) -> Result<()> {
    let all = targets()?;
    for name in names {
        ensure!(
            all.contains(name),
            "there is no fuzz target {name}; there are {}",
            all.join(", ")
        );
    }
    install()?;
    let names = if names.is_empty() { &all } else { names };
    let mut broken = Vec::new();
    for name in names {
        println!("fuzz: {name}, for {seconds} s");
        if let Err(error) = attack(name, seconds) {
            println!("fuzz: {name}: {error:#}");
            broken.push(name.as_str());
        }
    }
    ensure!(
        broken.is_empty(),
        "{} broke; the inputs are in {}",
        broken.join(", "),
        found().display()
    );
    println!("fuzz: {} targets held for {seconds} s each", names.len());
    Ok(())
}

/// By the names of their programs.
fn targets() -> Result<Vec<String>> {
    let directory = home().join("fuzz_targets");
    let entries =
        fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

fn attack(name: &str, seconds: u32) -> Result<()> {
    let grown = built().join("corpus").join(name);
    let artifacts = found().join(name);
    for directory in [&grown, &artifacts] {
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    }
    let seeds = home().join("corpus").join(name);
    show(
        cargo_fuzz()
            .args(["run", "--fuzz-dir"])
            .arg(home())
            .arg("--target-dir")
            .arg(built())
            .arg(name)
            .args([&grown, &seeds])
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={LONGEST}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            // Logarithmic steps: short inputs first, long ones before the time is over.
            .args(["-len_control=20", "-timeout=20", "-rss_limit_mb=4096"])
            .args(["-print_final_stats=1", "-verbosity=0"]),
    )
}

fn install() -> Result<()> {
    let version = program::run(cargo_fuzz().arg("--version"));
    if version.is_ok_and(|version| version.split_whitespace().any(|word| word == CARGO_FUZZ)) {
        return Ok(());
    }
    println!("fuzz: installing cargo-fuzz {CARGO_FUZZ}");
    show(Command::new("cargo").args([
        "install",
        "cargo-fuzz",
        "--quiet",
        "--locked",
        "--force",
        "--version",
        CARGO_FUZZ,
    ]))
}

/// The sanitizers need the nightly compiler.
fn cargo_fuzz() -> Command {
    let mut command = Command::new("rustup");
    command
        .current_dir(root())
        // Cargo has told this process about its own toolchain; the child must not hear of it.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .args(["run", NIGHTLY, "cargo", "fuzz"]);
    command
}

fn home() -> PathBuf {
    root().join("tests/fuzz")
}

fn built() -> PathBuf {
    Path::new(root()).join("target/fuzz")
}

/// Where the inputs are that broke something.
fn found() -> PathBuf {
    built().join("artifacts")
}
