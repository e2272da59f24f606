//! git: where it reads from and writes to, and the settings that send it elsewhere.

use crate::shell::options::{Args, Item, Spec, words};
use crate::shell::place::{self, Place};
use crate::shell::run::{Done, Input, Shell};
use crate::shell::word::{UNKNOWN, is_known};

use super::file;

const GLOBAL: Spec = Spec {
    short: "Cc",
    long: &[
        "git-dir",
        "work-tree",
        "namespace",
        "exec-path",
        "config-env",
        "super-prefix",
        "attr-source",
    ],
};

/// Options of the verbs that go to the network.
const VERB: Spec = Spec {
    short: "bocujmtf",
    long: &[
        "branch",
        "origin",
        "config",
        "upload-pack",
        "receive-pack",
        "exec",
        "depth",
        "reference",
        "template",
        "jobs",
        "filter",
        "separate-git-dir",
        "server-option",
        "push-option",
        "repo",
        "remote",
        "output",
        "format",
        "name",
        "shallow-since",
        "shallow-exclude",
        "refmap",
        "recurse-submodules",
        "strategy",
        "strategy-option",
        "to",
        "smtp-server",
        "message",
    ],
};

pub(super) fn run(shell: &mut Shell, args: Args<'_, '_>) -> Done {
    let (options, rest) = GLOBAL.leading(args);
    let mut directory = None;
    for option in options {
        match option {
            Item::Option("C", Some(value)) => directory = Some(within(directory, value)),
            // git finds the repository from inside of it too.
            Item::Option("git-dir", Some(value)) => directory = Some(within(directory, value)),
            Item::Option("c", Some(setting)) => {
                if let Some((key, value)) = setting.split_once('=') {
                    configured(shell, key, value);
                }
            }
            Item::Option("exec-path", Some(_)) => {
                shell.unclear("git runs programs of another directory");
            }
            Item::Option(..) | Item::Word(_) => {}
        }
    }
    let directory = directory.as_deref();
    let Some((verb, args)) = rest.split_first() else {
        return Done::default();
    };
    if !is_known(verb) {
        shell.unclear("git: the verb is made at run time");
        super::urls(shell, "git", args);
        return Done::default();
    }
    match &**verb {
        "clone" | "fetch" | "pull" | "ls-remote" | "archive" | "request-pull" | "fetch-pack"
        | "http-fetch" => {
            transfer(shell, verb, args, directory, false);
        }
        "push" | "send-pack" | "http-push" => transfer(shell, verb, args, directory, true),
        "remote" => remote(shell, args),
        "submodule" | "subtree" | "svn" | "p4" | "lfs" | "annex" => {
            for word in words(&VERB.items(args)) {
                repository(
                    shell,
                    word,
                    &**verb == "subtree" && args.iter().any(|it| it == "push"),
                );
            }
            if let Some(at) = args.iter().position(|it| it == "foreach") {
                let command = args.get(at + 1..).unwrap_or_default();
                let script: Vec<&str> = command
                    .iter()
                    .map(|it| &**it)
                    .filter(|it| !it.starts_with("--"))
                    .collect();
                shell.read(&script.join(" "));
            }
        }
        "config" => {
            let items = Spec {
                short: "f",
                long: &["file", "type", "default", "comment", "blob"],
            }
            .items(args);
            let words = words(&items);
            let words: &[&str] = match words.as_slice() {
                ["set", rest @ ..] => rest,
                all => all,
            };
            if let [key, value, ..] = words {
                configured(shell, key, value);
            }
            if args.iter().any(|arg| arg == "-l" || arg == "--list") {
                file(shell, ".git/config");
            }
        }
        "credential" if args.first().is_some_and(|arg| arg == "fill") => {
            file(shell, "~/.git-credentials");
        }
        "bisect" if args.first().is_some_and(|arg| arg == "run") => {
            return shell.run(args.get(1..).unwrap_or_default(), Input::default());
        }
        "rebase" => {
            for item in (Spec {
                short: "xsX",
                long: &["exec", "onto", "strategy"],
            })
            .items(args)
            {
                if let Item::Option("x" | "exec", Some(command)) = item {
                    shell.read(command);
                }
            }
        }
        "filter-branch" => {
            for command in args.iter().filter(|arg| !arg.starts_with('-')) {
                shell.read(command);
            }
        }
        "send-email" | "imap-send" => shell.unclear("git sends mail"),
        "show" | "cat-file" | "diff" | "checkout" | "blame" | "grep" | "add" | "log"
        | "restore" | "archive-file" => {
            for arg in args.iter().filter(|arg| !arg.starts_with('-')) {
                let path = arg.split_once(':').map_or(&**arg, |(_, path)| path);
                if path.contains(['.', '/', UNKNOWN]) && !path.contains(' ') {
                    file(shell, path);
                }
            }
        }
        _ => {}
    }
    Done::default()
}

