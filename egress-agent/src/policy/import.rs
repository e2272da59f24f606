//! Policies of other tools, in the words of this one.
//!
//! Nothing is widened: what allows is carried exactly or not at all, what restricts is carried
//! exactly or a little wider, and everything that is not the same afterwards is told.

use serde_json::{Map, Value, json};

use super::{
    glob::Glob,
    name::Name,
    net,
    pattern::NamePattern,
    problem::quote,
    tools::{HOME, PROJECT},
};

/// A translated policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    pub policy: Value,
    /// What is not the same: one line each, with the place in the other file.
    pub differences: Vec<String>,
}

/// Why there is nothing to translate.
#[derive(Debug, thiserror::Error)]
pub enum InvalidImport {
    #[error("the file is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("the file is not a policy of cross-provider-egress-guard: it is no object")]
    NoObject,
    #[error("`{0}` is not what cross-provider-egress-guard reads there; correct the file first")]
    Shape(String),
}

/// Translates a policy of cross-provider-egress-guard. `name` is the name of the new one.
pub fn from_cpeg(text: &str, name: &str) -> Result<Imported, InvalidImport> {
    let Value::Object(root) = serde_json::from_str(text)? else {
        return Err(InvalidImport::NoObject);
    };
    let nothing = Map::new();
    let egress = section(&root, "egress")?.unwrap_or(&nothing);
    let paths = section(&root, "sensitive_paths")?.unwrap_or(&nothing);
    let mut import = Import::default();
    import.unknown(
        &root,
        "",
        &["deny", "require_token", "egress", "sensitive_paths"],
    );
    import.unknown(
        egress,
        "egress.",
        &[
            "default",
            "max_payload_bytes_to_novel_host",
            "non_egress_servers",
            "url_tools",
            "allow_hosts",
            "connector_tools",
            "allow_connectors",
            "connector_owner_scope",
            "network_name_globs",
            "github_shell_owners",
            "github_shell_hosts",
        ],
    );
    if egress.get("default").and_then(Value::as_str) != Some("deny") {
        import
            .tell("egress.default: not armed there; here everything that is not allowed is denied");
    }
    if egress.contains_key("max_payload_bytes_to_novel_host") {
        import.tell("egress.max_payload_bytes_to_novel_host: dropped; it changed only a message");
    }
    import.tell(
        "loopback: every port was allowed to shell commands; here only listeners that the session \
         opens itself",
    );
    import.tell(
        "a network program without a host was denied; here the kernel decides about it, or set \
         `tools.shell.unclear` to `deny`",
    );
    import.tell("ports: every TCP port of an allowed host, as there; UDP is not carried");
    let allow = import.hosts(&texts(egress, "egress.", "allow_hosts")?);
    let allowed_connectors = import.exact(
        "egress.allow_connectors",
        texts(egress, "egress.", "allow_connectors")?,
    );
    let mut tools = Map::new();
    let mut put = |key: &str, list: Vec<String>| {
        if !list.is_empty() || key == "network_names" {
            tools.insert(key.to_owned(), json!(list));
        }
    };
    put("deny", import.wider("deny", texts(&root, "", "deny")?));
    put(
        "confirm",
        import.wider("require_token", texts(&root, "", "require_token")?),
    );
    put(
        "url_tools",
        import.exact("egress.url_tools", texts(egress, "egress.", "url_tools")?),
    );
    put(
        "connector_tools",
        import.wider(
            "egress.connector_tools",
            texts(egress, "egress.", "connector_tools")?,
        ),
    );
    put(
        "network_names",
        import.wider(
            "egress.network_name_globs",
            texts(egress, "egress.", "network_name_globs")?,
        ),
    );
    put(
        "local_servers",
        import.servers(texts(egress, "egress.", "non_egress_servers")?),
    );
    if !allowed_connectors.is_empty() {
        tools.insert(
            "connectors".into(),
            json!([{ "tools": allowed_connectors }]),
        );
    }
    let scopes = import.scopes(egress)?;
    if !scopes.is_empty() {
        tools.insert("owner_scopes".into(), Value::Array(scopes));
    }
    let git = import.git(egress)?;
    if !git.is_empty() {
        tools.insert("git".into(), Value::Object(git));
    }
    let sensitive = import.paths(paths)?;
    if !sensitive.is_empty() {
        tools.insert("sensitive_paths".into(), Value::Object(sensitive));
    }
    if tools.contains_key("confirm") {
        import.tell(
            "require_token: tokens of the other tool are not taken; use `egressctl confirm`, which \
             is bound to one tool",
        );
    }
    let policy = json!({
        "version": 1,
        "name": name,
        "network": { "allow": allow, "loopback": { "allow": ["session"] } },
        "tools": tools,
    });
    Ok(Imported {
        policy,
        differences: import.differences,
    })
}

