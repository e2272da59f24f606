//! Interpreters with code on their command line: hosts and commands that stand in it as literals.
//!
//! # Known gaps
//!
//! Code may build any host at run time. Where it mentions the network or evaluates text, that is
//! said; the kernel decides.

use crate::shell::options::Args;
use crate::shell::place;
use crate::shell::run::{Done, Input, Shell, Stdin};
use crate::shell::word::is_fetched;

use super::{file, url};

/// Names, and the letters whose value is code.
const INTERPRETERS: &[(&str, &str)] = &[
    ("python", "c"),
    ("pypy", "c"),
    ("ipython", "c"),
    ("node", "ep"),
    ("nodejs", "ep"),
    ("ts-node", "ep"),
    ("tsx", "ep"),
    ("perl", "eE"),
    ("ruby", "e"),
    ("irb", "e"),
    ("php", "rBRE"),
    ("lua", "e"),
    ("luajit", "e"),
    ("Rscript", "e"),
    ("R", "e"),
    ("osascript", "e"),
    ("pwsh", "cC"),
    ("powershell", "cC"),
    ("julia", "eE"),
    ("elixir", "e"),
    ("erl", ""),
    ("groovy", "e"),
    ("scala", "e"),
    ("guile", "c"),
    ("racket", "e"),
    ("sbcl", ""),
    ("emacsclient", "e"),
    ("tclsh", ""),
    ("expect", "c"),
    ("gdb", "e"),
    ("qjs", "e"),
    ("raku", "e"),
];

fn code_letters(name: &str) -> Option<&'static str> {
    // `python3.12` is python.
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS
        .iter()
        .find(|(known, _)| *known == name || *known == base)
        .map(|(_, letters)| *letters)
}

pub(super) fn is_interpreter(name: &str) -> bool {
    code_letters(name).is_some()
}

pub(super) fn run(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: &Input) -> Done {
    let letters = code_letters(name).unwrap_or_default();
    let mut inline = false;
    let mut script = None;
    let mut rest = args;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let long = matches!(
            &**first,
            "--eval" | "--print" | "-Command" | "-command" | "--run" | "-eval"
        );
        if let Some(code) = first
            .strip_prefix("--eval=")
            .or_else(|| first.strip_prefix("--print="))
        {
            inline = true;
            read(shell, name, code);
        } else if let Some(flags) = first.strip_prefix('-').filter(|flags| !flags.is_empty()) {
            // `-rsocket`, `-MIO::Socket`: a library, not letters.
            let library = flags.starts_with(['r', 'M', 'I', 'W'])
                && !flags.starts_with(|first| letters.contains(first));
            let at = flags
                .find(|letter| letters.contains(letter))
                .filter(|_| !library);
            if long || (at.is_some() && !first.starts_with("--")) {
                inline = true;
                let attached = at.and_then(|at| flags.get(at + 1..)).unwrap_or_default();
                if !attached.is_empty() && !long {
                    read(shell, name, attached);
                }
                if (attached.is_empty() || attached.bytes().all(|byte| byte.is_ascii_alphabetic()))
                    && let Some((code, after)) = rest.split_first()
                {
                    read(shell, name, code);
                    rest = after;
                }
            } else if flags == "m" {
                inline = true;
                if let Some((module, arguments)) = after.split_first() {
                    // `python -m pip` is pip; of others their URLs are seen.
                    return shell.run(
                        &[std::slice::from_ref(module), arguments].concat(),
                        Input::default(),
                    );
                }
            }
        } else {
            script.get_or_insert(&**first);
            url(shell, name, first, false);
        }
    }
    match script {
        Some(path) if !inline && path != "-" => {
            let place = shell.scope.place(path);
            if is_fetched(path) || shell.scope.downloads.contains(&place) {
                shell
                    .notes
                    .executes(format!("{name} runs what was downloaded"));
            } else if let Some(text) = shell.scope.scripts.get(&place).cloned() {
                read(shell, name, &text);
            } else {
                file(shell, path);
            }
        }
        Some(path) if inline => {
            // Words behind the code are its own; a file among them may be read.
            if path.contains(['/', '.', '~']) {
                file(shell, path);
            }
        }
        Some(_) | None if inline => {}
        Some(_) | None => {
            if input.fetched {
                shell
                    .notes
                    .executes(format!("what is downloaded is piped into {name}"));
            }
        }
    }
    // A word that follows cannot take back what the pipe holds.
    if let Some(text) = &input.text {
        read(shell, name, text);
    }
    Done {
        stdin: (!inline).then_some(Stdin::Code),
        ..Done::default()
    }
}

/// Words of code that show that it goes to the network.
const NETWORK: &[&str] = &[
    "socket",
    "http",
    "urllib",
    "urlopen",
    "request",
    "fetch",
    "Net::",
    "LWP",
    "TCPSocket",
    "UDPSocket",
    "dns",
    "getaddrinfo",
    "gethostby",
    "connect",
    "ftp",
    "smtp",
    "WebSocket",
    "XMLHttp",
    "paramiko",
    "open-uri",
    "file_get_contents",
    "fsockopen",
    "curl",
    "/inet",
    "resolv",
    "aiohttp",
    "axios",
    "telnet",
    "download",
];

/// Words that show that it runs commands.
const COMMANDS: &[&str] = &[
    "system",
    "popen",
    "Popen",
    "subprocess",
    "exec",
    "spawn",
    "`",
    "%x",
    "qx",
    "shell",
    "run(",
    "getline",
    "| \"",
    "pty",
];

