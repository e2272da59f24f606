//! Programs that fetch URLs.

use crate::shell::options::{Args, Item, Spec, words};
use crate::shell::place;
use crate::shell::run::{Done, Shell};

use super::{download, file, host, url};

const CURL: Spec = Spec {
    short: "AbcCdDeEFHhKmoPQrtTuUwxXyYz",
    long: &[
        "abstract-unix-socket",
        "alt-svc",
        "aws-sigv4",
        "cacert",
        "capath",
        "cert",
        "cert-type",
        "ciphers",
        "config",
        "connect-timeout",
        "connect-to",
        "continue-at",
        "cookie",
        "cookie-jar",
        "create-file-mode",
        "crlfile",
        "curves",
        "data",
        "data-ascii",
        "data-binary",
        "data-raw",
        "data-urlencode",
        "delegation",
        "dns-interface",
        "dns-ipv4-addr",
        "dns-ipv6-addr",
        "dns-servers",
        "doh-url",
        "dump-header",
        "ech",
        "egd-file",
        "engine",
        "etag-compare",
        "etag-save",
        "expect100-timeout",
        "form",
        "form-string",
        "ftp-account",
        "ftp-alternative-to-user",
        "ftp-method",
        "ftp-port",
        "happy-eyeballs-timeout-ms",
        "haproxy-clientip",
        "header",
        "hostpubmd5",
        "hostpubsha256",
        "hsts",
        "interface",
        "ip-tos",
        "ipfs-gateway",
        "json",
        "keepalive-time",
        "key",
        "key-type",
        "krb",
        "libcurl",
        "limit-rate",
        "local-port",
        "login-options",
        "mail-auth",
        "mail-from",
        "mail-rcpt",
        "max-filesize",
        "max-redirs",
        "max-time",
        "netrc-file",
        "noproxy",
        "oauth2-bearer",
        "output",
        "output-dir",
        "parallel-max",
        "pass",
        "pinnedpubkey",
        "preproxy",
        "proto",
        "proto-default",
        "proto-redir",
        "proxy",
        "proxy-cacert",
        "proxy-cert",
        "proxy-header",
        "proxy-key",
        "proxy-pass",
        "proxy-user",
        "proxy1.0",
        "quote",
        "random-file",
        "range",
        "rate",
        "referer",
        "request",
        "request-target",
        "resolve",
        "retry",
        "retry-delay",
        "retry-max-time",
        "sasl-authzid",
        "service-name",
        "socks4",
        "socks4a",
        "socks5",
        "socks5-gssapi-service",
        "socks5-hostname",
        "speed-limit",
        "speed-time",
        "stderr",
        "telnet-option",
        "tftp-blksize",
        "time-cond",
        "tls-max",
        "tls13-ciphers",
        "tlspassword",
        "tlsuser",
        "trace",
        "trace-ascii",
        "trace-config",
        "unix-socket",
        "upload-file",
        "upload-flags",
        "url",
        "url-query",
        "user",
        "user-agent",
        "variable",
        "vlan-priority",
        "write-out",
    ],
};

