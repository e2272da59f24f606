//! Finds every place that the arguments of a tool name: URLs, and hosts with a port.
//!
//! A text is read twice: as a whole, as a fetch tool would take it, and piece by piece, for URLs
//! within prose and code. What looks like a URL and cannot be read is told, never skipped.
//!
//! Linear: every piece is bounded, and so is their number.

use serde_json::Value;
use url::Url;

use super::place::{Place, host};

/// A URL is looked at no further than this; one whose host is not found by then is unreadable.
const LONGEST: usize = 1024;
/// URLs in one call.
const MOST: usize = 4096;
/// Longer than any scheme.
const SCHEME: usize = 32;

/// Keys whose text is a URL or a host, with or without a scheme.
const PLACE_KEYS: &[&str] = &[
    "url",
    "urls",
    "uri",
    "uris",
    "href",
    "link",
    "links",
    "endpoint",
    "host",
    "hostname",
    "server",
    "domain",
    "origin",
    "website",
    "address",
    "addr",
    "target",
    "remote",
    "ip",
    "base_url",
    "baseurl",
    "webhook",
    "webhook_url",
];
const HOST_KEYS: &[&str] = &[
    "host", "hostname", "server", "address", "addr", "domain", "ip", "endpoint", "target", "remote",
];
const PORT_KEYS: &[&str] = &["port", "portnumber", "port_number", "dport"];

/// What was found, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub places: Vec<Place>,
    /// What looks like a URL and has no host that can be read.
    pub unreadable: Vec<String>,
}

/// Whether the tool is known to go where its arguments say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It goes there: the text of a key such as `url` is an address even without a scheme.
    Goes,
    /// It may: only what has the form of a URL, or of a host with a port, counts.
    May,
}

