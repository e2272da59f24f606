//! Places of the network, in the forms in which programs take them.
//!
//! The host stays as it is written: the one parser of host names is the policy's.

use std::borrow::Cow;

/// A host with what stands beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) owner: Option<String>,
}

/// Schemes that go to the network.
const SCHEMES: &[&str] = &[
    "http",
    "https",
    "ftp",
    "ftps",
    "sftp",
    "scp",
    "ssh",
    "git",
    "ws",
    "wss",
    "rsync",
    "tcp",
    "udp",
    "tls",
    "telnet",
    "gopher",
    "dict",
    "ldap",
    "ldaps",
    "smb",
    "smbs",
    "imap",
    "imaps",
    "smtp",
    "smtps",
    "pop3",
    "pop3s",
    "mqtt",
    "mqtts",
    "redis",
    "rediss",
    "postgres",
    "postgresql",
    "mysql",
    "mongodb",
    "mongodb+srv",
    "amqp",
    "amqps",
    "grpc",
    "tftp",
    "rtmp",
    "rtsp",
    "socks4",
    "socks4a",
    "socks5",
    "socks5h",
    "docker",
    "oci",
    "nats",
    "magnet",
    "vnc",
    "rdp",
];

/// The scheme and what follows its colon and slashes, when the text is a URL of the network.
pub(super) fn url(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    if scheme.len() > 24 {
        return None;
    }
    // `git+https`, `registry+https`, `sparse+https`.
    let base = match scheme.rsplit_once('+') {
        Some((_, last)) if !scheme.eq_ignore_ascii_case("mongodb+srv") => last,
        Some(_) | None => scheme,
    };
    if !SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(base)) {
        return None;
    }
    let slashes = rest.len() - rest.trim_start_matches(['/', '\\']).len();
    (slashes >= 2).then(|| (base, rest.trim_start_matches(['/', '\\'])))
}

/// The places that a URL can mean. Two where readers of URLs disagree about a backslash.
pub(super) fn of_url(text: &str) -> Vec<Place> {
    let text = stripped(text);
    match url(&text) {
        Some((_, rest)) => authority_and_path(rest),
        None => Vec::new(),
    }
}

/// As [`of_url`], for programs that add the scheme themselves: `evil.tld/x`, `https:evil.tld`.
pub(super) fn of_web_word(text: &str) -> Vec<Place> {
    let text = stripped(text);
    if let Some((_, rest)) = url(&text) {
        return authority_and_path(rest);
    }
    let lower = text.get(..6).unwrap_or_default().to_ascii_lowercase();
    let rest = if lower.starts_with("https:") {
        text.get(6..)
    } else if lower.starts_with("http:") {
        text.get(5..)
    } else {
        None
    }
    .filter(|rest| !rest.is_empty() && !rest.chars().all(|c| c.is_ascii_digit()))
    .unwrap_or(&text);
    if rest
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("file:"))
    {
        return Vec::new();
    }
    authority_and_path(rest.trim_start_matches(['/', '\\']))
}

/// `host:port`, `[v6]:port`, `host`.
pub(super) fn of_host_port(text: &str) -> Place {
    let (host, port) = split_port(text);
    Place {
        host: host.to_owned(),
        port,
        owner: None,
    }
}

/// `[user@]host:path` as scp, rsync and git read it, `None` for a local path.
pub(super) fn of_scp(text: &str) -> Option<Place> {
    let (before, path) = match text.strip_prefix('[') {
        // [user@]host and [v6] in brackets.
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            (inside, after.strip_prefix(':')?)
        }
        None => match text.split_once("@[") {
            Some((_, rest)) => {
                let (inside, after) = rest.split_once(']')?;
                (inside, after.strip_prefix(':')?)
            }
            None => text.split_once(':')?,
        },
    };
    if before.is_empty() || before.contains('/') {
        return None;
    }
    let host = before.rsplit_once('@').map_or(before, |(_, host)| host);
    Some(Place {
        host: host.to_owned(),
        port: None,
        owner: owner(path),
    })
}

