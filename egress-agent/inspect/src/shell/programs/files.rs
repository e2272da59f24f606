//! Programs that work on files and text, and those of which nothing is known.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use crate::shell::options::{Args, Item, Spec, words};
use crate::shell::place;
use crate::shell::run::{Done, Input, Shell};
use crate::shell::word::{UNKNOWN, is_known};

use super::{code, download, file, url};

/// Programs whose words, all of them, are files.
const READERS: &[&str] = &[
    "cat",
    "bat",
    "batcat",
    "head",
    "tail",
    "less",
    "more",
    "most",
    "view",
    "vi",
    "vim",
    "nvim",
    "nano",
    "emacs",
    "ed",
    "file",
    "hexdump",
    "xxd",
    "od",
    "strings",
    "nl",
    "tac",
    "column",
    "rev",
    "fold",
    "expand",
    "unexpand",
    "base64",
    "base32",
    "basenc",
    "split",
    "csplit",
    "fmt",
    "pr",
    "join",
    "comm",
    "paste",
    "cut",
    "sort",
    "uniq",
    "cmp",
    "diff",
    "zcat",
    "gzip",
    "gunzip",
    "bzcat",
    "bzip2",
    "xz",
    "xzcat",
    "zstd",
    "zstdcat",
    "ls",
    "ll",
    "tree",
    "stat",
    "du",
    "wc",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "shasum",
    "md5",
    "cksum",
    "b2sum",
    "readlink",
    "realpath",
    "tar",
    "zip",
    "cpio",
    "pax",
    "ditto",
    "gpg",
    "age",
    "7z",
    "cp",
    "mv",
    "install",
    "ln",
    "patch",
    "iconv",
    "pv",
    "sponge",
    "exa",
    "eza",
    "lsd",
    "code",
    "subl",
    "unzip",
    "shuf",
    "ssh-add",
    "ssh-keygen",
    "dd",
    "source-highlight",
];

/// The first word is what to look for or to do, the rest are files.
const SEARCHERS: &[&str] = &[
    "grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "sed", "gsed", "awk", "gawk", "mawk",
    "nawk", "jq", "yq", "xmllint", "sd", "fd", "tr",
];

const WRITERS: &[&str] = &[
    "rm", "touch", "mkdir", "rmdir", "chmod", "chown", "chgrp", "tee", "truncate", "shred",
    "unlink", "mktemp", "setfacl", "chattr",
];

/// They read and write no file by their words.
const QUIET: &[&str] = &[
    "true",
    "false",
    ":",
    "test",
    "[",
    "[[",
    "seq",
    "sleep",
    "wait",
    "kill",
    "pkill",
    "jobs",
    "fg",
    "bg",
    "pwd",
    "umask",
    "ulimit",
    "unset",
    "shift",
    "return",
    "exit",
    "break",
    "continue",
    "which",
    "type",
    "whereis",
    "man",
    "help",
    "id",
    "whoami",
    "uname",
    "date",
    "hostname",
    "ps",
    "top",
    "free",
    "df",
    "uptime",
    "history",
    "expr",
    "let",
    "basename",
    "dirname",
    "tput",
    "clear",
    "in",
    "popd",
    "dirs",
    "shopt",
    "hash",
    "getopts",
    "yes",
    "nproc",
    "arch",
    "groups",
    "case",
    "command",
    "apropos",
    "info",
    "tldr",
    "lsof",
    "pgrep",
    "pidof",
    "then",
    "do",
    "fi",
    "done",
    "esac",
    "function",
    "figlet",
    "cowsay",
    "printenv",
    "compgen",
    "logger",
    "wall",
    "notify-send",
    "say",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Own,
    Quiet,
    Searcher,
    Writer,
    Reader,
}

