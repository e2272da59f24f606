//! `egressctl log export`: records for other programs.
//!
//! `jsonl` is the log as it is written, `csv` a table for spreadsheets, `ocsf` one event of the
//! Open Cybersecurity Schema Framework in each line.

mod ocsf;

use std::{
    io::{self, Write},
    net::IpAddr,
};

use crate::audit::{
    reader::Entry,
    record::{Finding, Sealed},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// The records as they are written.
    Jsonl,
    /// RFC 4180, with a header.
    Csv,
    /// OCSF 1.5.
    Ocsf,
}

/// Writes records in one format.
#[derive(Debug)]
pub struct Exporter {
    format: Format,
    has_header: bool,
}

const HEADER: &[&str] = &[
    "time",
    "seq",
    "layer",
    "event",
    "verdict",
    "mode",
    "reason",
    "guard",
    "session",
    "pid",
    "uid",
    "comm",
    "protocol",
    "address",
    "port",
    "name",
    "qtype",
    "answers",
    "tool",
    "class",
    "server",
    "call",
    "hosts",
    "findings",
    "rule",
    "policy",
    "policy_digest",
    "count",
    "message",
    "hash",
];

impl Exporter {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            has_header: false,
        }
    }

    /// One record, as a whole line.
    pub fn write(&mut self, entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Jsonl => writeln!(out, "{}", entry.text),
            Format::Ocsf => {
                let event = ocsf::event(&entry.sealed);
                writeln!(out, "{event}")
            }
            Format::Csv => {
                self.header(out)?;
                line(&row(&entry.sealed), out)
            }
        }
    }

    /// What stands even when there are no records.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.format == Format::Csv {
            self.header(out)?;
        }
        out.flush()
    }

    fn header(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.has_header {
            return Ok(());
        }
        self.has_header = true;
        let header: Vec<_> = HEADER.iter().map(|name| (*name).to_owned()).collect();
        line(&header, out)
    }
}

fn line(cells: &[String], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(cells)?;
    let bytes = writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&bytes)
}

/// The cells of a record, one for each name of the header.
fn row(sealed: &Sealed) -> Vec<String> {
    let Sealed {
        v: _,
        seq,
        record,
        before: _,
        prev: _,
        hash,
    } = sealed;
    let text = |text: Option<&str>| text.map(guarded).unwrap_or_default();
    let process = record.process.as_ref();
    let flow = record.flow.as_ref();
    let socket = record.socket.as_ref();
    let tool = record.tool.as_ref();
    let policy = record.policy.as_ref();
    let path = socket.and_then(|socket| socket.path.as_deref());
    let answers: Vec<_> = record.answers.iter().map(IpAddr::to_string).collect();
    let findings: Vec<_> = record.findings.iter().map(finding).collect();
    vec![
        record.time.to_string(),
        seq.to_string(),
        record.layer.code().to_owned(),
        record.event.code().to_owned(),
        text(record.verdict.map(crate::audit::record::Verdict::code)),
        text(record.mode.map(|mode| match mode {
            crate::audit::record::Mode::Enforce => "enforce",
            crate::audit::record::Mode::Observe => "observe",
        })),
        text(record.reason.as_deref()),
        text(record.guard.as_deref()),
        text(record.session.as_deref()),
        process.map(|it| it.pid.to_string()).unwrap_or_default(),
        process.map(|it| it.uid.to_string()).unwrap_or_default(),
        text(process.map(|it| it.comm.as_str())),
        text(
            flow.map(|it| it.protocol.as_ref())
                .or(socket.map(|it| it.family.as_ref())),
        ),
        flow.map(|it| it.address.to_string()).unwrap_or_default(),
        flow.map(|it| it.port.to_string()).unwrap_or_default(),
        text(record.name.as_deref().or(path)),
        text(record.qtype.as_deref()),
        answers.join(" "),
        text(tool.map(|it| it.name.as_str())),
        text(tool.and_then(|it| it.class.as_deref())),
        text(tool.and_then(|it| it.server.as_deref())),
        text(tool.and_then(|it| it.call.as_deref())),
        guarded(&record.hosts.join(" ")),
        guarded(&findings.join(" ")),
        text(record.rule.as_ref().map(|it| it.name.as_str())),
        text(policy.map(|it| it.name.as_str())),
        text(policy.map(|it| it.digest.as_str())),
        record.count.to_string(),
        text(record.message.as_deref()),
        hash.to_string(),
    ]
}

