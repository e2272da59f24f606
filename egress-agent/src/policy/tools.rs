//! Section `tools`: which tool calls are let through, as they are meant.
//!
//! With `extends`, what restricts adds up: denials, confirmations, names, paths, scopes of owners,
//! and the greater certainty. Lists that allow (connectors, local servers) add up too, as the
//! allow rules of `network` do; where git may write is what both allow.

use super::{
    check::Checker,
    extend::add_new,
    file,
    glob::{Glob, Globs},
    name::Name,
    problem::quote,
    text::Place,
};

/// Names that sound like the network, when a policy lists none.
pub(crate) const NETWORK_NAMES: &[&str] = &[
    "mcp__*fetch*",
    "mcp__*http*",
    "mcp__*send*",
    "mcp__*upload*",
    "mcp__*webhook*",
];

/// Where programs keep credentials below a home directory.
pub(crate) const HOME: &[&str] = &[
    ".ssh",
    ".aws",
    ".azure",
    ".gnupg",
    ".config/op",
    ".config/gcloud",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".kube",
    ".netrc",
    ".pypirc",
    ".npmrc",
    ".git-credentials",
    ".gem/credentials",
    ".cargo/credentials.toml",
    ".anthropic",
    ".claude/.tokens",
    ".claude/.credentials.json",
    ".codex/auth.json",
];

/// Files of a project that hold secrets.
pub(crate) const PROJECT: &[&str] = &[
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "id_rsa*",
    "id_ed25519*",
    "id_ecdsa*",
    "id_dsa*",
    ".npmrc",
    ".pypirc",
    ".netrc",
    ".git-credentials",
    "credentials.db",
];

/// Section `tools`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSettings {
    pub url_tools: Globs,
    /// What is allowed among connectors, and for whom.
    pub connectors: Vec<Connector>,
    /// What is a connector besides.
    pub connector_tools: Globs,
    /// Restrict any tool that they fit; they allow nothing.
    pub owner_scopes: Vec<Connector>,
    /// With `_` for `-`.
    pub local_servers: Vec<String>,
    pub network_names: Globs,
    pub deny: Globs,
    pub confirm: Globs,
    pub git: GitScope,
    /// Relative paths, matched wherever they stand in a path.
    pub home: Vec<String>,
    /// Names of files; `*` stands for any text.
    pub project: Globs,
    pub unclear: Unclear,
}

/// Tools and the owners, in lower case, that they may act for; `None` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    pub tools: Globs,
    pub owners: Option<Vec<String>>,
}

/// Where git may write; `None` for anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitScope {
    pub owners: Option<Vec<String>>,
    pub hosts: Option<Vec<Name>>,
}

/// What happens when it cannot be told what a command reaches. Greater is stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unclear {
    /// The kernel decides.
    #[default]
    Allow,
    Ask,
    Deny,
}

impl From<file::Unclear> for Unclear {
    fn from(written: file::Unclear) -> Self {
        match written {
            file::Unclear::Allow => Self::Allow,
            file::Unclear::Ask => Self::Ask,
            file::Unclear::Deny => Self::Deny,
        }
    }
}

impl ToolSettings {
    /// Whether a tool belongs to a server of this machine: `mcp__SERVER__TOOL`.
    pub fn is_local(&self, tool: &str) -> bool {
        server(tool).is_some_and(|server| self.local_servers.contains(&server))
    }
}

/// The server of an MCP tool, with `_` for `-`: agents write both.
pub(crate) fn server(tool: &str) -> Option<String> {
    let (server, _) = tool.strip_prefix("mcp__")?.split_once("__")?;
    Some(server.replace('-', "_"))
}

