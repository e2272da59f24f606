//! What the figures were measured on.

use std::{fs, process::Command, thread};

use serde_json::{Value, json};
use xtask::program;

use crate::workspace::root;

#[derive(Debug)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    commit: String,
    date: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let said = |command: &mut Command| {
            program::run(command.current_dir(root()))
                .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
        };
        Self {
            cpu: cpu_model(&cpus).unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: said(Command::new("uname").args(["-srm"])),
            commit: said(Command::new("git").args([
                "describe",
                "--always",
                "--abbrev=12",
                "--dirty",
                "--exclude=*",
            ])),
            date: said(Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"])),
        }
    }

    pub(crate) fn cores(&self) -> usize {
        self.cores
    }

    pub(crate) fn line(&self) -> String {
        let Self {
            cpu,
            cores,
            kernel,
            commit,
            date,
        } = self;
        format!("{cpu}, {cores} cores · {kernel} · commit {commit} · {date}")
    }

    pub(crate) fn json(&self) -> Value {
        let Self {
            cpu,
            cores,
            kernel,
            commit,
            date,
        } = self;
        json!({ "cpu": cpu, "cores": cores, "kernel": kernel, "commit": commit, "date": date })
    }
}

/// x86 has `model name`; elsewhere `Model` or nothing may be there (`proc_cpuinfo(5)`).
fn cpu_model(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        matches!(key.trim(), "model name" | "Model").then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 3.0GHz\nmodel name\t: other\n";
        assert_eq!(cpu_model(text), Some("Some CPU @ 3.0GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }
}
