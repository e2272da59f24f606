//! The table of the escape suite, for people.

use crate::{
    cli::{Paint, Screen, table::plain},
    escape::verdict::{Identity, Report, Row, Verdict},
};

/// A terminal is at least this wide.
const WIDTH: usize = 80;
/// A column of verdicts, with the space behind it.
const COLUMN: usize = 10;
/// What stands left of a reason.
const INDENT: usize = 4;

pub(super) fn print(report: &Report, screen: &mut Screen) -> anyhow::Result<()> {
    let identities: Vec<Identity> = report
        .rows
        .first()
        .map(|row| row.judged.keys().copied().collect())
        .unwrap_or_default();
    let mut header = String::new();
    for who in &identities {
        header.push_str(&column(&who.to_string().to_uppercase()));
    }
    header.push_str("WAY OUT");
    screen.line(screen.paint(Paint::Dim, &header))?;
    for row in &report.rows {
        print_row(row, &identities, screen)?;
    }
    for (verdict, heading) in [
        (Verdict::NotHeld, "Not held"),
        (Verdict::Limit, "Limits: these ways stay open"),
        (
            Verdict::NotApplicable,
            "Not applicable: on this machine they are closed without a guard too",
        ),
    ] {
        notes(report, verdict, heading, &identities, screen)?;
    }
    screen.line("")?;
    let summary = summary(report);
    let paint = match report.count(Verdict::NotHeld) {
        0 => Paint::Strong,
        _ => Paint::Deny,
    };
    for line in wrap(&summary, WIDTH) {
        screen.line(screen.paint(paint, &line))?;
    }
    Ok(())
}

fn column(word: &str) -> String {
    format!("{word:<COLUMN$}")
}

/// The verdicts, and the title beside them on as many lines as it takes.
fn print_row(row: &Row, identities: &[Identity], screen: &mut Screen) -> anyhow::Result<()> {
    let verdicts: String = identities
        .iter()
        .map(|who| {
            let (word, paint) = row
                .judged
                .get(who)
                .map_or(("-", Paint::Dim), |judged| word(judged.verdict));
            let space = " ".repeat(COLUMN.saturating_sub(word.len()));
            screen.paint(paint, word) + &space
        })
        .collect();
    let indent = COLUMN * identities.len();
    let mut lines = wrap(&plain(&row.title), WIDTH.saturating_sub(indent)).into_iter();
    screen.line(format!("{verdicts}{}", lines.next().unwrap_or_default()))?;
    for line in lines {
        screen.line(format!("{:indent$}{line}", ""))?;
    }
    Ok(())
}

fn word(verdict: Verdict) -> (&'static str, Paint) {
    match verdict {
        Verdict::Held => ("held", Paint::Allow),
        Verdict::NotHeld => ("NOT HELD", Paint::Deny),
        Verdict::Limit => ("limit", Paint::Warn),
        Verdict::NotApplicable => ("n/a", Paint::Dim),
    }
}

/// The reasons behind one verdict, each once, under the rows that it stands for.
fn notes(
    report: &Report,
    verdict: Verdict,
    heading: &str,
    identities: &[Identity],
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let mut notes: Vec<(&str, Vec<String>)> = Vec::new();
    for row in &report.rows {
        for (reason, who) in reasons(row, verdict) {
            let name = if who.len() == identities.len() {
                row.name.clone()
            } else {
                let who: Vec<String> = who.iter().map(ToString::to_string).collect();
                format!("{} ({})", row.name, who.join(", "))
            };
            match notes.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(name),
                None => notes.push((reason, vec![name])),
            }
        }
    }
    if notes.is_empty() {
        return Ok(());
    }
    screen.line("")?;
    screen.line(screen.paint(Paint::Strong, heading))?;
    for (reason, names) in notes {
        for line in wrap(&names.join(", "), WIDTH - INDENT / 2) {
            screen.line(format!("{:1$}{line}", "", INDENT / 2))?;
        }
        for line in wrap(&plain(reason), WIDTH - INDENT) {
            screen.line(screen.paint(Paint::Dim, &format!("{:INDENT$}{line}", "")))?;
        }
    }
    Ok(())
}

/// Reasons of one row and who met them.
fn reasons(row: &Row, verdict: Verdict) -> Vec<(&str, Vec<Identity>)> {
    let mut reasons: Vec<(&str, Vec<Identity>)> = Vec::new();
    for (who, judged) in &row.judged {
        if judged.verdict != verdict {
            continue;
        }
        match reasons
            .iter_mut()
            .find(|(known, _)| *known == judged.reason)
        {
            Some((_, met)) => met.push(*who),
            None => reasons.push((&judged.reason, vec![*who])),
        }
    }
    reasons
}

/// Breaks at spaces; a word that is longer stays whole.
pub(in crate::cli) fn wrap(text: &str, width: usize) -> Vec<String> {
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
        count(Verdict::Limit, "as published limits"),
        count(Verdict::NotApplicable, "not applicable"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let stray = match report.stray_frames() {
        0 => "no packet got out".to_owned(),
        1 => "1 packet got out".to_owned(),
        count => format!("{count} packets got out"),
    };
    let ways = match report.rows.len() {
        1 => "1 way".to_owned(),
        count => format!("{count} ways"),
    };
    format!(
        "Linux {}, {ways}: {}; beyond the limits {stray}",
        report.kernel,
        counts.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::table::tests::Written,
        escape::{
            Outcome,
            driver::End,
            verdict::{Judged, Run},
        },
    };

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("  extraordinary  x", 4), ["extraordinary", "x"]);
        assert!(wrap("", 4).is_empty());
    }

    fn row(name: &str, verdicts: [Verdict; 2], reason: &str, frames: &[&str]) -> Row {
        let run = || Run {
            end: End::Said(Outcome::Sent),
            frames: frames.iter().map(|&frame| frame.to_owned()).collect(),
        };
        let judged = |verdict| Judged {
            verdict,
            reason: reason.to_owned(),
            run: run(),
        };
        Row {
            name: name.to_owned(),
            title: format!("a way out that is called {name}"),
            limit: None,
            control: run(),
            judged: [Identity::Agent, Identity::Root]
                .into_iter()
                .zip(verdicts.map(judged))
                .collect(),
        }
    }

    #[test]
    fn the_table_says_what_holds_and_why_not() {
        use Verdict::{Held, Limit, NotApplicable, NotHeld};
        let report = Report {
            kernel: "6.18".to_owned(),
            version: "0".to_owned(),
            rows: vec![
                row("tcp", [Held, Held], "refused", &[]),
                row("udp", [Held, NotHeld], "UDP a > b", &["UDP a > b"]),
                row("igmp", [Limit, Limit], "as published", &["IGMP"]),
                row("mld", [Limit, Limit], "as published", &["MLD"]),
                row("sctp", [NotApplicable, NotApplicable], "no SCTP", &[]),
            ],
        };
        let written = Written::default();
        print(&report, &mut written.screen(false, false)).unwrap();
        assert_eq!(
            written.text(),
            "\
AGENT     ROOT      WAY OUT
held      held      a way out that is called tcp
held      NOT HELD  a way out that is called udp
limit     limit     a way out that is called igmp
limit     limit     a way out that is called mld
n/a       n/a       a way out that is called sctp

Not held
  udp (root)
    UDP a > b

Limits: these ways stay open
  igmp, mld
    as published

Not applicable: on this machine they are closed without a guard too
  sctp
    no SCTP

Linux 6.18, 5 ways: 3 held, 1 NOT HELD, 4 as published limits, 2 not applicable;
beyond the limits 1 packet got out
"
        );
    }
}
