//! The reports of the escape suite, side by side.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::holds::ALONE;

/// What the suite reported on one kernel: verdicts by row, then by who tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    kernel: String,
    rows: Vec<(String, BTreeMap<String, String>)>,
    /// Rows that should have been held, with what got out.
    pub(super) open: Vec<String>,
}

impl Report {
    pub(super) fn read(text: &str) -> Result<Self> {
        let report: Value = serde_json::from_str(text).context("the suite's report is no JSON")?;
        let word = |value: &Value, key: &str| {
            let word = value.get(key).and_then(Value::as_str);
            word.map(str::to_owned)
                .with_context(|| format!("the suite's report has no `{key}` where one should be"))
        };
        let mut found = Self {
            kernel: word(&report, "kernel")?,
            ..Self::default()
        };
        let rows = report.get("rows").and_then(Value::as_array);
        for row in rows.context("the suite's report has no rows")? {
            let name = word(row, "name")?;
            let mut verdicts = BTreeMap::new();
            let judged = row.get("judged").and_then(Value::as_object);
            for (who, judged) in judged.context("a row was not judged")? {
                let verdict = word(judged, "verdict")?;
                // What the kernel programs hold without the launcher is told in the README.
                if who == ALONE {
                    continue;
                }
                if verdict == "not-held" {
                    let reason = word(judged, "reason")?;
                    found.open.push(format!("{name} as {who}: {reason}"));
                }
                verdicts.insert(who.clone(), verdict);
            }
            found.rows.push((name, verdicts));
        }
        Ok(found)
    }

    /// How many verdicts there are of each kind.
    pub(super) fn sum(&self) -> String {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for verdict in self.rows.iter().flat_map(|(_, verdicts)| verdicts.values()) {
            *counts.entry(verdict).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        format!("{} rows: {}", self.rows.len(), counts.join(", "))
    }

    /// One word where everyone fared alike, else one for each who tried.
    fn cell(&self, row: &str) -> String {
        let Some((_, verdicts)) = self.rows.iter().find(|(name, _)| name == row) else {
            return "–".to_owned();
        };
        let mut all = verdicts.values();
        let first = all.next().cloned().unwrap_or_default();
        if all.all(|verdict| *verdict == first) {
            return first;
        }
        let each: Vec<String> = verdicts
            .iter()
            .map(|(who, verdict)| format!("{who}: {verdict}"))
            .collect();
        each.join(", ")
    }
}

/// A line for each row of any report, a column for each kernel.
pub(super) fn table(reports: &[Report]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in reports.iter().flat_map(|report| &report.rows) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut lines = vec![
        std::iter::once("row".to_owned())
            .chain(reports.iter().map(|report| report.kernel.clone()))
            .collect::<Vec<String>>(),
    ];
    lines.extend(names.iter().map(|name| {
        std::iter::once((*name).to_owned())
            .chain(reports.iter().map(|report| report.cell(name)))
            .collect()
    }));
    let mut widths = vec![0; reports.len() + 1];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{ "kernel": "6.1", "version": "0", "rows": [
        { "name": "sctp", "title": "t", "judged": {
            "agent": { "verdict": "held", "reason": "r" },
            "root": { "verdict": "held", "reason": "r" } } },
        { "name": "raw", "title": "t", "judged": {
            "agent": { "verdict": "held", "reason": "r" },
            "root": { "verdict": "not-held", "reason": "1 frame" } } } ] }"#;

    #[test]
    fn kernels_stand_side_by_side() {
        let one = Report::read(REPORT).expect("a report");
        let other = Report {
            kernel: "6.12".to_owned(),
            ..Report::default()
        };
        assert_eq!(
            table(&[one, other]),
            "row   6.1                          6.12\n\
             sctp  held                         –\n\
             raw   agent: held, root: not-held  –\n"
        );
    }

    #[test]
    fn what_is_open_is_named() {
        let report = Report::read(REPORT).expect("a report");
        assert_eq!(report.open, ["raw as root: 1 frame"]);
        assert_eq!(report.sum(), "2 rows: 3 held, 1 not-held");
    }

    #[test]
    fn half_a_report_is_no_report() {
        for text in [
            "",
            "{}",
            r#"{"kernel":"6.1"}"#,
            r#"{"kernel":"6.1","rows":[{}]}"#,
        ] {
            assert!(Report::read(text).is_err(), "{text}");
        }
    }
}
