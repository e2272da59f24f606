//! `egressctl scan`: what stands in a file or in standard input.
//!
//! Says where each finding stands, never what it is. As a table, as JSON, or as SARIF 2.1.0 for
//! CI. Exit 1 when something was found, or when the text was not inspected to its end.

mod sarif;

use std::{
    io::{self, Read as _},
    path::PathBuf,
    time::Instant,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    Exit, Paint, Screen,
    table::{Cell, Table},
};
use crate::{
    inspect::{Confidence, Finding, Kind, Severity, View},
    rules::Inspect,
};

#[derive(Debug, clap::Args)]
pub struct ScanArgs {
    /// The file; `-` or nothing for standard input.
    file: Option<PathBuf>,
    /// Print SARIF 2.1.0.
    #[arg(long)]
    sarif: bool,
    /// Only findings that are at least this sure.
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "medium")]
    confidence: Least,
    /// Look as at what leaves: for secrets, not for orders to a model.
    #[arg(long)]
    outgoing: bool,
    /// With `--json`: how long the inspection took, in microseconds.
    #[arg(long)]
    timing: bool,
}

/// How sure a finding must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Least {
    Low,
    #[default]
    Medium,
    High,
}

impl From<Least> for Confidence {
    fn from(least: Least) -> Self {
        match least {
            Least::Low => Self::Low,
            Least::Medium => Self::Medium,
            Least::High => Self::High,
        }
    }
}

/// Bytes that are read at most.
const MAX_BYTES: u64 = 256 << 20;

/// A finding and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Located {
    detector: String,
    kind: Kind,
    severity: Severity,
    confidence: Confidence,
    view: View,
    /// Bytes from the start.
    offset: usize,
    /// Bytes.
    length: usize,
    /// Counted from 1.
    line: usize,
    /// Counted from 1, in characters.
    column: usize,
    end_line: usize,
    /// The first character behind it.
    end_column: usize,
}

/// What was found in one text.
#[derive(Clone, Debug, Serialize)]
struct Scanned {
    /// As it was given; `stdin`.
    file: String,
    /// Whether everything was inspected.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    micros: Option<f64>,
    findings: Vec<Located>,
}

pub fn run(
    args: &ScanArgs,
    input: impl io::Read,
    inspect: &dyn Inspect,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    let named = args.file.as_ref().filter(|file| file.as_os_str() != "-");
    let (name, bytes) = match named {
        Some(file) => {
            let name = file.display().to_string();
            let opened = std::fs::File::open(file);
            let bytes = opened.map_err(anyhow::Error::from).and_then(read);
            (
                name.clone(),
                bytes.with_context(|| format!("cannot read `{name}`"))?,
            )
        }
        None => (
            "stdin".to_owned(),
            read(input).context("cannot read standard input")?,
        ),
    };
    let begun = Instant::now();
    let (mut findings, complete) = if args.outgoing {
        inspect.outgoing(&bytes)
    } else {
        inspect.inspect(&bytes)
    };
    let took = args.timing.then(|| begun.elapsed().as_secs_f64() * 1e6);
    findings.retain(|finding| finding.confidence >= args.confidence.into());
    let scanned = Scanned {
        file: name,
        complete,
        micros: took,
        findings: locate(&bytes, findings),
    };
    if args.sarif {
        screen.json(&sarif::log(&scanned))?;
    } else if screen.is_json() {
        screen.json(&scanned)?;
    } else {
        tell(&scanned, screen)?;
    }
    Ok(if scanned.findings.is_empty() && complete {
        Exit::Ok
    } else {
        Exit::No
    })
}

fn read(input: impl io::Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(
        u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BYTES),
        "it is larger than {} MiB; split it",
        MAX_BYTES >> 20
    );
    Ok(bytes)
}

fn tell(scanned: &Scanned, screen: &mut Screen) -> io::Result<()> {
    let Scanned {
        file,
        complete,
        micros: _,
        findings,
    } = scanned;
    if !findings.is_empty() {
        let mut table = Table::new(&[
            "WHERE",
            "SEVERITY",
            "CONFIDENCE",
            "KIND",
            "DETECTOR",
            "VIEW",
        ]);
        for finding in findings {
            let paint = match finding.severity {
                Severity::Critical | Severity::High => Paint::Deny,
                Severity::Medium => Paint::Warn,
                Severity::Low | Severity::Info => Paint::Dim,
            };
            table.row([
                Cell::new(format!("{file}:{}:{}", finding.line, finding.column)),
                Cell::painted(word(&finding.severity), paint),
                Cell::new(word(&finding.confidence)),
                Cell::new(word(&finding.kind)),
                Cell::new(&finding.detector),
                Cell::new(word(&finding.view)),
            ]);
        }
        table.print(screen)?;
    }
    let file = super::table::plain(file);
    if !complete {
        let not = screen.paint(Paint::Deny, "not inspected to its end");
        screen.line(format!("{file}: {not}; split it and scan the parts"))?;
    }
    if findings.is_empty() && *complete {
        screen.line(format!("{file}: nothing found"))?;
    }
    Ok(())
}

/// How a value of the findings is written.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    let word = value.as_ref().and_then(serde_json::Value::as_str);
    word.unwrap_or_default().to_owned()
}

