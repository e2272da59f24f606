//! `egressctl hook install` and `uninstall`: the settings file of an agent, its backup, and a
//! change of it that is whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::settings;
use crate::{
    cli::{Exit, Screen},
    programs,
    tools::protocol::Dialect,
};

#[derive(Clone, Debug, Args)]
pub struct InstallArgs {
    agent: Agent,
    /// The settings of this user, for all projects (the default).
    #[arg(long, conflicts_with = "project")]
    user: bool,
    /// The settings of the project in this directory.
    #[arg(long)]
    project: bool,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Agent {
    Claude,
    Codex,
}

pub(super) fn install(
    args: &InstallArgs,
    exit_code: bool,
    policy: Option<&Path>,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    let program = programs::egressctl_path()?;
    let policy = policy.map(fs::canonicalize).transpose();
    let policy = policy.context("finding the policy")?;
    let command = command(&program, args.agent, exit_code, policy.as_deref())?;
    let wanted = settings::entries(args.agent.dialect(), &command);
    change(args, screen, "installed", |text| {
        settings::with(text, &wanted)
    })
}

pub(super) fn uninstall(args: &InstallArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    change(args, screen, "removed", settings::without)
}

fn change(
    args: &InstallArgs,
    screen: &mut Screen,
    done: &str,
    edit: impl FnOnce(&str) -> Result<String, settings::Refused>,
) -> anyhow::Result<Exit> {
    let path = args.file()?;
    let shown = path.display();
    let before = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let text = before.as_deref().unwrap_or_default();
    let after = match edit(text) {
        Ok(after) => after,
        Err(refused) => bail!("{shown} was left as it is: {refused}; mend it and try again"),
    };
    if after == text {
        screen.line(format!("{shown}: nothing to change"))?;
        return Ok(Exit::Ok);
    }
    if args.dry_run {
        screen.line(format!("{shown} would change:"))?;
        for line in changes(text, &after) {
            screen.line(line)?;
        }
        return Ok(Exit::Ok);
    }
    // Behind a symbolic link stands the file that somebody keeps elsewhere.
    let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let backup = before.map(|before| back_up(&real, &before)).transpose()?;
    write(&real, &after)?;
    screen.line(format!("{shown}: {done}"))?;
    if let Some(backup) = backup {
        screen.line(format!("the file as it was: {}", backup.display()))?;
    }
    Ok(Exit::Ok)
}

impl Agent {
    const fn dialect(self) -> Dialect {
        match self {
            Self::Claude => Dialect::Claude,
            Self::Codex => Dialect::Codex,
        }
    }

    pub(in crate::cli) const fn word(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }

    /// The text of a settings file with the hook, which starts `program`.
    pub(in crate::cli) fn with(self, text: &str, program: &Path) -> anyhow::Result<String> {
        let command = command(program, self, false, None)?;
        let wanted = settings::entries(self.dialect(), &command);
        Ok(settings::with(text, &wanted)?)
    }

    /// Whether the hook stands in a text as this version writes it, whichever program that is there
    /// it starts and with whatever options.
    pub(in crate::cli) fn is_current(self, text: &str) -> anyhow::Result<bool> {
        let commands = settings::commands(text)?;
        let Some(command) = commands.first() else {
            return Ok(false);
        };
        let is_there = settings::program(command).is_some_and(|program| program.is_file());
        let wanted = settings::entries(self.dialect(), command);
        Ok(is_there && settings::with(text, &wanted)? == text)
    }

    /// The settings file below a home; where variables of this process count, they come first.
    pub(in crate::cli) fn file(self, home: &Path, is_moved: bool) -> PathBuf {
        let (directory, variable, file) = self.place();
        let moved = std::env::var_os(variable).filter(|value| is_moved && !value.is_empty());
        match moved {
            Some(moved) => PathBuf::from(moved).join(file),
            None => home.join(directory).join(file),
        }
    }

    /// The directory of settings in a project or a home, the variable that moves the latter, and
    /// the file in it.
    const fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Claude => (".claude", "CLAUDE_CONFIG_DIR", "settings.json"),
            Self::Codex => (".codex", "CODEX_HOME", "hooks.json"),
        }
    }
}

