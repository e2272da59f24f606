//! `egressctl log`: shows, follows, verifies and describes the audit log.
//!
//! Reads the files where it may, and asks the daemon where it may not. To follow, it always asks
//! the daemon, which joins what is written with what is to come.

mod human;
mod verify;

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Exit, Screen,
    export::{Exporter, Format},
};
use crate::{
    audit::{
        self,
        filter::{Filter, Host, Since},
        reader::{Entry, ReadError, Records},
        record::{Layer, Record, Sealed},
    },
    control::{
        self,
        client::Client,
        message::{Reply, Request},
    },
    schema::RECORD,
};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use human::Human;
use jiff::{Timestamp, tz::TimeZone};

/// Show what was decided, and why.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LogArgs {
    #[command(subcommand)]
    action: Option<Action>,

    /// Go on with what is recorded from now on
    #[arg(short, long)]
    follow: bool,

    /// Show only the last N records [default: 10 with --follow, else all]
    #[arg(short = 'n', long = "lines", value_name = "N")]
    last: Option<u64>,

    /// Show only denials
    #[arg(long)]
    denied: bool,

    /// Show only this session
    #[arg(long, value_name = "S")]
    session: Option<String>,

    /// Show only this destination: an address, a name, or `.name` for every name below it
    #[arg(long, value_name = "H")]
    host: Option<Host>,

    /// Show only what is newer: `10m`, `2h`, `3d`, or a time such as `2026-03-01T10:20:30Z`
    #[arg(long, value_name = "T")]
    since: Option<Since>,

    /// Show only this layer: kernel, dns, hook, mcp, proxy or daemon
    #[arg(long, value_name = "L", value_parser = layer)]
    layer: Option<Layer>,

    /// Show for each denial the rule that would allow it
    #[arg(long)]
    explain: bool,

    /// Read this file and its rotated ones
    #[arg(long, value_name = "FILE", conflicts_with = "follow")]
    file: Option<PathBuf>,

    /// Where the daemon listens
    #[arg(long, value_name = "PATH", default_value = control::DEFAULT_SOCKET, hide = true)]
    socket: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Check that no record was changed, removed or inserted; exit 1 if one was
    Verify {
        /// The log; its rotated files are checked with it
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of a line
    Schema,
    /// Print the records for other programs
    Export(Box<ExportArgs>),
}

#[derive(Clone, Debug, Args)]
struct ExportArgs {
    /// As they are written, as a table for spreadsheets, or as events of OCSF
    #[arg(long, value_enum)]
    format: Format,

    /// Only denials
    #[arg(long)]
    denied: bool,

    /// Only this session
    #[arg(long, value_name = "S")]
    session: Option<String>,

    /// Only this destination: an address, a name, or `.name` for every name below it
    #[arg(long, value_name = "H")]
    host: Option<Host>,

    /// Only what is newer: `10m`, `2h`, `3d`, or a time such as `2026-03-01T10:20:30Z`
    #[arg(long, value_name = "T")]
    since: Option<Since>,

    /// Only this layer: kernel, dns, hook, mcp, proxy or daemon
    #[arg(long, value_name = "L", value_parser = layer)]
    layer: Option<Layer>,

