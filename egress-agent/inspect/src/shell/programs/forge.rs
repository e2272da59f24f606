//! gh and its kin: reads and writes of a forge, by owner.

use crate::shell::options::{Args, Item, Spec, words};
use crate::shell::place::{self, Place};
use crate::shell::run::{Done, Shell};

use super::file;

const GH: Spec = Spec {
    short: "RBHtbFflaAmrpXqdDLSsceounTj",
    long: &[
        "repo",
        "hostname",
        "title",
        "body",
        "body-file",
        "base",
        "head",
        "label",
        "assignee",
        "milestone",
        "reviewer",
        "project",
        "method",
        "field",
        "raw-field",
        "input",
        "header",
        "jq",
        "template",
        "json",
        "limit",
        "state",
        "author",
        "search",
        "notes",
        "notes-file",
        "target",
        "description",
        "homepage",
        "team",
        "gitignore",
        "license",
        "remote",
        "branch",
        "env",
        "org",
        "user",
        "visibility",
        "subject",
        "match-head-commit",
        "cache",
        "preview",
        "source",
        "clone",
        "web-url",
        "key",
        "ref",
        "workflow",
        "dir",
        "pattern",
        "output",
        "tag",
    ],
};

/// Nouns that only look.
const READ_NOUNS: &[&str] = &[
    "search",
    "browse",
    "status",
    "auth",
    "config",
    "alias",
    "extension",
    "help",
    "version",
    "completion",
];

const READ_VERBS: &[&str] = &[
    "view", "list", "clone", "status", "diff", "checkout", "download", "browse", "search", "ls",
    "get", "cat", "read", "show", "checks", "watch", "verify",
];

pub(super) fn run(shell: &mut Shell, name: &str, args: Args<'_, '_>) -> Done {
    // In gh api the letters differ: -F and -f carry fields, -H a header.
    let items = GH.items(args);
    let words = words(&items);
    let noun = words.first().copied().unwrap_or_default();
    let verb = words.get(1).copied().unwrap_or_default();
    if noun.is_empty() {
        return Done::default();
    }
    let default_host = if name == "glab" {
        "gitlab.com"
    } else {
        "github.com"
    };
    let mut hosts: Vec<&str> = Vec::new();
    let mut owners: Vec<String> = Vec::new();
    let mut written: Vec<Place> = Vec::new();
    let mut method: Option<&str> = None;
    let mut methods_write = false;
    let mut fields = false;
    let mut input = String::new();
    for item in &items {
        let Item::Option(option, value) = *item else {
            continue;
        };
        let value = value.unwrap_or_default();
        match option {
            "R" | "repo" | "org" | "o" | "template" | "p" if noun != "api" => {
                if option == "template" || option == "p" {
                    if noun == "repo" {
                        owned(value, &mut owners, &mut written);
                    }
                } else if option == "o" || option == "org" {
                    owners.extend(place::owner(value));
                } else {
                    owned(value, &mut owners, &mut written);
                }
            }
            "hostname" => hosts.push(value),
            "X" | "method" => {
                method = Some(value);
                methods_write |=
                    !value.eq_ignore_ascii_case("get") && !value.eq_ignore_ascii_case("head");
            }
            "f" | "F" | "field" | "raw-field" | "input" => {
                fields = true;
                input.push_str(value);
                input.push(' ');
                if let Some((_, path)) = value.split_once("=@") {
                    file(shell, path);
                } else if option == "input" || (noun != "api" && option == "F") {
                    file(shell, value);
                }
            }
            _ => {}
        }
    }
    let writes = match noun {
        "api" => {
            for endpoint in words.iter().skip(1) {
                endpoint_owner(endpoint, &mut owners, &mut written);
            }
            if verb.trim_start_matches('/') == "graphql" {
                input.contains("mutation") || input.contains('@') || input.contains("query=$")
            } else {
                methods_write || (fields && method.is_none_or(|it| !it.eq_ignore_ascii_case("get")))
            }
        }
        noun if READ_NOUNS.contains(&noun) => false,
        _ => !READ_VERBS.contains(&verb),
    };
    for word in words.iter().skip(1) {
        if place::url(word).is_some() {
            written.extend(place::of_url(word));
        } else if noun == "repo" && word.contains('/') {
            owned(word, &mut owners, &mut written);
        }
    }
    acts(shell, noun, verb, &words, writes, &input);
    if noun == "auth"
        && (verb == "token" || args.iter().any(|arg| arg == "--show-token" || arg == "-t"))
    {
        file(shell, "~/.config/gh/hosts.yml");
    }
    if noun == "alias" && verb == "set" {
        for word in words.iter().skip(2) {
            shell.read(word.strip_prefix('!').unwrap_or(word));
        }
    }
    if noun == "extension" && matches!(verb, "install" | "exec" | "upgrade") {
        shell.unclear("gh runs an extension");
    }
    for place in &written {
        shell.notes.contact(name, place.clone(), writes);
    }
    if name != "glab" && is_gist(noun, &words) {
        hosts.push("gist.github.com");
    }
    if hosts.is_empty()
        && (written.is_empty() || !owners.is_empty())
        && noun != "config"
        && noun != "help"
        && noun != "version"
        && noun != "completion"
        && noun != "alias"
    {
        hosts.push(default_host);
    }
    for host in hosts {
        let mut place = place::of_host_port(host);
        if owners.is_empty() {
            shell.notes.contact(name, place.clone(), writes);
        }
        for owner in &owners {
            place.owner = Some(owner.clone());
            shell.notes.contact(name, place.clone(), writes);
        }
    }
    Done::fetched()
}

