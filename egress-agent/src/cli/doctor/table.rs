//! The table of the escape suite, for people.

use std::collections::BTreeMap;

use crate::{
    cli::{
        Paint, Screen,
        table::{Cell, Table},
    },
    escape::verdict::{Identity, Judged, Report, Row, Verdict},
};

/// Notes are broken so that they fit beside each other on a small terminal.
const WIDTH: usize = 80;

pub(super) fn print(report: &Report, screen: &mut Screen) -> anyhow::Result<()> {
    let identities: Vec<Identity> = report
        .rows
        .first()
        .map(|row| row.judged.keys().copied().collect())
        .unwrap_or_default();
    let names: Vec<String> = identities.iter().map(ToString::to_string).collect();
    let header: Vec<&str> = ["WAY OUT"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&header);
    for row in &report.rows {
        let verdicts = identities.iter().map(|who| match row.judged.get(who) {
            Some(judged) => cell(judged.verdict),
            None => Cell::new(""),
        });
        table.row([Cell::new(&row.title)].into_iter().chain(verdicts));
    }
    table.print(screen)?;
    for (verdict, heading) in [
        (Verdict::NotHeld, "Not held"),
        (Verdict::Limit, "Limits: these ways stay open"),
        (
            Verdict::NotApplicable,
            "Not applicable: not open without a guard either",
        ),
    ] {
        notes(report, verdict, heading, screen)?;
    }
    screen.line("")?;
    screen.line(summary(report))?;
    Ok(())
}

fn cell(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Held => Cell::painted("held", Paint::Allow),
        Verdict::NotHeld => Cell::painted("NOT HELD", Paint::Deny),
        Verdict::Limit => Cell::painted("limit", Paint::Warn),
        Verdict::NotApplicable => Cell::painted("n/a", Paint::Dim),
    }
}

/// The reasons behind one verdict, each with the rows and identities that it stands for.
fn notes(
    report: &Report,
    verdict: Verdict,
    heading: &str,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let mut is_first = true;
    for row in &report.rows {
        for (reason, who) in reasons(row, verdict) {
            if is_first {
                screen.line("")?;
                screen.line(screen.paint(Paint::Strong, heading))?;
                is_first = false;
            }
            let who: Vec<String> = who.iter().map(ToString::to_string).collect();
            screen.line(format!("  {} ({})", row.name, who.join(", ")))?;
            for line in wrap(&reason, WIDTH - 6) {
                screen.line(format!("      {line}"))?;
            }
        }
    }
    Ok(())
}

/// Reasons of one row and who met them; the same reason once.
fn reasons(row: &Row, verdict: Verdict) -> Vec<(String, Vec<Identity>)> {
    let mut reasons: BTreeMap<&str, Vec<Identity>> = BTreeMap::new();
    for (who, judged) in &row.judged {
        let Judged {
            verdict: found,
            reason,
            run: _,
        } = judged;
        if *found == verdict {
            reasons.entry(reason).or_default().push(*who);
        }
    }
    reasons
        .into_iter()
        .map(|(reason, who)| (crate::cli::table::plain(reason), who))
        .collect()
}

/// Breaks at spaces; a word that is longer stays whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn summary(report: &Report) -> String {
    let count = |verdict, word: &str| match report.count(verdict) {
        0 => None,
        count => Some(format!("{count} {word}")),
    };
    let counts: Vec<String> = [
        count(Verdict::Held, "held"),
        count(Verdict::NotHeld, "NOT HELD"),
        count(Verdict::Limit, "limits"),
        count(Verdict::NotApplicable, "not applicable"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let stray = report.stray_frames();
    format!(
        "Linux {}: {}; {stray} packet{} got out beyond the limits",
        report.kernel,
        counts.join(", "),
        if stray == 1 { "" } else { "s" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("  extraordinary  x", 4), ["extraordinary", "x"]);
        assert!(wrap("", 4).is_empty());
    }
}