/// `aws-access-key@12+20`
fn finding(finding: &Finding) -> String {
    let Finding {
        detector,
        offset,
        length,
    } = finding;
    format!("{detector}@{offset}+{length}")
}

/// A text that no spreadsheet takes for a formula: what begins like one gets a `'` in front, and
/// control characters become escapes.
fn guarded(text: &str) -> String {
    let plain = super::table::plain(text);
    let begins = plain.trim_start().chars().next();
    // The wide signs are formulas where such keyboards are.
    match begins {
        Some(
            '=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}' | '|' | '%',
        ) => {
            format!("'{plain}")
        }
        _ => plain,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::audit::{
        chain::Hash,
        record::{Record, Tool, VERSION, tests::denial},
    };

    pub(crate) fn sealed(record: Record) -> Sealed {
        let hash = |digit: &str| -> Hash { digit.repeat(64).parse().unwrap() };
        Sealed {
            v: VERSION,
            seq: 7,
            record,
            before: None,
            prev: hash("0"),
            hash: hash("a"),
        }
    }

    fn exported(format: Format, records: &[Record]) -> String {
        let mut out = Vec::new();
        let mut exporter = Exporter::new(format);
        for record in records {
            let sealed = sealed(record.clone());
            let text = serde_json::to_string(&sealed).unwrap();
            exporter.write(&Entry { sealed, text }, &mut out).unwrap();
        }
        exporter.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The cells of a table that another reader reads.
    fn table(text: &str) -> Vec<Vec<String>> {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text.as_bytes())
            .records()
            .map(|row| row.unwrap().iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn lines_of_json_are_the_log() {
        let record = denial(5, "203.0.113.7");
        let text = exported(Format::Jsonl, std::slice::from_ref(&record));
        let back: Sealed = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(back, sealed(record));
        assert_eq!(exported(Format::Jsonl, &[]), "");
        assert_eq!(exported(Format::Ocsf, &[]), "");
    }

    #[test]
    fn a_table_has_a_header_and_a_row_for_each_record() {
        let text = exported(
            Format::Csv,
            &[denial(5, "203.0.113.7"), denial(6, "2001:db8::7")],
        );
        assert!(text.ends_with("\r\n"));
        let rows = table(&text);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0], HEADER);
        let cell = |name: &str| {
            let column = HEADER.iter().position(|one| *one == name).unwrap();
            rows[1][column].as_str()
        };
        assert_eq!(cell("time"), "2026-03-01T10:20:05.000250Z");
        assert_eq!(cell("verdict"), "deny");
        assert_eq!(cell("address"), "203.0.113.7");
        assert_eq!(cell("port"), "443");
        assert_eq!(cell("comm"), "curl");
        assert_eq!(cell("hash"), "a".repeat(64));
        assert_eq!(table(&exported(Format::Csv, &[])), [HEADER]);
    }

    #[test]
    fn a_cell_is_no_formula_and_breaks_no_row() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("  =1", "'  =1"),
            ("\t=1", "\\t=1"),
            ("＝1", "'＝1"),
            ("a=b", "a=b"),
            ("say \"hi\", all", "say \"hi\", all"),
            ("a\r\nb", "a\\r\\nb"),
            ("", ""),
        ] {
            let mut record = denial(5, "203.0.113.7");
            record.tool = Some(Tool {
                name: text.to_owned(),
                class: None,
                server: None,
                call: None,
            });
            let rows = table(&exported(Format::Csv, &[record]));
            let column = HEADER.iter().position(|one| *one == "tool").unwrap();
            assert_eq!(rows[1][column], expected, "{text:?}");
            assert_eq!(rows.len(), 2);
        }
    }
}