/// One look-up instead of a search through every table.
static KINDS: LazyLock<BTreeMap<(usize, &str), Kind>> = LazyLock::new(|| {
    let mut kinds = BTreeMap::new();
    // Earlier tables go before later ones.
    for (names, kind) in [
        (READERS, Kind::Reader),
        (WRITERS, Kind::Writer),
        (SEARCHERS, Kind::Searcher),
        (QUIET, Kind::Quiet),
        (&["echo", "printf", "find"], Kind::Own),
    ] {
        kinds.extend(names.iter().map(|name| ((name.len(), *name), kind)));
    }
    kinds
});

fn kind(name: &str) -> Option<Kind> {
    KINDS.get(&(name.len(), name)).copied()
}

pub(super) fn is_text_tool(name: &str) -> bool {
    kind(name).is_some()
}

pub(super) fn text_tool(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: Input) -> Done {
    match name {
        "echo" => return echo(args),
        "printf" => return printf(shell, args),
        "find" => return find(shell, args),
        "true" | "false" | ":" | "test" | "[" | "sleep" | "wait" | "return" | "exit" | "break"
        | "continue" => return Done::output(String::new()),
        _ => match kind(name) {
            Some(Kind::Quiet) => return Done::default(),
            Some(Kind::Searcher) => searcher(shell, name, args),
            Some(Kind::Writer) => writer(shell, name, args, &input),
            Some(Kind::Reader | Kind::Own) | None => reader(shell, name, args),
        },
    }
    let decodes = args.iter().any(|arg| {
        matches!(&**arg, "-d" | "-D" | "--decode" | "-r")
            || (name == "xxd" && arg.starts_with("-r"))
    });
    let output = match (name, input.text) {
        ("base64", Some(text)) if decodes => decoded(&text),
        ("xxd", Some(text)) if decodes => HEXLOWER_PERMISSIVE
            .decode(text.split_whitespace().collect::<String>().as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()),
        ("rev", Some(text)) => Some(
            text.lines()
                .map(|line| line.chars().rev().collect::<String>())
                .collect::<Vec<_>>()
                .join("\n"),
        ),
        ("cat" | "tee" | "head" | "tail" | "sort" | "uniq" | "pv" | "sponge", Some(text)) => {
            Some(text)
        }
        _ => None,
    };
    Done {
        output,
        ..Done::default()
    }
}

fn decoded(text: &str) -> Option<String> {
    let text: String = text.split_whitespace().collect();
    BASE64
        .decode(text.as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

fn echo(args: Args<'_, '_>) -> Done {
    let is_option = |arg: &str| {
        arg.strip_prefix('-').is_some_and(|letters| {
            !letters.is_empty() && letters.bytes().all(|byte| b"neE".contains(&byte))
        })
    };
    let skip = args.iter().take_while(|arg| is_option(arg)).count();
    let (options, words) = args.split_at_checked(skip).unwrap_or_default();
    let letters = || options.iter().flat_map(|option| option.chars());
    let length: usize = words.iter().map(|word| word.len()).sum();
    if length > 64 * 1024 || !words.iter().all(|word| is_known(word)) {
        return Done::default();
    }
    let mut text = words.join(" ");
    if text.contains('\\') && letters().rfind(|letter| *letter != 'n') == Some('e') {
        text = escaped(&text);
    }
    if !letters().any(|letter| letter == 'n') {
        text.push('\n');
    }
    Done::output(text)
}

/// The escapes of echo -e and printf.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        let (radix, most) = match letters.peek() {
            Some('x') => (16, 2),
            Some('0'..='7') => (8, 4),
            Some('n') => {
                letters.next();
                out.push('\n');
                continue;
            }
            Some('t') => {
                letters.next();
                out.push('\t');
                continue;
            }
            _ => {
                out.extend(letters.next());
                continue;
            }
        };
        if radix == 16 {
            letters.next();
        }
        let mut code = 0;
        for _ in 0..most {
            let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(radix)) else {
                break;
            };
            code = code * radix + digit;
            letters.next();
        }
        out.push(
            char::from_u32(code)
                .filter(|c| *c > '\u{5}')
                .unwrap_or(UNKNOWN),
        );
    }
    out
}