    /// Read this file and its rotated ones
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What is done with records.
enum Shape<'a> {
    Human(Human),
    Export(Exporter),
    Take(&'a mut dyn FnMut(&Record)),
}

/// Records that a followed log begins with.
const FOLLOW_LAST: u64 = 10;

pub fn run(args: LogArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    let result = match args.action {
        Some(Action::Verify { file }) => {
            let file = file.unwrap_or_else(|| locate(&args.socket));
            verify::verify(&file, screen)
        }
        Some(Action::Schema) => schema(screen),
        Some(Action::Export(export)) => self::export(*export, &args.socket, screen),
        None => show(args, screen),
    };
    match result {
        // Who reads has read enough.
        Err(error) if is_broken_pipe(&error) => Ok(Exit::Ok),
        result => result,
    }
}

fn show(args: LogArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    let filter = Filter {
        denied: args.denied,
        session: args.session,
        host: args.host,
        since: args.since.map(|since| since.before(Timestamp::now())),
        until: None,
        layer: args.layer,
    };
    let mut shape = Shape::Human(Human::new(TimeZone::system(), args.explain));
    if args.follow {
        let last = args.last.unwrap_or(FOLLOW_LAST);
        let request = Request::Log {
            filter,
            last: Some(last),
            follow: true,
        };
        show_from_daemon(&args.socket, &request, &mut shape, screen)?;
        bail!("egressd closed the connection: see `systemctl status egressd`");
    }
    show_all(
        args.file,
        &args.socket,
        filter,
        args.last,
        &mut shape,
        screen,
    )
}

fn export(args: ExportArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let ExportArgs {
        format,
        denied,
        session,
        host,
        since,
        layer,
        file,
    } = args;
    let filter = Filter {
        denied,
        session,
        host,
        since: since.map(|since| since.before(Timestamp::now())),
        until: None,
        layer,
    };
    let mut shape = Shape::Export(Exporter::new(format));
    let exit = show_all(file, socket, filter, None, &mut shape, screen)?;
    if let Shape::Export(exporter) = &mut shape {
        exporter.finish(screen.writer())?;
    }
    Ok(exit)
}

/// Hands over what is written, as [`show_all`] would show it.
pub(super) fn each(
    file: Option<PathBuf>,
    socket: &Path,
    filter: Filter,
    take: &mut dyn FnMut(&Record),
    screen: &mut Screen,
) -> anyhow::Result<()> {
    show_all(file, socket, filter, None, &mut Shape::Take(take), screen).map(drop)
}

/// Shows what is written, from the files where that is allowed, else from the daemon.
fn show_all(
    file: Option<PathBuf>,
    socket: &Path,
    filter: Filter,
    last: Option<u64>,
    shape: &mut Shape<'_>,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    let is_named = file.is_some();
    let file = file.unwrap_or_else(|| locate(socket));
    match Records::matching_at_once(&file, &filter) {
        Ok(records) => show_from_files(records, last, shape, screen),
        Err(ReadError::Io { source, .. })
            if !is_named && source.kind() == io::ErrorKind::PermissionDenied =>
        {
            let request = Request::Log {
                filter,
                last,
                follow: false,
            };
            show_from_daemon(socket, &request, shape, screen)
        }
        Err(error) => Err(error.into()),
    }
}

fn show_from_files(
    records: Records,
    last: Option<u64>,
    shape: &mut Shape<'_>,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    let mut kept = VecDeque::new();
    for entry in records {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                note(&format!("{:#}", anyhow::Error::from(error)))?;
                continue;
            }
        };
        let Some(last) = last else {
            print(&entry, shape, screen)?;
            continue;
        };
        kept.push_back(entry);
        if kept.len() as u64 > last {
            kept.pop_front();
        }
    }
    for entry in &kept {
        print(entry, shape, screen)?;
    }
    screen.flush()?;
    Ok(Exit::Ok)
}

fn show_from_daemon(
    socket: &Path,
    request: &Request,
    shape: &mut Shape<'_>,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    for reply in Client::connect(socket)?.stream(request)? {
        match reply? {
            Reply::Line(text) => {
                let sealed = Sealed::read(&text)
                    .context("egressd sent a record that this egressctl cannot read: use the same release of both")?;
                print(&Entry { sealed, text }, shape, screen)?;
                screen.flush()?;
            }
            Reply::Missed(missed) => note(&format!(
                "{missed} records were missed: this reader was too slow"
            ))?,
            Reply::Unreadable(why) => note(&why)?,
            Reply::Status(_)
            | Reply::Sessions(_)
            | Reply::Why(_)
            | Reply::Denials(_)
            | Reply::Egress(_)
            | Reply::Overview(_)
            | Reply::Judged(_)
            | Reply::Aftermath(_)
            | Reply::Entered(_)
            | Reply::Opening(_)
            | Reply::Grants(_)
            | Reply::Pending(_)
            | Reply::Dashboard(_)
            | Reply::Done(_) => return Err(control::client::ClientError::Unexpected.into()),
        }
    }
    Ok(Exit::Ok)
}

fn print(entry: &Entry, shape: &mut Shape<'_>, screen: &mut Screen) -> io::Result<()> {
    let human = match shape {
        Shape::Export(exporter) => return exporter.write(entry, screen.writer()),
        Shape::Take(take) => {
            take(&entry.sealed.record);
            return Ok(());
        }
        Shape::Human(human) => human,
    };
    if screen.is_json() {
        return screen.line(&entry.text);
    }
    for line in human.lines(&entry.sealed.record, screen) {
        screen.line(line)?;
    }
    Ok(())
}

/// A word beside the records, which alone are on standard output.
fn note(text: &str) -> io::Result<()> {
    writeln!(
        io::stderr().lock(),
        "egressctl: {}",
        super::table::plain(text)
    )
}

fn schema(screen: &mut Screen) -> anyhow::Result<Exit> {
    screen.line(RECORD.text())?;
    screen.flush()?;
    Ok(Exit::Ok)
}

/// Where the log is: as the daemon says, or where it is by default.
pub(super) fn locate(socket: &Path) -> PathBuf {
    let status = Client::connect(socket)
        .and_then(|mut client| client.request(&Request::Status { session: None }));
    match status {
        Ok(Reply::Status(status)) => status.audit.map(|audit| audit.file.into()),
        _ => None,
    }
    .unwrap_or_else(|| audit::DEFAULT_FILE.into())
}

fn layer(text: &str) -> Result<Layer, String> {
    let layer = Layer::ALL.into_iter().find(|layer| layer.code() == text);
    layer.ok_or_else(|| "expected kernel, dns, hook, mcp, proxy or daemon".to_owned())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests;
