//! The child's side: enter, give up, become the command.
//!
//! The order is forced. Descriptors first, so that nothing of what follows leaves one behind; the
//! private view while there are capabilities for it; then the user, the kernel's file rules, the
//! capabilities; the filter of system calls last, because it denies the calls of all steps before.
//! Only then does the daemon hear what holds the session, and only its answer lets the command
//! begin.

use std::{
    convert::Infallible, ffi::OsString, io, os::unix::process::CommandExt as _, path::Path,
    process::Command,
};

use super::{
    descriptors::{self, OpenSocket},
    environment, filter, landlock,
    privileges::{self, PrivilegeError, User},
    root, view,
};
use crate::{
    control::{
        client::Client,
        confinement::{Confinement, Held, Piece, State},
        message::Request,
        status::Entered,
    },
    kernel::Hierarchy,
    policy::{Need, Places},
};

/// Why the command was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0:#}")]
    Control(anyhow::Error),
    #[error(
        "asked to be put into the cgroup `{wanted}` and found itself in `{found}`; the command was not started"
    )]
    NotInside { wanted: String, found: String },
    #[error("{step}: {source}; the command was not started")]
    Step {
        step: &'static str,
        source: io::Error,
    },
    #[error("{0:#}; the command was not started")]
    Privileges(anyhow::Error),
    #[error(
        "{piece}: {why}; the command was not started: mend it, or write `\"{piece}\": \"best-effort\"` into the section `session` of the policy to run without"
    )]
    Missing { piece: Piece, why: String },
    #[error(
        "this would run as root, and root inside the guard can move itself out of its cgroup; run as another user, name one with `--user`, or accept it with `--allow-root`"
    )]
    Root,
    #[error(transparent)]
    OpenSocket(#[from] OpenSocket),
    #[error("cannot execute `{command}`: {source}")]
    Exec { command: String, source: io::Error },
}

/// What the child is asked to do.
#[derive(Debug)]
pub struct Start<'a> {
    pub socket: &'a Path,
    pub guard: Option<String>,
    pub session: String,
    pub user: Option<User>,
    pub allow_root: bool,
    /// Whether the person who started it is told what holds it; what does not, is told anyway.
    pub tells_holds: bool,
    /// Whether the variables that lead to a proxy are set.
    pub sets_proxy: bool,
    /// Whether the session is to be observed, though the policy enforces.
    pub observes: bool,
    pub command: &'a [OsString],
}

/// Enters the session and becomes the command. Returns only when that failed. `tell` takes lines
/// for the person who started it.
///
/// Must run in a process with one thread: all that is given up, is given up for the thread.
pub fn start(start: &Start<'_>, tell: &mut dyn FnMut(&str)) -> Result<Infallible, StartError> {
    let uid = start.user.map_or_else(thread_uid, |user| user.uid);
    if uid == 0 && !start.allow_root {
        return Err(StartError::Root);
    }
    descriptors::check_standard_streams()?;
    let (mut client, entered) = enter(start)?;
    let held = confine(start, &entered.confinement, tell)?;
    let told = client.request(&Request::Confined {
        session: None,
        held: held.clone(),
    });
    told.map_err(|error| StartError::Control(error.into()))?;
    if start.tells_holds {
        tell(&format!(
            "egressd: session {} is held by {held}",
            entered.session
        ));
    }
    let inactive = held.inactive();
    if !inactive.is_empty() {
        tell(&format!(
            "egressd: not active in this run: {}",
            inactive.join("; ")
        ));
    }
    if uid == 0 {
        for line in root::not_held(&held) {
            tell(&format!("egressd: root is not held: {line}"));
        }
    }
    let port = entered.proxy_port.filter(|_| start.sets_proxy);
    let bundle = entered.ca_bundle.as_deref();
    if let Some(bundle) = bundle {
        let (_set, replaced) = environment::bundle(bundle, |name| std::env::var_os(name));
        if !replaced.is_empty() {
            tell(&format!(
                "egressd: TLS is opened in this session: {} named other certificates, and now {}",
                replaced.join(", "),
                bundle.display()
            ));
        }
    }
    let has_view = held.has(Piece::View);
    become_command(start.command, &entered.session, has_view, port, bundle)
}