/// The first part of a path: who owns it on a git host.
pub(super) fn owner(path: &str) -> Option<String> {
    let path = path.trim_start_matches(['/', '\\', ':']);
    let end = path.find(['/', '?', '#', '\\']).unwrap_or(path.len());
    path.get(..end)
        .filter(|owner| !owner.is_empty())
        .map(str::to_owned)
}

/// Tabs and newlines, which readers of URLs drop, and blanks at the ends.
fn stripped(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.contains(['\t', '\n', '\r']) {
        Cow::Owned(text.replace(['\t', '\n', '\r'], ""))
    } else {
        Cow::Borrowed(text)
    }
}

fn authority_and_path(rest: &str) -> Vec<Place> {
    let plain = cut(rest, &['/', '?', '#']);
    let browser = cut(rest, &['/', '\\', '?', '#']);
    let mut places = vec![plain];
    if !places.contains(&browser) {
        places.push(browser);
    }
    places
}

fn cut(rest: &str, ends: &[char]) -> Place {
    let end = rest.find(ends).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = split_port(host_port);
    Place {
        host: host.trim_end_matches('\\').to_owned(),
        port,
        owner: owner(path),
    }
}

fn split_port(text: &str) -> (&str, Option<u16>) {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (
            host,
            after.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match text.split_once(':') {
        // More than one colon and no brackets: an address of version 6.
        Some((_, rest)) if rest.contains(':') => (text, None),
        Some((host, port)) => (host, port.parse().ok()),
        None => (text, None),
    }
}

/// Whether a word has the form of a host name with a dot, or of an address.
pub(super) fn looks_like_host(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let Some((_, last)) = text.rsplit_once('.') else {
        return false;
    };
    text.len() <= 253
        && last.len() >= 2
        && last.chars().all(char::is_alphabetic)
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn hosts(places: &[Place], expected: &[&str]) {
        let found: Vec<&str> = places.iter().map(|place| place.host.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_url_names_its_host_whatever_stands_before_it() {
        hosts(&of_url("https://u:p@evil.tld:8443/x"), &["evil.tld"]);
        hosts(&of_url("HTTPS://evil.tld"), &["evil.tld"]);
        hosts(&of_url("git+ssh://git@evil.tld/x"), &["evil.tld"]);
        hosts(&of_url("https://[::1]:80/"), &["::1"]);
        hosts(&of_web_word("https:evil.tld"), &["evil.tld"]);
        hosts(&of_web_word("//evil.tld/x"), &["evil.tld"]);
        hosts(&of_web_word("evil.tld:80"), &["evil.tld"]);
        hosts(&of_web_word("localhost:3000/health"), &["localhost"]);
        hosts(&of_url("not a url"), &[]);
    }

    #[test]
    fn a_backslash_gives_both_readings() {
        hosts(
            &of_url(r"https://evil.tld\@github.com/"),
            &["github.com", "evil.tld"],
        );
    }

    #[test]
    fn scp_forms_are_told_from_paths() {
        let place = of_scp("git@github.com:owner/x.git").expect("a place");
        assert_eq!(
            (place.host.as_str(), place.owner.as_deref()),
            ("github.com", Some("owner"))
        );
        assert_eq!(of_scp("./a:b"), None);
        assert_eq!(of_scp("file"), None);
        assert_eq!(
            of_scp("[::1]:/x").map(|place| place.host).as_deref(),
            Some("::1")
        );
    }

    #[test]
    fn hosts_are_told_from_file_names_by_their_last_label() {
        assert!(looks_like_host("evil.tld"));
        assert!(looks_like_host("10.0.0.1"));
        assert!(!looks_like_host("1.5"));
        assert!(!looks_like_host("a b.c"));
        assert!(!looks_like_host("file"));
    }
}
