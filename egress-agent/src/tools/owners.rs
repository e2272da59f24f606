//! Who a call to a hosted service acts for: the many shapes in which an owner appears.
//!
//! Fields called owner, organisation, namespace and the like, as text or as an object; the first
//! half of a repository's full name; addresses of code hosts; `repo:OWNER/NAME`, `org:OWNER` and
//! `user:OWNER` in queries. Known gap: numeric ids, and names that only the service can resolve.

use std::collections::BTreeSet;

use serde_json::Value;

const OWNER_KEYS: &[&str] = &[
    "owner",
    "org",
    "orgs",
    "organization",
    "organisation",
    "repoowner",
    "ownerlogin",
    "ownername",
    "orgname",
    "organizationname",
    "namespace",
    "login",
];
const REPOSITORY_KEYS: &[&str] = &[
    "repository",
    "repositories",
    "repo",
    "repos",
    "fullname",
    "repositoryfullname",
    "repofullname",
    "namewithowner",
    "full",
    "slug",
    "project",
    "projectpath",
    "path_with_namespace",
    "pathwithnamespace",
    "headrepository",
    "baserepository",
    "reponame",
    "repositoryname",
];
/// Where the first part of the path is the owner, or the one after `repos`, `orgs` or `users`.
const CODE_HOSTS: &[&str] = &[
    "github.com",
    "api.github.com",
    "raw.githubusercontent.com",
    "codeload.github.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
];
/// Longer than any owner and its repository.
const LONGEST: usize = 256;

