//! A week of an audit log, of any number of records, with sums that are known: chained and rotated
//! as egressd does it, written without it.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Bytes of one file, about.
pub const FILE: u64 = 64 << 20;
/// Records of one session, its begin and its end included.
const SESSION: u64 = 10_000;
/// Seconds over which the records lie.
const WEEK: u64 = 7 * 86_400;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Week {
    /// The log itself; rotated files stand beside it.
    pub log: PathBuf,
    /// All of them, oldest first.
    pub files: Vec<PathBuf>,
    pub bytes: u64,
    pub records: u64,
    pub sessions: u64,
    pub denied: u64,
    pub allowed: u64,
    /// Different hosts that were denied.
    pub denied_hosts: u64,
    /// A time shortly before the end, as `--since` takes it.
    pub late: String,
    /// Records from then on.
    pub since_late: u64,
}

/// The file that is written, and where the chain has got to.
struct Writer {
    directory: PathBuf,
    file: BufWriter<File>,
    size: u64,
    limit: u64,
    week: Week,
    prev: String,
    /// Number of the first record of this file, and the latest time in it.
    span: Option<(u64, String)>,
    /// Of the file before, for the first line of this one.
    before: Option<(u64, String)>,
    line: Vec<u8>,
}

/// Writes `records` records into `directory`, in files of about `limit` bytes.
///
/// In the middle the clock is set back by an hour.
pub fn write(directory: &Path, records: u64, limit: u64) -> Result<Week> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    let mut writer = Writer::new(directory, limit)?;
    let late = records - records / 1_000;
    for number in 0..records {
        let time = time(number, records);
        if number == late {
            writer.week.late.clone_from(&time);
            writer.week.since_late = records - late;
        }
        let middle = middle(number, records, &mut writer.week);
        writer.append(number + 1, &time, &middle)?;
    }
    writer.week.records = records;
    writer.week.denied_hosts = 97.min(writer.week.denied);
    writer.finish()
}

/// From `2026-03-01` on, and an hour back from the middle on. Records that follow each other have
/// times that do, apart from that.
fn time(number: u64, records: u64) -> String {
    let micros = number.saturating_mul(WEEK * 1_000_000 / records.max(1)) + 3_600_000_000;
    let back = if number >= records / 2 {
        3_600_000_000
    } else {
        0
    };
    let micros = micros - back;
    let (second, micro) = (micros / 1_000_000, micros % 1_000_000);
    format!(
        "2026-03-{:02}T{:02}:{:02}:{:02}.{micro:06}Z",
        1 + second / 86_400,
        second / 3_600 % 24,
        second / 60 % 60,
        second % 60
    )
}

/// What stands between the time and the links of a record.
fn middle(number: u64, records: u64, week: &mut Week) -> String {
    let session = number / SESSION;
    let begin = format!(r#""guard":"agents.slice/agents","session":"run-{session}""#);
    if number.is_multiple_of(SESSION) {
        week.sessions += 1;
        return format!(
            r#""layer":"daemon","event":"session-begin",{begin},"message":"pid 4242 uid 1000: claude""#
        );
    }
    if number % SESSION == SESSION - 1 || number + 1 == records {
        return format!(
            r#""layer":"daemon","event":"session-end",{begin},"egress":[{{"host":"api.example.com","verdict":"allow","connections":12,"bytes_up":34567,"bytes_down":8901234,"duration_ms":5678}}]"#
        );
    }
    let boot = 1_000_000_000 + number * 1_000;
    let process = format!(
        r#""process":{{"pid":{},"uid":1000,"comm":"node"}}"#,
        4_000 + number % 500
    );
    match number % 10 {
        0 => {
            week.denied += 1;
            // A prime: every host comes in its turn.
            let host = format!(
                "host-{}.tracker{}.example",
                week.denied % 97,
                week.denied % 97
            );
            format!(
                r#""boot_ns":{boot},"layer":"kernel","event":"flow","verdict":"deny","mode":"enforce","reason":"no-rule",{begin},{process},"flow":{{"protocol":"tcp","address":"203.0.113.{}","port":443}},"name":"{host}","hook":"connect","allow_with":{{"name":"{host}","hosts":["{host}"],"ports":["443/tcp"]}}"#,
                number % 250
            )
        }
        1..4 => {
            week.allowed += 1;
            format!(
                r#""boot_ns":{boot},"layer":"kernel","event":"flow","verdict":"allow","mode":"enforce",{begin},{process},"flow":{{"protocol":"tcp","address":"198.51.100.{}","port":443}},"name":"api{}.example.com","hook":"connect","rule":{{"name":"example","line":12}}"#,
                number % 250,
                number % 40
            )
        }
        _ => {
            week.allowed += 1;
            format!(
                r#""layer":"dns","event":"question","verdict":"allow","mode":"enforce",{begin},{process},"name":"api{}.example.com","qtype":"{}","answers":["198.51.100.{}"],"rule":{{"name":"example","line":12}}"#,
                number % 40,
                if number.is_multiple_of(2) {
                    "A"
                } else {
                    "AAAA"
                },
                number % 250
            )
        }
    }
}

impl Writer {
    fn new(directory: &Path, limit: u64) -> Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            file: begin(directory, 0)?,
            size: 0,
            limit,
            week: Week::default(),
            prev: "0".repeat(64),
            span: None,
            before: None,
            line: Vec::new(),
        })
    }

    fn append(&mut self, seq: u64, time: &str, middle: &str) -> Result<()> {
        if self.size > 0 && self.size + 1_024 > self.limit {
            self.file.flush().context("writing the log")?;
            let number = self.week.files.len() + 1;
            self.week.files.push(name(&self.directory, number - 1));
            self.file = begin(&self.directory, number)?;
            self.size = 0;
            self.before = self.span.take();
        }
        self.line.clear();
        write!(self.line, r#"{{"v":1,"seq":{seq},"time":"{time}",{middle}"#)?;
        if let Some((first, latest)) = self.before.take() {
            write!(
                self.line,
                r#","before":{{"first":{first},"latest":"{latest}"}}"#
            )?;
        }
        write!(self.line, r#","prev":"{}""#, self.prev)?;
        let digest = Sha256::digest(&self.line);
        self.prev.clear();
        for byte in digest {
            for half in [byte >> 4, byte & 15] {
                self.prev.extend(char::from_digit(u32::from(half), 16));
            }
        }
        writeln!(self.line, r#","hash":"{}"}}"#, self.prev)?;
        self.file.write_all(&self.line).context("writing the log")?;
        self.size += self.line.len() as u64;
        self.week.bytes += self.line.len() as u64;
        let (_, latest) = self.span.get_or_insert_with(|| (seq, time.to_owned()));
        if latest.as_str() < time {
            time.clone_into(latest);
        }
        Ok(())
    }

    /// Gives the files the names that rotation would have given them.
    fn finish(mut self) -> Result<Week> {
        self.file.flush().context("writing the log")?;
        let count = self.week.files.len();
        self.week.files.push(name(&self.directory, count));
        self.week.log = self.directory.join("audit.jsonl");
        let mut files = Vec::new();
        for (index, file) in self.week.files.iter().enumerate() {
            let to = match count - index {
                0 => self.week.log.clone(),
                number => self.directory.join(format!("audit.jsonl.{number}")),
            };
            fs::rename(file, &to).with_context(|| format!("naming {}", to.display()))?;
            files.push(to);
        }
        self.week.files = files;
        Ok(self.week)
    }
}

fn name(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("part-{number}"))
}

fn begin(directory: &Path, number: usize) -> Result<BufWriter<File>> {
    let path = name(directory, number);
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}
