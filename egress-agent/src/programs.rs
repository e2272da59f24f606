//! The two programs, `egressd` and `egressctl`, in one file: which of them it is, the name says by
//! which it is called.
//!
//! What is shipped is one file `egressd`, and a link `egressctl` to it. They share almost all of
//! their code, so two files would be almost twice as large.
//!
//! A link is followed by whatever asks the kernel for "this program": `/proc/self/exe` and
//! `current_exe` are `egressd` in both. So nothing asks for it by itself: [`again`] starts this
//! file anew under a name, and [`egressctl_path`] is what is written into settings and shims.

mod egressctl;
mod egressd;
mod man;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::cli::{self, Exit, table::plain};

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Program {
    Egressd,
    Egressctl,
}

impl Program {
    /// By the last part of what it was called as, whatever stands before it.
    fn called(name: &OsStr) -> Option<Self> {
        let name = Path::new(name).file_name()?;
        [Self::Egressd, Self::Egressctl]
            .into_iter()
            .find(|program| name == program.name())
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Egressd => "egressd",
            Self::Egressctl => "egressctl",
        }
    }

    /// Is this program, whatever it was called as.
    pub fn main(self) -> ExitCode {
        match self {
            Self::Egressd => egressd::main(),
            Self::Egressctl => egressctl::main(),
        }
    }

    /// What it takes, for completions and manual pages.
    fn command(self) -> clap::Command {
        match self {
            Self::Egressd => egressd::command(),
            Self::Egressctl => egressctl::command(),
        }
    }
}

/// Is the program that it was called as.
pub fn main() -> ExitCode {
    let name = env::args_os().next().unwrap_or_default();
    if let Some(program) = Program::called(&name) {
        return program.main();
    }
    cli::complain(&unknown(&name));
    Exit::Failure.into()
}

/// To guess would be wrong half of the time: a daemon where somebody asked a question.
fn unknown(name: &OsStr) -> String {
    format!(
        "egressd: this file is egressd and egressctl, by the name that it is called by, and it was \
         called as `{}`: call it egressd, or make a link to it that is called egressctl",
        plain(&name.to_string_lossy())
    )
}

/// This very file once more, as `program`: another one may stand at its path after an upgrade.
pub fn again(program: Program) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(program.name());
    command
}

/// The path by which others call `egressctl`: the one beside this file, or the one that was called.
pub fn egressctl_path() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("finding the file of this program")?;
    let called = env::args_os().next().unwrap_or_default();
    path_of(&own, &called, Path::is_file)
}

fn path_of(
    own: &Path,
    called: &OsString,
    is_there: impl Fn(&Path) -> bool,
) -> anyhow::Result<PathBuf> {
    let name = Program::Egressctl.name();
    let beside = own.with_file_name(name);
    if own == beside || is_there(&beside) {
        return Ok(beside);
    }
    // A link from another directory, called by its path.
    let called = Path::new(called);
    if called.is_absolute() && called.file_name() == Some(OsStr::new(name)) && is_there(called) {
        return Ok(called.to_owned());
    }
    bail!(
        "there is no egressctl beside {}: make a link to it there, `ln -s egressd {}`",
        own.display(),
        beside.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_which_program_it_is() {
        for (name, program) in [
            ("egressd", Some(Program::Egressd)),
            ("egressctl", Some(Program::Egressctl)),
            ("/usr/bin/egressctl", Some(Program::Egressctl)),
            ("./egressd", Some(Program::Egressd)),
            ("egressctl/", Some(Program::Egressctl)),
            ("", None),
            ("/", None),
            ("..", None),
            ("/proc/self/exe", None),
            ("egressd.new", None),
            ("EGRESSCTL", None),
            ("egressctl ", None),
        ] {
            assert_eq!(Program::called(OsStr::new(name)), program, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_says_what_to_do_and_reaches_no_terminal_raw() {
        let said = unknown(OsStr::new("/tmp/\x1b[2Jguard"));
        assert!(!said.contains('\x1b'), "{said}");
        assert!(said.contains("guard`") && said.contains("link"), "{said}");
    }

    #[test]
    fn egressctl_is_found_beside_the_file_and_otherwise_as_it_was_called() {
        let path = |own: &str, called: &str, there: &[&str]| {
            let is_there = |path: &Path| there.iter().any(|there| path == Path::new(there));
            path_of(Path::new(own), &called.into(), is_there)
                .map(|path| path.display().to_string())
                .map_err(|error| error.to_string())
        };
        let ctl = "/usr/bin/egressctl".to_owned();
        let shipped = ["/usr/bin/egressd", "/usr/bin/egressctl"];
        assert_eq!(path("/usr/bin/egressd", "egressctl", &shipped), Ok(ctl));
        // Two files, as cargo builds them.
        let built = "/target/debug/egressctl";
        assert_eq!(path(built, "x", &[]), Ok(built.to_owned()));
        let link = "/home/me/bin/egressctl";
        assert_eq!(path("/opt/egressd", link, &[link]), Ok(link.to_owned()));
        for called in ["egressctl", "./egressctl", "/home/me/bin/other"] {
            let error = path("/opt/egressd", called, &[called]).expect_err(called);
            assert!(error.contains("ln -s egressd /opt/egressctl"), "{error}");
        }
    }
}