/// The settings of this file and of the policies that it extends.
pub(super) fn settings(
    c: &mut Checker<'_>,
    tools: Option<&file::Tools>,
    base: Option<&ToolSettings>,
    place: &Place<'_>,
) -> ToolSettings {
    let none = file::Tools::default();
    let tools = match (tools, base) {
        (Some(tools), _) => tools,
        (None, Some(base)) => return base.clone(),
        (None, None) => &none,
    };
    let git = place.key("git");
    let paths = place.key("sensitive_paths");
    let own = ToolSettings {
        url_tools: globs(c, &tools.url_tools, &place.key("url_tools")),
        connectors: connectors(c, &tools.connectors, &place.key("connectors")),
        connector_tools: globs(c, &tools.connector_tools, &place.key("connector_tools")),
        owner_scopes: scopes(c, &tools.owner_scopes, &place.key("owner_scopes")),
        local_servers: servers(c, &tools.local_servers, &place.key("local_servers")),
        network_names: match &tools.network_names {
            Some(names) => globs(c, names, &place.key("network_names")),
            None => built_in(NETWORK_NAMES),
        },
        deny: globs(c, &tools.deny, &place.key("deny")),
        confirm: globs(c, &tools.confirm, &place.key("confirm")),
        git: GitScope {
            owners: tools
                .git
                .owners
                .as_ref()
                .map(|list| owners(c, list, &git.key("owners"))),
            hosts: tools
                .git
                .hosts
                .as_ref()
                .map(|list| hosts(c, list, &git.key("hosts"))),
        },
        home: match &tools.sensitive_paths.home {
            Some(list) => home(c, list, &paths.key("home")),
            None => HOME.iter().map(|path| (*path).to_owned()).collect(),
        },
        project: match &tools.sensitive_paths.project {
            Some(list) => globs(c, list, &paths.key("project")),
            None => built_in(PROJECT),
        },
        unclear: tools
            .shell
            .unclear
            .map_or_else(Unclear::default, Unclear::from),
    };
    match base {
        Some(base) => join(own, base.clone()),
        None => own,
    }
}

/// What holds when one policy extends another, or a third one extends both.
pub(super) fn join(mut own: ToolSettings, base: ToolSettings) -> ToolSettings {
    let ToolSettings {
        url_tools,
        connectors,
        connector_tools,
        owner_scopes,
        local_servers,
        network_names,
        deny,
        confirm,
        git,
        home,
        project,
        unclear,
    } = base;
    own.url_tools.extend(url_tools);
    add_new(&mut own.connectors, connectors);
    own.connector_tools.extend(connector_tools);
    add_new(&mut own.owner_scopes, owner_scopes);
    add_new(&mut own.local_servers, local_servers);
    own.network_names.extend(network_names);
    own.deny.extend(deny);
    own.confirm.extend(confirm);
    own.git = GitScope {
        owners: both(own.git.owners, git.owners),
        hosts: both(own.git.hosts, git.hosts),
    };
    add_new(&mut own.home, home);
    own.project.extend(project);
    own.unclear = own.unclear.max(unclear);
    own
}

/// What two lists of what is allowed both hold.
fn both<T: PartialEq>(own: Option<Vec<T>>, base: Option<Vec<T>>) -> Option<Vec<T>> {
    match (own, base) {
        (Some(mut own), Some(base)) => {
            own.retain(|entry| base.contains(entry));
            Some(own)
        }
        (own, base) => own.or(base),
    }
}

fn built_in(globs: &[&str]) -> Globs {
    // INVARIANT: every one of them is a pattern; a test reads them all.
    globs
        .iter()
        .filter_map(|glob| Glob::parse(glob).ok())
        .collect()
}

fn globs(c: &mut Checker<'_>, texts: &[String], place: &Place<'_>) -> Globs {
    let texts = texts.iter().enumerate();
    texts
        .filter_map(|(index, text)| {
            Glob::parse(text)
                .map_err(|error| {
                    let help = "write literal text; `*` stands for any text";
                    let message = format!("{}: {error}", quote(text));
                    c.error(&place.index(index), message, Some(help));
                })
                .ok()
        })
        .collect()
}

