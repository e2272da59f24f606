//! What `egressctl init` shows: what was found, the policy in its words and in plain ones, and each
//! change.

use std::path::Path;

use super::{
    Prepared,
    compose::Opened,
    ecosystem,
    plan::{Change, State, Step},
    remote::Remote,
    tree::Tree,
};
use crate::cli::{
    Paint, Screen,
    doctor::table::wrap,
    home::{Found, Seen, SeenHook},
    hook::install::changes,
    table::plain,
};

/// A terminal is at least this wide.
const WIDTH: usize = 80;
/// Left of everything below a heading.
const INDENT: usize = 2;
/// The column of names.
const NAMES: usize = 12;
/// Lines of one change that are shown.
const MOST_LINES: usize = 40;

pub(super) fn all(prepared: &Prepared, screen: &mut Screen) -> anyhow::Result<()> {
    if !prepared.changes() {
        return plan(prepared, screen);
    }
    found(prepared, screen)?;
    screen.line("")?;
    policy(prepared, screen)?;
    screen.line("")?;
    plan(prepared, screen)
}

fn heading(text: &str, screen: &mut Screen) -> anyhow::Result<()> {
    let text = screen.paint(Paint::Strong, text);
    Ok(screen.line(text)?)
}

/// A name in its column, and words beside it on as many lines as they take.
fn row(name: &str, text: &str, screen: &mut Screen) -> anyhow::Result<()> {
    let left = INDENT + NAMES;
    let mut lines = wrap(&plain(text), WIDTH - left).into_iter();
    let first = lines.next().unwrap_or_default();
    screen.line(format!("{:INDENT$}{name:<NAMES$}{first}", "").trim_end())?;
    for line in lines {
        screen.line(format!("{:left$}{line}", ""))?;
    }
    Ok(())
}

/// Words below a heading, further in by `more`.
fn text(text: &str, more: usize, paint: Option<Paint>, screen: &mut Screen) -> anyhow::Result<()> {
    let left = INDENT + more;
    for line in wrap(&plain(text), WIDTH - left) {
        let line = match paint {
            Some(paint) => screen.paint(paint, &line),
            None => line,
        };
        screen.line(format!("{:left$}{line}", ""))?;
    }
    Ok(())
}

fn found(prepared: &Prepared, screen: &mut Screen) -> anyhow::Result<()> {
    let Prepared {
        seen,
        project,
        asked,
        machine,
        choice,
        ..
    } = prepared;
    heading("Found", screen)?;
    row("agents", &agents(seen), screen)?;
    if let Some(place) = project {
        row("project", &of_project(place, seen), screen)?;
    }
    for Remote { host, port } in asked {
        row(
            "remote",
            &format!("{host}:{port}; no profile has it, `--remote-hosts` lets it in"),
            screen,
        )?;
    }
    row("machine", machine, screen)?;
    for missing in &choice.missing {
        let says = format!(
            "{} ({}): there is no such profile in this version; add rules for it by hand",
            missing.profile, missing.why
        );
        row("no profile", &says, screen)?;
    }
    Ok(())
}

fn agents(seen: &Seen) -> String {
    if seen.agents.is_empty() {
        return "none; name one with `--agent`".to_owned();
    }
    let agents = seen.agents.iter().map(|one| match &one.by {
        Some(by) => format!("{} ({})", one.agent.title(), by.display()),
        None => format!("{} (named)", one.agent.title()),
    });
    agents.collect::<Vec<_>>().join(", ")
}

fn of_project(place: &Path, seen: &Seen) -> String {
    let place = place.display();
    match &seen.project {
        None => format!("{place}: not looked at"),
        Some(Err(why)) => format!("{place} cannot be looked at: {why}"),
        Some(Ok(project)) => {
            let mut parts: Vec<String> = ecosystem::ALL
                .iter()
                .filter_map(|one| {
                    let file = project.ecosystems.get(one.profile)?;
                    Some(format!("{} ({file})", one.title))
                })
                .collect();
            let hosts: std::collections::BTreeSet<&str> = project
                .remotes
                .iter()
                .map(|remote| remote.host.as_str())
                .collect();
            let hosts: Vec<&str> = hosts.into_iter().collect();
            match hosts.len() {
                0 => {}
                1 => parts.push(format!("a remote on {}", hosts.join(""))),
                _ => parts.push(format!("remotes on {}", hosts.join(" and "))),
            }
            if parts.is_empty() {
                parts.push("nothing that chooses a profile".to_owned());
            }
            format!("{place}: {}", parts.join(", "))
        }
    }
}