/// Every place in the arguments.
pub fn links(input: &Value, reading: Reading) -> Found {
    let mut found = Found::default();
    // Foreign JSON is walked with a list: its depth is not ours.
    let mut open: Vec<(&str, &Value)> = vec![("", input)];
    while let Some((key, value)) = open.pop() {
        match value {
            Value::String(text) => found.text(key, text, reading),
            Value::Array(list) => open.extend(list.iter().rev().map(|value| (key, value))),
            Value::Object(fields) => {
                found.pair(fields);
                for (key, value) in fields.iter().rev() {
                    // A key can carry what a value can.
                    found.embedded(key, Reading::May);
                    open.push((key, value));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

impl Found {
    fn text(&mut self, key: &str, text: &str, reading: Reading) {
        let is_place = is_key(key, PLACE_KEYS);
        let whole = text.trim_matches(|c: char| c <= ' ');
        if whole.len() <= LONGEST && !whole.is_empty() {
            let read = match whole.starts_with("//") || whole.starts_with("\\\\") {
                true if reading == Reading::Goes => whole_url(&format!("https:{whole}")),
                true => Whole::NoHost,
                false => whole_url(whole),
            };
            match (read, reading) {
                (Whole::Place(place), _) => self.add(place),
                (Whole::Unreadable, _) => self.refuse(whole),
                (Whole::NoHost, Reading::Goes) if is_place => self.schemeless(whole),
                (Whole::NoHost, Reading::May) => {
                    if let Some(place) = with_port(whole) {
                        self.add(place);
                    }
                }
                (Whole::NoHost, Reading::Goes) => {}
            }
        } else if is_place && reading == Reading::Goes && !whole.is_empty() {
            self.refuse(whole);
        }
        self.embedded(text, reading);
    }

    /// What a tool would make of an address without a scheme.
    fn schemeless(&mut self, text: &str) {
        let has_scheme = Url::parse(text).is_ok();
        let port = with_port(text);
        if let Some(place) = port {
            return self.add(place);
        }
        let made = if has_scheme {
            Whole::Unreadable
        } else {
            whole_url(&format!("https://{text}"))
        };
        match made {
            Whole::Place(place) => self.add(place),
            Whole::NoHost | Whole::Unreadable => self.refuse(text),
        }
    }

    /// A host and a port that stand beside each other.
    fn pair(&mut self, fields: &serde_json::Map<String, Value>) {
        let port = fields.iter().find_map(|(key, value)| {
            let is_port = is_key(key, PORT_KEYS);
            is_port.then(|| number(value)).flatten()
        });
        let Some(port) = port else { return };
        for (key, value) in fields {
            let text = value.as_str().filter(|_| is_key(key, HOST_KEYS));
            if let Some(host) = text.and_then(|text| host(text.trim())) {
                self.add(Place {
                    host,
                    port: Some(port),
                });
            }
        }
    }

    /// URLs within a text.
    fn embedded(&mut self, text: &str, reading: Reading) {
        for (at, _) in text.match_indices(':') {
            let Some(start) = scheme_start(text, at) else {
                continue;
            };
            if self.is_full() {
                return;
            }
            let scheme = text.get(start..at).unwrap_or_default();
            let after = text.get(at + 1..).unwrap_or_default();
            let is_slashed = after.starts_with("//") || after.starts_with("\\\\");
            if is_special(scheme) || is_slashed {
                self.piece(text.get(start..).unwrap_or_default(), is_slashed);
            }
        }
        // `//host/path` takes the scheme of the page that it stands in.
        for (at, _) in text.match_indices(['/', '\\']) {
            let (before, after) = text.split_at(at);
            let is_open = before
                .chars()
                .next_back()
                .is_none_or(|c| c.is_whitespace() || "\"'`(=,+<>[{|;&".contains(c));
            let Some(rest) = after
                .get(1..)
                .and_then(|rest| rest.strip_prefix(['/', '\\']))
            else {
                continue;
            };
            let is_host =
                rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '[' | '%' | '_'));
            if !is_open || !is_host || self.is_full() {
                continue;
            }
            let named = authority(rest);
            // Comments of code begin alike.
            if reading == Reading::Goes || named.contains(['.', ':', '\u{3002}', '[']) {
                self.piece(&format!("https://{}", cut(rest)), reading == Reading::Goes);
            }
        }
    }

    /// One URL at the start of `text`.
    fn piece(&mut self, text: &str, must_have_host: bool) {
        let url = cut(text);
        let mut read = whole_url(url);
        if matches!(read, Whole::Unreadable) {
            // Prose and code close a bracket or a sentence behind a URL.
            let end = url.find([')', ']', '}', ',', ';', '|', '!', '*']);
            let shorter = end.and_then(|end| url.get(..end)).unwrap_or(url);
            read = whole_url(shorter);
        }
        match read {
            Whole::Place(place) => self.add(place),
            Whole::Unreadable => self.refuse(url),
            Whole::NoHost if must_have_host && !url.starts_with("file:") => self.refuse(url),
            Whole::NoHost => {}
        }
    }

    fn is_full(&mut self) -> bool {
        let is_full = self.places.len() + self.unreadable.len() >= MOST;
        if is_full && self.unreadable.is_empty() {
            self.refuse("more URLs than are looked at");
        }
        is_full
    }

    fn add(&mut self, place: Place) {
        // Most calls have one; a long list is not searched, so that the time stays linear.
        if self.places.len() > 64 || !self.places.contains(&place) {
            self.places.push(place);
        }
    }

    fn refuse(&mut self, text: &str) {
        let short: String = text.chars().take(80).collect();
        if self.unreadable.len() < 64 && !self.unreadable.contains(&short) {
            self.unreadable.push(short);
        }
    }
}

#[derive(Debug)]
enum Whole {
    Place(Place),
    /// No URL, or one without a host.
    NoHost,
    /// A URL whose host cannot be read.
    Unreadable,
}

/// Reads one URL.
fn whole_url(text: &str) -> Whole {
    use url::ParseError;
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(ParseError::RelativeUrlWithoutBase) => return Whole::NoHost,
        Err(_unreadable) => return Whole::Unreadable,
    };
    // Other schemes keep their host as it is written; it is read as those of the web are.
    let Some(written) = url.host_str().filter(|host| !host.is_empty()) else {
        return Whole::NoHost;
    };
    let Some(host) = host(written) else {
        return Whole::Unreadable;
    };
    let port = url
        .port_or_known_default()
        .or_else(|| default_port(url.scheme()));
    Whole::Place(Place { host, port })
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "ssh" | "sftp" | "git+ssh" | "ssh+git" | "scp" => Some(22),
        "git" => Some(9418),
        "postgres" | "postgresql" => Some(5432),
        "mysql" | "mariadb" => Some(3306),
        "redis" => Some(6379),
        "mongodb" => Some(27017),
        "ldap" => Some(389),
        "smtp" => Some(25),
        "telnet" => Some(23),
        _ => None,
    }
}

/// `host:port` and nothing else, where the host has the form of one.
fn with_port(text: &str) -> Option<Place> {
    let (name, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let is_named = name.contains(['.', '\u{3002}', '\u{ff0e}', '[']) || name == "localhost";
    let host = is_named.then(|| host(name)).flatten()?;
    Some(Place {
        host,
        port: Some(port),
    })
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_key(key: &str, known: &[&str]) -> bool {
    key.len() <= SCHEME && known.iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// Schemes that need no slashes: `https:host`.
fn is_special(scheme: &str) -> bool {
    ["http", "https", "ws", "wss", "ftp"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Where the scheme begins that ends before `colon`.
fn scheme_start(text: &str, colon: usize) -> Option<usize> {
    let before = text.get(..colon)?;
    let mut start = colon;
    for (at, c) in before.char_indices().rev().take(SCHEME) {
        if !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
            break;
        }
        start = at;
    }
    let scheme = before.get(start..)?;
    let lead = scheme.find(|c: char| c.is_ascii_alphabetic())?;
    Some(start + lead)
}

/// The text up to where no URL goes on, bounded.
fn cut(text: &str) -> &str {
    let is_end = |(at, c): &(usize, char)| {
        *at >= LONGEST || c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
    };
    match text.char_indices().find(is_end) {
        Some((at, _)) => text.get(..at).unwrap_or_default(),
        None => text,
    }
}

fn authority(text: &str) -> &str {
    let text = cut(text);
    text.split(['/', '\\', '?', '#']).next().unwrap_or_default()
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
    fn check(reading: Reading, input: Value, expected: &[&str]) {
        let found = links(&input, reading);
        let mut told: Vec<_> = found
            .places
            .iter()
            .map(|place| match place.port {
                Some(port) => format!("{place} {port}"),
                None => place.to_string(),
            })
            .collect();
        told.extend(found.unreadable.iter().map(|text| format!("? {text}")));
        assert_eq!(told, expected, "{input}");
    }

    #[test]
    fn urls_are_read_as_a_browser_reads_them() {
        let goes =
            |url: &str, expected: &[&str]| check(Reading::Goes, json!({ "url": url }), expected);
        goes("https://github.com/x", &["github.com 443"]);
        goes("https://github.com@evil.example/x", &["evil.example 443"]);
        goes("https://evil.example\\@github.com/", &["evil.example 443"]);
        goes("https:evil.example", &["evil.example 443"]);
        goes("https:/evil.example", &["evil.example 443"]);
        goes("//evil.example/x", &["evil.example 443"]);
        goes("\\\\evil.example\\x", &["evil.example 443"]);
        goes("ht\ntps://ev\til.example", &["evil.example 443", "ev"]);
        goes("  WSS://Evil.Example.:8443/", &["evil.example 8443"]);
        goes("ssh://git@evil.example/x", &["evil.example 22"]);
        goes("git+ssh://g%69thub.com/x", &["github.com 22"]);
        goes("http://0x7f.1/", &["127.0.0.1 80"]);
        goes("evil.example/path", &["evil.example 443"]);
        goes("evil.example:8080", &["evil.example 8080"]);
        goes("about:blank", &["? about:blank"]);
        goes("http://[fe80::1%25eth0]/", &["? http://[fe80::1%25eth0]/"]);
        goes("https://", &["? https://"]);
    }

    #[test]
    fn a_second_url_does_not_hide_behind_the_first() {
        check(
            Reading::Goes,
            json!({ "url": "wss://evil.example/x", "icon": "https://github.com/f" }),
            &["evil.example 443", "github.com 443"],
        );
        check(
            Reading::Goes,
            json!({ "code": "fetch(\"https:\"+\"//evil.example\") // https://github.com" }),
            &["github.com 443", "evil.example 443", "? https:"],
        );
        check(
            Reading::Goes,
            json!({ "text": "see (https://a.example/x), https://b.example. Or <c@d>" }),
            &["a.example 443", "b.example 443"],
        );
        check(
            Reading::Goes,
            json!({ "text": "https://github.com)@evil.example/" }),
            &["evil.example 443"],
        );
    }

    #[test]
    fn tools_that_may_go_somewhere_give_away_only_what_looks_like_a_place() {
        let may = |input, expected: &[&str]| check(Reading::May, input, expected);
        may(
            json!({ "host": "evil.example", "port": 443 }),
            &["evil.example 443"],
        );
        may(
            json!({ "db": { "server": "10.0.0.1", "port": "5432" } }),
            &["10.0.0.1 5432"],
        );
        may(json!({ "to": "evil.example:443" }), &["evil.example 443"]);
        may(
            json!({ "a": [["x", "postgres://u:p@db.example/x"]] }),
            &["db.example 5432"],
        );
        may(json!({ "https://evil.example/": 1 }), &["evil.example 443"]);
        for quiet in [
            json!({ "path": "src/main.rs:12" }),
            json!({ "code": "// a comment\n//another\nlet a: b = c;" }),
            json!({ "text": "note: done, 12:30, std::io::Error, a/b//c" }),
            json!({ "host": "evil.example" }),
            json!({ "uri": "file:///tmp/x" }),
            json!({ "mail": "a@b.example" }),
        ] {
            may(quiet, &[]);
        }
    }

    #[test]
    fn hostile_text_costs_linear_time() {
        for text in [
            "https:".repeat(200_000),
            "//a.b".repeat(200_000),
            ":".repeat(1_000_000),
            "a".repeat(1_000_000) + ":",
        ] {
            let found = links(&json!({ "x": text }), Reading::Goes);
            assert!(found.places.len() + found.unreadable.len() <= MOST + 64);
        }
    }
}