/// A directory that is given below another one.
fn within(outer: Option<String>, inner: &str) -> String {
    match outer {
        Some(outer) if !inner.starts_with(['/', '~']) => format!("{outer}/{inner}"),
        Some(_) | None => inner.to_owned(),
    }
}

fn configured(shell: &mut Shell, key: &str, value: &str) {
    let lower = key.to_ascii_lowercase();
    let last = lower.rsplit('.').next().unwrap_or_default();
    if let Some(base) = lower.strip_prefix("url.").and_then(|rest| {
        rest.strip_suffix(".insteadof")
            .or_else(|| rest.strip_suffix(".pushinsteadof"))
    }) {
        // `url.BASE.insteadOf`: the base is where it goes, in the case in which it stands.
        let written = key.get(4..4 + base.len()).unwrap_or(base);
        repository(shell, written, lower.ends_with("pushinsteadof"));
    } else if last == "proxy" || lower == "http.proxy" {
        super::host(shell, "git", value, false);
    } else if lower.starts_with("remote.") && matches!(last, "url" | "pushurl") {
        repository(shell, value, true);
    } else if lower.starts_with("submodule.") && last == "url" {
        repository(shell, value, false);
    } else if let Some(command) = value.strip_prefix('!') {
        shell.read(command);
    } else if matches!(
        lower.as_str(),
        "core.sshcommand"
            | "core.gitproxy"
            | "core.pager"
            | "core.editor"
            | "sequence.editor"
            | "core.fsmonitor"
            | "core.askpass"
            | "diff.external"
            | "gpg.program"
            | "credential.helper"
            | "uploadpack.packobjectshook"
    ) || lower.starts_with("alias.")
        || lower.starts_with("filter.")
        || lower.starts_with("pager.")
    {
        if lower.starts_with("alias.") {
            shell.read(&format!("git {value}"));
        } else {
            shell.read(value);
        }
    } else if lower == "core.hookspath" {
        shell.unclear("git runs hooks of another directory");
    }
}

fn transfer(
    shell: &mut Shell,
    verb: &str,
    args: Args<'_, '_>,
    directory: Option<&str>,
    writes: bool,
) {
    let spec = if writes || verb == "clone" {
        VERB
    } else {
        Spec {
            short: "jo",
            ..VERB
        }
    };
    // `push -u`, `-f` take no value; `clone -u` does.
    let spec = if writes {
        Spec { short: "o", ..spec }
    } else {
        spec
    };
    let items = spec.items(args);
    let mut named = false;
    let mut forced = false;
    for item in &items {
        match *item {
            Item::Option("upload-pack" | "receive-pack" | "exec", Some(command)) => {
                shell.read(command);
            }
            Item::Option("u", Some(command)) if verb == "clone" => {
                shell.read(command);
            }
            Item::Option("c" | "config", Some(setting)) if verb == "clone" => {
                if let Some((key, value)) = setting.split_once('=') {
                    configured(shell, key, value);
                }
            }
            Item::Option("repo" | "remote", Some(value)) => {
                named = true;
                if !repository(shell, value, writes) && !value.contains('/') {
                    named_remote(shell, value, writes, directory);
                }
            }
            Item::Option("f" | "force" | "mirror", None) => forced = true,
            Item::Option(..) | Item::Word(_) => {}
        }
    }
    let words = words(&items);
    // What follows the repository is branches (`feature:refs/heads/feature`) or a directory.
    let all_are_repositories = matches!(verb, "request-pull" | "archive")
        || items.contains(&Item::Option("multiple", None));
    for (at, word) in words.iter().enumerate() {
        let first = at == 0;
        if !first && !all_are_repositories && place::url(word).is_none() {
            continue;
        }
        let place = repository(shell, word, writes);
        if first && !place && !word.contains(['/', '.']) && verb != "clone" && verb != "archive" {
            named_remote(shell, word, writes, directory);
        }
        if first && !place && !is_known(word) {
            shell.unclear("git: the repository is made at run time");
        }
        named |= first;
    }
    if !named && verb != "archive" {
        named_remote(shell, "", writes, directory);
    }
    let protected = |word: &&str| {
        let branch = word.trim_start_matches('+');
        let branch = branch.rsplit_once(':').map_or(branch, |(_, branch)| branch);
        matches!(
            branch,
            "main" | "master" | "refs/heads/main" | "refs/heads/master"
        )
    };
    if writes
        && words
            .iter()
            .skip(1)
            .any(|word| protected(word) && (forced || word.starts_with('+')))
    {
        shell.notes.act("force-push to a protected branch");
    }
}

