//! The section of the README that says what holds, made from the reports of the escape suite.
//!
//! A report is what `egressctl doctor --escape --json` says. [`keep`] takes from it what is worth
//! keeping in the repository, one file for each kernel series; [`section`] makes the text of all.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

/// Where the section stands in the README.
pub const BEGIN: &str = "<!-- holds: written by `cargo xtask holds` -->";
pub const END: &str = "<!-- holds: end -->";

/// Who is started by the launcher, and so is what the verdict of a row rests on.
const LAUNCHED: [&str; 2] = ["agent", "root"];
/// Who is not: for the kernel programs alone.
pub const ALONE: &str = "bare";

/// The kernel series of a report (`6.12`), and its text as it is kept.
pub fn keep(report: &str) -> Result<(String, String)> {
    let report: Value = serde_json::from_str(report).context("read the report")?;
    let kernel = text(&report, "kernel")?;
    let mut rows = Vec::new();
    for row in list(&report, "rows")? {
        let all = row.get("judged").and_then(Value::as_object);
        let mut judged = Map::new();
        for (who, found) in all.context("a row was not judged")? {
            let verdict = text(found, "verdict")?;
            // Ports and process ids change with every run; what they belong to does not.
            let kept = if verdict == "not-applicable" {
                json!({ "verdict": verdict, "reason": text(found, "reason")? })
            } else {
                json!({ "verdict": verdict })
            };
            judged.insert(who.clone(), kept);
        }
        let mut kept = Map::new();
        for key in ["name", "title", "limit"] {
            if let Some(value) = row.get(key) {
                kept.insert(key.to_owned(), value.clone());
            }
        }
        kept.insert("judged".to_owned(), judged.into());
        rows.push(Value::from(kept));
    }
    let version = text(&report, "version")?;
    let kept = json!({ "kernel": kernel, "version": version, "rows": rows });
    let kept = serde_json::to_string_pretty(&kept)? + "\n";
    Ok((series(&kernel), kept))
}

/// `6.12` of `6.12.48+deb13-cloud-amd64`.
fn series(kernel: &str) -> String {
    let mut numbers = kernel.split(['.', '-', '+']);
    let (major, minor) = (numbers.next(), numbers.next());
    format!("{}.{}", major.unwrap_or("?"), minor.unwrap_or("?"))
}

/// Every kept report of a directory, oldest kernel first.
pub fn reports(directory: &Path) -> Result<Vec<Value>> {
    let mut reports = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = fs::read_to_string(&path)?;
            let report: Value =
                serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
            reports.push(report);
        }
    }
    reports.sort_by_key(|report| order(&text(report, "kernel").unwrap_or_default()));
    Ok(reports)
}

fn order(kernel: &str) -> Vec<u32> {
    series(kernel)
        .split('.')
        .map(|part| part.parse().unwrap_or(u32::MAX))
        .collect()
}

/// The section, without its markers.
pub fn section(reports: &[Value]) -> Result<String> {
    ensure!(!reports.is_empty(), "there is no report of any kernel");
    let mut limits = Notes::default();
    let mut absences = Notes::default();
    let mut table = String::new();
    let kernels: Vec<String> = reports
        .iter()
        .map(|report| Ok(series(&text(report, "kernel")?)))
        .collect::<Result<_>>()?;
    let newest = reports.last().context("there is no report")?;
    writeln!(
        table,
        "| way out | {} | kernel alone |",
        kernels.join(" | ")
    )?;
    writeln!(table, "|---|{}---|", "---|".repeat(kernels.len()))?;
    let mut held = 0_usize;
    let mut open = 0_usize;
    for row in list(newest, "rows")? {
        let name = text(row, "name")?;
        write!(table, "| {} |", cell(&text(row, "title")?))?;
        for report in reports {
            let found = list(report, "rows")?
                .iter()
                .find(|other| other.get("name") == row.get("name"));
            let word = match found {
                Some(row) => verdict(row, &name, &mut limits, &mut absences)?,
                None => "not tried".to_owned(),
            };
            held += usize::from(word == "held");
            open += usize::from(word.contains("NOT HELD"));
            write!(table, " {word} |")?;
        }
        writeln!(table, " {} |", alone(row))?;
    }
    let mut section = String::new();
    let not_held = match open {
        0 => "none is open without being named as a limit".to_owned(),
        count => format!("**{count} not held**"),
    };
    writeln!(
        section,
        "`egressctl doctor --escape` tries {} ways out on your machine and prints this table for it. Tried on Linux {}: \
         {held} verdicts are *held* for an unprivileged agent and for root without capabilities alike, {not_held}. \
         *Kernel alone* is what the kernel programs hold without the launcher, against root with every capability.\n",
        list(newest, "rows")?.len(),
        kernels.join(", "),
    )?;
    section.push_str(&table);
    limits.write(&mut section, "Limits")?;
    absences.write(
        &mut section,
        "*n/a*: closed on that kernel or machine without a guard too",
    )?;
    Ok(section)
}