pub(super) fn curl(shell: &mut Shell, args: Args<'_, '_>) -> Done {
    let items = CURL.items(args);
    let mut writes = false;
    for item in &items {
        let Item::Option(name, value) = *item else {
            continue;
        };
        let value = value.unwrap_or_default();
        match name {
            "d" | "data" | "data-ascii" | "data-binary" | "data-raw" | "data-urlencode" | "F"
            | "form" | "form-string" | "json" | "url-query" | "b" | "cookie" | "H" | "header" => {
                writes |= !matches!(name, "b" | "cookie" | "url-query" | "H" | "header");
                if let Some((_, path)) = value.split_once('@').filter(|(before, _)| {
                    before.is_empty() || before.ends_with('=') || name == "data-urlencode"
                }) {
                    file(shell, path.split(';').next().unwrap_or_default());
                } else if let Some((_, path)) = value.split_once("=<") {
                    file(shell, path);
                }
            }
            "T" | "upload-file" => {
                writes = true;
                file(shell, value);
            }
            "X" | "request" => {
                writes |= !matches!(
                    value.to_ascii_uppercase().as_str(),
                    "GET" | "HEAD" | "OPTIONS"
                );
            }
            "mail-from" | "mail-rcpt" | "Q" | "quote" => writes = true,
            "E" | "cert" | "key" | "netrc-file" => file(shell, value),
            "K" | "config" => {
                file(shell, value);
                shell.unclear("curl reads more options from a file");
            }
            "x" | "proxy" | "preproxy" | "proxy1.0" | "socks4" | "socks4a" | "socks5"
            | "socks5-hostname" | "doh-url" | "ipfs-gateway" | "url" => {}
            "dns-servers" => {
                for server in value.split(',') {
                    shell
                        .notes
                        .contact("curl", place::of_host_port(server), false);
                }
            }
            "resolve" => resolve(shell, value),
            "connect-to" => {
                // HOST1:PORT1:HOST2:PORT2
                if let Some((_, target)) = value
                    .split_once(':')
                    .and_then(|(_, rest)| rest.split_once(':'))
                {
                    shell
                        .notes
                        .contact("curl", place::of_host_port(target), false);
                }
            }
            "o" | "output" => download(shell, value),
            _ => {}
        }
    }
    for item in &items {
        match *item {
            Item::Option(
                "x" | "proxy" | "preproxy" | "proxy1.0" | "socks4" | "socks4a" | "socks5"
                | "socks5-hostname" | "doh-url" | "ipfs-gateway",
                Some(value),
            ) => host(shell, "curl", value, false),
            Item::Option("url", Some(word)) | Item::Word(word) => page(shell, "curl", word, writes),
            Item::Option(..) => {}
        }
    }
    let saves_by_name = items.iter().any(|item| {
        matches!(
            item,
            Item::Option("O" | "remote-name" | "J" | "remote-name-all", _)
        )
    });
    if saves_by_name {
        saved_by_name(shell, &words(&items));
    }
    Done::fetched()
}

/// `HOST:PORT:ADDRESS[,ADDRESS]`
fn resolve(shell: &mut Shell, value: &str) {
    let rest = value
        .split_once(':')
        .and_then(|(_, rest)| rest.split_once(':'));
    let Some((port, addresses)) = rest else {
        return;
    };
    for address in addresses.split(',') {
        let host = address.trim_matches(['[', ']', '+']).to_owned();
        let port = port.parse().ok();
        shell.notes.contact(
            "curl",
            place::Place {
                host,
                port,
                owner: None,
            },
            false,
        );
    }
}

fn page(shell: &mut Shell, program: &str, word: &str, writes: bool) {
    if let Some(path) = word.strip_prefix("file://") {
        file(shell, path);
    }
    host(shell, program, word, writes);
}