fn remote(shell: &mut Shell, args: Args<'_, '_>) {
    let words = words(
        &Spec {
            short: "tm",
            long: &[],
        }
        .items(args),
    );
    match words.as_slice() {
        ["add" | "set-url", rest @ ..] => {
            for word in rest {
                repository(shell, word, true);
            }
        }
        ["update" | "show" | "prune", rest @ ..] => {
            for word in rest {
                if !repository(shell, word, false) {
                    shell.notes.remote(word, false, None);
                }
            }
        }
        _ => {}
    }
}

/// A remote that only the repository in `directory` knows.
fn named_remote(shell: &mut Shell, name: &str, writes: bool, directory: Option<&str>) {
    let directory = shell.scope.place(directory.unwrap_or("."));
    let directory = (directory != ".").then_some(directory);
    shell.notes.remote(name, writes, directory.as_deref());
}

/// Notes a repository's place; `false` for a path or a name.
fn repository(shell: &mut Shell, word: &str, writes: bool) -> bool {
    match Repository::read(word) {
        Repository::Command(command) => {
            shell.read(&command);
        }
        Repository::Places(places) => {
            for place in places {
                shell.notes.contact("git", place, writes);
            }
        }
        Repository::Local => return false,
    }
    true
}

/// A repository in the forms of git (gitremote-helpers(7), git-fetch(1) "GIT URLS").
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repository {
    /// `ext::COMMAND`.
    Command(String),
    /// Several where readers of URLs disagree.
    Places(Vec<Place>),
    /// A path, or a name that the settings of a repository explain.
    Local,
}

impl Repository {
    pub(crate) fn read(word: &str) -> Self {
        if let Some(command) = word.strip_prefix("ext::") {
            return Self::Command(command.replace("% ", " "));
        }
        // `transport::address` runs git-remote-transport.
        let word = match word.split_once("::") {
            Some((transport, address))
                if transport.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                address
            }
            Some(_) | None => word,
        };
        let places = place::of_url(word);
        if !places.is_empty() {
            return Self::Places(with_owner(word, places));
        }
        if word.starts_with(['/', '.', '~', '-', '+']) || !word.contains(':') {
            return Self::Local;
        }
        let Some(place) = place::of_scp(word) else {
            return Self::Local;
        };
        // `main:main` is a branch; a host has a dot, an account, or a path behind it.
        if !word.contains('@') && !place.host.contains('.') && !word.contains('/') {
            return Self::Local;
        }
        if place.host.starts_with("refs") || place.host == "HEAD" {
            return Self::Local;
        }
        Self::Places(vec![place])
    }
}

/// `ssh://git@host:owner/x`: what stands where a port would is the owner.
fn with_owner(word: &str, places: Vec<Place>) -> Vec<Place> {
    let (_, rest) = place::url(word).unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    let owner = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
        .split_once(':')
        .map(|(_, port)| port)
        .filter(|port| !port.is_empty() && port.parse::<u16>().is_err());
    let owned = |place: Place| {
        let owner = owner.map_or(place.owner, |owner| Some(owner.to_owned()));
        Place { owner, ..place }
    };
    places.into_iter().map(owned).collect()
}
