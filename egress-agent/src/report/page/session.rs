//! The part of a page that one session has.

use std::time::Duration;

use super::{
    super::{DenialRow, FindingRow, HostRow, NameRow, Session, Tally, ToolRow},
    Block, Cell, Tone, figures_of, held, more, note, session_name, words,
};
use crate::audit::record::Verdict;

pub(super) fn blocks(number: usize, session: &Session) -> Vec<Block> {
    let id = format!("session-{number}");
    let title = match &session.name {
        Some(name) => Cell::Foreign(name.clone()),
        None => words(&session_name(session)),
    };
    let mut blocks = vec![
        Block::Section {
            id: id.clone(),
            title,
        },
        Block::Facts(facts(session)),
        Block::Figures(figures_of(&session.tally)),
    ];
    if !session.timeline.buckets.is_empty() {
        blocks.push(Block::Timeline {
            id: format!("{id}-when"),
            timeline: session.timeline.clone(),
        });
    }
    let mut table = |title, head: &[&'static str], rows: Vec<Vec<Cell>>, more| {
        if !rows.is_empty() || Option::is_some(&more) {
            blocks.push(Block::Heading(title));
            blocks.push(Block::Table {
                head: head.to_vec(),
                rows,
                more,
            });
        }
    };
    table(
        "Denied",
        &[
            "destination or tool",
            "reason",
            "layer",
            "times",
            "first",
            "last",
            "what would allow it",
        ],
        session.denials.rows.iter().map(denial).collect(),
        more(&session.denials, "destination", "denials"),
    );
    table(
        if session.hosts_are_counted {
            "Hosts, as egressd counted them"
        } else {
            "Hosts, from single records"
        },
        &[
            "host",
            "verdict",
            "connections",
            "sent",
            "received",
            "open for",
        ],
        session.hosts.rows.iter().map(host).collect(),
        more(&session.hosts, "host", "connections"),
    );
    table(
        "Tool calls",
        &[
            "tool", "class", "allowed", "denied", "asked", "redacted", "observed",
        ],
        session.tools.rows.iter().map(tool).collect(),
        more(&session.tools, "tool", "calls"),
    );
    table(
        "Findings in content",
        &["kind", "layer", "times", "first", "last"],
        session.findings.rows.iter().map(finding).collect(),
        more(&session.findings, "kind", "findings"),
    );
    table(
        "Names asked for",
        &["name", "allowed", "denied", "observed"],
        session.names.rows.iter().map(name).collect(),
        more(&session.names, "name", "questions"),
    );
    if session.tally == Tally::default() && session.hosts.rows.is_empty() {
        blocks.push(note(
            Tone::Plain,
            "Nothing of what it did was denied or recorded.",
        ));
    }
    blocks
}

fn facts(session: &Session) -> Vec<(&'static str, Vec<Cell>)> {
    let mut facts = Vec::new();
    if let Some(command) = &session.command {
        facts.push(("Who and what", vec![Cell::Foreign(command.clone())]));
    }
    let is_session = session.name.is_some();
    match session.begun {
        Some(begun) => facts.push(("Begun", vec![Cell::Time(begun)])),
        None if is_session => facts.push((
            "Begun",
            vec![
                words("before what was read; first seen "),
                Cell::Time(session.span.first),
            ],
        )),
        None => facts.push(("First seen", vec![Cell::Time(session.span.first)])),
    }
    match session.ended {
        Some(ended) => facts.push(("Ended", vec![Cell::Time(ended)])),
        None if is_session => facts.push((
            "Ended",
            vec![
                words("not in what was read; last seen "),
                Cell::Time(session.span.last),
            ],
        )),
        None => facts.push(("Last seen", vec![Cell::Time(session.span.last)])),
    }
    let (begun, ended) = (session.begun, session.ended);
    if let (Some(begun), Some(ended)) = (begun, ended) {
        let took = ended.timestamp().duration_since(begun.timestamp());
        // A clock that was set back makes it less than nothing.
        if let Ok(took) = Duration::try_from(took) {
            facts.push(("Took", vec![words(&crate::cli::duration(took))]));
        }
    }
    let mut how = vec![words(held(session))];
    if let Some(guard) = &session.guard {
        how.extend([words(", guard "), Cell::Foreign(guard.clone())]);
    }
    if let Some(policy) = &session.policy {
        how.extend([words(", policy "), Cell::Foreign(policy.clone())]);
    }
    facts.push(("Held", how));
    facts
}

fn denial(row: &DenialRow) -> Vec<Cell> {
    let DenialRow {
        what,
        layer,
        reason,
        rule,
        count,
        observed,
        first,
        last,
        allow_with,
        message,
    } = row;
    let reason = match rule {
        Some(rule) => format!("{reason} (rule {rule})"),
        None => reason.clone(),
    };
    let layer = match observed {
        0 => layer.code().to_owned(),
        observed if observed == count => format!("{}, observed", layer.code()),
        observed => format!("{}, {observed} observed", layer.code()),
    };
    vec![
        Cell::Foreign(what.clone()),
        Cell::Foreign(reason),
        Cell::Words(layer),
        Cell::Number(*count),
        Cell::Time(*first),
        Cell::Time(*last),
        match (allow_with, message) {
            (Some(rule), _) => Cell::Rule(rule.clone()),
            (None, Some(message)) => Cell::Foreign(message.clone()),
            (None, None) => Cell::Nothing,
        },
    ]
}

fn host(row: &HostRow) -> Vec<Cell> {
    let HostRow {
        host,
        verdict,
        connections,
        bytes_up,
        bytes_down,
        duration_ms,
    } = row;
    let open = duration_ms.map(|millis| crate::cli::duration(Duration::from_millis(millis)));
    vec![
        Cell::Foreign(host.clone()),
        match verdict {
            Verdict::Deny => words("denied, at least once"),
            Verdict::Allow | Verdict::Redact | Verdict::Ask => Cell::Verdict(*verdict),
        },
        Cell::Number(*connections),
        Cell::Bytes(*bytes_up),
        Cell::Bytes(*bytes_down),
        open.map_or(Cell::Nothing, Cell::Words),
    ]
}

fn tool(row: &ToolRow) -> Vec<Cell> {
    let ToolRow { tool, class, tally } = row;
    vec![
        Cell::Foreign(tool.clone()),
        class.clone().map_or(Cell::Nothing, Cell::Foreign),
        Cell::Number(tally.allowed),
        Cell::Number(tally.denied),
        Cell::Number(tally.asked),
        Cell::Number(tally.redacted),
        Cell::Number(tally.observed),
    ]
}

fn finding(row: &FindingRow) -> Vec<Cell> {
    let FindingRow {
        detector,
        layer,
        count,
        first,
        last,
    } = row;
    vec![
        Cell::Foreign(detector.clone()),
        words(layer.code()),
        Cell::Number(*count),
        Cell::Time(*first),
        Cell::Time(*last),
    ]
}

fn name(row: &NameRow) -> Vec<Cell> {
    let NameRow { name, tally } = row;
    vec![
        Cell::Foreign(name.clone()),
        Cell::Number(tally.allowed),
        Cell::Number(tally.denied),
        Cell::Number(tally.observed),
    ]
}