#[derive(Debug, Default)]
struct Import {
    differences: Vec<String>,
}

impl Import {
    fn tell(&mut self, text: impl Into<String>) {
        self.differences.push(text.into());
    }

    fn unknown(&mut self, fields: &Map<String, Value>, at: &str, known: &[&str]) {
        for key in fields.keys() {
            if !key.starts_with('_') && !known.contains(&key.as_str()) {
                self.tell(format!("{at}{key}: unknown, dropped"));
            }
        }
    }

    /// Patterns that allow: as they are, or not at all.
    fn exact(&mut self, at: &str, globs: Vec<String>) -> Vec<String> {
        globs
            .into_iter()
            .filter(|glob| match Glob::parse(glob) {
                Ok(_) => true,
                Err(error) => {
                    self.tell(format!("{at}: {} dropped: {error}", quote(glob)));
                    false
                }
            })
            .collect()
    }

    /// Patterns that restrict: what has no equal here restricts more.
    fn wider(&mut self, at: &str, globs: Vec<String>) -> Vec<String> {
        globs
            .into_iter()
            .map(|glob| {
                if Glob::parse(&glob).is_ok() {
                    return glob;
                }
                let wide = widened(&glob);
                self.tell(format!("{at}: {} became {}", quote(&glob), quote(&wide)));
                wide
            })
            .collect()
    }

    fn servers(&mut self, servers: Vec<String>) -> Vec<String> {
        servers
            .into_iter()
            .filter(|server| {
                let is_stray = |c: char| c.is_whitespace() || c.is_control() || c == '*';
                let is_name =
                    !server.is_empty() && !server.contains(is_stray) && !server.contains("__");
                if !is_name {
                    let at = "egress.non_egress_servers";
                    self.tell(format!(
                        "{at}: {} dropped: not the name of a server",
                        quote(server)
                    ));
                }
                is_name
            })
            .collect()
    }

    /// There `*` crosses dots: `*.x` is one label or more, `**.x` here.
    fn hosts(&mut self, globs: &[String]) -> Vec<Value> {
        let at = "egress.allow_hosts";
        let (mut hosts, mut cidrs) = (Vec::new(), Vec::new());
        for glob in globs {
            let lower = glob.to_ascii_lowercase();
            if lower != *glob {
                // Hosts were put into lower case and the patterns were not.
                self.tell(format!(
                    "{at}: {} never matched there, dropped",
                    quote(glob)
                ));
                continue;
            }
            if let Ok(network) = glob.parse::<std::net::IpAddr>() {
                match net::parse(glob) {
                    Ok(_) => cidrs.push(network.to_string()),
                    Err(error) => {
                        self.tell(format!("{at}: {} dropped: {error}", quote(glob)));
                    }
                }
                continue;
            }
            let pattern = match glob.strip_prefix("*.") {
                Some(rest) => format!("**.{rest}"),
                None => glob.clone(),
            };
            match NamePattern::parse(&pattern) {
                Err(error) => {
                    self.tell(format!("{at}: {} dropped: {error}", quote(glob)));
                }
                Ok(_) if is_localhost(glob) => {
                    self.tell(format!("{at}: {} dropped: see loopback", quote(glob)));
                }
                Ok(read) => match read.public_suffix() {
                    Some(suffix) => self.tell(format!(
                        "{at}: {} dropped: everybody can register names under `{suffix}`; add it \
                         with `multi_tenant` if it is meant",
                        quote(glob)
                    )),
                    None => hosts.push(pattern),
                },
            }
        }
        let mut rule = Map::new();
        rule.insert("name".into(), json!("imported"));
        for (key, list) in [("hosts", hosts), ("cidrs", cidrs)] {
            if !list.is_empty() {
                rule.insert(key.into(), json!(list));
            }
        }
        if rule.len() == 1 {
            return Vec::new();
        }
        rule.insert("ports".into(), json!(["1-65535/tcp"]));
        vec![Value::Object(rule)]
    }

    fn owners(&mut self, at: &str, owners: Vec<String>) -> Vec<String> {
        owners
            .into_iter()
            .filter(|owner| {
                let is_stray =
                    |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
                let is_name = !owner.is_empty() && owner.len() <= 100 && !owner.contains(is_stray);
                if !is_name {
                    self.tell(format!("{at}: {} dropped: not an owner", quote(owner)));
                }
                is_name
            })
            .collect()
    }