fn printf(shell: &mut Shell, args: Args<'_, '_>) -> Done {
    let (variable, rest) = match args {
        [option, variable, rest @ ..] if option == "-v" => (Some(variable), rest),
        [option, rest @ ..] if option == "--" => (None, rest),
        rest => (None, rest),
    };
    let Some((format, values)) = rest.split_first() else {
        return Done::default();
    };
    let length: usize = rest.iter().map(|word| word.len()).sum();
    let formats = format.matches('%').count();
    if length > 64 * 1024
        || !rest.iter().all(|word| is_known(word))
        || formats != format.matches("%s").count()
    {
        if let Some(variable) = variable {
            shell.scope.set(variable, UNKNOWN.to_string());
        }
        return Done::default();
    }
    let format = escaped(format);
    let mut out = String::new();
    let mut values = values.iter();
    loop {
        let before = values.len();
        let mut parts = format.split("%s");
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            if let Some(value) = values.next() {
                out.push_str(value);
            }
            out.push_str(part);
        }
        if values.len() == 0 || values.len() == before || out.len() > 64 * 1024 {
            break;
        }
    }
    if let Some(variable) = variable {
        shell.scope.set(variable, out);
        return Done::output(String::new());
    }
    Done::output(out)
}

fn find(shell: &mut Shell, args: Args<'_, '_>) -> Done {
    let mut done = Done::default();
    let starts: Vec<&str> = args
        .iter()
        .map(|arg| &**arg)
        .take_while(|arg| !arg.starts_with(['-', '(', '!']))
        .collect();
    for start in &starts {
        file(shell, start);
    }
    let mut rest = args;
    let mut found = starts.first().copied().unwrap_or(".").to_owned();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match &**first {
            "-name" | "-iname" | "-path" | "-wholename" => {
                if let Some(name) = after.first() {
                    found = format!("{}/{name}", starts.first().copied().unwrap_or("."));
                    file(shell, &found.clone());
                }
            }
            "-delete" => shell.notes.write(&found),
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let end = after
                    .iter()
                    .position(|arg| arg == ";" || arg == "+")
                    .unwrap_or(after.len());
                let command: Vec<_> = after
                    .get(..end)
                    .unwrap_or_default()
                    .iter()
                    .map(|arg| {
                        if arg.contains("{}") {
                            arg.replace("{}", &found).into()
                        } else {
                            arg.clone()
                        }
                    })
                    .collect();
                done.fetched |= shell.run(&command, Input::default()).fetched;
                rest = after.get(end..).unwrap_or_default();
            }
            _ => {}
        }
    }
    done
}

fn searcher(shell: &mut Shell, name: &str, args: Args<'_, '_>) {
    const SPEC: Spec = Spec {
        short: "efABCmgtTvFd",
        long: &[
            "regexp",
            "file",
            "expression",
            "include",
            "exclude",
            "exclude-dir",
            "glob",
            "type",
            "arg",
            "argjson",
        ],
    };
    let awk = name.ends_with("awk");
    let spec = if awk {
        SPEC
    } else {
        Spec {
            short: "efABCmgtTd",
            ..SPEC
        }
    };
    let items = spec.items(args);
    let given = items.iter().any(|item| {
        matches!(
            item,
            Item::Option("e" | "f" | "regexp" | "file" | "expression", Some(_))
        )
    });
    for item in &items {
        if let Item::Option("f" | "file", Some(path)) = item {
            file(shell, path);
        }
    }
    let words = words(&items);
    if awk && let Some(program) = words.first() {
        code::read(shell, "awk", program);
    }
    let skip = usize::from(!given || name == "jq");
    let edits = name.ends_with("sed")
        && items
            .iter()
            .any(|item| matches!(item, Item::Option("i" | "in-place", _)));
    for word in words.iter().skip(skip) {
        file(shell, word);
        if edits {
            shell.notes.write(&shell.scope.place(word));
        }
    }
}