fn saved_by_name(shell: &mut Shell, words: &[&str]) {
    for word in words {
        let path = word.split(['?', '#']).next().unwrap_or_default();
        if let Some((_, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) {
            download(shell, name);
        }
    }
}

const WGET: Spec = Spec {
    short: "aeoiBtOTwQPUlADRIXnS",
    long: &[
        "append-output",
        "execute",
        "output-file",
        "input-file",
        "base",
        "tries",
        "output-document",
        "timeout",
        "wait",
        "quota",
        "directory-prefix",
        "user-agent",
        "level",
        "accept",
        "domains",
        "reject",
        "include-directories",
        "exclude-directories",
        "post-data",
        "post-file",
        "body-data",
        "body-file",
        "method",
        "header",
        "referer",
        "user",
        "password",
        "http-user",
        "http-password",
        "ftp-user",
        "ftp-password",
        "load-cookies",
        "save-cookies",
        "certificate",
        "private-key",
        "ca-certificate",
        "config",
        "dns-servers",
        "bind-address",
        "limit-rate",
        "waitretry",
        "dns-timeout",
        "connect-timeout",
        "read-timeout",
        "proxy-user",
        "proxy-password",
        "cut-dirs",
        "default-page",
        "max-redirect",
        "exclude-domains",
        "accept-regex",
        "reject-regex",
        "follow-tags",
        "ignore-tags",
        "secure-protocol",
        "use-askpass",
        "hsts-file",
        "local-encoding",
        "remote-encoding",
    ],
};

pub(super) fn wget(shell: &mut Shell, args: Args<'_, '_>) -> Done {
    // `-S` and `-n…` are letters without a value; `n` takes the letter behind it.
    let spec = Spec {
        short: "aeoiBtOTwQPUlADRIXn",
        ..WGET
    };
    let items = spec.items(args);
    let mut writes = false;
    let mut saved = false;
    for item in &items {
        let Item::Option(name, value) = *item else {
            continue;
        };
        let value = value.unwrap_or_default();
        match name {
            "post-data" | "body-data" => writes = true,
            "post-file" | "body-file" => {
                writes = true;
                file(shell, value);
            }
            "method" => {
                writes |= !value.eq_ignore_ascii_case("get") && !value.eq_ignore_ascii_case("head");
            }
            "e" | "execute" => {
                if let Some((key, value)) = value.split_once('=')
                    && key.trim().to_ascii_lowercase().ends_with("_proxy")
                {
                    host(shell, "wget", value.trim(), false);
                }
                if value.contains("use_askpass") {
                    shell.unclear("wget runs a program of its options");
                }
            }
            "i" | "input-file" if !url(shell, "wget", value, false) => {
                file(shell, value);
                shell.unclear("wget reads its URLs from a file");
            }
            "B" | "base" => host(shell, "wget", value, false),
            "dns-servers" => {
                for server in value.split(',') {
                    host(shell, "wget", server, false);
                }
            }
            "config" => shell.unclear("wget reads more options from a file"),
            "use-askpass" => {
                shell.read(value);
            }
            "O" | "output-document" => {
                saved = true;
                if value != "-" {
                    download(shell, value);
                }
            }
            _ => {}
        }
    }
    let words = words(&items);
    for word in &words {
        page(shell, "wget", word, writes);
    }
    if !saved {
        saved_by_name(shell, &words);
    }
    Done::fetched()
}

/// Words that are URLs, or names of hosts, of programs with options of many kinds.
pub(super) fn browser(shell: &mut Shell, name: &str, args: Args<'_, '_>) -> Done {
    const SPEC: Spec = Spec {
        short: "ceosdxtuHTkmpPjO",
        long: &["out", "dir", "output", "timeout", "header", "split"],
    };
    let opener = matches!(name, "open" | "xdg-open" | "sensible-browser");
    for item in SPEC.items(args) {
        match item {
            Item::Word(word) if url(shell, name, word, false) => {}
            Item::Word(word) if opener => file(shell, word),
            Item::Word(word)
                if place::looks_like_host(word.split(['/', ':']).next().unwrap_or_default()) =>
            {
                host(shell, name, word, false);
            }
            Item::Word(_) => {}
            Item::Option(option, Some(value)) => {
                url(shell, name, value, false);
                if option == "o" || option == "out" || option == "output" {
                    download(shell, value);
                }
                if name == "lftp" && (option == "c" || option == "e") {
                    lftp(shell, value);
                }
            }
            Item::Option(_, None) => {}
        }
    }
    Done::fetched()
}

fn lftp(shell: &mut Shell, script: &str) {
    for command in script.split([';', '\n']) {
        let mut words = command.split_whitespace();
        let first = words.next();
        for word in words {
            if !url(shell, "lftp", word, false) && first == Some("open") {
                host(shell, "lftp", word, false);
            }
        }
    }
}

pub(super) fn httpie(shell: &mut Shell, name: &str, args: Args<'_, '_>) -> Done {
    const SPEC: Spec = Spec {
        short: "aAopsP",
        long: &[
            "auth",
            "output",
            "session",
            "proxy",
            "timeout",
            "verify",
            "print",
            "style",
            "pretty",
            "cert",
            "auth-type",
        ],
    };
    let items = SPEC.items(args);
    for item in &items {
        if let Item::Option("proxy", Some(value)) = item {
            // PROTOCOL:URL
            host(
                shell,
                name,
                value.split_once(':').map_or(*value, |(_, rest)| rest),
                false,
            );
        }
    }
    let mut words = words(&items).into_iter();
    let mut method = None;
    let mut target = words.next();
    if let Some(word) = target
        && word.len() <= 8
        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
        && word != "localhost"
    {
        method = Some(word);
        target = words.next();
    }
    let fields = words.collect::<Vec<_>>();
    for field in &fields {
        if let Some((_, path)) = field.split_once('@') {
            file(shell, path);
        }
    }
    let writes = method.map_or(
        fields
            .iter()
            .any(|field| field.contains('=') && !field.contains("==")),
        |method| !method.eq_ignore_ascii_case("get") && !method.eq_ignore_ascii_case("head"),
    );
    if let Some(target) = target.or(method) {
        let local = format!("localhost{target}");
        let target = if target.starts_with(':') {
            &local
        } else {
            target
        };
        host(shell, name, target, writes);
    }
    Done::fetched()
}