    fn scopes(&mut self, egress: &Map<String, Value>) -> Result<Vec<Value>, InvalidImport> {
        let at = "egress.connector_owner_scope";
        let Some(scopes) = section(egress, "connector_owner_scope")? else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for (glob, _) in scopes.iter().filter(|(glob, _)| !glob.starts_with('_')) {
            let owners = texts(scopes, "egress.connector_owner_scope.", glob)?;
            let owners = self.owners(at, owners);
            let tools = self.wider(at, vec![glob.clone()]);
            out.push(json!({ "tools": tools, "owners": owners }));
        }
        if !out.is_empty() {
            self.tell(format!(
                "{at}: holds for every tool that fits, and of several scopes every one"
            ));
        }
        Ok(out)
    }

    fn git(&mut self, egress: &Map<String, Value>) -> Result<Map<String, Value>, InvalidImport> {
        let mut git = Map::new();
        // The presence of a key arms it, also when its list is empty.
        if egress.contains_key("github_shell_owners") {
            let owners = texts(egress, "egress.", "github_shell_owners")?;
            let owners = self.owners("egress.github_shell_owners", owners);
            git.insert("owners".into(), json!(owners));
        }
        if egress.contains_key("github_shell_hosts") {
            let mut hosts = texts(egress, "egress.", "github_shell_hosts")?;
            hosts.retain(|host| {
                let read = Name::parse(host);
                if let Err(error) = &read {
                    let at = "egress.github_shell_hosts";
                    self.tell(format!("{at}: {} dropped: {error}", quote(host)));
                }
                read.is_ok()
            });
            git.insert("hosts".into(), json!(hosts));
        }
        Ok(git)
    }

    /// Lists of paths are added to the built-in ones.
    fn paths(&mut self, paths: &Map<String, Value>) -> Result<Map<String, Value>, InvalidImport> {
        let mut out = Map::new();
        let at = "sensitive_paths.";
        self.unknown(
            paths,
            at,
            &["home", "home_dirs", "project_secret_basenames"],
        );
        let mut home = texts(paths, at, "home")?;
        home.extend(texts(paths, at, "home_dirs")?);
        let plain = |text: &String| text.replace("\\.", ".").trim_end_matches('/').to_owned();
        if !home.is_empty() {
            let mut list: Vec<_> = HOME.iter().map(|path| (*path).to_owned()).collect();
            for path in home.iter().map(plain) {
                if path.contains(|c: char| "*?[]()|\\^$+~".contains(c)) || path.starts_with('/') {
                    self.tell(format!(
                        "{at}home: {} dropped: not a plain path",
                        quote(&path)
                    ));
                } else if !list.contains(&path) {
                    list.push(path);
                }
            }
            out.insert("home".into(), json!(list));
        }
        let project = texts(paths, at, "project_secret_basenames")?;
        if !project.is_empty() {
            let mut list: Vec<_> = PROJECT.iter().map(|name| (*name).to_owned()).collect();
            for name in project.iter().map(plain) {
                // There a name that begins with a dot is an ending too.
                let ending = name.starts_with('.').then(|| format!("*{name}"));
                for glob in std::iter::once(name).chain(ending) {
                    if Glob::parse(&glob).is_err() {
                        let at = "sensitive_paths.project_secret_basenames";
                        self.tell(format!("{at}: {} dropped: not a plain name", quote(&glob)));
                    } else if !list.contains(&glob) {
                        list.push(glob);
                    }
                }
            }
            out.insert("project".into(), json!(list));
        }
        if !out.is_empty() {
            self.tell("sensitive_paths: added to the built-in lists");
        }
        Ok(out)
    }
}

fn is_localhost(glob: &str) -> bool {
    glob == "localhost" || glob.ends_with(".localhost")
}

/// A glob of a shell as one that matches no less.
fn widened(glob: &str) -> String {
    let mut out = String::new();
    let mut stars = 0;
    let mut rest = glob.chars().peekable();
    while let Some(c) = rest.next() {
        let is_plain = c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
        if is_plain && stars < 15 && out.len() < 200 {
            out.push(c);
            continue;
        }
        // A bracket up to its end; an escape with what it escapes.
        if c == '[' {
            let mut ahead = rest.clone();
            if ahead.any(|c| c == ']') {
                rest = ahead;
            }
        } else if c == '\\' {
            rest.next();
        }
        if !out.ends_with('*') {
            stars += 1;
            out.push('*');
        }
    }
    if out.is_empty() { "*".to_owned() } else { out }
}

fn section<'f>(
    fields: &'f Map<String, Value>,
    key: &str,
) -> Result<Option<&'f Map<String, Value>>, InvalidImport> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::Object(section)) => Ok(Some(section)),
        Some(_) => Err(InvalidImport::Shape(key.to_owned())),
    }
}