fn writer(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: &Input) {
    for word in args.iter().filter(|arg| !arg.starts_with('-')) {
        let path = shell.scope.place(word);
        if name == "tee" {
            if let Some(text) = &input.text {
                shell.wrote(&path, text);
            }
            if input.fetched {
                download(shell, word);
            }
            if shell.device(word) {
                continue;
            }
        }
        shell.notes.write(&path);
    }
}

fn reader(shell: &mut Shell, name: &str, args: Args<'_, '_>) {
    let copies = matches!(name, "cp" | "mv" | "install" | "ln");
    let words: Vec<&str> = args
        .iter()
        .map(|arg| &**arg)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    for (at, word) in words.iter().enumerate() {
        let target = copies && at > 0 && at + 1 == words.len();
        if target {
            let path = shell.scope.place(word);
            shell.notes.write(&path);
            copied(shell, &words, &path);
        } else if name == "dd" {
            if let Some(path) = word.strip_prefix("of=") {
                if !shell.device(path) {
                    shell.notes.write(&shell.scope.place(path));
                }
            } else if let Some(path) = word.strip_prefix("if=")
                && !shell.device(path)
            {
                file(shell, path);
            }
        } else if name.starts_with("vi") || name == "nvim" {
            match word
                .strip_prefix("+!")
                .or_else(|| word.strip_prefix("!"))
                .or_else(|| word.strip_prefix(":!"))
            {
                Some(command) => {
                    shell.read(command);
                }
                None => file(shell, word),
            }
        } else if !shell.device(word) {
            file(shell, word);
        }
    }
    for value in args
        .iter()
        .filter_map(|arg| arg.split_once('=').filter(|_| arg.starts_with("--")))
    {
        match value {
            (
                "--to-command"
                | "--use-compress-program"
                | "--unzip-command"
                | "--rsh-command"
                | "--compress-program"
                | "--filter",
                command,
            ) => {
                shell.read(command);
            }
            ("--checkpoint-action", action) => {
                if let Some(command) = action.strip_prefix("exec=") {
                    shell.read(command);
                }
            }
            ("--files0-from" | "--from-file" | "--files-from", path) => file(shell, path),
            _ => {}
        }
    }
    for (option, command) in args.iter().zip(args.iter().skip(1)) {
        if matches!((name, &**option), ("tar", "-I" | "-F") | ("zip", "-TT")) {
            shell.read(command);
        }
    }
}

/// A copy of a download, or of a script, is one as well.
fn copied(shell: &mut Shell, words: &[&str], target: &str) {
    for word in words.iter().take(64) {
        let from = shell.scope.place(word);
        if shell.scope.downloads.contains(&from) {
            shell.scope.downloads.insert(target.to_owned());
        }
        if let Some(text) = shell.scope.scripts.get(&from).cloned() {
            shell.wrote(target, &text);
        }
    }
}

/// A program of which nothing is known: its URLs, and what looks like a path.
pub(super) fn other(shell: &mut Shell, name: &str, args: Args<'_, '_>) -> Done {
    for arg in args {
        if url(shell, name, arg, false) {
            continue;
        }
        let value = match arg.split_once('=') {
            Some((_, value)) => value,
            None if arg.starts_with('-') => continue,
            None => arg,
        };
        let value = value.strip_prefix('@').unwrap_or(value);
        if let Some((host, port)) = value.rsplit_once(':')
            && port.parse::<u16>().is_ok()
            && place::looks_like_host(host)
        {
            shell.notes.contact(name, place::of_host_port(value), false);
        } else if value.contains(['/', '.', '~']) && !value.contains(' ') {
            file(shell, value);
        }
    }
    Done::default()
}
