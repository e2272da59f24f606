//! `egressctl wrap`: shims that stand in front of tools, so that each runs under a policy of its own
//! whoever calls it.
//!
//! A shim is a small script in a directory that comes first in `PATH`. It calls `wrap run` with the
//! guard and the real program, both written into it when it was installed. The guard is one more
//! `--cgroup PATH=POLICY` of the service, so no user needs root for it; a guard that is not there
//! starts no tool.
//!
//! Inside a guard the real program runs as it is: there the policy of the session holds, and
//! nobody inside can choose another.

mod shim;

use std::{
    env, fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::{
        fs::{OpenOptionsExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command as Program,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{
    Exit, Screen, complain,
    run::{self, RunArgs},
    table::{Cell, Table},
};
use crate::{
    control::{
        DEFAULT_SOCKET,
        client::{Client, ClientError},
        message::{Code, Reply, Request},
    },
    kernel::{Hierarchy, cgroup},
    programs,
};
use shim::{Profile, Shim};

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Put shims in front of tools. `brew`, `npm`, `pip` and `cargo` run under a policy of their own
    /// that allows their registries; `aws`, `gh`, `kubectl` and `docker` are observed.
    Install(InstallArgs),
    /// Take shims away: those of the named tools, or all.
    Uninstall {
        tools: Vec<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List the shims.
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// What a shim calls.
    #[command(hide = true)]
    Run(ShimArgs),
}

#[derive(Clone, Debug, Args)]
pub struct InstallArgs {
    #[arg(required = true)]
    tools: Vec<String>,
    /// The guarded cgroup to run them in; each has its own where none is named.
    #[arg(long, value_name = "CGROUP")]
    guard: Option<String>,
    /// Record what the policy of the guard would deny, and refuse nothing.
    #[arg(long, requires = "guard")]
    observe: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// Where the shims are; `~/.local/share/egressd/bin` otherwise.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct ShimArgs {
    #[arg(long)]
    guard: String,
    #[arg(long)]
    observe: bool,
    #[arg(required = true, last = true)]
    command: Vec<std::ffi::OsString>,
}

pub fn run(command: Command, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    match command {
        Command::Install(args) => install(&args, socket, screen),
        Command::Uninstall { tools, place } => uninstall(&tools, &place.directory()?, screen),
        Command::List { place } => list(&place.directory()?, screen),
        Command::Run(args) => start(args, socket, screen.is_json()),
    }
}

impl PlaceArgs {
    fn directory(&self) -> anyhow::Result<PathBuf> {
        if let Some(directory) = &self.dir {
            return Ok(std::path::absolute(directory)?);
        }
        let home = env::var_os("HOME").context("HOME is not set: name a directory with `--dir`")?;
        Ok(Path::new(&home).join(".local/share/egressd/bin"))
    }
}

/// All or nothing: what can be refused is refused before anything is written.
fn install(args: &InstallArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let directory = args.place.directory()?;
    let egressctl = programs::egressctl_path()?;
    let guards = guards(socket)?.context("a shim is installed from outside of every guard")?;
    let mut shims = Vec::new();
    for tool in &args.tools {
        let profile = match &args.guard {
            Some(guard) => Profile::given(tool, guard, args.observe)?,
            None => Profile::of(tool)?,
        };
        if !guards.contains(&profile.guard) {
            bail!("{}", profile.missing_guard());
        }
        let path = directory.join(tool);
        if path.symlink_metadata().is_ok() && Shim::read(&path).is_none() {
            bail!(
                "{} is there and is no shim: move it away, or name another directory with `--dir`",
                path.display()
            );
        }
        let search = env::var_os("PATH").unwrap_or_default();
        let real = shim::find(tool, &search, &directory).with_context(|| {
            format!("there is no `{tool}` in PATH to put a shim in front of: install it first")
        })?;
        shims.push((path, Shim::new(tool, profile, real, &egressctl, socket)));
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for (path, shim) in &shims {
        write(path, &shim.text()?)?;
        screen.line(format!("{}: {shim}", path.display()))?;
    }
    let search = env::var_os("PATH").unwrap_or_default();
    if shims
        .iter()
        .any(|(path, shim)| !shim::comes_first(&search, path, &shim.real))
    {
        complain(&format!(
            "egressctl: the shims are not called yet: put {} first in PATH",
            directory.display()
        ));
    }
    Ok(Exit::Ok)
}

/// Whole or not at all: somebody may be calling the tool.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o755);
    let mut file = options.open(&new).with_context(cannot)?;
    file.set_permissions(fs::Permissions::from_mode(0o755))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path))
        .with_context(cannot)
}

fn uninstall(tools: &[String], directory: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let all = shims(directory)?;
    for tool in tools {
        if !all.iter().any(|shim| shim.tool == *tool) {
            bail!("{} has no shim of `{tool}`", directory.display());
        }
    }
    for shim in all {
        if tools.is_empty() || tools.contains(&shim.tool) {
            let path = directory.join(&shim.tool);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            screen.line(format!("{}: removed", path.display()))?;
        }
    }
    Ok(Exit::Ok)
}

fn list(directory: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let shims = shims(directory)?;
    if screen.is_json() {
        screen.json(&shims)?;
        return Ok(Exit::Ok);
    }
    if shims.is_empty() {
        screen.line(format!("{} has no shims", directory.display()))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["TOOL", "GUARD", "MODE", "PROGRAM"]);
    for shim in &shims {
        let mode = if shim.observe { "observe" } else { "enforce" };
        table.row([
            Cell::new(&shim.tool),
            Cell::new(&shim.guard),
            Cell::new(mode),
            Cell::new(shim.real.display().to_string()),
        ]);
    }
    table.print(screen)?;
    Ok(Exit::Ok)
}

/// The shims of a directory, by name.
fn shims(directory: &Path) -> anyhow::Result<Vec<Shim>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", directory.display()));
        }
    };
    let mut shims: Vec<Shim> = entries
        .flatten()
        .filter_map(|entry| Shim::read(&entry.path()))
        .collect();
    shims.sort_by(|one, other| one.tool.cmp(&other.tool));
    Ok(shims)
}

