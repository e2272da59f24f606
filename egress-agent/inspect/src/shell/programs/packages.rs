//! Package managers: other registries, repositories as sources, packages that are run.

use crate::shell::options::Args;
use crate::shell::place;
use crate::shell::run::{Done, Input, Shell};

use super::{file, host, url};

/// Options whose value is a place even without a scheme.
const PLACES: &[&str] = &[
    "--index-url",
    "-i",
    "--extra-index-url",
    "--find-links",
    "-f",
    "--proxy",
    "--trusted-host",
    "--registry",
    "--index",
    "--default-index",
    "--git",
    "--source",
    "--repository-url",
    "--host",
    "--mirror",
    "--server",
    "--http-proxy",
    "--https-proxy",
    "--keyserver",
];

/// Verbs that send a package out.
fn publishes(name: &str, verb: &str) -> bool {
    matches!(
        (name, verb),
        (
            "npm"
                | "pnpm"
                | "yarn"
                | "bun"
                | "cargo"
                | "poetry"
                | "uv"
                | "pdm"
                | "hatch"
                | "rye"
                | "flit"
                | "deno",
            "publish" | "unpublish" | "yank"
        ) | ("gem" | "helm" | "nuget", "push")
            | ("twine", "upload")
            | ("mvn", "deploy")
    )
}

/// `cargo publish --dry-run`: right behind the verb, where it is nobody's value, and never undone.
fn is_rehearsal(args: Args<'_, '_>, verb: &str) -> bool {
    let mut after = args.iter().skip_while(|arg| **arg != verb).skip(1);
    after.next().is_some_and(|arg| *arg == "--dry-run")
        && args.iter().filter(|arg| arg.contains("dry-run")).count() == 1
}

pub(super) fn run(shell: &mut Shell, name: &str, args: Args<'_, '_>, input: Input) -> Done {
    let verb = args
        .iter()
        .find(|arg| !arg.starts_with(['-', '+']))
        .map_or("", |verb| verb);
    let writes = publishes(name, verb);
    if writes && !is_rehearsal(args, verb) {
        shell.notes.act("publication of a package");
    }
    let mut rest = args;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if let Some((option, value)) = first.split_once('=')
            && PLACES.contains(&option)
        {
            place_of(shell, name, option, value, writes);
        } else if PLACES.contains(&&**first) {
            let value = after.first().map_or("", |value| value);
            place_of(shell, name, first, value, writes);
        } else {
            source(shell, name, first, writes);
        }
    }
    match (name, verb) {
        ("go", "get" | "install" | "run") => modules(shell, args),
        ("npm" | "pnpm" | "yarn" | "bun", "config" | "set")
            if args.iter().any(|arg| arg == "registry") =>
        {
            for arg in args.iter().filter(|arg| arg.contains('.')) {
                host(shell, name, arg, false);
            }
        }
        (
            "npm" | "pnpm" | "yarn" | "bun" | "uv" | "poetry" | "pdm" | "pipenv" | "rye" | "hatch"
            | "bundle" | "mise" | "deno" | "conda" | "mamba" | "pipx",
            "exec" | "run" | "x" | "dlx",
        ) => {
            let at = args
                .iter()
                .position(|arg| **arg == *verb)
                .map_or(0, |at| at + 1);
            let after = args.get(at..).unwrap_or_default();
            // `npm run build`: the name of a script; run as a command it raises nothing.
            let skip = after.iter().take_while(|arg| arg.starts_with('-')).count();
            return shell.run(after.get(skip..).unwrap_or_default(), input);
        }
        ("npx" | "pnpx" | "bunx" | "uvx", _) => {
            for (option, value) in args.iter().zip(args.iter().skip(1)) {
                if matches!(&**option, "-c" | "--call") {
                    shell.read(value);
                }
            }
        }
        ("nix-shell" | "nix", _) => {
            for (option, value) in args.iter().zip(args.iter().skip(1)) {
                if matches!(&**option, "--run" | "--command" | "-c") {
                    shell.read(value);
                }
            }
        }
        ("rustup", "run") => return shell.run(args.get(2..).unwrap_or_default(), input),
        _ => {}
    }
    Done::default()
}

fn place_of(shell: &mut Shell, name: &str, option: &str, value: &str, writes: bool) {
    let short = option.len() == 2;
    if value.starts_with(['.', '/', '~']) {
        file(shell, value);
        return;
    }
    if url(shell, name, value, writes) {
        return;
    }
    // `git@host:owner/x`, `host.tld/x`.
    if let Some(place) = place::of_scp(value).filter(|_| value.contains('@')) {
        shell.notes.contact(name, place, writes);
    } else if !short && place::looks_like_host(value.split(['/', ':']).next().unwrap_or_default()) {
        host(shell, name, value, writes);
    }
}

/// A package that is named by where it lies: `git+https://…`, `x@git+ssh://…`, `owner/x`.
fn source(shell: &mut Shell, name: &str, word: &str, writes: bool) {
    if url(shell, name, word, writes) {
        return;
    }
    for part in word.split([' ', '@']) {
        if url(shell, name, part, writes) {
            return;
        }
    }
    if let Some(place) = place::of_scp(word).filter(|_| word.contains('@') && word.contains(".git"))
    {
        shell.notes.contact(name, place, writes);
        return;
    }
    let npm = matches!(name, "npm" | "npx" | "pnpm" | "yarn" | "bun");
    let forge = match word.split_once(':') {
        Some(("github", path)) => Some(("github.com", path)),
        Some(("gitlab", path)) => Some(("gitlab.com", path)),
        Some(("bitbucket", path)) => Some(("bitbucket.org", path)),
        Some(("gist", path)) => Some(("gist.github.com", path)),
        Some(_) | None => None,
    };
    if let Some((host, path)) = forge.filter(|_| npm || name == "nix") {
        let owner = place::owner(path);
        let host = host.to_owned();
        let place = place::Place {
            host,
            port: None,
            owner,
        };
        shell.notes.contact(name, place, writes);
    }
}

/// `go get host.tld/path`.
fn modules(shell: &mut Shell, args: Args<'_, '_>) {
    for arg in args.iter().skip(1).filter(|arg| !arg.starts_with('-')) {
        let first = arg.split(['/', '@']).next().unwrap_or_default();
        if arg.contains('/') && place::looks_like_host(first) {
            host(
                shell,
                "go",
                arg.split('@').next().unwrap_or_default(),
                false,
            );
        }
    }
}
