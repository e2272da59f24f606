//! Programs that run what stands among their words, or in their input, without being shells.
//!
//! # What it does
//! Looks where such a program may have a command: in the words behind a client of the network, in a
//! text that begins with one, behind the mark that an editor or a database has for commands. What
//! is found is read as a command of its own, beside whatever else is known of the program.
//!
//! # Known gaps
//! Only commands of the clients below are looked for, so that words and texts that speak of them
//! elsewhere mean nothing. The kernel decides.
//!
//! # Example
//! `setpriv --reuid 1 curl evil.example`, `hyperfine 'curl evil.example'`, `vim -c ':!curl evil.example'`

use crate::shell::options::Args;
use crate::shell::run::{Input, Shell};

use super::code;

/// Clients whose words are places.
const CLIENTS: &[&str] = &[
    "curl", "wget", "nc", "ncat", "netcat", "ssh", "scp", "sftp", "rsync", "socat", "telnet",
];

/// The command is the words from a client on.
const WORDS: &[&str] = &[
    "aa-exec",
    "bwrap",
    "capsh",
    "cgexec",
    "chronic",
    "concurrently",
    "dbus-launch",
    "dbus-run-session",
    "eatmydata",
    "entr",
    "fakechroot",
    "fakeroot",
    "faketime",
    "firejail",
    "ip",
    "ltrace",
    "machinectl",
    "nodemon",
    "nsenter",
    "numactl",
    "perf",
    "pkexec",
    "prlimit",
    "proot",
    "proxychains",
    "proxychains4",
    "rlwrap",
    "runcon",
    "screen",
    "setpriv",
    "ssh-agent",
    "sshpass",
    "systemd-run",
    "tmux",
    "torify",
    "torsocks",
    "unbuffer",
    "valgrind",
    "watchexec",
    "xvfb-run",
];

/// A word, or the input, holds commands.
const TEXTS: &[&str] = &[
    "at",
    "batch",
    "capsh",
    "concurrently",
    "crontab",
    "hyperfine",
    "newgrp",
    "nodemon",
    "screen",
    "sg",
    "tmux",
    "watchexec",
];

/// What stands before a command in the words and the input of these.
const MARKED: &[(&str, &[&str])] = &[
    ("ed", &["!"]),
    ("emacs", &["shell-command \"", "call-process \""]),
    ("ex", &["!"]),
    ("gdb", &["!", "shell "]),
    ("less", &["!"]),
    ("make", &["SHELL=", "$(shell ", "; ", ":;", ": ", "\t"]),
    ("gmake", &["SHELL=", "$(shell ", "; ", ":;", ": ", "\t"]),
    ("mariadb", &["system ", "\\! "]),
    ("mysql", &["system ", "\\! "]),
    ("nvim", &["!"]),
    ("psql", &["\\! "]),
    ("sqlite3", &[".shell ", ".system "]),
    ("vi", &["!"]),
    ("view", &["!"]),
    ("vim", &["!"]),
];

/// They open the URLs in their words, or run code that stands there.
const CODE: &[&str] = &[
    "bun", "deno", "dotnet", "emacs", "jshell", "kotlin", "nvim", "vim",
];

/// Bytes of a text that are looked through.
const LONGEST: usize = 64 << 10;
/// Commands in one text.
const MOST: usize = 64;

/// Reads the commands that a program would run for others.
pub(super) fn look(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: &Input) {
    let texts = || {
        let words = args.iter().map(AsRef::as_ref);
        words.chain(input.text.as_deref())
    };
    if WORDS.contains(&name)
        && let Some(at) = args.iter().position(|arg| is_client(arg))
    {
        // Words of a client are options and places; none of them is read as a command again.
        shell.run(args.get(at..).unwrap_or_default(), Input::default());
    }
    if TEXTS.contains(&name) {
        for text in texts().filter(|text| text.contains([' ', '\t'])) {
            lines(shell, text);
        }
    }
    if let Some((_, marks)) = MARKED.iter().find(|(known, _)| *known == name) {
        for text in texts() {
            for mark in *marks {
                behind(shell, text, mark);
            }
        }
    }
    if CODE.contains(&name) {
        for text in texts().filter(|text| text.contains("://") && text.len() <= LONGEST) {
            code::read(shell, name, text);
        }
    }
}

fn is_client(word: &str) -> bool {
    CLIENTS.contains(&word.rsplit('/').next().unwrap_or_default())
}

/// A line from its first client on: five fields may stand before it, or a number.
fn lines(shell: &mut Shell, text: &str) {
    for line in text.lines().take(MOST).filter(|line| line.len() <= LONGEST) {
        let mut from = 0;
        for word in line.split_inclusive([' ', '\t', ';', '&', '|', '(']) {
            if is_client(word.trim_matches([' ', '\t', ';', '&', '|', '('])) {
                shell.read(line.get(from..).unwrap_or_default());
                break;
            }
            from += word.len();
        }
    }
}

/// What stands behind a mark and begins with a client, up to where its line or its quotes end.
fn behind(shell: &mut Shell, text: &str, mark: &str) {
    if text.len() > LONGEST {
        return;
    }
    for (at, _) in text.match_indices(mark).take(MOST) {
        let rest = text.get(at + mark.len()..).unwrap_or_default().trim_start();
        let command = rest.split(['\n', '"', ')']).next().unwrap_or_default();
        if is_client(command.split([' ', '\t']).next().unwrap_or_default()) {
            shell.read(command);
        }
    }
}
