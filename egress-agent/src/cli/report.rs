//! `egressctl report`: what agents did, as text, JSON, Markdown or a page of HTML.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use jiff::Timestamp;

use super::{
    Exit, Paint, Screen, complain, log,
    table::{Cell as Field, Table, plain},
};
use crate::{
    audit::{
        filter::{Filter, Since},
        reader::{ReadError, Records, VerifyError, verify},
        record::Time,
    },
    report::{Block, Cell, Chain, Gather, Head, Tone, described, html, markdown, page},
};

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Only what is newer: `10m`, `2h`, `3d`, or a time such as `2026-03-01T10:20:30Z`.
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Only what is older, in the same words.
    #[arg(long, value_name = "T")]
    until: Option<Since>,
    /// Only this session.
    #[arg(long, value_name = "S")]
    session: Option<String>,
    /// Read this log and its rotated files.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Rows of each table.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rows: u16,
    /// Do not check that the log is whole; the report says so.
    #[arg(long)]
    no_verify: bool,
}

/// Exit 1 when the log is not whole.
pub fn run(args: ReportArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let ReportArgs {
        since,
        until,
        session,
        log: log_file,
        html: html_file,
        markdown: markdown_file,
        rows,
        no_verify,
    } = args;
    let now = Timestamp::now();
    let filter = Filter {
        session,
        since: since.map(|since| since.before(now)),
        until: until.map(|until| until.before(now)),
        ..Filter::default()
    };
    let is_named = log_file.is_some();
    let file = log_file.unwrap_or_else(|| log::locate(socket));
    let mut gather = Gather::default();
    let is_readable = match Records::matching_at_once(&file, &filter) {
        Ok(records) => {
            take(records, &mut gather);
            true
        }
        Err(ReadError::Io { source, .. })
            if !is_named && source.kind() == io::ErrorKind::PermissionDenied =>
        {
            let mut take = |record: &_| gather.add(record);
            log::each(None, socket, filter.clone(), &mut take, screen)?;
            false
        }
        Err(error) => return Err(error.into()),
    };
    let chain = match (is_readable, no_verify) {
        (true, false) => check(&file)?,
        (true, true) => not_checked("--no-verify was given"),
        (false, _) => not_checked("egressd read it; ask for the report as root to have it checked"),
    };
    let head = Head {
        made: Time::new(now),
        machine: machine(),
        log: file.display().to_string(),
        since: filter.since,
        until: filter.until,
        session: filter.session,
        chain,
    };
    let report = gather.finish(head, usize::from(rows));
    let exit = match report.head.chain {
        Chain::Broken { .. } => Exit::No,
        Chain::Whole { .. } | Chain::NotChecked { .. } => Exit::Ok,
    };
    let is_written = html_file.is_some() || markdown_file.is_some();
    let blocks = page(&report);
    for (file, text) in [
        html_file.map(|file| (file, html(&blocks))),
        markdown_file.map(|file| (file, markdown(&blocks))),
    ]
    .into_iter()
    .flatten()
    {
        write(&file, &text)?;
        complain(&format!(
            "{} is written",
            plain(&file.display().to_string())
        ));
    }
    if screen.is_json() {
        screen.json(&report)?;
    } else if !is_written {
        show(&blocks, screen)?;
    } else if let Chain::Broken { why } = &report.head.chain {
        complain(&format!("the log is not whole: {}", plain(why)));
    }
    Ok(exit)
}

fn take(records: Records, gather: &mut Gather) {
    for entry in records {
        match entry {
            Ok(entry) => gather.add(&entry.sealed.record),
            Err(error) => gather.unreadable(&format!("{:#}", anyhow::Error::from(error))),
        }
    }
}

fn check(file: &Path) -> anyhow::Result<Chain> {
    match verify(file) {
        Ok(verified) => Ok(Chain::Whole {
            records: verified.records,
        }),
        Err(VerifyError::Broken(broken)) => Ok(Chain::Broken {
            why: format!("{:#}", anyhow::Error::from(broken)),
        }),
        Err(VerifyError::Read(error @ ReadError::TooLong(_))) => Ok(Chain::Broken {
            why: error.to_string(),
        }),
        Err(VerifyError::Read(error)) => Err(error.into()),
    }
}

fn not_checked(why: &str) -> Chain {
    Chain::NotChecked {
        why: why.to_owned(),
    }
}

fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// A report says as much as the log does: nobody else reads it.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write the report `{}`", file.display()))
}

fn show(blocks: &[Block], screen: &mut Screen) -> anyhow::Result<()> {
    for block in blocks {
        match block {
            Block::Title(title) => {
                let title = screen.paint(Paint::Strong, title);
                screen.line(title)?;
            }
            Block::Section { id: _, title } => {
                let title = screen.paint(Paint::Strong, &plain(&title.text()));
                screen.line(format!("\n{title}"))?;
            }
            Block::Heading(title) => screen.line(format!("\n{title}"))?,
            Block::Note(tone, cells) => {
                let paint = match tone {
                    Tone::Plain => None,
                    Tone::Good => Some(Paint::Allow),
                    Tone::Warn => Some(Paint::Warn),
                    Tone::Bad => Some(Paint::Deny),
                };
                let word = tone.word();
                let before = if word.is_empty() { "" } else { ": " };
                let text = format!("{word}{before}{}", line(cells));
                let text = paint.map_or_else(|| text.clone(), |paint| screen.paint(paint, &text));
                screen.line(text)?;
            }
            Block::Facts(facts) => {
                let mut table = Table::plain();
                for (name, cells) in facts {
                    table.row([Field::new(name), Field::new(line(cells))]);
                }
                table.print(screen)?;
            }
            Block::Figures(figures) => {
                let figures = figures
                    .iter()
                    .map(|(name, count, _)| format!("{} {name}", Cell::Number(*count).text()));
                screen.line(figures.collect::<Vec<_>>().join(", "))?;
            }
            Block::Timeline { id: _, timeline } => screen.line(described(timeline))?,
            Block::Table { head, rows, more } => {
                let mut table = Table::new(head);
                for row in rows {
                    table.row(row.iter().map(|cell| Field::new(cell.text())));
                }
                if !table.is_empty() {
                    table.print(screen)?;
                }
                if let Some(more) = more {
                    let more = screen.paint(Paint::Dim, more);
                    screen.line(more)?;
                }
            }
        }
    }
    screen.flush()?;
    Ok(())
}

fn line(cells: &[Cell]) -> String {
    plain(&cells.iter().map(Cell::text).collect::<String>())
}