/// Words that show that it opens files: any text in it may be the name of one.
const FILES: &[&str] = &[
    "open(",
    "open ",
    "readFile",
    "createReadStream",
    "read_text",
    "read_bytes",
    "Path(",
    "File.",
    "IO.read",
    "file_get_contents",
    "readfile",
    "slurp",
    "copyfile",
    "copyFile",
    "io.lines",
];

/// Words that show that it builds what it does.
const BUILT: &[&str] = &[
    "eval(",
    "exec(",
    "__import__",
    "b64decode",
    "fromhex",
    "fromCharCode",
    "atob",
    "getattr(",
    "ctypes",
    "marshal",
    "codecs",
    "Buffer.from",
    "decode(",
    "unpack",
    "chr(",
    "bytes(",
    "[::-1]",
    "reverse",
];

fn mentions(code: &str, words: &[&str]) -> bool {
    words.iter().any(|word| code.contains(word))
}

/// Reads code of any language for what stands in it as text.
pub(in crate::shell) fn read(shell: &mut Shell, name: &str, code: &str) {
    shell.notes.code(name, code);
    if is_fetched(code) {
        shell
            .notes
            .executes(format!("{name} runs code that was downloaded"));
    }
    let network = mentions(code, NETWORK);
    let commands = mentions(code, COMMANDS);
    if network || mentions(code, BUILT) {
        shell
            .notes
            .unclear(format!("{name}: code may go where its text does not say"));
    }
    for place in embedded(code) {
        shell.notes.contact(name, place, false);
    }
    if let Some((_, rest)) = code.split_once("/inet") {
        // gawk: /inet/tcp/0/host/port
        if let Some(host) = rest.split('/').nth(3) {
            shell.notes.contact(name, place::of_host_port(host), true);
        }
    }
    if [
        "os.environ)",
        "process.env)",
        "%ENV",
        "ENV.to_h",
        "ENVIRON",
        "os.environ.items",
        "$_ENV",
        "getenv()",
        "Object.entries(process.env",
        "dict(os.environ",
    ]
    .iter()
    .any(|word| code.contains(word))
    {
        shell.notes.environment();
    }
    literals(shell, name, code, network, commands);
}

/// The places of all `scheme://…` in a text.
fn embedded(text: &str) -> Vec<place::Place> {
    let mut places = Vec::new();
    for (at, _) in text.match_indices("://") {
        let before = text.get(..at).unwrap_or_default().as_bytes();
        let start = at
            - before
                .iter()
                .rev()
                .take(24)
                .take_while(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
                })
                .count();
        let rest = text.get(start..).unwrap_or_default();
        let end = rest
            .bytes()
            .take(2048)
            .position(|byte| {
                matches!(
                    byte,
                    b'"' | b'\'' | b'`' | b' ' | b')' | b'\n' | b'>' | b'<' | b',' | b';' | b'}'
                )
            })
            .unwrap_or_else(|| rest.len().min(2048));
        let Some(one) = rest.get(..end) else { continue };
        places.extend(place::of_url(one));
    }
    places
}

/// Text in quotes: hosts, files, commands; and lists of them, which are commands in pieces.
fn literals(shell: &mut Shell, name: &str, code: &str, network: bool, commands: bool) {
    let files = mentions(code, FILES);
    let mut run: Vec<&str> = Vec::new();
    let mut gap_from = 0;
    let bytes = code.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let Some(length) = bytes.get(at..).and_then(|rest| {
            rest.iter()
                .position(|byte| matches!(byte, b'"' | b'\'' | b'`'))
        }) else {
            break;
        };
        let open = at + length;
        let quote = bytes.get(open).copied();
        let mut end = open + 1;
        while end < bytes.len() && bytes.get(end).copied() != quote {
            end += if bytes.get(end) == Some(&b'\\') { 2 } else { 1 };
        }
        let literal = code.get(open + 1..end.min(bytes.len())).unwrap_or_default();
        let gap = code.get(gap_from..open).unwrap_or_default();
        if !gap
            .bytes()
            .all(|byte| byte == b',' || byte.is_ascii_whitespace())
        {
            joined(shell, &mut run, commands);
        }
        run.push(literal);
        gap_from = end + 1;
        at = end + 1;
        one_literal(shell, name, literal, network, files);
    }
    joined(shell, &mut run, commands);
}

fn one_literal(shell: &mut Shell, name: &str, literal: &str, network: bool, files: bool) {
    if network {
        let host = literal.rsplit_once('@').map_or(literal, |(_, host)| host);
        let (before, port) = host.split_once(':').unwrap_or((host, ""));
        let bare = before.split('/').next().unwrap_or_default();
        let port = port.split('/').next().unwrap_or_default();
        let file_like = [
            ".py", ".json", ".js", ".ts", ".txt", ".html", ".md", ".rs", ".yml", ".yaml", ".toml",
            ".csv", ".xml", ".log",
        ]
        .iter()
        .any(|end| bare.ends_with(end));
        if place::looks_like_host(bare)
            && !file_like
            && (port.is_empty() || port.parse::<u16>().is_ok())
        {
            shell.notes.contact(
                name,
                place::Place {
                    host: bare.to_owned(),
                    port: port.parse().ok(),
                    owner: None,
                },
                false,
            );
        }
    }
    if literal.len() <= 256
        && (files || literal.contains('/') || literal.starts_with(['.', '~']))
        && !literal.contains([' ', '\n', ':', '<', '%'])
    {
        file(shell, literal);
    }
}

fn joined(shell: &mut Shell, run: &mut Vec<&str>, commands: bool) {
    if commands {
        let script = run
            .join(" ")
            .replace("\\\"", "\"")
            .replace("\\'", "'")
            .replace("\\n", "\n");
        if script.contains([' ', '\t']) || run.len() > 1 {
            shell.read(&script);
        }
    }
    run.clear();
}
