//! A server in a configuration that is called by a URL, made a command: the guard, which calls
//! it. Pure.
//!
//! `url` becomes `command` with the words of the guard, and the URL as it was spelt is the last of
//! them. Headers become variables of the same names behind [`VARIABLE`]: their values stay where
//! they are, for everybody can read the words of a command. Taking it out is exact.

use std::ops::Range;

use super::wrap::{Edit, Names, Server, Style, Word, Wrapping, is_only_args, quote, spelling};

/// What the name of a header stands behind in the name of its variable.
pub(super) const VARIABLE: &str = "EGRESSCTL_HEADER_";
const UPSTREAM: &str = "--upstream";
const HEADER: &str = "--header";
const WAS: &str = "--was";
/// Kinds of servers that are called by a URL, as agents name them.
const KINDS: &[&str] = &[
    "http",
    "streamable-http",
    "streamableHttp",
    "streamable_http",
    "sse",
];
/// Members that say how the agent gets access by itself.
const ACCESS: &[&str] = &[
    "auth",
    "oauth",
    "headersHelper",
    "bearer_token_env_var",
    "env_http_headers",
    "oauth_resource",
    "scopes",
];

/// What stands there beside the parts that every server has.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) url: Word,
    pub(super) headers: Option<Names>,
    /// The names of all members.
    pub(super) members: Vec<String>,
}

/// The server behind the guard, or why it is left.
pub(super) fn wrap(
    text: &str,
    server: &Server,
    remote: &Remote,
    wrapping: &Wrapping,
    is_wanted: bool,
) -> Result<Vec<Edit>, String> {
    let Remote {
        url,
        headers,
        members,
    } = remote;
    let is_json = server.style == Style::Json;
    let name = |word: &'static str| {
        if is_json {
            quote(word)
        } else {
            word.to_owned()
        }
    };
    if !is_wanted {
        return Err(format!(
            "it is called by a URL, and the agent may log in to it; say --urls to make it a \
             command, or start `egressctl mcp --name {} --listen 127.0.0.1:PORT --upstream URL` \
             and name that address instead",
            server.name
        ));
    }
    if let Some(member) = members.iter().find(|it| ACCESS.contains(&it.as_str())) {
        return Err(format!(
            "`{member}` says how the agent gets access to it, which no command has; name a guard \
             that listens as its URL"
        ));
    }
    if let Some(kind) = &server.kind
        && !KINDS.contains(&kind.text.as_str())
    {
        return Err(format!("its type `{}` is not known", kind.text));
    }
    if !url.text.starts_with("http://") && !url.text.starts_with("https://")
        || url.text.contains(['?', '$', '@', '#'])
    {
        return Err(
            "its URL is put together or holds more than a place, which everybody could read in \
             the words of a command; put a secret into a header"
                .to_owned(),
        );
    }
    let odd = |what: &str| {
        Err(format!(
            "its `{what}` is written in a way that is not known"
        ))
    };
    if server.args.is_some() || server.env.is_some() || server.style == Style::TomlDotted {
        return odd("url");
    }
    if spelling(text, &url.key) != name("url") {
        return odd("url");
    }
    let mut edits = vec![(url.key.clone(), name("command"))];
    let mut words = vec![quote("mcp"), quote("--name"), quote(&server.name)];
    words.extend(wrapping.options.iter().map(|option| quote(option)));
    if let Some(headers) = headers {
        let key = if is_json { "headers" } else { "http_headers" };
        if !headers.are_texts || spelling(text, &headers.key) != name(key) {
            return odd(key);
        }
        edits.push((headers.key.clone(), name("env")));
        for header in &headers.words {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if header.text.is_empty() || !header.text.bytes().all(is_plain) {
                return odd(key);
            }
            words.extend([quote(HEADER), quote(&header.text)]);
            let at = within(text, &header.range);
            edits.push((at..at, VARIABLE.to_owned()));
        }
    }
    if let Some(kind) = &server.kind {
        words.extend([quote(WAS), spelling(text, &kind.range).to_owned()]);
        edits.push((kind.range.clone(), quote("stdio")));
    }
    words.extend([quote(UPSTREAM), spelling(text, &url.range).to_owned()]);
    let (before, program, words) = (
        match server.style {
            Style::Json => ", \"args\": [",
            Style::TomlTable => "\nargs = [",
            Style::TomlInline | Style::TomlDotted => ", args = [",
        },
        quote(&wrapping.program),
        words.join(", "),
    );
    edits.push((url.range.clone(), format!("{program}{before}{words}]")));
    Ok(edits)
}

/// The server as it was; `None` when it is no such guard.
pub(super) fn unwrap(text: &str, server: &Server) -> Option<Vec<Edit>> {
    let (command, args) = (server.command.as_ref()?, server.args.as_ref()?);
    let [options @ .., upstream, url] = args.words.as_slice() else {
        return None;
    };
    let is_ours = args.are_ours(command) && upstream.text == UPSTREAM;
    if !is_ours || options.iter().any(|word| word.text == "--") {
        return None;
    }
    let is_json = server.style == Style::Json;
    let name = |word: &'static str| {
        if is_json {
            quote(word)
        } else {
            word.to_owned()
        }
    };
    let url = spelling(text, &url.range).to_owned();
    let between = spelling(text, &(command.range.end..args.range.start));
    let mut edits = if is_only_args(between) {
        vec![
            (command.key.clone(), name("url")),
            (command.range.start..args.range.end, url),
        ]
    } else {
        // Another program has put them elsewhere.
        let sign = if is_json { ": " } else { " = " };
        let member = args.key.start..args.range.end;
        vec![
            (member, format!("{}{sign}{url}", name("url"))),
            (alone(text, command, server.style), String::new()),
        ]
    };
    let was = options.iter().position(|word| word.text == WAS);
    let was = was.and_then(|at| options.get(at + 1));
    if let (Some(kind), Some(was)) = (&server.kind, was) {
        edits.push((kind.range.clone(), spelling(text, &was.range).to_owned()));
    }
    if let Some(env) = &server.env
        && options.iter().any(|word| word.text == HEADER)
    {
        let key = if is_json { "headers" } else { "http_headers" };
        edits.push((env.key.clone(), name(key)));
        let ours = env.words.iter();
        for variable in ours.filter(|it| it.text.starts_with(VARIABLE)) {
            let at = within(text, &variable.range);
            edits.push((at..at + VARIABLE.len(), String::new()));
        }
    }
    Some(edits)
}

/// Where a name begins behind its quote.
fn within(text: &str, range: &Range<usize>) -> usize {
    let is_quoted = spelling(text, range).starts_with(['"', '\'']);
    range.start + usize::from(is_quoted)
}

/// A member with the comma, or the line, that is its own.
fn alone(text: &str, member: &Word, style: Style) -> Range<usize> {
    let (start, end) = (member.key.start, member.range.end);
    let after = text.get(end..).unwrap_or_default();
    let before = text.get(..start).unwrap_or_default();
    if style == Style::TomlTable {
        let line = after.find('\n').map_or(after.len(), |at| at + 1);
        return start..end + line;
    }
    let rest = after.trim_start();
    if let Some(next) = rest.strip_prefix(',') {
        return start..text.len() - next.trim_start().len();
    }
    before.trim_end().trim_end_matches(',').len()..end
}