fn connectors(c: &mut Checker<'_>, list: &[file::Connector], place: &Place<'_>) -> Vec<Connector> {
    let list = list.iter().enumerate();
    list.map(|(index, connector)| {
        let at = place.index(index);
        Connector {
            tools: named_tools(c, &connector.tools, &at),
            owners: connector
                .owners
                .as_ref()
                .map(|list| owners(c, list, &at.key("owners"))),
        }
    })
    .collect()
}

fn scopes(c: &mut Checker<'_>, list: &[file::OwnerScope], place: &Place<'_>) -> Vec<Connector> {
    let list = list.iter().enumerate();
    list.map(|(index, scope)| {
        let at = place.index(index);
        Connector {
            tools: named_tools(c, &scope.tools, &at),
            owners: Some(owners(c, &scope.owners, &at.key("owners"))),
        }
    })
    .collect()
}

/// An entry without tools would look as if it did something.
fn named_tools(c: &mut Checker<'_>, texts: &[String], place: &Place<'_>) -> Globs {
    if texts.is_empty() {
        c.error(
            place,
            "the entry names no tools",
            Some("add `tools`, such as `[\"mcp__github__*\"]`"),
        );
    }
    globs(c, texts, &place.key("tools"))
}

fn owners(c: &mut Checker<'_>, list: &[String], place: &Place<'_>) -> Vec<String> {
    let list = list.iter().enumerate();
    list.filter_map(|(index, owner)| {
        let is_stray = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if owner.is_empty() || owner.len() > 100 || owner.contains(is_stray) {
            let message = format!("{} is not the name of an owner", quote(owner));
            let help = "write the user or organisation as it stands in the address";
            c.error(&place.index(index), message, Some(help));
            return None;
        }
        Some(owner.to_ascii_lowercase())
    })
    .collect()
}

fn hosts(c: &mut Checker<'_>, list: &[String], place: &Place<'_>) -> Vec<Name> {
    let list = list.iter().enumerate();
    list.filter_map(|(index, host)| {
        Name::parse(host)
            .map_err(|error| {
                let help = "write one host name, such as `github.com`";
                let message = format!("{}: {error}", quote(host));
                c.error(&place.index(index), message, Some(help));
            })
            .ok()
    })
    .collect()
}

fn servers(c: &mut Checker<'_>, list: &[String], place: &Place<'_>) -> Vec<String> {
    let list = list.iter().enumerate();
    list.filter_map(|(index, server)| {
        let is_stray = |c: char| c.is_whitespace() || c.is_control() || c == '*';
        if server.is_empty() || server.contains(is_stray) || server.contains("__") {
            let message = format!("{} is not the name of a server", quote(server));
            let help = "write the part between `mcp__` and the next `__`, without stars";
            c.error(&place.index(index), message, Some(help));
            return None;
        }
        Some(server.replace('-', "_"))
    })
    .collect()
}