/// A list of texts, without the comments among them.
fn texts(fields: &Map<String, Value>, at: &str, key: &str) -> Result<Vec<String>, InvalidImport> {
    let wrong = || InvalidImport::Shape(format!("{at}{key}"));
    let Some(list) = fields.get(key) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or_else(wrong)?;
    let texts = list.iter().map(|text| text.as_str().map(str::to_owned));
    let texts: Option<Vec<_>> = texts.collect();
    let mut texts = texts.ok_or_else(wrong)?;
    texts.retain(|text| !text.starts_with("_comment"));
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{NameDecision, Policy};

    fn import(text: &str) -> (Policy, String) {
        let imported = from_cpeg(text, "imported").unwrap();
        let policy = Policy::parse(&imported.policy.to_string(), "imported").unwrap();
        (policy, imported.differences.join("\n"))
    }

    #[test]
    fn a_star_in_a_host_means_what_it_meant() {
        let (policy, told) = import(
            r#"{ "egress": { "default": "deny", "allow_hosts": ["_comment x", "github.com", "*.box.com",
                 "*.github.io", "api*.x.com", "*", "10.1.2.3", "127.0.0.1", "localhost", "UPPER.com"] } }"#,
        );
        let allows = |name: &str| {
            let name = Name::parse(name).unwrap();
            matches!(policy.decide_name(&name), NameDecision::Allow(_))
        };
        assert!(allows("github.com") && allows("a.box.com") && allows("a.b.box.com"));
        for name in [
            "box.com",
            "x.github.com",
            "x.github.io",
            "api1.x.com",
            "upper.com",
            "evil.example",
        ] {
            assert!(!allows(name), "{name}");
        }
        for lost in [
            "`*.github.io` dropped",
            "`api*.x.com` dropped",
            "`*` dropped",
            "`127.0.0.1` dropped",
            "`UPPER.com` never matched",
        ] {
            assert!(told.contains(lost), "{lost} in {told}");
        }
        assert_eq!(policy.rules().len(), 1);
    }

    #[test]
    fn lists_of_tools_are_carried_and_no_restriction_is_lost() {
        let (policy, told) = import(
            r#"{ "_comment": 1, "deny": ["mcp__[ab]__x?"], "require_token": ["mcp__x__merge"], "new": 1,
                 "egress": { "default": "deny", "non_egress_servers": ["serena", "a*"],
                 "connector_tools": ["mcp__hosted_*"], "allow_connectors": ["mcp__hosted_git*", "mcp__hosted_[m]*"],
                 "connector_owner_scope": { "mcp__*git*": ["Mine"] }, "github_shell_owners": [],
                 "network_name_globs": ["mcp__*send*"] },
                 "sensitive_paths": { "home": ["\\.vault"], "project_secret_basenames": [".token"] } }"#,
        );
        let tools = policy.tools();
        assert!(tools.deny.is_match("mcp__a__xy"));
        assert!(tools.confirm.is_match("mcp__x__merge"));
        assert_eq!(tools.local_servers, ["serena"]);
        assert!(tools.connectors[0].tools.is_match("mcp__hosted_github__x"));
        assert!(!tools.connectors[0].tools.is_match("mcp__hosted_mail__x"));
        assert_eq!(
            tools.owner_scopes[0].owners.as_deref(),
            Some(&["mine".to_owned()][..])
        );
        assert_eq!(tools.git.owners.as_deref(), Some(&[][..]));
        assert_eq!(tools.git.hosts, None);
        assert!(!tools.network_names.is_match("mcp__x__fetch"));
        assert!(
            tools.home.iter().any(|path| path == ".vault")
                && tools.home.iter().any(|path| path == ".ssh")
        );
        assert!(tools.project.is_match("x.token") && tools.project.is_match(".env"));
        for lost in [
            "new: unknown",
            "`mcp__[ab]__x?` became `mcp__*__x*`",
            "`a*` dropped",
            "`mcp__hosted_[m]*` dropped",
        ] {
            assert!(told.contains(lost), "{lost} in {told}");
        }
    }

    #[test]
    fn an_empty_policy_allows_nothing_and_says_so() {
        let (policy, told) = import("{}");
        assert!(policy.rules().is_empty());
        assert!(told.contains("not armed there"), "{told}");
    }

    #[test]
    fn what_is_no_such_policy_is_refused() {
        for text in [
            "",
            "[]",
            r#"{ "deny": "x" }"#,
            r#"{ "egress": [] }"#,
            r#"{ "deny": [1] }"#,
        ] {
            assert!(from_cpeg(text, "x").is_err(), "{text}");
        }
    }

    #[test]
    fn a_widened_pattern_is_a_pattern() {
        for glob in [
            "[",
            "a[",
            "",
            "?".repeat(300).as_str(),
            "a?".repeat(40).as_str(),
            "\\*x",
            "a b",
            "\u{e9}x",
        ] {
            let wide = widened(glob);
            assert!(Glob::parse(&wide).is_ok(), "{glob} {wide}");
        }
    }
}