/// The README with this section between its markers.
pub fn replace(readme: &str, section: &str) -> Result<String> {
    let missing = || format!("README.md has no `{BEGIN}` … `{END}`");
    let (before, rest) = readme.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// Reasons with the rows that they stand for, in the order in which they came.
#[derive(Default)]
struct Notes(Vec<(String, Vec<String>)>);

impl Notes {
    fn add(&mut self, reason: String, row: &str) {
        let known = self.0.iter_mut().find(|(known, _)| *known == reason);
        match known {
            Some((_, rows)) if rows.iter().any(|known| known == row) => {}
            Some((_, rows)) => rows.push(row.to_owned()),
            None => self.0.push((reason, vec![row.to_owned()])),
        }
    }

    fn write(&self, section: &mut String, heading: &str) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        writeln!(section, "\n{heading}:\n")?;
        for (reason, rows) in &self.0 {
            writeln!(section, "* {}: {}", rows.join(", "), cell(reason))?;
        }
        Ok(())
    }
}

/// What a row came to for those whom the launcher starts.
fn verdict(row: &Value, name: &str, limits: &mut Notes, absences: &mut Notes) -> Result<String> {
    let mut words: Vec<(&str, String)> = Vec::new();
    for who in LAUNCHED {
        let Some(judged) = row.get("judged").and_then(|judged| judged.get(who)) else {
            continue;
        };
        let verdict = text(judged, "verdict")?;
        match verdict.as_str() {
            "limit" => limits.add(text(row, "limit")?, name),
            "not-applicable" => absences.add(text(judged, "reason")?, name),
            _ => {}
        }
        words.push((who, word(&verdict).to_owned()));
    }
    Ok(match words.as_slice() {
        [] => "not tried".to_owned(),
        [(_, only)] => only.clone(),
        [(_, first), (_, second), ..] if first == second => first.clone(),
        differing => differing
            .iter()
            .map(|(who, word)| format!("{who} {word}"))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

fn alone(row: &Value) -> &'static str {
    let judged = row.get("judged").and_then(|judged| judged.get(ALONE));
    let verdict = judged.and_then(|judged| judged.get("verdict"));
    match verdict.and_then(Value::as_str) {
        // Without the launcher nothing is promised: no verdict, only what was seen.
        Some("not-held") => "open",
        Some(verdict) => word(verdict),
        None => "not tried",
    }
}

fn word(verdict: &str) -> &'static str {
    match verdict {
        "held" => "held",
        "limit" => "limit",
        "not-applicable" => "n/a",
        _ => "NOT HELD",
    }
}

/// Text that ends no cell.
fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

fn text(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("a report has no `{key}`"))?
        .to_owned())
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    let list = value.get(key).and_then(Value::as_array);
    list.with_context(|| format!("a report has no `{key}`"))
}

/// The series that stand in `reports`, with the names of their rows.
pub fn rows(reports: &[Value]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut rows = BTreeMap::new();
    for report in reports {
        let names = list(report, "rows")?
            .iter()
            .map(|row| text(row, "name"))
            .collect::<Result<_>>()?;
        rows.insert(series(&text(report, "kernel")?), names);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kernel: &str, agent: &str, root: &str) -> Value {
        json!({
            "kernel": kernel, "version": "0",
            "rows": [{
                "name": "igmp-join", "title": "a group | joined", "limit": "published",
                "control": { "end": "timed-out" },
                "judged": {
                    "agent": { "verdict": agent, "reason": "why 4711", "run": {} },
                    "root": { "verdict": root, "reason": "why 4712", "run": {} },
                    "bare": { "verdict": "not-held", "reason": "UDP", "run": {} },
                },
            }],
        })
    }

    #[test]
    fn what_changes_with_every_run_is_not_kept() {
        let (series, kept) =
            keep(&report("6.12.48+deb13-cloud-amd64", "held", "limit").to_string()).unwrap();
        assert_eq!(series, "6.12");
        assert!(!kept.contains("471") && !kept.contains("control"), "{kept}");
        assert!(kept.contains("\"limit\": \"published\""), "{kept}");
    }

    #[test]
    fn the_section_has_a_column_for_each_kernel() {
        let reports = [
            report("6.1.2", "held", "held"),
            report("6.18.1", "held", "limit"),
        ];
        let section = section(&reports).unwrap();
        assert!(
            section.contains("| way out | 6.1 | 6.18 | kernel alone |"),
            "{section}"
        );
        assert!(
            section.contains(r"| a group \| joined | held | agent held, root limit | open |"),
            "{section}"
        );
        assert!(section.contains("* igmp-join: published\n"), "{section}");
        assert!(section.contains("none is open"), "{section}");
        let bad = super::section(&[report("6.1", "not-held", "held")]).unwrap();
        assert!(bad.contains("**1 not held**"), "{bad}");
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let readme = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(
            replace(&readme, "new\n").unwrap(),
            format!("a\n{BEGIN}\nnew\n{END}\nb\n")
        );
        assert!(replace("a", "new").is_err());
    }
}
