//! `egressctl policy suggest`: the rules that would have allowed what was denied.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;

use super::{
    Exit, Paint, Screen, complain,
    hook::install::{changes, write},
    log,
    table::plain,
};
use crate::{
    audit::{
        filter::{Filter, Since},
        record::{Layer, Record},
    },
    policy::{Needs, Policy, Suggestion, with_rules},
};

#[derive(Debug, clap::Args)]
pub struct SuggestArgs {
    /// The policy that is to fit.
    file: PathBuf,
    /// Only what this session was denied, or would have been.
    #[arg(long, value_name = "S")]
    session: Option<String>,
    /// Only what is newer: `10m`, `2h`, `3d`, or a time such as `2026-03-01T10:20:30Z`.
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Read this log and its rotated files.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Add the rules to the policy; `egressctl reload` puts it in force.
    #[arg(long)]
    write: bool,
}

/// What the records say.
#[derive(Debug, Default)]
struct Denials {
    needs: Needs,
    /// Those that a rule of `network.allow` allows.
    count: u64,
    /// Those that none does, by reason.
    others: BTreeMap<String, u64>,
}

pub fn run(args: SuggestArgs, socket: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let SuggestArgs {
        file,
        session,
        since,
        log: log_file,
        write: is_to_be_written,
    } = args;
    let Some(policy) = super::policy::load(&file, screen)? else {
        return Ok(Exit::InvalidPolicy);
    };
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read the policy `{}`", file.display()))?;
    let filter = Filter {
        denied: true,
        session,
        since: since.map(|since| since.before(Timestamp::now())),
        ..Filter::default()
    };
    let mut denials = Denials::default();
    let mut take = |record: &Record| denials.take(record);
    log::each(log_file, socket, filter, &mut take, screen)?;
    let suggestions = denials.needs.suggestions(&policy);
    let fitting = with_rules(&text, &suggestions)
        .with_context(|| format!("cannot add rules to `{}`", file.display()))?;
    // What it proposes must be what it can read.
    let source = file.display().to_string();
    if let Err(invalid) = Policy::parse_at(&fitting, &file) {
        super::policy::show(&invalid, screen)?;
        return Ok(Exit::InvalidPolicy);
    }
    if is_to_be_written && !suggestions.is_empty() {
        write(&file, &fitting)?;
    }
    if screen.is_json() {
        let add: Vec<_> = suggestions
            .iter()
            .map(|one| json!({ "rule": one.rule, "notes": one.notes }))
            .collect();
        screen.json(&json!({ "add": add, "denials": denials.count, "others": denials.others }))?;
        return Ok(Exit::Ok);
    }
    show(&denials, &suggestions, &changes(&text, &fitting), screen)?;
    if is_to_be_written && !suggestions.is_empty() {
        complain(&format!(
            "{source} is written; `egressctl reload` puts it in force"
        ));
    }
    Ok(Exit::Ok)
}

fn show(
    denials: &Denials,
    suggestions: &[Suggestion],
    changes: &[String],
    screen: &mut Screen,
) -> anyhow::Result<()> {
    for line in changes {
        let line = screen.paint(Paint::Allow, line);
        screen.line(line)?;
    }
    for note in suggestions.iter().flat_map(|one| &one.notes) {
        complain(note);
    }
    for (reason, count) in &denials.others {
        let reason = plain(reason);
        complain(&format!(
            "left out: what no rule of network.allow allows ({reason}, {count} times); see `egressctl log --denied`"
        ));
    }
    if suggestions.is_empty() {
        complain("no denial that a rule would allow: nothing to add");
    }
    Ok(())
}

impl Denials {
    fn take(&mut self, record: &Record) {
        let is_guess = record.layer == Layer::Dns;
        let is_taken = record
            .allow_with
            .as_ref()
            .is_some_and(|rule| self.needs.add(rule, is_guess));
        if is_taken {
            self.count = self.count.saturating_add(record.count);
        } else {
            let reason = record.reason.as_deref().unwrap_or("no reason").to_owned();
            let others = self.others.entry(reason).or_default();
            *others = others.saturating_add(record.count);
        }
    }
}
