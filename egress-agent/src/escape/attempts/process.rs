//! Processes outside: making them do it.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    bait::{absent, escaped, send},
    system::{self, Word},
};
use crate::escape::{Attempt, Ground, Outcome, attempt::Tried};

pub(super) const ALL: &[Attempt] = &[
    Attempt {
        name: "ptrace",
        title: "tracing a process outside",
        run: |ground| Outcome::of(trace(ground)),
        limit: None,
    },
    Attempt {
        name: "process-memory-calls",
        title: "writing into a process outside (process_vm_writev)",
        run: |ground| Outcome::of(write_by_call(ground)),
        limit: None,
    },
    Attempt {
        name: "process-memory-file",
        title: "writing into a process outside (/proc/PID/mem)",
        run: |ground| Outcome::of(write_by_file(ground)),
        limit: None,
    },
    Attempt {
        name: "typing-into-the-terminal",
        title: "typing into the controlling terminal (TIOCSTI)",
        run: |_| Outcome::of(type_into_terminal()),
        limit: None,
    },
    Attempt {
        name: "daemon-stopped",
        title: "sending while the daemon is stopped by a signal",
        run: |ground| Outcome::of(stop_daemon(ground)),
        limit: None,
    },
];

/// `PTRACE_SEIZE` needs the same rights as attaching, and does not stop the helper.
fn trace(ground: &Ground) -> Tried {
    let seized = system::plain(
        libc::SYS_ptrace,
        &[
            libc::PTRACE_SEIZE as usize,
            ground.helper_pid as usize,
            0,
            0,
        ],
    );
    seized.map_err(Outcome::refused("ptrace"))?;
    escaped("traces a process outside")
}

/// Reads one byte of the helper and writes the same one back.
fn write_by_call(ground: &Ground) -> Tried {
    let place = writable_place(ground)?;
    let mut byte = [0_u8];
    move_byte(
        ground,
        libc::SYS_process_vm_readv,
        "process_vm_readv",
        &mut byte,
        place,
    )?;
    move_byte(
        ground,
        libc::SYS_process_vm_writev,
        "process_vm_writev",
        &mut byte,
        place,
    )?;
    escaped("wrote into a process outside")
}

fn move_byte(
    ground: &Ground,
    number: libc::c_long,
    name: &'static str,
    byte: &mut [u8; 1],
    place: u64,
) -> Tried {
    // Two of `struct iovec`: an address and a length each.
    let vector = |address: u64| [address.to_ne_bytes(), 1_u64.to_ne_bytes()].concat();
    let own = vector(byte.as_mut_ptr().addr() as u64);
    let other = vector(place);
    let words = vec![
        Word::Number(ground.helper_pid as usize),
        Word::In(&own),
        Word::Number(1),
        Word::In(&other),
        Word::Number(1),
        Word::Number(0),
    ];
    system::call(number, words).map_err(Outcome::refused(name))?;
    Ok(())
}

fn write_by_file(ground: &Ground) -> Tried {
    let memory = PathBuf::from(format!("/proc/{}/mem", ground.helper_pid));
    let memory: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open(memory)
        .map_err(Outcome::refused("open /proc/PID/mem"))?;
    let place = writable_place(ground)?;
    let mut byte = [0_u8];
    memory
        .read_exact_at(&mut byte, place)
        .map_err(Outcome::refused("read /proc/PID/mem"))?;
    memory
        .write_all_at(&byte, place)
        .map_err(Outcome::refused("write /proc/PID/mem"))?;
    escaped("wrote into a process outside")
}

/// The far end of the helper's stack, which it has not used yet.
fn writable_place(ground: &Ground) -> Tried<u64> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", ground.helper_pid))
        .map_err(Outcome::refused("read /proc/PID/maps"))?;
    start_of_stack(&maps).ok_or_else(|| Outcome::Absent("the helper has no stack".to_owned()))
}

fn start_of_stack(maps: &str) -> Option<u64> {
    let line = maps.lines().find(|line| line.ends_with("[stack]"))?;
    let (start, _) = line.split_once('-')?;
    u64::from_str_radix(start, 16).ok()
}

/// Makes a terminal of the own its controlling one, and pushes a letter into its input. It stands
/// for the terminal that the launcher leaves to the agent: the right that is asked for is the same.
fn type_into_terminal() -> Tried {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let refused = super::bait::refused;
    let main =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(refused("open /dev/ptmx"))?;
    grantpt(&main).map_err(refused("grantpt"))?;
    unlockpt(&main).map_err(refused("unlockpt"))?;
    let name = ptsname(&main, Vec::new()).map_err(refused("ptsname"))?;
    let outcome = system::in_child(None, move || {
        rustix::process::setsid().map_err(refused("setsid"))?;
        let terminal = rustix::fs::open(&name, rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())
            .map_err(refused("open the terminal"))?;
        rustix::process::ioctl_tiocsctty(&terminal).map_err(refused("TIOCSCTTY"))?;
        system::push_into_terminal(&terminal)?;
        escaped("typed into the controlling terminal")
    });
    Err(outcome)
}

/// Enforcement does not need the daemon.
fn stop_daemon(ground: &Ground) -> Tried {
    let Some(daemon) = ground.guard.daemon.and_then(Pid::from_raw) else {
        return absent("no daemon was named");
    };
    kill_process(daemon, Signal::STOP).map_err(super::bait::refused("kill"))?;
    let sent = send();
    kill_process(daemon, Signal::CONT).map_err(super::bait::refused("kill"))?;
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_is_found_by_its_name() {
        let maps = "5600-5700 r-xp 0 0:0 1 /bin/x\n7ffc0000-7ffe0000 rw-p 0 00:00 0 [stack]\n";
        assert_eq!(start_of_stack(maps), Some(0x7ffc_0000));
        assert_eq!(start_of_stack("5600-5700 r-xp 0 0:0 1 /bin/x\n"), None);
    }
}
