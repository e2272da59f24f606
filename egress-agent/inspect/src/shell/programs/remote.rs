//! Programs that open a connection to a host: ssh and its kin, nc, socat, openssl.

use crate::shell::options::{Args, Item, Spec, words};
use crate::shell::place::{self, Place};
use crate::shell::run::{Done, Input, Shell};

use super::{file, host, url};

const SSH: Spec = Spec {
    short: "BbcDEeFIiJLlmOoPpQRSWw",
    long: &["ssh", "port", "server"],
};

/// What stands behind the last `@`, with its port.
fn account(text: &str) -> Place {
    let text = text.strip_prefix("ssh://").unwrap_or(text);
    let text = text.split('/').next().unwrap_or_default();
    place::of_host_port(text.rsplit_once('@').map_or(text, |(_, host)| host))
}

fn ssh_option(shell: &mut Shell, name: &str, option: &str) {
    let (key, value) = option
        .split_once(['=', ' '])
        .map_or((option, ""), |(key, value)| {
            (key, value.trim_start_matches(['=', ' ']))
        });
    match key.trim().to_ascii_lowercase().as_str() {
        "proxyjump" => jumps(shell, name, value),
        "proxycommand" | "localcommand" | "knownhostscommand" | "remotecommand" => {
            shell.read(value);
        }
        "hostname" => shell.notes.contact(name, account(value), false),
        "identityfile" | "certificatefile" => file(shell, value),
        _ => {}
    }
}

fn jumps(shell: &mut Shell, name: &str, value: &str) {
    for jump in value.split(',').filter(|jump| *jump != "none") {
        shell.notes.contact(name, account(jump), false);
    }
}

pub(super) fn ssh(shell: &mut Shell, name: &str, args: Args<'_, '_>, _input: Input) -> Done {
    let (mut options, mut rest) = SSH.leading(args);
    let destination = rest.split_first();
    if let Some((first, after)) = destination {
        shell.notes.contact(name, account(first), true);
        // Options may follow the destination.
        let (more, after) = SSH.leading(after);
        options.extend(more);
        rest = after;
    }
    for option in options {
        let Item::Option(letter, Some(value)) = option else {
            continue;
        };
        match letter {
            "J" => jumps(shell, name, value),
            "o" => ssh_option(shell, name, value),
            "W" => shell.notes.contact(name, place::of_host_port(value), true),
            "F" => shell.unclear("ssh reads more options from a file"),
            // [bind:]port:host:hostport, seen from the other side.
            "L" => {
                let mut parts = value.rsplitn(3, ':');
                if let (Some(port), Some(target)) = (parts.next(), parts.next()) {
                    let host = target.to_owned();
                    let port = port.parse().ok();
                    shell.notes.contact(
                        name,
                        Place {
                            host,
                            port,
                            owner: None,
                        },
                        true,
                    );
                }
            }
            "ssh" => {
                shell.read(value);
            }
            _ => {}
        }
    }
    if !rest.is_empty() {
        shell.read(&rest.join(" "));
    }
    Done {
        fetched: true,
        ..Done::default()
    }
}

pub(super) fn copy(shell: &mut Shell, name: &str, args: Args<'_, '_>) -> Done {
    const SCP: Spec = Spec {
        short: "BbcDFiJloPRSsX",
        long: &[],
    };
    const RSYNC: Spec = Spec {
        short: "eBfMTo",
        long: &[
            "rsh",
            "rsync-path",
            "exclude",
            "include",
            "exclude-from",
            "include-from",
            "files-from",
            "filter",
            "port",
            "password-file",
            "bwlimit",
            "temp-dir",
            "compare-dest",
            "link-dest",
            "copy-dest",
            "backup-dir",
            "suffix",
            "max-size",
            "min-size",
            "timeout",
            "log-file",
            "chmod",
            "chown",
            "partial-dir",
            "info",
            "address",
        ],
    };
    let items = if name == "rsync" {
        RSYNC.items(args)
    } else {
        SCP.items(args)
    };
    for item in &items {
        if let Item::Option(option, Some(value)) = *item {
            match option {
                "e" | "rsh" => {
                    // The program is run with a host behind it; its own options may name others.
                    shell.read(&format!("{value} localhost"));
                }
                "S" | "D" | "rsync-path" => {
                    shell.read(value);
                }
                "J" => jumps(shell, name, value),
                "o" => ssh_option(shell, name, value),
                "i" | "password-file" | "files-from" => file(shell, value),
                "F" => shell.unclear("ssh reads more options from a file"),
                _ => {}
            }
        }
    }
    let words = words(&items);
    let last = words.len().saturating_sub(1);
    for (at, word) in words.iter().enumerate() {
        let target = at == last && at > 0;
        if url(shell, name, word, target) {
            continue;
        }
        if let Some(place) = place::of_scp(word) {
            shell.notes.contact(name, place, target);
        } else if name == "sftp" {
            shell.notes.contact(name, account(word), true);
        } else if target {
            shell.notes.write(&shell.scope.place(word));
        } else {
            file(shell, word);
        }
    }
    Done::default()
}

