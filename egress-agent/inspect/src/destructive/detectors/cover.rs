//! What outlives the session, and what hides it.

use crate::Confidence::{High, Medium};
use crate::Severity;
use crate::destructive::Detector;

/// *What it does*: finds what runs again later: cron, units, profiles, init, hooks, keys of
/// login. *Why it matters*: it outlives the session and its guard. *Known gaps*: plug-ins of
/// programs. *Example*: `echo x >> ~/.bashrc`.
pub(super) const PERSISTENCE: Detector = Detector {
    id: "persistence",
    positive: &[
        "echo 'curl x' >> ~/.bashrc",
        "(crontab -l; echo '* * * * * x') | crontab -",
        "crontab jobs",
        "cp a.service /etc/systemd/system/",
        "systemctl enable x",
        "systemctl --user enable --now x",
        "echo x | sudo tee /etc/cron.d/a",
        "cat key >> ~/.ssh/authorized_keys",
        "echo x > .git/hooks/pre-commit",
        "git config core.hooksPath /tmp/h",
        "echo x | at now + 1 minute",
        "useradd -m eve",
        "launchctl load x.plist",
        "echo /tmp/x.so > /etc/ld.so.preload",
    ],
    negative: &[
        "crontab -l",
        "cat ~/.bashrc",
        "systemctl status x",
        "git config user.name a",
        "systemctl restart x",
        "source ~/.bashrc",
    ],
    judge: |facts| {
        if facts.reach.writes.iter().any(|it| is_started_later(it)) {
            return Some((Severity::High, High));
        }
        facts.worst(|call| {
            let high = Some((Severity::High, High));
            match call.program {
                "crontab" => (!call.has("lr", &[]) && !call.args.is_empty())
                    .then_some((Severity::High, High)),
                "systemctl" => call
                    .operands()
                    .any(|it| matches!(it, "enable" | "link" | "edit" | "reenable" | "preset"))
                    .then_some((Severity::High, High)),
                "update-rc.d" | "chkconfig" | "rc-update" | "sysv-rc-conf" | "insserv" => {
                    (!call.args.is_empty()).then_some((Severity::High, High))
                }
                "launchctl" => matches!(call.verb(), "load" | "bootstrap" | "enable" | "submit")
                    .then_some((Severity::High, High)),
                "at" | "batch" => {
                    (!call.has("lrVc", &["list", "remove"])).then_some((Severity::High, Medium))
                }
                "useradd" | "adduser" | "usermod" | "passwd" | "chpasswd" | "visudo"
                | "ssh-copy-id" | "chsh" => high,
                "loginctl" => call.says("enable-linger").then_some((Severity::High, High)),
                "pm2" => {
                    matches!(call.verb(), "startup" | "save").then_some((Severity::High, High))
                }
                "insmod" | "modprobe"
                    if !call.has("rnDc", &["remove", "dry-run", "show-depends"]) =>
                {
                    high
                }
                "git" => {
                    let (verb, git) = call.git()?;
                    let sets = verb == "config"
                        && git.operands().any(|it| {
                            let key = it.to_ascii_lowercase();
                            matches!(
                                key.as_str(),
                                "core.hookspath"
                                    | "core.fsmonitor"
                                    | "core.sshcommand"
                                    | "core.editor"
                                    | "core.pager"
                                    | "credential.helper"
                                    | "init.templatedir"
                            ) || key.starts_with("alias.")
                                || (key.starts_with("filter.")
                                    || key.starts_with("diff.")
                                    || key.starts_with("merge."))
                                    && (key.ends_with("driver")
                                        || key.ends_with("smudge")
                                        || key.ends_with("clean")
                                        || key.ends_with("command")
                                        || key.ends_with("textconv"))
                        })
                        && git.operands().count() > 1
                        && !git.has("", &["get", "unset", "list"]);
                    sets.then_some((Severity::Medium, High))
                }
                _ => None,
            }
        })
    },
};

