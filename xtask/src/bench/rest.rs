//! What egressd holds and does when nothing happens, with the policy that it ships with.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::world::place::RESOLVER_V4;

use super::{
    figure::{Figure, Target, Unit},
    stage::Stage,
};
use crate::workspace::root;

const IDLE: Duration = Duration::from_secs(5);
const ASKED: &str = "1000";

pub(crate) fn rest(stage: &Stage) -> Result<Vec<Figure>> {
    let path = root().join("policy/default.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut policy: Value = serde_json::from_str(&text)?;
    if let Some(fields) = policy.as_object_mut() {
        fields.remove("$schema");
    }
    let guard = stage.guard("rest", &policy, None)?;
    let pid = guard.pid();
    let at_start = Memory::of(pid)?;
    // The start has things to finish.
    thread::sleep(Duration::from_millis(500));
    let (ticks, switches) = (ticks(pid)?, switches(pid)?);
    thread::sleep(IDLE);
    let ticks = self::ticks(pid)? - ticks;
    let switches = self::switches(pid)? - switches;
    // What is refused is asked for as well as anything: records are written, caches fill.
    let server = format!("{RESOLVER_V4}:53");
    let words = ["ask-any", &server, "denied.test", "0", ASKED];
    stage.load::<1>(guard.cgroup(), &words)?;
    let after = Memory::of(pid)?;
    let mebibytes = |kib: f64| Unit::Mebibytes.of(kib / 1024.0);
    let limit = Target::AtMost(Unit::Mebibytes.of(16.0));
    let none = Target::AtMost(Unit::Count.of(0.0));
    Ok(vec![
        Figure::alone(
            "resident memory after the start",
            mebibytes(at_start.resident),
            limit,
        ),
        Figure::alone(
            "  its proportional share",
            mebibytes(at_start.proportional),
            Target::None,
        ),
        Figure::alone(
            format!("resident memory after {ASKED} questions"),
            mebibytes(after.resident),
            limit,
        ),
        Figure::alone(
            "  its proportional share",
            mebibytes(after.proportional),
            Target::None,
        ),
        Figure::alone("idle: processor ticks in 5 s", Unit::Count.of(ticks), none),
        Figure::alone(
            "  context switches in 5 s",
            Unit::Count.of(switches),
            Target::None,
        ),
    ])
}

/// In KiB.
struct Memory {
    resident: f64,
    proportional: f64,
}

impl Memory {
    fn of(pid: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .context("reading the memory of egressd")?;
        Ok(Self {
            resident: field(&text, "Rss:").context("no Rss in smaps_rollup")?,
            proportional: field(&text, "Pss:").context("no Pss in smaps_rollup")?,
        })
    }
}

/// utime and stime of the process and its threads (`proc_pid_stat(5)`).
fn ticks(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("reading stat")?;
    ticks_in(&text).context("stat is cut short")
}

fn ticks_in(stat: &str) -> Option<f64> {
    // The second field is a name in parentheses, which may hold spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Context switches of every thread so far.
fn switches(pid: u32) -> Result<f64> {
    let mut count = 0.0;
    for entry in fs::read_dir(format!("/proc/{pid}/task")).context("reading the threads")? {
        let text = fs::read_to_string(entry?.path().join("status")).unwrap_or_default();
        for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
            count += field(&text, name).unwrap_or(0.0);
        }
    }
    Ok(count)
}

/// The number on the line that starts with `name`.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_after_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 3 0 99";
        assert_eq!(ticks_in(stat), Some(42.0));
        assert_eq!(ticks_in("7 (a"), None);
    }

    #[test]
    fn a_field_is_the_whole_name() {
        let text = "voluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(field(text, "voluntary_ctxt_switches:"), Some(12.0));
        assert_eq!(field(text, "nonvoluntary_ctxt_switches:"), Some(3.0));
        assert_eq!(field(text, "Rss:"), None);
    }
}