pub(super) fn connect(shell: &mut Shell, name: &str, args: Args<'_, '_>) -> Done {
    match name {
        "socat" | "socat1" => {
            for word in args.iter().filter(|word| !word.starts_with('-')) {
                socat(shell, word);
            }
        }
        "openssl" | "gnutls-cli" => openssl(shell, name, args),
        "psql" | "mysql" | "mariadb" | "redis-cli" | "mongosh" | "mongo" | "smbclient"
        | "ldapsearch" | "mosquitto_pub" | "mosquitto_sub" => client(shell, name, args),
        "sendmail" | "swaks" | "mail" => {
            shell.unclear("mail goes where the mail system sends it");
            client(shell, name, args);
        }
        _ => nc(shell, name, args),
    }
    Done::fetched()
}

fn nc(shell: &mut Shell, name: &str, args: Args<'_, '_>) {
    const NC: Spec = Spec {
        short: "pswqxXiIOTVePcgGmof",
        long: &[
            "exec",
            "sh-exec",
            "lua-exec",
            "source-port",
            "source",
            "wait",
            "delay",
            "idle-timeout",
            "output",
            "hex-dump",
            "max-conns",
            "proxy",
            "proxy-type",
            "proxy-auth",
            "proxy-dns",
            "ssl-cert",
            "ssl-key",
        ],
    };
    let items = NC.items(args);
    for item in &items {
        if let Item::Option(option, Some(value)) = *item {
            match option {
                "x" | "proxy" => host(shell, name, value, false),
                "e" | "c" | "exec" | "sh-exec" => {
                    shell.read(value);
                }
                _ => {}
            }
        }
    }
    let words = words(&items);
    let Some(first) = words.first() else {
        return;
    };
    // `nc -l 8080` listens.
    if first.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    if !url(shell, name, first, true) {
        let mut place = account(first);
        place.port = place
            .port
            .or_else(|| words.get(1).and_then(|port| port.parse().ok()));
        shell.notes.contact(name, place, true);
    }
}

fn socat(shell: &mut Shell, word: &str) {
    let (kind, rest) = word.split_once(':').unwrap_or((word, ""));
    let kind = kind.to_ascii_uppercase();
    if kind.contains("LISTEN") || kind.ends_with("-L") {
        return;
    }
    if matches!(kind.as_str(), "EXEC" | "SYSTEM" | "SHELL") {
        shell.read(rest.split(',').next().unwrap_or_default());
        return;
    }
    let address = rest.split(',').next().unwrap_or_default();
    if ["TCP", "UDP", "SCTP", "OPENSSL", "SSL", "DTLS", "DCCP", "IP"]
        .iter()
        .any(|start| kind.starts_with(start))
    {
        shell
            .notes
            .contact("socat", place::of_host_port(address), true);
    } else if kind.starts_with("SOCKS") || kind.starts_with("PROXY") {
        // SOCKS4:server:host:port
        let mut parts = address.split(':');
        for host in [parts.next(), parts.next()].into_iter().flatten() {
            shell
                .notes
                .contact("socat", place::of_host_port(host), true);
        }
    }
}

/// Options with one dash, each with its value behind it.
fn openssl(shell: &mut Shell, name: &str, args: Args<'_, '_>) {
    let mut rest = args;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let value = after.first().map_or("", |value| value);
        match &**first {
            "-connect" | "-proxy" | "-host" | "-unix" => {
                shell.notes.contact(name, place::of_host_port(value), true);
                rest = rest.get(1..).unwrap_or_default();
            }
            "-url" | "-server" => host(shell, name, value, true),
            "-in" | "-inkey" | "-key" | "-cert" => {
                if !url(shell, name, value, false) {
                    file(shell, value);
                }
            }
            word if name == "gnutls-cli" && !word.starts_with('-') => host(shell, name, word, true),
            word => {
                // `s_time`, `s_client` take the host as a bare word as well.
                if place::looks_like_host(word.split(':').next().unwrap_or_default())
                    && word.contains(':')
                {
                    shell.notes.contact(name, place::of_host_port(word), true);
                }
                url(shell, name, word, false);
            }
        }
    }
}

fn client(shell: &mut Shell, name: &str, args: Args<'_, '_>) {
    const CLIENT: Spec = Spec {
        short: "hHpUuPdcefnatsmSrLoDbw",
        long: &[
            "host", "port", "username", "user", "server", "password", "database", "to", "from",
        ],
    };
    for item in CLIENT.items(args) {
        match item {
            Item::Option("h" | "host" | "server", Some(value)) => {
                if !url(shell, name, value, true) {
                    shell.notes.contact(name, account(value), true);
                }
            }
            Item::Option("H" | "s" | "L" | "u", Some(value)) => {
                url(shell, name, value, true);
            }
            Item::Word(word) => {
                if let Some(share) = word.strip_prefix("//").filter(|_| name == "smbclient") {
                    shell.notes.contact(name, account(share), true);
                } else if !url(shell, name, word, true)
                    && let Some((_, value)) = word.split_once("host=").filter(|_| name == "psql")
                {
                    let value = value.split(' ').next().unwrap_or_default();
                    shell.notes.contact(name, account(value), true);
                }
            }
            Item::Option(..) => {}
        }
    }
}
