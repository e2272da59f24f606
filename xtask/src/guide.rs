//! The guide of `policy/README.md` as a list of command lines, and what each has to do: from nothing
//! to a policy that fits, and off again. Run on the machine of a world by `tests/guide.rs`, and from
//! the package in a clean Debian by `cargo xtask dist --check`.

use anyhow::{Context as _, Result, ensure};

const README: &str = include_str!("../../policy/README.md");

/// One line of the guide.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// As the guide has it.
    pub text: &'static str,
    /// What is said more on the command line, for nobody answers questions in a test.
    more: &'static str,
    /// The exit status.
    pub status: i32,
    /// A part of what it prints.
    pub says: &'static str,
    pub says_nothing: bool,
}

/// The line that starts the daemon: where systemd does not run, it is started as its unit does it.
pub const START: &str = "sudo systemctl enable --now egressd";

/// What the guide's `make deps` is: a page of a host that no profile has.
pub const MAKEFILE: &str =
    "deps:\n\t@curl -sS https://files.example.net/ >/dev/null && echo deps are there\n";

const fn line(text: &'static str, says: &'static str) -> Line {
    Line {
        text,
        more: "",
        status: 0,
        says,
        says_nothing: false,
    }
}

const LINES: [Line; 22] = [
    line(
        "sudo egressctl init --profile claude-code python",
        "/etc/egressd/policy.json",
    )
    .agreed(),
    line(START, ""),
    line("sudo usermod -aG egressd $USER", ""),
    line("egressctl status", "enforcing"),
    line(
        "egressctl run -- curl -sS https://example.com/",
        "name-denied",
    )
    .ends(6),
    line("egressctl why example.com:443", "name-denied").ends(1),
    line("egressctl log --denied -n 2", "example.com"),
    line(
        r#"sudo egressctl allow example.com --for 1h --why "the manual is there""#,
        "example.com",
    )
    .agreed(),
    line("egressctl run -- curl -sS https://example.com/", "hello"),
    line("sudo egressctl allow --list", "the manual is there"),
    line("sudo egressctl allow --remove 1", "grant 1"),
    line(
        "egressctl run --observe --session first -- make deps",
        "deps are there",
    ),
    line(
        "sudo egressctl policy suggest /etc/egressd/policy.json --session first",
        "files.example.net",
    ),
    line(
        "sudo egressctl policy suggest /etc/egressd/policy.json --session first --write",
        "",
    ),
    line("egressctl policy check /etc/egressd/policy.json", ""),
    line("sudo egressctl reload", "policy"),
    line(
        "egressctl run --session second -- make deps",
        "deps are there",
    ),
    // What taught the policy is refused nothing under it.
    line("sudo egressctl log --session second --denied", "").silent(),
    line("egressctl top --once", "example.com"),
    line("sudo egressctl report --html report.html", ""),
    line("sudo egressctl log verify", ""),
    line("sudo egressctl uninstall", "/etc/egressd/policy.json").agreed(),
];

impl Line {
    const fn agreed(mut self) -> Self {
        self.more = " --yes";
        self
    }

    const fn ends(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    const fn silent(mut self) -> Self {
        self.says_nothing = true;
        self
    }

    /// As it is run.
    pub fn command(&self) -> String {
        format!("{}{}", self.text, self.more)
    }

    /// Whether it did what the guide says.
    pub fn holds(&self, status: i32, stdout: &str, stderr: &str) -> bool {
        let is_said = stdout.contains(self.says) || stderr.contains(self.says);
        status == self.status && is_said && (stdout.is_empty() || !self.says_nothing)
    }

    /// What [`Self::holds`] asks for, in words.
    pub fn wanted(&self) -> String {
        let Self { status, says, .. } = self;
        let nothing = if self.says_nothing {
            ", and nothing else"
        } else {
            ""
        };
        format!("should have ended with {status} and said `{says}`{nothing}")
    }
}

/// The lines of the guide in their order; an error when the text has others than are known here.
pub fn lines() -> Result<&'static [Line]> {
    let (_, rest) = README
        .split_once("## From nothing to a policy that fits\n")
        .context("policy/README.md has no guide")?;
    let (guide, _) = rest.split_once("\n## ").unwrap_or((rest, ""));
    let written = guide.lines().filter_map(|line| line.strip_prefix("    "));
    let written: Vec<&str> = written.collect();
    let known: Vec<&str> = LINES.iter().map(|line| line.text).collect();
    ensure!(
        written == known,
        "what each line of the guide does stands in xtask/src/guide.rs; there:\n{}\nin policy/README.md:\n{}",
        known.join("\n"),
        written.join("\n")
    );
    Ok(&LINES)
}
