//! A week of logs, ten million records over rotated files: what is asked of it, and how long that
//! takes. The files are in the page cache, as they are after they were written.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::{
    program,
    week::{self, Week},
};

use super::{
    figure::{Figure, Target, Unit},
    stage::Stage,
};
use crate::workspace::root;

const RECORDS: u64 = 10_000_000;
const RECORDS_QUICK: u64 = 200_000;

pub(crate) fn log(stage: &Stage) -> Result<Vec<Figure>> {
    let directory = root().join("target/week");
    let figures = measure(stage, &directory);
    // Five gigabytes: they go whatever happened.
    fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    figures
}

fn measure(stage: &Stage, directory: &Path) -> Result<Vec<Figure>> {
    let records = if stage.quick { RECORDS_QUICK } else { RECORDS };
    let started = Instant::now();
    let week = week::write(directory, records, week::FILE)?;
    let wrote = started.elapsed();
    let egressctl = stage.program("egressctl");
    let file = week.log.display().to_string();
    let run = |words: &[&str], is_read: bool| {
        let mut command = Command::new(&egressctl);
        command.args(words);
        Ran::of(command, is_read)
    };
    let late = ["log", "--json", "--file", &file, "--since", &week.late];
    let since = run(&late, true)?;
    ensure!(
        since.out.lines().count() as u64 == week.since_late,
        "`log --since` showed {} of {} records",
        since.out.lines().count(),
        week.since_late
    );
    let all = run(
        &[
            "log",
            "--json",
            "--file",
            &file,
            "--since",
            "2026-03-01T00:00:00Z",
        ],
        false,
    )?;
    let session = format!("run-{}", week.sessions / 2);
    let session = run(
        &["log", "--json", "--file", &file, "--session", &session],
        true,
    )?;
    ensure!(session.out.lines().count() > 0, "no record of the session");
    let verify = run(&["log", "verify", &file, "--json"], true)?;
    let verified: Value = serde_json::from_str(&verify.out)?;
    ensure!(
        count(&verified, "/records") == Some(records),
        "verified {verified}"
    );
    let sums = Ran::of(sums(&week), true)?;
    let policy = directory.join("policy.json");
    fs::write(&policy, r#"{ "version": 1 }"#).context("writing a policy")?;
    let policy = policy.display().to_string();
    let suggest = run(
        &["policy", "suggest", &policy, "--log", &file, "--json"],
        true,
    )?;
    let suggested: Value = serde_json::from_str(&suggest.out)?;
    ensure!(
        count(&suggested, "/denials") == Some(week.denied),
        "suggested {suggested}"
    );
    let report = run(&["report", "--log", &file, "--json"], true)?;
    let reported: Value = serde_json::from_str(&report.out)?;
    let sums_of = ["/records", "/tally/denied", "/tally/allowed"].map(|at| count(&reported, at));
    ensure!(
        sums_of == [records, week.denied, week.allowed].map(Some),
        "reported {sums_of:?} of {week:?}"
    );
    // Mebibytes fit into what a float holds.
    let mebibytes_of_it = u32::try_from(week.bytes >> 20).unwrap_or(u32::MAX);
    let bytes = f64::from(mebibytes_of_it) * 1_048_576.0;
    let rate = |ran: &Ran| Unit::BytesPerSecond.of(bytes / ran.took.as_secs_f64());
    let millis = |took: Duration| Unit::Millis.of(took.as_secs_f64() * 1e3);
    let at_most = |bound| Target::AtMost(Unit::Millis.of(bound));
    let mebibytes = |ran: &Ran| Unit::Mebibytes.of(ran.peak / 1024.0);
    let memory = Target::AtMost(Unit::Mebibytes.of(200.0));
    let of = format!("{records} records, {:.1} GB", bytes / 1e9);
    let alone = |name: &str, ours, target| Figure::alone(name, ours, target);
    Ok(vec![
        alone(
            &format!("log --since near the end of {of}"),
            millis(since.took),
            at_most(1_500.0),
        ),
        alone(
            "  --since their beginning, all of them written",
            millis(all.took),
            Target::None,
        ),
        alone(
            "  --session, one of a thousand",
            millis(session.took),
            Target::None,
        ),
        Figure {
            name: format!("log verify, {} files", week.files.len()),
            ours: rate(&verify),
            against: Some(("`sha256sum`".to_owned(), rate(&sums))),
            ratio: Some(sums.took.as_secs_f64() / verify.took.as_secs_f64()),
            target: Target::AtLeast(Unit::BytesPerSecond.of(400e6)),
        },
        alone(
            "policy suggest over all of them",
            millis(suggest.took),
            at_most(20_000.0),
        ),
        alone("  memory", mebibytes(&suggest), memory),
        alone(
            "report over all of them, chain checked",
            millis(report.took),
            at_most(20_000.0),
        ),
        alone("  memory", mebibytes(&report), memory),
        alone("  writing them for this", millis(wrote), at_most(60_000.0)),
    ])
}

fn count(value: &Value, at: &str) -> Option<u64> {
    value.pointer(at)?.as_u64()
}

fn sums(week: &Week) -> Command {
    let mut command = Command::new("sha256sum");
    command.args(&week.files);
    command
}

/// A process that ran to its end.
struct Ran {
    took: Duration,
    /// The most memory that it had, in KiB.
    peak: f64,
    out: String,
}

impl Ran {
    fn of(mut command: Command, is_read: bool) -> Result<Self> {
        let name = program::spoken(&command);
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(if is_read {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .spawn()
            .with_context(|| format!("cannot start `{name}`"))?;
        let out = child.stdout.take().map(|mut out| {
            thread::spawn(move || {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut out, &mut text).map(|_| text)
            })
        });
        let status = format!("/proc/{}/status", child.id());
        let mut peak: f64 = 0.0;
        let ended = loop {
            if let Some(ended) = child.try_wait()? {
                break ended;
            }
            let text = fs::read_to_string(&status).unwrap_or_default();
            peak = peak.max(high_water(&text).unwrap_or(0.0));
            thread::sleep(Duration::from_millis(5));
        };
        let took = started.elapsed();
        ensure!(ended.success(), "`{name}` ended with {ended}");
        let out = match out.map(thread::JoinHandle::join) {
            Some(Ok(text)) => text.with_context(|| format!("reading from `{name}`"))?,
            Some(Err(_)) | None => String::new(),
        };
        Ok(Self { took, peak, out })
    }
}

/// `VmHWM` of `proc_pid_status(5)`, in KiB.
fn high_water(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_found() {
        assert_eq!(
            high_water("VmPeak:\t 9 kB\nVmHWM:\t  1234 kB\n"),
            Some(1234.0)
        );
        assert_eq!(high_water(""), None);
    }
}
