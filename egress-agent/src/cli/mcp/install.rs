//! `egressctl mcp install` and `uninstall`: the servers of an agent put behind the guard, and
//! taken out again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::wrap::{self, Changed, Form, Wrapping};
use crate::{
    cli::{
        Exit, Screen,
        hook::install::{back_up, changes, write},
    },
    programs,
};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct InstallArgs {
    /// `claude`, `codex`, `cursor`, or a file with `mcpServers`.
    agent: PathBuf,
    /// The servers of the project in this directory.
    #[arg(long)]
    project: bool,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The policy by which the guards judge, without a daemon.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Let the guards start the servers in guarded sessions of their own.
    #[arg(long)]
    run: bool,
    /// Put servers behind the guard that are called by a URL, too. The agent cannot log in to
    /// them any more: they need a token in a header, or none.
    #[arg(long)]
    urls: bool,
}

pub(super) fn install(args: &InstallArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    let program = programs::egressctl_path()?;
    let mut options = Vec::new();
    if let Some(policy) = &args.policy {
        let policy = fs::canonicalize(policy).context("finding the policy")?;
        options.extend(["--policy".to_owned(), text(&policy)?]);
    }
    let wrapping = Wrapping {
        program: text(&program)?,
        options,
        of_commands: args.run.then(|| "--run".to_owned()).into_iter().collect(),
        wraps_urls: args.urls,
    };
    change(args, screen, "behind the guard", |text, form| {
        wrap::wrap(text, form, &wrapping)
    })
}

pub(super) fn uninstall(args: &InstallArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    change(args, screen, "without the guard", wrap::unwrap)
}

fn change(
    args: &InstallArgs,
    screen: &mut Screen,
    done: &str,
    edit: impl FnOnce(&str, Form) -> Result<Changed, wrap::Refused>,
) -> anyhow::Result<Exit> {
    let path = args.file()?;
    let shown = path.display();
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            screen.line(format!("{shown}: there is no such file, and so no server"))?;
            return Ok(Exit::Ok);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let form = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Form::Toml,
        Some(_) | None => Form::Json,
    };
    let Changed {
        text: after,
        servers,
        urls: _,
        left,
    } = match edit(&before, form) {
        Ok(changed) => changed,
        Err(refused) => bail!("{shown} was left as it is: {refused}; mend it and try again"),
    };
    for (name, why) in left {
        screen.line(format!("{name}: left as it is: {why}"))?;
    }
    if after == before {
        screen.line(format!("{shown}: nothing to change"))?;
        return Ok(Exit::Ok);
    }
    if args.dry_run {
        screen.line(format!("{shown} would change:"))?;
        for line in changes(&before, &after) {
            screen.line(line)?;
        }
        return Ok(Exit::Ok);
    }
    // Behind a symbolic link stands the file that somebody keeps elsewhere.
    let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let backup = back_up(&real, &before)?;
    write(&real, &after)?;
    for name in servers {
        screen.line(format!("{name}: {done}"))?;
    }
    screen.line(format!("the file as it was: {}", backup.display()))?;
    Ok(Exit::Ok)
}

impl InstallArgs {
    fn file(&self) -> anyhow::Result<PathBuf> {
        // In the project, the variable that moves the directory, in the home.
        let (project, variable, home) = match self.agent.to_str() {
            Some("claude") => (".mcp.json", "CLAUDE_CONFIG_DIR", ".claude.json"),
            Some("codex") => (".codex/config.toml", "CODEX_HOME", ".codex/config.toml"),
            Some("cursor") => (".cursor/mcp.json", "", ".cursor/mcp.json"),
            Some(_) | None => return Ok(self.agent.clone()),
        };
        if self.project {
            let here = std::env::current_dir().context("finding the directory of the project")?;
            return Ok(here.join(project));
        }
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let name = Path::new(home).file_name().unwrap_or_default();
        if !variable.is_empty()
            && let Some(moved) = set(variable)
        {
            return Ok(PathBuf::from(moved).join(name));
        }
        let own = set("HOME").context("HOME is not set: say whose settings with HOME=...")?;
        Ok(PathBuf::from(own).join(home))
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).with_context(|| {
        format!(
            "the path {} cannot stand in a configuration: move the file",
            path.display()
        )
    })
}