fn policy(prepared: &Prepared, screen: &mut Screen) -> anyhow::Result<()> {
    let Prepared {
        tree,
        change,
        opened,
        choice,
        ..
    } = prepared;
    let path = tree.shown(&change.path);
    heading(
        &format!("Policy for {}", plain(&path.display().to_string())),
        screen,
    )?;
    for line in change.text.lines() {
        screen.line(format!("{:INDENT$}{}", "", plain(line)))?;
    }
    screen.line("")?;
    if opened.is_empty() {
        heading("It allows nothing", screen)?;
    } else {
        heading("It allows, and denies everything else", screen)?;
    }
    let mut source = "";
    for one in opened {
        if one.source != source {
            source = &one.source;
            let name = source.strip_prefix("profile:");
            let why = name.and_then(|name| choice.chosen.iter().find(|one| one.profile == name));
            let title = match (name, why) {
                (Some(name), Some(why)) => format!("{name} ({})", why.why),
                (Some(name), None) => name.to_owned(),
                (None, _) => "rules of its own".to_owned(),
            };
            text(&title, 0, None, screen)?;
        }
        opens(one, screen)?;
    }
    if opened.iter().any(|one| !one.risks.is_empty()) {
        text(
            "! what is sent to a place that strangers share, under the account of a stranger, is \
             the stranger's",
            0,
            Some(Paint::Dim),
            screen,
        )?;
    }
    Ok(())
}

fn opens(opened: &Opened, screen: &mut Screen) -> anyhow::Result<()> {
    let Opened {
        rule: _,
        source: _,
        hosts,
        ports,
        risks,
    } = opened;
    let says = format!("{} on {}", hosts.join(", "), ports.join(", "));
    text(&says, 2, None, screen)?;
    for risk in risks {
        text(&format!("! {risk}"), 4, Some(Paint::Warn), screen)?;
    }
    Ok(())
}

fn plan(prepared: &Prepared, screen: &mut Screen) -> anyhow::Result<()> {
    let Prepared {
        tree,
        change,
        units,
        seen,
        steps,
        notes,
        ..
    } = prepared;
    heading("Changes", screen)?;
    for change in std::iter::once(change).chain(units) {
        file(tree, change, screen)?;
    }
    for hook in prepared.hooks(seen) {
        settings(hook, screen)?;
    }
    for Step { words, marks: _ } in steps {
        row("run", &words.join(" "), screen)?;
    }
    for note in notes {
        row("note", note, screen)?;
    }
    Ok(())
}

fn file(tree: &Tree, change: &Change, screen: &mut Screen) -> anyhow::Result<()> {
    let path = tree.shown(&change.path);
    let path = path.display();
    let old = change.old.as_ref().map(|old| old.text.as_str());
    match &change.state {
        State::New => row("new", &path.to_string(), screen),
        State::Same => row("as it is", &path.to_string(), screen),
        State::Update => {
            row("change", &path.to_string(), screen)?;
            lines(&changes(old.unwrap_or_default(), &change.text), screen)
        }
        State::Replace => {
            row("replace", &format!("{path}, keeping a backup"), screen)?;
            lines(&changes(old.unwrap_or_default(), &change.text), screen)
        }
        State::Kept(why) => row("keep", &format!("{path}: {why}"), screen),
    }
}

fn settings(hook: &SeenHook, screen: &mut Screen) -> anyhow::Result<()> {
    let title = hook.agent.title();
    let Some(path) = &hook.file else {
        return row(
            "no hook",
            &format!("{title} has none; the guard holds it"),
            screen,
        );
    };
    let path = path.display();
    match &hook.found {
        Found::Current => row("as it is", &format!("{path} (hook of {title})"), screen),
        Found::Old | Found::Absent => {
            row("change", &format!("{path} (hook of {title})"), screen)?;
            lines(&hook.changes, screen)
        }
        Found::Broken(why) => row("keep", &format!("{path}: {why}"), screen),
        Found::NoHook => Ok(()),
    }
}

/// Lines of a change, as many as a person reads.
fn lines(lines: &[String], screen: &mut Screen) -> anyhow::Result<()> {
    let left = INDENT + NAMES;
    for line in lines.iter().take(MOST_LINES) {
        let paint = if line.starts_with('+') {
            Paint::Allow
        } else {
            Paint::Deny
        };
        // Spaces count here, and a long line goes on below itself.
        let line: Vec<char> = plain(line).chars().collect();
        for piece in line.chunks(WIDTH - left) {
            let piece: String = piece.iter().collect();
            let piece = screen.paint(paint, &piece);
            screen.line(format!("{:left$}{piece}", ""))?;
        }
    }
    let more = lines.len().saturating_sub(MOST_LINES);
    if more > 0 {
        screen.line(format!("{:left$}and {more} lines more", ""))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
