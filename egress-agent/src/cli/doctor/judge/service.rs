//! The daemon and what surrounds it: units, policies, the log, the clock, hooks.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    audit::record::Mode,
    cli::{
        doctor::{
            facts::{Clock, Disk, NoDaemon, PolicyFile, Units},
            row::Row,
        },
        home::{Found, SeenHook},
    },
    control::{
        GROUP,
        status::{Guard, Status},
    },
};

/// 2026-01-01: no machine that runs this version lives before.
const EARLIEST: i64 = 1_767_225_600;
/// Below this much room the log will soon not be written.
const ROOM: u64 = 16 << 20;

pub(super) fn clock(clock: &Clock) -> Row {
    const NAME: &str = "clock";
    let now = clock.now;
    if now.as_second() < EARLIEST {
        return Row::fail(
            NAME,
            format!(
                "it is not set ({}): certificates are refused, and records have wrong times",
                shown(now)
            ),
        )
        .mend("timedatectl set-ntp true");
    }
    match clock.is_kept {
        Some(true) => Row::pass(NAME, format!("{}, kept by a time service", shown(now))),
        Some(false) => Row::warn(
            NAME,
            format!(
                "{}, and nothing keeps it right: times of records may be off",
                shown(now)
            ),
        )
        .mend("timedatectl set-ntp true"),
        None => Row::pass(
            NAME,
            format!("{}; the kernel does not say what keeps it", shown(now)),
        ),
    }
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Leases run out on the boot clock, which the kernel programs read without any offset.
pub(super) fn boot_clock(clock: &Clock) -> Row {
    const NAME: &str = "boot clock";
    let is_shifted = clock
        .offsets
        .as_deref()
        .is_some_and(|text| text.lines().any(is_offset));
    if is_shifted {
        return Row::fail(
            NAME,
            "this is a time namespace with clocks of its own: leases would run out at other times \
             than the kernel thinks; start egressd outside of it",
        );
    }
    // The two are read one after the other.
    let slack = Duration::from_secs(1);
    if clock.boot.is_zero() || clock.boot + slack < clock.awake {
        return Row::fail(
            NAME,
            "it does not count the time since the start of the kernel: leases cannot run out",
        )
        .mend("reboot");
    }
    let asleep = clock.boot.saturating_sub(clock.awake);
    let up = crate::cli::duration(clock.boot);
    Row::pass(
        NAME,
        if asleep < slack {
            format!("up {up}")
        } else {
            format!("up {up}, {} of it asleep", crate::cli::duration(asleep))
        },
    )
}

/// A line of `/proc/PID/timens_offsets`: the clock, seconds, nanoseconds.
fn is_offset(line: &str) -> bool {
    let mut words = line.split_whitespace();
    matches!(words.next(), Some("boottime" | "7")) && words.any(|word| word != "0")
}

pub(super) fn units(units: &Units, runs: bool) -> Row {
    const NAME: &str = "units";
    const MEND: &str = "sudo egressctl init";
    let Units {
        systemd,
        files,
        is_enabled,
    } = units;
    if !systemd {
        return Row::pass(
            NAME,
            "systemd does not run this machine; start egressd by hand",
        );
    }
    let named = |names: Vec<&str>| names.join(", ");
    let missing: Vec<&str> = files
        .iter()
        .filter(|unit| unit.at.is_none())
        .map(|unit| unit.name)
        .collect();
    if !missing.is_empty() {
        let says = format!("missing: {}", named(missing));
        // Somebody started it in another way.
        let row = if runs {
            Row::warn(NAME, says)
        } else {
            Row::fail(NAME, says)
        };
        return row.mend(MEND);
    }
    let old: Vec<String> = files
        .iter()
        .filter(|unit| !unit.is_current)
        .filter_map(|unit| unit.at.as_ref())
        .map(|at| at.display().to_string())
        .collect();
    if !old.is_empty() {
        return Row::warn(
            NAME,
            format!("not as this version writes them: {}", old.join(", ")),
        )
        .mend(format!("{MEND} --replace"));
    }
    if !is_enabled {
        return Row::warn(NAME, "egressd.service is not started with the machine")
            .mend("systemctl enable egressd");
    }
    Row::pass(NAME, "egressd.service and agent.slice, enabled")
}

pub(super) fn group(exists: bool) -> Row {
    if exists {
        Row::pass("group", format!("`{GROUP}` may use the control socket"))
    } else {
        Row::warn(
            "group",
            format!("there is no group `{GROUP}`: only root may start sessions"),
        )
        .mend(format!("groupadd --system {GROUP}"))
    }
}

pub(super) fn daemon(daemon: &Result<Box<Status>, NoDaemon>, version: &str, units: &Units) -> Row {
    const NAME: &str = "egressd";
    let start = if units.systemd {
        "systemctl enable --now egressd"
    } else {
        "egressd run --cgroup agent.slice --policy /etc/egressd/policy.json"
    };
    match daemon {
        Ok(status) if status.version == version => {
            let up = crate::cli::duration(Duration::from_millis(status.uptime_ms));
            Row::pass(NAME, format!("{version}, pid {}, up {up}", status.pid))
        }
        Ok(status) => Row::warn(
            NAME,
            format!(
                "{} runs, and this egressctl is {version}: restart it, sessions go on",
                status.version
            ),
        )
        .mend("systemctl restart egressd"),
        Err(NoDaemon::Absent(why)) => Row::fail(NAME, why).mend(start),
        Err(NoDaemon::NotAllowed(why)) => Row::warn(NAME, why).mend("sudo egressctl doctor"),
        Err(NoDaemon::Strange(why)) => Row::fail(NAME, why).mend("systemctl restart egressd"),
    }
}

pub(super) fn guards(status: &Status) -> Vec<Row> {
    if status.guards.is_empty() {
        return vec![Row::fail("guard", "egressd guards no cgroup")];
    }
    status.guards.iter().map(guard).collect()
}

fn guard(guard: &Guard) -> Row {
    const NAME: &str = "guard";
    let cgroup = &guard.cgroup;
    let off: Vec<&str> = guard
        .hooks
        .iter()
        .filter(|hook| !hook.attached)
        .map(|hook| hook.name.as_str())
        .collect();
    if guard.hooks.is_empty() || !off.is_empty() {
        let off = if off.is_empty() {
            "any program".to_owned()
        } else {
            off.join(", ")
        };
        return Row::fail(NAME, format!("{cgroup} is not held: without {off}"))
            .mend("systemctl restart egressd");
    }
    if !guard.gaps.is_empty() {
        return Row::warn(NAME, format!("{cgroup}: {}", guard.gaps.join("; ")));
    }
    if guard.mode == Mode::Observe {
        return Row::warn(
            NAME,
            format!("{cgroup} is only observed: nothing is refused until its policy enforces"),
        )
        .mend(format!(
            "sed -i 's/\"observe\"/\"enforce\"/' {} && egressctl reload",
            guard.policy.file
        ));
    }
    let count = guard.sessions;
    let noun = if count == 1 { "session" } else { "sessions" };
    Row::pass(NAME, format!("{cgroup} is whole, with {count} {noun}"))
}

pub(super) fn policy(policy: &PolicyFile) -> Row {
    const NAME: &str = "policy";
    let PolicyFile {
        file,
        read,
        in_force,
    } = policy;
    let file = file.display();
    let (digest, warnings) = match read {
        Ok(read) => read,
        Err(why) => {
            let row = Row::fail(NAME, why);
            return row.mend(if why.contains("No such file") {
                "sudo egressctl init".to_owned()
            } else {
                format!("egressctl policy check {file}")
            });
        }
    };
    if let Some((guard, _)) = in_force.as_ref().filter(|(_, forced)| forced != digest) {
        return Row::warn(
            NAME,
            format!("{file} has changed since {guard} read it: what is in force is the older one"),
        )
        .mend("egressctl reload");
    }
    let is_used = match in_force {
        Some((guard, _)) => format!("in force for {guard}"),
        None => "valid".to_owned(),
    };
    match warnings {
        0 => Row::pass(NAME, format!("{file}, {is_used}")),
        1 => Row::warn(NAME, format!("{file}, {is_used}, with a warning"))
            .mend(format!("egressctl policy check {file}")),
        count => Row::warn(NAME, format!("{file}, {is_used}, with {count} warnings"))
            .mend(format!("egressctl policy check {file}")),
    }
}

pub(super) fn disk(disk: Option<&Disk>, status: Option<&Status>) -> Row {
    const NAME: &str = "audit log";
    let audit = status.and_then(|status| status.audit.as_ref());
    if let Some(audit) = audit {
        if let Some(failure) = &audit.failure {
            return Row::fail(NAME, format!("{} cannot be written: {failure}", audit.file))
                .mend(format!("df -h {}", audit.file));
        }
        let lost: u64 = audit.lost.values().sum();
        if lost > 0 {
            return Row::warn(
                NAME,
                format!("{} lacks {lost} records since egressd started", audit.file),
            )
            .mend("egressctl log verify");
        }
    }
    let Some(disk) = disk else {
        return Row::warn(NAME, "how much room there is for it cannot be told");
    };
    let file = disk.file.display();
    let free = size(disk.free);
    if disk.free < ROOM {
        return Row::fail(NAME, format!("{file} has {free} left"))
            .mend("journalctl --vacuum-size=100M");
    }
    let wanted = size(disk.wanted);
    if disk.free < disk.wanted {
        return Row::warn(
            NAME,
            format!("{file} has {free} left, and may grow to {wanted}"),
        );
    }
    if disk.wanted == 0 {
        return Row::pass(NAME, format!("{file} has {free} left"));
    }
    Row::pass(
        NAME,
        format!("{file} has {free} left, and grows to {wanted} at most"),
    )
}

/// In whole MiB, or GiB where there are many.
fn size(bytes: u64) -> String {
    let mebibytes = bytes >> 20;
    if mebibytes < 10 << 10 {
        format!("{mebibytes} MiB")
    } else {
        format!("{} GiB", mebibytes >> 10)
    }
}

pub(super) fn hooks(hooks: &Result<Vec<SeenHook>, String>) -> Vec<Row> {
    const NAME: &str = "hook";
    match hooks {
        Err(why) => vec![Row::warn(
            NAME,
            format!("the settings of agents cannot be looked at: {why}"),
        )],
        Ok(hooks) if hooks.is_empty() => {
            vec![Row::pass(NAME, "no agent with settings of its own is here")]
        }
        Ok(hooks) => hooks.iter().map(hook).collect(),
    }
}

fn hook(hook: &SeenHook) -> Row {
    const NAME: &str = "hook";
    let SeenHook { agent, found, .. } = hook;
    let title = agent.title();
    let mend = agent
        .hook_word()
        .map(|word| format!("egressctl hook install {word}"));
    let row = match (found, &hook.file) {
        (Found::Current, _) => Row::pass(NAME, format!("{title}: installed and current")),
        (Found::NoHook, _) | (_, None) => {
            return Row::pass(
                NAME,
                format!("{title}: there is none for it; the guard holds it all the same"),
            );
        }
        (Found::Old, _) => Row::warn(NAME, format!("{title}: not as this version writes it")),
        (Found::Absent, _) => Row::warn(
            NAME,
            format!("{title}: not installed; its calls are not judged before they run"),
        ),
        (Found::Broken(why), Some(file)) => {
            return Row::fail(NAME, format!("{title}: {}: {why}", file.display()));
        }
    };
    match (mend, found) {
        (Some(mend), Found::Old | Found::Absent) => row.mend(mend),
        (_, _) => row,
    }
}

#[cfg(test)]
pub(super) mod tests;
