//! Every test of the workspace, one piece after the other, and a line that sums up.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::{program::run as output, world::home};

use crate::{
    setup,
    workspace::{cargo, need_root},
};

/// What is tested, and the words for `cargo test`.
const PIECES: [(&str, &[&str]); 6] = [
    (
        "the decision (egress-common)",
        &["--package", "egress-common", "--all-features"],
    ),
    (
        "what stands in a text (egress-inspect)",
        &["--package", "egress-inspect"],
    ),
    ("the tasks (xtask)", &["--package", "xtask"]),
    (
        "the daemon's parts (egress-agent)",
        &["--package", "egress-agent", "--lib", "--bins"],
    ),
    (
        "the examples in the documentation",
        &["--package", "egress-agent", "--doc"],
    ),
    (
        "the whole, in small internets (tests/)",
        &["--package", "egress-agent", "--test", "it"],
    ),
];

/// What the harnesses said: of one piece, or of all.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) fn run(filter: &[String]) -> Result<()> {
    need_root("test")?;
    setup::install()?;
    home::clean()?;
    let _bpffs = Bpffs::mount()?;
    let started = Instant::now();
    let mut total = Count::default();
    let mut broken = Vec::new();
    for (number, (what, words)) in PIECES.iter().enumerate() {
        println!("test: {}/{}: {what}", number + 1, PIECES.len());
        let (count, well) = piece(words, filter)?;
        total.add(count);
        if !well {
            broken.push(*what);
        }
    }
    let Count {
        passed,
        failed,
        ignored,
    } = total;
    let seconds = started.elapsed().as_secs();
    let ignored = if ignored == 0 {
        String::new()
    } else {
        format!(", {ignored} not run")
    };
    let line = format!("{passed} passed, {failed} failed{ignored}, in {seconds} s");
    ensure!(
        broken.is_empty(),
        "tests: {line}; broken: {}",
        broken.join(", ")
    );
    ensure!(
        passed > 0,
        "no test has a name with {} in it",
        filter.join(" or ")
    );
    println!("test: {line}");
    Ok(())
}

/// `/sys/fs/bpf`, which systemd mounts on a machine that has it, and which `egressctl doctor` looks for.
struct Bpffs {
    /// Not there before.
    is_ours: bool,
}

impl Bpffs {
    const PLACE: &str = "/sys/fs/bpf";

    fn mount() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts").context("reading /proc/mounts")?;
        let is_there = |line: &str| line.split(' ').nth(1) == Some(Self::PLACE);
        let is_ours = !mounts.lines().any(is_there);
        if is_ours {
            println!(
                "test: mounting {} for as long as the tests run",
                Self::PLACE
            );
            output(Command::new("mount").args(["-t", "bpf", "bpf", Self::PLACE]))?;
        }
        Ok(Self { is_ours })
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = output(Command::new("umount").arg(Self::PLACE))
        {
            println!("test: {} stays mounted: {error:#}", Self::PLACE);
        }
    }
}

/// Runs one piece, passes its output on, and counts.
fn piece(words: &[&str], filter: &[String]) -> Result<(Count, bool)> {
    // Much of their time, tests wait for others: half as many again as there are cores keep those busy.
    let threads = thread::available_parallelism().map_or(2, |cores| cores.get() * 3 / 2);
    let mut child = cargo()
        .args(["test", "--quiet", "--no-fail-fast"])
        .args(words)
        .arg("--")
        .args(filter)
        .env("EGRESS_TEST_KERNEL", "1")
        .env("RUST_TEST_THREADS", threads.max(2).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut count = Count::default();
    let Some(stdout) = child.stdout.take() else {
        bail!("cargo has no standard output")
    };
    for line in BufReader::new(stdout).lines() {
        let line = line.context("reading what the tests say")?;
        if let Some(found) = Count::read(&line) {
            count.add(found);
        } else if !line.is_empty() && line != "running 0 tests" {
            println!("{line}");
        }
    }
    Ok((count, child.wait()?.success()))
}

impl Count {
    /// From `test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; …`.
    fn read(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let of = |word: &str| {
            counts
                .split("; ")
                .find_map(|part| part.strip_suffix(word)?.trim_end().parse::<u64>().ok())
        };
        Some(Self {
            passed: of("passed")?,
            failed: of("failed")?,
            ignored: of("ignored")?,
        })
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_harness_is_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.30s";
        assert_eq!(
            Count::read(line),
            Some(Count {
                passed: 12,
                failed: 3,
                ignored: 1
            })
        );
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "",
            "test result: ",
            "test result: ok. many passed",
            "running 3 tests",
        ] {
            assert_eq!(Count::read(line), None, "{line}");
        }
    }
}
