//! What may be said to the hosts of a rule, at level `http`: requests, sizes, budgets, credentials.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};

use super::{
    check::Checker,
    credential::{self, Credential},
    file,
    glob::{Glob, Globs},
    path::{InvalidPathPattern, PathPattern, RequestPath},
    problem::quote,
    quantity, settings,
    text::Place,
};

/// The longest body where a rule does not say.
const BODY: u64 = 8 << 20;
/// As it is written in the rule.
const SESSION: &str = "session";

/// What a rule allows to be said. The default restricts nothing but the size of bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `None` for every request.
    pub requests: Option<Vec<RequestRule>>,
    /// Bytes of the body of a request, as it is sent and decoded.
    pub longest_body: u64,
    pub budget: Option<Budget>,
    pub credential: Option<Credential>,
    /// Where a client may tell a host a secret of its own.
    pub login_headers: Vec<HeaderName>,
}

/// Requests that may be made. Everything that is there must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRule {
    /// `None` for any.
    pub methods: Option<Vec<Method>>,
    /// `None` for any.
    pub paths: Option<Vec<PathPattern>>,
    /// Headers that must be there, and the values that each may have.
    pub headers: Vec<(HeaderName, Globs)>,
}

/// How much a session may ask of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests, and messages over a web socket.
    pub requests: Option<u64>,
    /// Bytes to the host.
    pub up: Option<u64>,
    /// Bytes from the host.
    pub down: Option<u64>,
    /// When it begins anew; `None` for never.
    pub per: Option<Duration>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            requests: None,
            longest_body: BODY,
            budget: None,
            credential: None,
            login_headers: Vec::new(),
        }
    }
}

impl RequestRule {
    pub fn is_match(&self, method: &Method, path: &RequestPath, fields: &HeaderMap) -> bool {
        let Self {
            methods,
            paths,
            headers,
        } = self;
        let has_method = methods.as_ref().is_none_or(|all| all.contains(method));
        let has_path = paths
            .as_ref()
            .is_none_or(|all| all.iter().any(|pattern| pattern.is_match(path)));
        let has_header = |(name, values): &(HeaderName, Globs)| {
            fields.contains_key(name)
                && fields.get_all(name).iter().all(|value| {
                    let value = value.to_str();
                    value.is_ok_and(|value| values.is_match(value))
                })
        };
        has_method && has_path && headers.iter().all(has_header)
    }
}

/// What a rule as it is written allows to be said. `reads` says whether the proxy reads its
/// requests at all.
pub(crate) fn http(c: &mut Checker<'_>, rule: &file::Rule, reads: bool, place: &Place<'_>) -> Http {
    let file::Rule {
        requests,
        max_body,
        budget,
        credential,
        login_headers,
        ..
    } = rule;
    if !reads {
        for (key, is_there) in [
            ("requests", requests.is_some()),
            ("max_body", max_body.is_some()),
            ("budget", budget.is_some()),
            ("credential", credential.is_some()),
            ("login_headers", !login_headers.is_empty()),
        ] {
            if is_there {
                let message = format!("`{key}` needs requests that are read");
                let help = "give the allow rule `\"level\": \"http\"`, or take the key out";
                c.error(&place.key(key), message, Some(help));
            }
        }
    }
    let at = place.key("requests");
    let requests = requests.as_ref().map(|all| {
        let all = all.iter().enumerate();
        all.map(|(index, one)| request(c, one, &at.index(index)))
            .collect()
    });
    let at = place.key("max_body");
    let longest_body = max_body.as_ref().map_or(Some(BODY), |text| {
        size(c, text, (1 << 10, "1KiB"), (64 << 20, "64MiB"), &at)
    });
    let at = place.key("budget");
    let budget = budget.as_ref().map(|one| self::budget(c, one, &at));
    let at = place.key("credential");
    let credential = credential
        .as_ref()
        .and_then(|one| credential::check(c, one, &at));
    let at = place.key("login_headers");
    let login_headers = login_headers
        .iter()
        .enumerate()
        .filter_map(|(index, name)| header(c, name, &at.index(index)))
        .collect();
    Http {
        requests,
        longest_body: longest_body.unwrap_or(BODY),
        budget,
        credential,
        login_headers,
    }
}

fn request(c: &mut Checker<'_>, written: &file::Request, place: &Place<'_>) -> RequestRule {
    let file::Request {
        comment: _,
        description: _,
        methods,
        paths,
        headers,
    } = written;
    let at = place.key("methods");
    let methods = methods.as_ref().map(|all| {
        let all = all.iter().enumerate();
        all.filter_map(|(index, text)| method(c, text, &at.index(index)))
            .collect()
    });
    let at = place.key("paths");
    let paths = paths.as_ref().map(|all| {
        let all = all.iter().enumerate();
        all.filter_map(|(index, text)| path(c, text, &at.index(index)))
            .collect()
    });
    let section = place.key("headers");
    let headers = headers
        .iter()
        .filter_map(|(name, values)| {
            let at = section.key(name);
            let name = header(c, name, &at)?;
            let values = values.iter().enumerate();
            let values = values.filter_map(|(index, text)| match Glob::value(text) {
                Ok(glob) => Some(glob),
                Err(error) => {
                    let message = format!("{}: {error}", quote(text));
                    let help = "write the value, with `*` for any text in it";
                    c.error(&at.index(index), message, Some(help));
                    None
                }
            });
            Some((name, values.collect()))
        })
        .collect();
    RequestRule {
        methods,
        paths,
        headers,
    }
}