impl InstallArgs {
    fn file(&self) -> anyhow::Result<PathBuf> {
        let (directory, variable, file) = self.agent.place();
        if self.project {
            let here = std::env::current_dir().context("finding the directory of the project")?;
            return Ok(here.join(directory).join(file));
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(moved) = set(variable) {
            return Ok(PathBuf::from(moved).join(file));
        }
        let home = set("HOME").context("HOME is not set: say whose settings with HOME=...")?;
        Ok(PathBuf::from(home).join(directory).join(file))
    }
}

/// The text without any hook of ours.
pub(in crate::cli) fn without(text: &str) -> anyhow::Result<String> {
    Ok(settings::without(text)?)
}

/// What the agent runs, as its shell reads it.
fn command(
    program: &Path,
    agent: Agent,
    exit_code: bool,
    policy: Option<&Path>,
) -> anyhow::Result<String> {
    let mut words = vec![quoted(program)?, "hook".to_owned(), agent.word().to_owned()];
    if exit_code {
        words.push("--exit-code".to_owned());
    }
    if let Some(policy) = policy {
        words.extend(["--policy".to_owned(), quoted(policy)?]);
    }
    Ok(words.join(" "))
}

fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['\'', '\n']));
    let Some(text) = text else {
        bail!(
            "the path {} cannot stand in a settings file: move the file",
            path.display()
        );
    };
    let is_plain = text
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "/._-+".contains(char));
    Ok(if is_plain {
        text.to_owned()
    } else {
        format!("'{text}'")
    })
}

/// Keeps the text beside the file, under a name that no other backup has.
pub(in crate::cli) fn back_up(path: &Path, text: &str) -> anyhow::Result<PathBuf> {
    for number in 1..1_000 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".egressctl-{number}"));
        let backup = PathBuf::from(name);
        match File::create_new(&backup) {
            Ok(mut file) => {
                like(path, &file)
                    .and_then(|()| file.write_all(text.as_bytes()))
                    .with_context(|| format!("cannot write {}", backup.display()))?;
                return Ok(backup);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", backup.display()));
            }
        }
    }
    bail!(
        "there are too many backups beside {}: remove some",
        path.display()
    )
}

/// Puts a new file in place of the old one.
pub(in crate::cli) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().context("the file is in no directory")?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".egressctl-new-{}", std::process::id()));
    let fresh = PathBuf::from(name);
    let written = File::create_new(&fresh).and_then(|mut file| {
        like(path, &file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    });
    written.with_context(|| {
        // Nothing may be there to remove.
        drop(fs::remove_file(&fresh));
        format!("cannot write {}", path.display())
    })
}

/// Gives a new file the mode and the owner of the one whose text it gets.
fn like(path: &Path, file: &File) -> io::Result<()> {
    let Ok(old) = fs::metadata(path) else {
        return Ok(());
    };
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))?;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    Ok(())
}

/// The lines that differ: what is between the lines that both have at their beginning and end.
pub(in crate::cli) fn changes(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let ends = old.iter().rev().zip(new.iter().rev());
    let end = ends.take_while(|(a, b)| a == b).count();
    let end = end.min(old.len().min(new.len()) - start);
    let middle = |lines: &[&str], sign: &str| -> Vec<String> {
        let lines = lines.get(start..lines.len() - end).unwrap_or_default();
        lines.iter().map(|line| format!("{sign} {line}")).collect()
    };
    [middle(&old, "-"), middle(&new, "+")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_quoted_where_the_shell_needs_it() {
        let made = |program: &str, exit_code, policy: Option<&str>| {
            let policy = policy.map(Path::new);
            command(Path::new(program), Agent::Codex, exit_code, policy)
        };
        assert_eq!(
            made("/usr/bin/egressctl", false, None).unwrap(),
            "/usr/bin/egressctl hook codex"
        );
        assert_eq!(
            made("/my tools/egressctl", true, Some("/etc/p.json")).unwrap(),
            "'/my tools/egressctl' hook codex --exit-code --policy /etc/p.json"
        );
        assert!(made("/it's/egressctl", false, None).is_err());
    }

    #[test]
    fn changes_are_the_lines_that_differ() {
        assert_eq!(changes("a\nb\nc\n", "a\nx\ny\nc\n"), ["- b", "+ x", "+ y"]);
        assert_eq!(changes("a\n", "a\na\n"), ["+ a"]);
        assert_eq!(changes("", "a\n"), ["+ a"]);
    }

    #[test]
    fn a_file_keeps_its_mode_and_every_backup_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/settings.json");
        write(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let first = back_up(&path, "one").unwrap();
        let second = back_up(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(first).unwrap(), "one");
        assert_eq!(fs::read_to_string(&second).unwrap(), "two");
        assert_eq!(fs::metadata(second).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 3);
    }
}
