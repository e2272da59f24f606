//! Programs that are ended, multiplied or detached, and the machine itself.

use crate::Confidence::High;
use crate::Severity;
use crate::destructive::Detector;

/// *What it does*: finds signals that cannot be handled and kills by name. *Why it matters*: work
/// is lost, and the name may be another's. *Known gaps*: kills through /proc or a debugger.
/// *Example*: `kill -9 123`, `pkill node`.
pub(super) const FORCED_KILL: Detector = Detector {
    id: "forced-kill",
    positive: &[
        "kill -9 123",
        "kill -KILL 1",
        "kill -s SIGKILL 1",
        "kill -- -1",
        "killall node",
        "pkill -f server",
        "kill -n 9 5",
        "fuser -k 80/tcp",
    ],
    negative: &[
        "kill 123",
        "kill -0 123",
        "kill -l",
        "kill -TERM 5",
        "pgrep node",
        "killall -l",
        "kill -15 9",
    ],
    judge: |facts| {
        facts.worst(|call| match call.program {
            "kill" => {
                let is_kill = |signal: &str| {
                    matches!(
                        signal
                            .trim_start_matches("SIG")
                            .to_ascii_uppercase()
                            .as_str(),
                        "9" | "KILL"
                    )
                };
                let forced = call.options().any(|it| is_kill(it.trim_start_matches('-')))
                    || call.values("s", &["signal"]).into_iter().any(is_kill)
                    || call.values("n", &[]).into_iter().any(is_kill);
                let everything = call.operands().any(|it| it == "-1")
                    || (forced && call.args.iter().skip(1).any(|it| it == "-1"));
                if everything {
                    Some((Severity::Critical, High))
                } else {
                    forced.then_some((Severity::Medium, High))
                }
            }
            "killall" | "pkill" | "skill" | "killall5" | "xkill" => {
                (!call.has("lVh", &["list", "version", "help"])).then_some((Severity::Medium, High))
            }
            "fuser" => call.has("k", &["kill"]).then_some((Severity::Medium, High)),
            _ => None,
        })
    },
};

/// *What it does*: finds functions and code that start themselves again and again. *Why it
/// matters*: the machine has no room left for anything else. *Known gaps*: scripts that start
/// their own file, loops of the shell that start programs in the background. *Example*:
/// `:(){ :|:& };:`.
pub(super) const FORK_BOMB: Detector = Detector {
    id: "fork-bomb",
    positive: &[
        ":(){ :|:& };:",
        ":() { : | : & }; :",
        "bomb() { bomb | bomb & }; bomb",
        "function f { f & f & }; f",
        "bash -c ':(){ :|:& };:'",
        "perl -e 'fork while fork'",
        "python3 -c 'import os\nwhile True: os.fork()'",
        "ruby -e 'loop { fork { load $0 } }'",
    ],
    negative: &[
        "retry() { make || retry; }; retry",
        "f() { g | h & }; f",
        "log() { echo log >&2; }; log",
        "perl -e 'fork or exec \"ls\"'",
        "python3 -c 'import os; os.fork()'",
        "git clone https://a.example/fork.git",
    ],
    judge: |facts| {
        let found = (Severity::Critical, High);
        if facts.reach.multiplies.is_some() {
            return Some(found);
        }
        facts
            .reach
            .code
            .iter()
            .any(|code| forks_on(&code.text))
            .then_some(found)
    },
};

/// Whether code forks within a loop without an end.
fn forks_on(code: &str) -> bool {
    let words: Vec<&str> = code
        .split(|sign: char| !sign.is_alphanumeric() && sign != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let has = |word: &str| words.contains(&word);
    let endless = words.windows(2).any(|pair| {
        matches!(
            pair,
            [
                "while" | "until",
                "true" | "True" | "1" | "fork" | "false" | "0"
            ] | ["loop", "fork" | "do"]
        )
    });
    has("fork") && endless
}

/// *What it does*: finds processes that are made to outlive the command. *Why it matters*: they
/// run when nobody looks. *Known gaps*: a plain `&`, which most scripts use. *Example*:
/// `nohup ./miner &`.
pub(super) const DETACHED: Detector = Detector {
    id: "detached-process",
    positive: &[
        "nohup ./a &",
        "setsid ./a",
        "./a & disown",
        "tmux new -d ./a",
        "screen -dmS x ./a",
        "systemd-run ./a",
        "daemonize /bin/a",
    ],
    negative: &["./a &", "tmux ls", "screen -r", "tmux attach -d"],
    judge: |facts| {
        facts.worst(|call| {
            let detaches = match call.program {
                "nohup" | "setsid" | "disown" | "daemonize" | "systemd-run"
                | "start-stop-daemon" | "daemon" => true,
                "tmux" => {
                    call.operands()
                        .any(|it| matches!(it, "new" | "new-session"))
                        && call.has("d", &[])
                }
                "screen" => {
                    call.options()
                        .any(|it| it.starts_with("-dm") || it.starts_with("-Dm") || it == "-d")
                        && call.options().any(|it| it.contains('m'))
                }
                _ => false,
            };
            detaches.then_some((Severity::Medium, High))
        })
    },
};

/// *What it does*: finds commands that stop the machine. *Why it matters*: everything on it
/// stops. *Known gaps*: /proc/sysrq-trigger by code. *Example*: `shutdown -h now`.
pub(super) const POWER: Detector = Detector {
    id: "power",
    positive: &[
        "shutdown -h now",
        "sudo reboot",
        "poweroff",
        "systemctl reboot",
        "init 0",
        "echo b > /proc/sysrq-trigger",
    ],
    negative: &[
        "shutdown -c",
        "uptime",
        "systemctl status",
        "npm init 0",
        "git init",
    ],
    judge: |facts| {
        if facts
            .reach
            .writes
            .iter()
            .any(|it| it == "/proc/sysrq-trigger")
        {
            return Some((Severity::High, High));
        }
        facts.worst(|call| {
            let stops = match call.program {
                "shutdown" => !call.has("ck", &["help"]),
                "reboot" | "poweroff" | "halt" => true,
                "systemctl" | "loginctl" => matches!(
                    call.verb(),
                    "reboot" | "poweroff" | "halt" | "kexec" | "rescue" | "emergency"
                ),
                "init" | "telinit" => matches!(call.verb(), "0" | "6" | "1"),
                _ => false,
            };
            stops.then_some((Severity::High, High))
        })
    },
};