fn method(c: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<Method> {
    let is_upper = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    let method = Method::from_bytes(text.as_bytes()).ok();
    match method {
        Some(Method::CONNECT) => {
            let message = "`CONNECT` makes a tunnel, which is no request to the host";
            c.error(place, message, Some("take it out"));
            None
        }
        Some(method) if is_upper => Some(method),
        Some(_) | None => {
            let upper = text.to_ascii_uppercase();
            let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
            let help = if known.contains(&upper.as_str()) {
                format!("methods are in capitals: write `{upper}`")
            } else {
                "write a method such as `GET`, in capitals".to_owned()
            };
            c.error(place, format!("{} is no method", quote(text)), Some(&help));
            None
        }
    }
}

fn path(c: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<PathPattern> {
    match PathPattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let help = match error {
                InvalidPathPattern::Beyond(_) => "leave the query out: the path alone is matched",
                InvalidPathPattern::Stars => "write `*` within a segment, or `/**/` for segments",
                InvalidPathPattern::Path(_) | InvalidPathPattern::TooLong => {
                    "write a path such as `/repos/acme/*` or `/v1/**`"
                }
            };
            c.error(place, format!("{}: {error}", quote(text)), Some(help));
            None
        }
    }
}

/// Reads the name of a header that a client may send.
pub(crate) fn header(c: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<HeaderName> {
    const OF_CONNECTION: [&str; 9] = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    match HeaderName::try_from(text) {
        Ok(name) if OF_CONNECTION.contains(&name.as_str()) => {
            let message = format!("{} is the proxy's own business", quote(text));
            c.error(place, message, Some("take it out"));
            None
        }
        Ok(name) => Some(name),
        Err(_) => {
            let message = format!("{} is no name of a header", quote(text));
            c.error(place, message, Some("write a name such as `x-api-key`"));
            None
        }
    }
}

fn budget(c: &mut Checker<'_>, written: &file::Budget, place: &Place<'_>) -> Budget {
    let file::Budget {
        comment: _,
        description: _,
        requests,
        up,
        down,
        per,
    } = written;
    if requests.is_none() && up.is_none() && down.is_none() {
        let help = "add `requests`, `up` or `down`, or take the key out";
        c.error(place, "the budget limits nothing", Some(help));
    }
    let mut bytes = |key, text: &Option<String>| {
        let at = place.key(key);
        text.as_ref()
            .and_then(|text| size(c, text, (1 << 10, "1KiB"), (1 << 40, "1024GiB"), &at))
    };
    let (up, down) = (bytes("up", up), bytes("down", down));
    let per = per.as_deref().filter(|per| *per != SESSION);
    let bounds = Duration::from_secs(1)..=Duration::from_hours(24);
    let at = place.key("per");
    let per = per.and_then(|text| settings::duration(c, text, bounds, &at));
    Budget {
        requests: *requests,
        up,
        down,
        per,
    }
}

fn size(
    c: &mut Checker<'_>,
    text: &str,
    low: (u64, &str),
    high: (u64, &str),
    place: &Place<'_>,
) -> Option<u64> {
    match quantity::size(text) {
        Ok(bytes) if (low.0..=high.0).contains(&bytes) => Some(bytes),
        Ok(_) => settings::out_of_bounds(c, &quote(text), low.1, high.1, place),
        Err(error) => settings::refuse(c, text, error, place),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::Policy;

    fn parse(rule: &str) -> Result<Http, String> {
        let text = format!(
            r#"{{ "version": 1, "network": {{ "allow": [
              {{ "name": "r", "hosts": ["api.example.com"], "ports": ["443/tcp"], {rule} }} ] }} }}"#
        );
        let policy = Policy::parse(&text, "p.json");
        policy
            .map(|policy| (*policy.rules()[0].http).clone())
            .map_err(|invalid| invalid.to_string())
    }

    #[track_caller]
    fn refused(rule: &str, expected: &[&str]) {
        let told = parse(&format!(r#""level": "http", {rule}"#)).unwrap_err();
        for part in expected {
            assert!(told.contains(part), "{told}");
        }
    }

    #[track_caller]
    fn allows(requests: &str, method: &str, path: &str, fields: &[(&str, &str)]) -> bool {
        let http = parse(&format!(r#""level": "http", "requests": {requests}"#)).unwrap();
        let fields = fields
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::try_from(*name).unwrap();
                (name, HeaderValue::try_from(*value).unwrap())
            })
            .collect();
        let method = Method::try_from(method).unwrap();
        let path = RequestPath::parse(path).unwrap();
        let mut rules = http.requests.iter().flatten();
        rules.any(|rule| rule.is_match(&method, &path, &fields))
    }

    #[test]
    fn a_request_must_fit_one_entry_in_every_key() {
        let rules = r#"[
          { "methods": ["GET", "HEAD"], "paths": ["/repos/acme/**", "/user"] },
          { "methods": ["POST"], "paths": ["/repos/acme/*/issues"],
            "headers": { "Content-Type": ["application/json", "application/json;*"] } } ]"#;
        assert!(allows(rules, "GET", "/repos/acme/tool", &[]));
        assert!(allows(rules, "GET", "/user", &[]));
        assert!(!allows(rules, "GET", "/users", &[]));
        assert!(!allows(rules, "get", "/user", &[]));
        assert!(!allows(rules, "DELETE", "/repos/acme/tool", &[]));
        let issues = "/repos/acme/tool/issues";
        let kind = |value| [("content-type", value)];
        assert!(allows(rules, "POST", issues, &kind("application/json")));
        let with_set = "application/json; charset=utf-8";
        assert!(allows(rules, "POST", issues, &kind(with_set)));
        assert!(!allows(rules, "POST", issues, &kind("text/plain")));
        assert!(!allows(rules, "POST", issues, &[]));
        let two = [("content-type", "application/json"), ("content-type", "x")];
        assert!(!allows(rules, "POST", issues, &two));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        for rules in [
            "[]",
            r#"[{ "methods": [] }]"#,
            r#"[{ "paths": [] }]"#,
            r#"[{ "headers": { "accept": [] } }]"#,
        ] {
            assert!(!allows(rules, "GET", "/", &[("accept", "*/*")]), "{rules}");
        }
        assert!(allows("[{}]", "GET", "/", &[]));
        assert_eq!(parse(r#""level": "http""#).unwrap(), Http::default());
    }

    #[test]
    fn what_needs_level_http_stands_nowhere_else() {
        for key in [
            r#""requests": []"#,
            r#""max_body": "1MiB""#,
            r#""budget": { "requests": 1 }"#,
            r#""login_headers": ["x-api-key"]"#,
            r#""credential": { "header": "x-api-key", "file": "/etc/egressd/x" }"#,
        ] {
            for level in ["", r#""level": "name","#] {
                let told = parse(&format!("{level} {key}")).unwrap_err();
                assert!(told.contains("needs requests that are read"), "{told}");
                assert!(told.contains(r#""level": "http""#), "{told}");
            }
            parse(&format!(r#""level": "http", {key}"#)).unwrap();
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_help() {
        refused(
            r#""requests": [{ "methods": ["get"] }]"#,
            &["2:", "`get` is no method", "write `GET`"],
        );
        refused(r#""requests": [{ "methods": ["CONNECT"] }]"#, &["tunnel"]);
        refused(
            r#""requests": [{ "paths": ["/a/../b"] }]"#,
            &["`/a/../b`: it has a segment", "write a path"],
        );
        refused(
            r#""requests": [{ "paths": ["/a?x=1"] }]"#,
            &["leave the query out"],
        );
        refused(
            r#""requests": [{ "path": ["/a"] }]"#,
            &["unknown key `path`", "`paths`"],
        );
        refused(
            r#""requests": [{ "headers": { "host": ["x"] } }]"#,
            &["own business"],
        );
        refused(
            r#""requests": [{ "headers": { "a b": ["x"] } }]"#,
            &["no name of a header"],
        );
        refused(r#""max_body": "1GiB""#, &["out of bounds", "64MiB"]);
        refused(r#""max_body": "8MB""#, &["not a size"]);
        refused(r#""budget": {}"#, &["limits nothing"]);
        refused(
            r#""budget": { "requests": 1, "per": "1d" }"#,
            &["not a duration"],
        );
        refused(
            r#""budget": { "requests": 1, "per": "48h" }"#,
            &["out of bounds"],
        );
    }

    #[test]
    fn budgets_are_read() {
        let budget = r#"{ "requests": 10, "up": "1MiB", "down": "2GiB", "per": "1m" }"#;
        let http = parse(&format!(r#""level": "http", "budget": {budget}"#)).unwrap();
        let expected = Budget {
            requests: Some(10),
            up: Some(1 << 20),
            down: Some(2 << 30),
            per: Some(Duration::from_mins(1)),
        };
        assert_eq!(http.budget, Some(expected));
        let budget = r#"{ "requests": 0, "per": "session" }"#;
        let http = parse(&format!(r#""level": "http", "budget": {budget}"#)).unwrap();
        assert_eq!(http.budget.unwrap().per, None);
    }
}