/// *What it does*: finds what removes or stops records: logs, histories, auditing. *Why it
/// matters*: afterwards nobody can tell what happened. *Known gaps*: records of applications.
/// *Example*: `history -c`.
pub(super) const LOG_TAMPERING: Detector = Detector {
    id: "log-tampering",
    positive: &[
        "history -c",
        "rm ~/.bash_history",
        "unset HISTFILE",
        "export HISTFILE=/dev/null",
        "auditctl -D",
        "auditctl -e 0",
        "systemctl stop auditd",
        "sudo truncate -s 0 /var/log/syslog",
        "echo > /var/log/auth.log",
        "journalctl --vacuum-time=1s",
        "ln -sf /dev/null ~/.bash_history",
        "dmesg -C",
        "set +o history",
        "service rsyslog stop",
    ],
    negative: &[
        "history",
        "cat /var/log/syslog",
        "journalctl -u x",
        "auditctl -l",
        "systemctl status auditd",
        "rm app.log",
    ],
    judge: |facts| {
        let by_file = facts.reach.writes.iter().any(|it| is_record(it));
        if by_file {
            return Some((Severity::High, High));
        }
        facts.worst(|call| {
            let tampers = match call.program {
                "history" => call.has("cwd", &[]),
                "unset" => call.operands().any(|it| it.starts_with("HIST")),
                "export" | "declare" | "typeset" => call.operands().any(|it| {
                    it.strip_prefix("HISTFILE=").is_some()
                        || it.strip_prefix("HISTSIZE=") == Some("0")
                        || it.strip_prefix("HISTFILESIZE=") == Some("0")
                }),
                "set" => call.says("+o") && call.says("history"),
                "auditctl" => call.has("D", &[]) || (call.says("-e") && call.says("0")),
                "systemctl" | "service" | "rc-service" => {
                    call.operands()
                        .any(|it| matches!(it, "stop" | "disable" | "mask" | "kill"))
                        && call.operands().any(|it| {
                            [
                                "auditd",
                                "rsyslog",
                                "syslog",
                                "systemd-journald",
                                "syslog-ng",
                                "egressd",
                                "falco",
                                "osqueryd",
                            ]
                            .contains(&it.trim_end_matches(".service"))
                        })
                }
                "journalctl" => call
                    .options()
                    .any(|it| it.starts_with("--vacuum") || it == "--rotate"),
                "dmesg" => call.has("Cc", &["clear", "read-clear"]),
                "rm" | "shred" | "unlink" | "truncate" | "mv" | "ln" => {
                    call.operands().any(is_record)
                }
                _ => false,
            };
            tampers.then_some((Severity::High, High))
        })
    },
};

/// *What it does*: finds what switches protections off: firewalls, access control, signature
/// checks. *Why it matters*: the next step is no longer stopped. *Known gaps*: settings in files.
/// *Example*: `iptables -F`.
pub(super) const PROTECTION_OFF: Detector = Detector {
    id: "protection-off",
    positive: &[
        "iptables -F",
        "nft flush ruleset",
        "ufw disable",
        "setenforce 0",
        "systemctl stop firewalld",
        "sysctl -w kernel.randomize_va_space=0",
        "aa-teardown",
        "git commit --no-verify",
    ],
    negative: &[
        "iptables -L",
        "ufw status",
        "getenforce",
        "nft list ruleset",
        "sysctl -a",
        "git commit -m x",
    ],
    judge: |facts| {
        facts.worst(|call| match call.program {
            "iptables" | "ip6tables" | "ebtables" => (call.has("FX", &["flush", "delete-chain"])
                || (call.says("-P") && call.says("ACCEPT")))
            .then_some((Severity::High, High)),
            "nft" => (call.says("flush")
                || (call.says("delete") && (call.says("table") || call.says("chain"))))
            .then_some((Severity::High, High)),
            "ufw" => matches!(call.verb(), "disable" | "reset").then_some((Severity::High, High)),
            "setenforce" => matches!(call.verb(), "0" | "Permissive" | "permissive")
                .then_some((Severity::High, High)),
            "aa-teardown" | "aa-disable" | "aa-complain" => Some((Severity::High, High)),
            "systemctl" | "service" => {
                let stops = call
                    .operands()
                    .any(|it| matches!(it, "stop" | "disable" | "mask"))
                    && call.operands().any(|it| {
                        matches!(
                            it.trim_end_matches(".service"),
                            "firewalld"
                                | "ufw"
                                | "nftables"
                                | "iptables"
                                | "apparmor"
                                | "fail2ban"
                                | "clamav-daemon"
                                | "egressd"
                        )
                    });
                stops.then_some((Severity::High, High))
            }
            "sysctl" => call
                .args
                .iter()
                .any(|it| {
                    it.starts_with("kernel.") && it.ends_with("=0") || it == "net.ipv4.ip_forward=1"
                })
                .then_some((Severity::Medium, Medium)),
            "bpftool" => {
                (call.says("detach") || call.says("unpin")).then_some((Severity::High, High))
            }
            "git" => {
                let (verb, git) = call.git()?;
                (matches!(verb, "commit" | "push" | "merge")
                    && git.options().any(|it| it == "--no-verify"))
                .then_some((Severity::Low, High))
            }
            _ => None,
        })
    },
};