/// Asks the daemon for the session, and does not believe it: the kernel says where we are.
fn enter(start: &Start<'_>) -> Result<(Client, Entered), StartError> {
    let mut client =
        Client::connect(start.socket).map_err(|error| StartError::Control(error.into()))?;
    let reply = client
        .request(&Request::Enter {
            guard: start.guard.clone(),
            session: Some(start.session.clone()),
            command: start
                .command
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect(),
            places: Places::of_environment(),
            observe: start.observes,
        })
        .map_err(|error| StartError::Control(error.into()))?;
    let entered = reply
        .into_entered()
        .ok_or_else(|| StartError::Control(anyhow::anyhow!("egressd answered something else")))?;
    let found = Hierarchy::of_self().map_err(step("read the own cgroup"))?;
    if found == entered.cgroup {
        Ok((client, entered))
    } else {
        Err(StartError::NotInside {
            wanted: entered.cgroup,
            found,
        })
    }
}

/// Gives up everything that could undo the guard. Says what holds from then on.
fn confine(
    start: &Start<'_>,
    confinement: &Confinement,
    tell: &mut dyn FnMut(&str),
) -> Result<Held, StartError> {
    descriptors::close_on_exec().map_err(step("mark descriptors for closing"))?;
    let mut held = Held::default();
    piece(&mut held, confinement, Piece::View, || {
        view::apply(confinement, start.user, tell).map_err(said)
    })?;
    if let Some(user) = start.user {
        privileges::become_user(user).map_err(privilege)?;
    }
    privileges::drop_all().map_err(privilege)?;
    piece(&mut held, confinement, Piece::Landlock, || {
        landlock::apply(confinement).map_err(said)
    })?;
    piece(&mut held, confinement, Piece::Seccomp, || {
        filter::apply().map(|()| String::new()).map_err(said)
    })?;
    held.0.sort_by_key(|(piece, _)| *piece);
    Ok(held)
}

/// Puts one piece on, as far as it is wanted.
fn piece(
    held: &mut Held,
    confinement: &Confinement,
    piece: Piece,
    put_on: impl FnOnce() -> Result<String, String>,
) -> Result<(), StartError> {
    let need = confinement.need(piece);
    let state = match need {
        Need::Off => State::Off,
        Need::Require | Need::BestEffort => match (put_on(), need) {
            (Ok(detail), _) => State::Active(detail),
            (Err(why), Need::Require) => return Err(StartError::Missing { piece, why }),
            (Err(why), Need::BestEffort | Need::Off) => State::Missing(why),
        },
    };
    held.0.push((piece, state));
    Ok(())
}

fn become_command(
    command: &[OsString],
    session: &str,
    has_view: bool,
    proxy_port: Option<u16>,
    bundle: Option<&Path>,
) -> Result<Infallible, StartError> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(StartError::Exec {
            command: String::new(),
            source: io::Error::from(io::ErrorKind::NotFound),
        });
    };
    let mut command = Command::new(program);
    command.args(arguments).env("EGRESSD_SESSION", session);
    if let Some(port) = proxy_port {
        command.envs(environment::proxy(port));
    }
    if let Some(bundle) = bundle {
        let (set, _replaced) = environment::bundle(bundle, |name| std::env::var_os(name));
        command.envs(set);
    }
    if has_view {
        let get = |name: &str| std::env::var(name).ok();
        for name in environment::dead(get, view::is_socket) {
            command.env_remove(name);
        }
    }
    let source = command.exec();
    Err(StartError::Exec {
        command: program.to_string_lossy().into_owned(),
        source,
    })
}

impl StartError {
    /// The exit status that says what went wrong.
    pub fn status(&self) -> u8 {
        match self {
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                super::status::NOT_FOUND
            }
            Self::Exec { .. } => super::status::NOT_EXECUTABLE,
            Self::Control(_)
            | Self::NotInside { .. }
            | Self::Step { .. }
            | Self::Privileges(_)
            | Self::Missing { .. }
            | Self::OpenSocket(_)
            | Self::Root => super::status::NOT_STARTED,
        }
    }
}

fn thread_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn step(step: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Step { step, source }
}

fn privilege(error: PrivilegeError) -> StartError {
    StartError::Privileges(error.into())
}

/// An error with its causes, on one line.
fn said(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}