fn home(c: &mut Checker<'_>, list: &[String], place: &Place<'_>) -> Vec<String> {
    let list = list.iter().enumerate();
    list.filter_map(|(index, path)| {
        let is_plain = !path.contains(|c: char| c.is_control() || "*?[~$\\".contains(c))
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_plain {
            let message = format!("{} is not a path below a home directory", quote(path));
            let help = "write it as `.ssh` or `.config/gcloud`";
            c.error(&place.index(index), message, Some(help));
            return None;
        }
        Some(path.clone())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Policy, *};

    fn read(tools: &str) -> Result<Policy, String> {
        let text = format!(r#"{{ "version": 1, "tools": {tools} }}"#);
        Policy::parse(&text, "p").map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn what_is_built_in_can_be_read() {
        for glob in NETWORK_NAMES.iter().chain(PROJECT) {
            assert!(Glob::parse(glob).is_ok(), "{glob}");
        }
    }

    #[test]
    fn an_absent_section_has_the_built_in_lists_and_allows_no_connector() {
        let policy = Policy::parse(r#"{ "version": 1 }"#, "p").unwrap();
        let tools = policy.tools();
        assert!(tools.network_names.is_match("mcp__x__http_post"));
        assert!(tools.project.is_match(".env"));
        assert_eq!(tools.home.len(), HOME.len());
        assert!(tools.connectors.is_empty());
        assert_eq!(tools.unclear, Unclear::Allow);
        assert_eq!(tools, read("{}").unwrap().tools());
    }

    #[test]
    fn a_written_list_takes_the_place_of_the_built_in_one() {
        let policy = read(
            r#"{ "network_names": [], "sensitive_paths": { "home": [".ssh"], "project": ["*.secret"] } }"#,
        )
        .unwrap();
        let tools = policy.tools();
        assert!(!tools.network_names.is_match("mcp__x__http_post"));
        assert_eq!(tools.home, [".ssh"]);
        assert!(tools.project.is_match("a.secret") && !tools.project.is_match(".env"));
    }

    #[test]
    fn servers_are_local_by_their_whole_name() {
        let policy = read(r#"{ "local_servers": ["bridge-db"] }"#).unwrap();
        let is_local = |tool| policy.tools().is_local(tool);
        assert!(is_local("mcp__bridge-db__send") && is_local("mcp__bridge_db__send"));
        assert!(!is_local("mcp__bridge-db-hosted__send") && !is_local("bridge-db"));
    }

    #[track_caller]
    fn refused(tools: &str, expected: &str) {
        let error = read(tools).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        refused(
            r#"{ "deny": ["mcp__[x]"] }"#,
            "`mcp__[x]`: `[` cannot stand",
        );
        refused(r#"{ "connectors": [{ "tools": [] }] }"#, "names no tools");
        refused(
            r#"{ "local_servers": ["a*"] }"#,
            "`a*` is not the name of a server",
        );
        refused(
            r#"{ "git": { "owners": ["a/b"] } }"#,
            "`a/b` is not the name of an owner",
        );
        refused(r#"{ "git": { "hosts": ["*.x"] } }"#, "`*.x`");
        refused(
            r#"{ "sensitive_paths": { "home": ["~/.ssh"] } }"#,
            "`~/.ssh` is not a path",
        );
        refused(
            r#"{ "shell": { "unclear": "maybe" } }"#,
            "unknown word `maybe`",
        );
        refused(r#"{ "url_tool": [] }"#, "did you mean `url_tools`?");
    }

    #[test]
    fn extending_never_takes_a_restriction_away() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        write(
            "base.json",
            r#"{ "version": 1, "tools": { "deny": ["a"], "confirm": ["b"],
                 "git": { "owners": ["one", "two"] }, "shell": { "unclear": "deny" },
                 "owner_scopes": [{ "tools": ["t"], "owners": ["one"] }] } }"#,
        );
        let own = write(
            "own.json",
            r#"{ "version": 1, "extends": "base.json", "tools": { "deny": ["c"], "network_names": [],
                 "git": { "owners": ["two", "three"], "hosts": ["github.com"] },
                 "shell": { "unclear": "allow" }, "sensitive_paths": { "home": [] } } }"#,
        );
        let policy = Policy::load(&own).unwrap();
        let tools = policy.tools();
        assert!(tools.deny.is_match("a") && tools.deny.is_match("c"));
        assert!(tools.confirm.is_match("b"));
        assert!(tools.network_names.is_match("mcp__x__send"));
        assert_eq!(tools.git.owners.as_deref(), Some(&["two".to_owned()][..]));
        assert_eq!(tools.git.hosts.as_ref().map(Vec::len), Some(1));
        assert_eq!(tools.unclear, Unclear::Deny);
        assert_eq!(tools.owner_scopes.len(), 1);
        assert_eq!(tools.home.len(), HOME.len());
        let plain = write("plain.json", r#"{ "version": 1, "extends": "base.json" }"#);
        assert!(Policy::load(&plain).unwrap().tools().deny.is_match("a"));
    }
}