/// Every owner in the arguments, in lower case.
pub(crate) fn owners(input: &Value) -> BTreeSet<String> {
    let mut owners = BTreeSet::new();
    // The kind of the nearest key that says something: objects below `owner` name one.
    let mut open = vec![(Kind::Other, input)];
    while let Some((kind, value)) = open.pop() {
        match value {
            Value::String(text) => {
                match kind {
                    Kind::Owner => add(&mut owners, text.rsplit('/').next_back().unwrap_or(text)),
                    Kind::Repository => full_name(&mut owners, text),
                    Kind::Other => {}
                }
                in_text(&mut owners, text);
            }
            Value::Array(list) => open.extend(list.iter().map(|value| (kind, value))),
            Value::Object(fields) => open.extend(fields.iter().map(|(key, value)| {
                let own = kind_of(key);
                let is_name = matches!(own, Kind::Other) && is_name_key(key);
                (if is_name { kind } else { own }, value)
            })),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    owners
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Owner,
    Repository,
    Other,
}

fn kind_of(key: &str) -> Kind {
    let plain: String = key
        .chars()
        .take(64)
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if OWNER_KEYS.contains(&plain.as_str()) {
        Kind::Owner
    } else if REPOSITORY_KEYS.contains(&plain.as_str()) {
        Kind::Repository
    } else {
        Kind::Other
    }
}

/// What an object calls its own name.
fn is_name_key(key: &str) -> bool {
    [
        "name", "id", "key", "path", "value", "title", "handle", "username",
    ]
    .iter()
    .any(|known| key.eq_ignore_ascii_case(known))
}

fn add(owners: &mut BTreeSet<String>, text: &str) {
    let text = text.trim().trim_start_matches('@');
    if !text.is_empty() && text.len() <= LONGEST {
        owners.insert(decoded(text).to_ascii_lowercase());
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// `owner/name`.
fn full_name(owners: &mut BTreeSet<String>, text: &str) {
    if text.len() > LONGEST || text.contains("://") || text.contains(char::is_whitespace) {
        return;
    }
    let text = decoded(text);
    if let Some((owner, _)) = text.trim_start_matches('/').split_once('/') {
        add(owners, owner);
    }
}

fn in_text(owners: &mut BTreeSet<String>, text: &str) {
    let is_end = |c: char| c.is_whitespace() || "\"'`<>()[]{},;|".contains(c);
    for word in text.split(is_end).filter(|word| word.len() > 3) {
        for scope in ["repo:", "org:", "user:", "owner:"] {
            let lower = word.get(..scope.len()).map(str::to_ascii_lowercase);
            if lower.as_deref() == Some(scope)
                && let Some(rest) = word.get(scope.len()..)
            {
                add(owners, rest.split('/').next().unwrap_or(rest));
            }
        }
        if word.contains('.') {
            in_address(owners, word);
        }
    }
}

/// Owners in addresses of code hosts, wherever they stand in a word.
fn in_address(owners: &mut BTreeSet<String>, word: &str) {
    let lower = word.to_ascii_lowercase();
    for host in CODE_HOSTS {
        for (at, _) in lower.match_indices(host) {
            let is_start = lower
                .get(..at)
                .and_then(|before| before.chars().next_back())
                .is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '.');
            let rest = lower.get(at + host.len()..).unwrap_or_default();
            // A final dot and a port belong to the host.
            let rest = rest.trim_start_matches('.');
            let rest = match rest.strip_prefix(':') {
                Some(port) => port.trim_start_matches(|c: char| c.is_ascii_digit()),
                None => rest,
            };
            let (true, Some(path)) = (
                is_start,
                rest.strip_prefix(['/', ':', '\\']).or_else(|| {
                    // `git@github.com:owner/name` lost its colon above.
                    lower
                        .get(at + host.len()..)
                        .and_then(|rest| rest.strip_prefix(':'))
                }),
            ) else {
                continue;
            };
            let mut parts = path
                .split(['/', '\\', '?', '#', ':'])
                .filter(|part| !part.is_empty());
            let mut first = parts.next();
            while matches!(
                first,
                Some("repos" | "orgs" | "users" | "api" | "v4" | "projects")
            ) {
                first = parts.next();
            }
            if let Some(owner) = first {
                add(owners, owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a row of a table is made for it"
    )]
    fn check(input: Value, expected: &[&str]) {
        let got: Vec<_> = owners(&input).into_iter().collect();
        assert_eq!(got, expected, "{input}");
    }

    #[test]
    fn owners_are_found_in_every_shape() {
        for input in [
            json!({ "owner": "Evil" }),
            json!({ "owner": { "login": "evil" } }),
            json!({ "org": "evil", "page": 1 }),
            json!({ "organization": { "name": "evil" } }),
            json!({ "repoOwner": "evil" }),
            json!({ "repo_owner": "evil" }),
            json!({ "repository": "evil/x" }),
            json!({ "repository": { "full": "evil/x" } }),
            json!({ "repository": { "full_name": "evil/x" } }),
            json!({ "repository": { "owner": { "login": "evil" }, "name": "x" } }),
            json!({ "repository_full_name": "evil/x" }),
            json!({ "nameWithOwner": "evil/x" }),
            json!({ "repos": ["evil/x", "evil/y"] }),
            json!({ "url": "https://github.com/evil/x/pull/1" }),
            json!({ "text": "see (https://GitHub.com./%65vil/x)" }),
            json!({ "text": "git@github.com:evil/x.git" }),
            json!({ "text": "ssh://git@github.com:22/evil/x" }),
            json!({ "text": "https://api.github.com/repos/evil/x" }),
            json!({ "q": "is:open repo:evil/x" }),
            json!({ "q": "org:evil" }),
            json!({ "a": [[{ "b": { "owner": "@evil" } }]] }),
        ] {
            check(input, &["evil"]);
        }
    }

    #[test]
    fn what_names_no_owner_gives_none() {
        for input in [
            json!({ "state": "open", "title": "fix a/b" }),
            json!({ "path": "src/main.rs", "name": "x" }),
            json!({ "repo": "x" }),
            json!({ "text": "notgithub.com/evil" }),
            json!({ "text": "github.com" }),
        ] {
            check(input, &[]);
        }
    }
}