/// A shim was called.
fn start(args: ShimArgs, socket: &Path, json: bool) -> anyhow::Result<Exit> {
    let (program, arguments) = args.command.split_first().context("no program")?;
    let Some(guards) = guards(socket)? else {
        if io::stderr().is_terminal() {
            let shown = Path::new(program).display();
            complain(&format!(
                "egressd: {shown} runs under the guard that it is called in"
            ));
        }
        let failed = Program::new(program).args(arguments).exec();
        return Err(failed)
            .with_context(|| format!("cannot execute {}", Path::new(program).display()));
    };
    if !guards.contains(&args.guard) {
        let tool = Path::new(program).file_name().unwrap_or_default();
        let profile = Profile::given(&tool.to_string_lossy(), &args.guard, args.observe)?;
        bail!("{}", profile.missing_guard());
    }
    let args = RunArgs::of_shim(args.guard, args.observe, args.command);
    run::run(args, socket, json)
}

/// The guarded cgroups; `None` inside one of them, where the daemon tells no more than the session.
fn guards(socket: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let asked = Client::connect(socket)?.request(&Request::Status { session: None });
    let status = match asked {
        Ok(Reply::Status(status)) => status,
        Ok(_) => bail!("egressd answered something else"),
        // Guarded, and in no session that egressd knows.
        Err(ClientError::Failed(failure)) if failure.code == Code::Forbidden => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let own = Hierarchy::of_self().context("read the own cgroup")?;
    let own = own.trim_matches('/');
    let guards = status.guards.into_iter().map(|guard| guard.cgroup);
    let guards: Vec<String> = guards.collect();
    let is_inside = guards.iter().any(|guard| cgroup::holds(guard, own));
    Ok((!is_inside).then_some(guards))
}

/// The socket that is written into a shim: the usual one is left to the environment.
fn given(socket: &Path) -> Option<&Path> {
    (socket != Path::new(DEFAULT_SOCKET)).then_some(socket)
}
