//! An emulated machine: started, listened to, and ended.
//!
//! Three serial lines come out of it: the first tells events, one a line, as they happen; the
//! second is the kernel's console; what is written to the third is the report.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// An early crash of the emulated machine is tried once more, and told.
const TRIES: u32 = 2;

/// What to start, and for how long it may run.
pub(super) struct Machine<'a> {
    pub(super) name: &'a str,
    pub(super) kernel: &'a Path,
    pub(super) initrd: &'a Path,
    /// An image that is read; what the machine writes is forgotten.
    pub(super) disk: Option<&'a Path>,
    pub(super) mebibytes: u32,
    pub(super) arguments: &'a str,
    pub(super) limit: Duration,
}

/// What a machine said, once it is off.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) events: Vec<String>,
    pub(super) console: String,
    pub(super) report: String,
    /// Whether it had to be ended.
    pub(super) overdue: bool,
    pub(super) crashes: u32,
}

impl Said {
    /// The last lines of the console.
    pub(super) fn last(&self, count: usize) -> String {
        let lines: Vec<&str> = self.console.lines().collect();
        let from = lines.len().saturating_sub(count);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

impl Machine<'_> {
    /// Runs it to its end; `hear` gets every event as it comes.
    pub(super) fn run(&self, mut hear: impl FnMut(&str)) -> Result<Said> {
        let mut crashes = 0;
        loop {
            let mut said = self.boot(&mut hear)?;
            said.crashes = crashes;
            if !said.events.is_empty() {
                return Ok(said);
            }
            crashes += 1;
            if crashes == TRIES {
                bail!(
                    "{}: the emulated machine crashed {TRIES} times before it said anything; its console ends with\n{}",
                    self.name,
                    said.last(15)
                );
            }
            println!(
                "vm: {}: the emulated machine crashed early; trying once more",
                self.name
            );
        }
    }

    fn boot(&self, hear: &mut impl FnMut(&str)) -> Result<Said> {
        let started = Instant::now();
        let (console, report) = (self.line("console"), self.line("report"));
        let mut child = self
            .command(&console, &report)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start qemu-system-x86_64")?;
        let mut said = Said::default();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.context("listening to the emulated machine")?;
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if !line.is_empty() {
                    hear(&line);
                    said.events.push(line);
                }
            }
        }
        child.wait()?;
        said.overdue = started.elapsed() >= self.limit;
        said.console = lossy(&console);
        said.report = lossy(&report);
        for file in [console, report] {
            fs::remove_file(file).ok();
        }
        Ok(said)
    }

    fn command(&self, console: &Path, report: &Path) -> Command {
        let mut command = Command::new("timeout");
        command
            // In the group of this task, so that a signal to the group ends the machine, too.
            .arg("--foreground")
            .arg(self.limit.as_secs().to_string())
            .args(["qemu-system-x86_64", "-accel", "tcg,thread=multi"])
            .args(["-cpu", "max", "-smp", "2", "-m"])
            .arg(self.mebibytes.to_string())
            .args(["-display", "none", "-vga", "none", "-no-reboot"])
            .args(["-nic", "none", "-monitor", "none", "-serial", "stdio"]);
        for file in [console, report] {
            command
                .arg("-serial")
                .arg(format!("file:{}", file.display()));
        }
        if let Some(disk) = self.disk {
            let disk = disk.display();
            command
                .arg("-drive")
                .arg(format!("file={disk},if=virtio,format=raw,snapshot=on"));
        }
        command
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initrd)
            .arg("-append")
            .arg(format!("console=ttyS1 panic=-1 {}", self.arguments));
        command
    }

    fn line(&self, what: &str) -> PathBuf {
        let pid = std::process::id();
        std::env::temp_dir().join(format!("egressd-vm-{pid}-{}.{what}", self.name))
    }
}

fn lossy(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}