/// Gives each finding its place, in the order of the text: one pass over the bytes.
fn locate(bytes: &[u8], mut findings: Vec<Finding>) -> Vec<Located> {
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.range.start, finding.range.end);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.detector.cmp(&b.detector))
    });
    let mut offsets: Vec<usize> = findings
        .iter()
        .flat_map(|finding| [finding.range.start, finding.range.end])
        .map(|offset| offset.min(bytes.len()))
        .collect();
    offsets.sort_unstable();
    offsets.dedup();
    let places = places(bytes, &offsets);
    let place = |offset: usize| {
        let index = offsets.binary_search(&offset.min(bytes.len())).ok();
        let place = index.and_then(|index| places.get(index));
        place.copied().unwrap_or((1, 1))
    };
    findings
        .into_iter()
        .map(|finding| {
            let Finding {
                detector,
                kind,
                severity,
                confidence,
                view,
                range,
            } = finding;
            let (line, column) = place(range.start);
            let (end_line, end_column) = place(range.end.max(range.start));
            Located {
                detector,
                kind,
                severity,
                confidence,
                view,
                offset: range.start,
                length: range.end.saturating_sub(range.start),
                line,
                column,
                end_line,
                end_column,
            }
        })
        .collect()
}

/// Line and column of each offset; `offsets` are sorted and within the text.
fn places(bytes: &[u8], offsets: &[usize]) -> Vec<(usize, usize)> {
    let (mut line, mut column) = (1, 1);
    let mut rest = bytes.iter().enumerate().peekable();
    offsets
        .iter()
        .map(|offset| {
            while let Some((_, byte)) = rest.next_if(|(index, _)| index < offset) {
                if *byte == b'\n' {
                    (line, column) = (line + 1, 1);
                } else if !is_continuation(*byte) {
                    column += 1;
                }
            }
            (line, column)
        })
        .collect()
}

/// Whether a byte continues a character of UTF-8.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        cli::table::tests::Written,
        inspect::{Inspector, Options},
    };

    fn everything() -> Inspector {
        Inspector::new(Options::default()).unwrap()
    }

    fn arguments(sarif: bool) -> ScanArgs {
        ScanArgs {
            file: None,
            sarif,
            confidence: Least::Medium,
            outgoing: false,
            timing: false,
        }
    }

    fn scanned(input: &[u8], sarif: bool, json: bool) -> (Exit, String) {
        let args = arguments(sarif);
        let written = Written::default();
        let exit = run(
            &args,
            input,
            &everything(),
            &mut written.screen(json, false),
        )
        .unwrap();
        (exit, written.text())
    }

    fn with_token() -> String {
        format!("größe = 1\nklüger = ghp_{}\n", "a1".repeat(18))
    }

    #[test]
    fn a_clean_text_ends_with_yes() {
        let (exit, text) = scanned(b"nothing here\n", false, false);
        assert_eq!((exit, text.as_str()), (Exit::Ok, "stdin: nothing found\n"));
        let (exit, text) = scanned(b"", false, true);
        assert_eq!(exit, Exit::Ok);
        assert_eq!(
            text,
            "{\"file\":\"stdin\",\"complete\":true,\"findings\":[]}\n"
        );
    }

    #[test]
    fn a_finding_says_where_and_never_what() {
        let (exit, text) = scanned(with_token().as_bytes(), false, false);
        assert_eq!(exit, Exit::No);
        assert!(text.contains("stdin:2:10"), "{text}");
        assert!(text.contains("github-token"), "{text}");
        let (_, text) = scanned(with_token().as_bytes(), false, true);
        let told: Value = serde_json::from_str(&text).unwrap();
        let finding = &told["findings"][0];
        assert_eq!(finding["line"], 2);
        assert_eq!(finding["column"], 10);
        assert_eq!(finding["end_column"], 50);
        assert_eq!(finding["offset"], 22);
        assert_eq!(finding["length"], 40);
        assert!(!text.contains("ghp_"), "{text}");
    }

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let bytes = "aé\n\nxü\u{1f600}y".as_bytes();
        let all: Vec<_> = (0..=bytes.len()).collect();
        let places = places(bytes, &all);
        assert_eq!(places[0], (1, 1));
        assert_eq!(places[1], (1, 2));
        assert_eq!(places[3], (1, 3));
        assert_eq!(places[4], (2, 1));
        assert_eq!(places[5], (3, 1));
        assert_eq!(places[bytes.len()], (3, 5));
    }

    #[test]
    fn a_file_that_is_not_there_is_a_failure() {
        let args = ScanArgs {
            file: Some("/nonexistent/x".into()),
            ..arguments(false)
        };
        let written = Written::default();
        let done = run(
            &args,
            io::empty(),
            &everything(),
            &mut written.screen(false, false),
        );
        let told = format!("{:#}", done.unwrap_err());
        assert!(told.starts_with("cannot read `/nonexistent/x`: "), "{told}");
    }

    struct Half;

    impl Inspect for Half {
        fn inspect(&self, _bytes: &[u8]) -> (Vec<Finding>, bool) {
            (Vec::new(), false)
        }
    }

    #[test]
    fn a_text_that_is_not_inspected_to_its_end_is_not_clean() {
        for (sarif, json) in [(false, false), (false, true), (true, false)] {
            let args = arguments(sarif);
            let written = Written::default();
            let exit = run(&args, &b"x"[..], &Half, &mut written.screen(json, false));
            assert_eq!(exit.unwrap(), Exit::No);
            let text = written.text();
            let is_told = text.contains("not inspected to its end")
                || text.contains("\"complete\":false")
                || text.contains("\"executionSuccessful\":false");
            assert!(is_told, "{text}");
        }
    }
}