/// Gists belong to whoever is logged in, whatever the owner of the work is; the place that shows
/// them stands for them.
fn is_gist(noun: &str, words: &[&str]) -> bool {
    let is_endpoint = |word: &&str| {
        let path = place::url(word).map_or(*word, |(_, rest)| {
            rest.split_once('/').map_or("", |(_, path)| path)
        });
        path.trim_start_matches('/').split(['/', '?']).next() == Some("gists")
    };
    noun == "gist" || (noun == "api" && words.iter().skip(1).any(is_endpoint))
}

/// `OWNER/NAME`, `HOST/OWNER/NAME`, or a URL.
fn owned(text: &str, owners: &mut Vec<String>, places: &mut Vec<Place>) {
    let urls = place::of_url(text);
    if !urls.is_empty() {
        places.extend(urls);
        return;
    }
    if let Some(place) = place::of_scp(text) {
        places.push(place);
        return;
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [host, owner, _, ..] => places.push(Place {
            host: (*host).to_owned(),
            port: None,
            owner: Some((*owner).to_owned()),
        }),
        [owner, _] => owners.push((*owner).to_owned()),
        _ => {}
    }
}

fn endpoint_owner(endpoint: &str, owners: &mut Vec<String>, places: &mut Vec<Place>) {
    let urls = place::of_url(endpoint);
    let path = if urls.is_empty() {
        endpoint.trim_start_matches('/')
    } else {
        place::url(endpoint)
            .and_then(|(_, rest)| rest.split_once('/'))
            .map_or("", |(_, path)| path)
    };
    let mut parts = path.split(['/', '?']).filter(|part| !part.is_empty());
    let owner = match parts.next() {
        Some("repos" | "orgs" | "users") => parts.next().map(str::to_owned),
        Some(_) | None => None,
    };
    for place in urls {
        places.push(Place {
            owner: owner.clone(),
            ..place
        });
    }
    owners.extend(owner);
}

fn acts(shell: &mut Shell, noun: &str, verb: &str, words: &[&str], writes: bool, input: &str) {
    match (noun, verb) {
        ("pr" | "mr", "merge") => shell.notes.act("merge of a pull request"),
        ("release", "create" | "edit" | "delete" | "upload") => shell.notes.act("release"),
        ("repo", "delete" | "archive" | "rename" | "edit") => {
            shell.notes.act("change of a repository's settings");
        }
        ("secret" | "variable", "set" | "delete" | "remove") => {
            shell.notes.act("change of a repository's secrets");
        }
        ("ssh-key" | "gpg-key" | "deploy-key", "add") => shell.notes.act("new key of an account"),
        ("api", _) if writes => {
            let path = words.get(1).copied().unwrap_or_default();
            let path = path
                .split('?')
                .next()
                .unwrap_or_default()
                .trim_end_matches('/');
            if path.ends_with("/merge") && path.contains("pulls/") {
                shell.notes.act("merge of a pull request");
            } else if path.ends_with("/merges")
                && (input.contains("base=main") || input.contains("base=master"))
            {
                shell.notes.act("merge into a protected branch");
            } else if input.contains("mergePullRequest") {
                shell.notes.act("merge of a pull request");
            }
        }
        _ => {}
    }
}