fn is_record(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    path.starts_with("/var/log/")
        || path.starts_with("/var/log") && path.len() <= 9
        || path.starts_with("/var/lib/egressd")
        || path.starts_with("/run/log/journal")
        || matches!(
            last,
            ".bash_history"
                | ".zsh_history"
                | ".python_history"
                | ".psql_history"
                | ".mysql_history"
                | "fish_history"
                | ".node_repl_history"
                | "wtmp"
                | "btmp"
                | "utmp"
                | "lastlog"
        )
}

/// A file that is read or run when somebody logs in, a machine starts or a time comes.
pub(crate) fn is_started_later(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let in_home =
        path.starts_with("~/") || path.starts_with("/home/") || path.starts_with("/root/");
    [
        "/etc/cron",
        "/var/spool/cron",
        "/etc/systemd/",
        "/lib/systemd/",
        "/usr/lib/systemd/",
        "/etc/init.d/",
        "/etc/rc",
        "/etc/profile",
        "/etc/bash",
        "/etc/zsh",
        "/etc/environment",
        "/etc/sudoers",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/group",
        "/etc/ld.so.preload",
        "/etc/ld.so.conf",
        "/etc/pam.d/",
        "/etc/ssh/",
        "/etc/udev/",
        "/etc/xdg/autostart",
        "/Library/Launch",
        "/etc/modules",
        "/etc/apt/apt.conf.d/",
        "/etc/update-motd.d/",
        "/etc/inittab",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix))
        || [
            "/.config/systemd/",
            "/.config/autostart/",
            "/Library/LaunchAgents/",
            "/.git/hooks/",
            "/.ssh/authorized_keys",
            "/.ssh/rc",
            "/.ssh/config",
            "/.local/share/systemd/",
            "/.config/fish/",
            "/.config/environment.d/",
        ]
        .iter()
        .any(|part| path.contains(part))
        || path.starts_with(".git/hooks/")
        || in_home
            && matches!(
                last,
                ".bashrc"
                    | ".bash_profile"
                    | ".bash_login"
                    | ".bash_logout"
                    | ".bash_aliases"
                    | ".profile"
                    | ".zshrc"
                    | ".zshenv"
                    | ".zprofile"
                    | ".zlogin"
                    | ".kshrc"
                    | ".cshrc"
                    | ".tcshrc"
                    | ".login"
                    | ".inputrc"
                    | ".xinitrc"
                    | ".xsession"
                    | ".xprofile"
                    | ".gitconfig"
                    | ".vimrc"
                    | ".tmux.conf"
                    | ".envrc"
                    | ".pythonrc"
                    | ".npmrc"
            )
}
