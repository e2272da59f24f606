//! Where clients look for whoever lets them in: documents at well-known places of the server's
//! origin (RFC 9728, RFC 8414, `OpenID` Connect Discovery). Pure.
//!
//! A client compares the resource that such a document names with the address that it calls,
//! which is the guard's. So what the server says of itself is said of the guard: the `resource` of
//! its document, and the `resource_metadata` of a 401. What it says of its authorization servers
//! stays: clients go to those by themselves.

use std::sync::LazyLock;

use hyper::{
    HeaderMap,
    header::{HeaderValue, WWW_AUTHENTICATE},
};
use regex::{Captures, Regex};
use serde_json::Value;
use url::Url;

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const ISSUERS: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

/// A document that a client asks the guard for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Where the server may have it, likelier places first.
    pub(super) places: Vec<Url>,
    /// It speaks of the resource at this path of the guard.
    pub(super) called: Option<String>,
}

/// What a path asks for; `None` when it is no well-known place. `told` is where a 401 of the
/// server said that its document is.
pub(super) fn wanted(path: &str, upstream: &Url, told: Option<&Url>) -> Option<Wanted> {
    let place = |path: &str| {
        let mut url = upstream.clone();
        url.set_query(None);
        url.set_path(path);
        // What leads upwards would have led out of the well-known place.
        (url.path() == path).then_some(url)
    };
    if let Some(called) = path.strip_prefix(RESOURCE) {
        let is_root = matches!(called, "" | "/");
        if !is_root && called != upstream.path() {
            return None;
        }
        let own = place(&format!(
            "{RESOURCE}{}",
            upstream.path().trim_end_matches('/')
        ));
        let root = is_root.then(|| place(RESOURCE)).flatten();
        let mut places: Vec<Url> = told.cloned().into_iter().chain(own).chain(root).collect();
        places.dedup();
        return Some(Wanted {
            places,
            called: Some(if is_root { "/" } else { called }.to_owned()),
        });
    }
    let is_issuer = ISSUERS.iter().any(|known| {
        let rest = path.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || path.ends_with(known)
    });
    is_issuer
        .then(|| place(path))
        .flatten()
        .map(|place| Wanted {
            places: vec![place],
            called: None,
        })
}

/// The document of a protected resource, about the guard at `called`; `None` when it stays as it
/// is.
pub(super) fn about_guard(document: &[u8], called: &Url, upstream: &Url) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(document).ok()?;
    let resource = document.as_object_mut()?.get_mut("resource")?;
    let mut url = Url::parse(resource.as_str()?).ok()?;
    if url.origin() != upstream.origin() {
        return None;
    }
    if url.path() == upstream.path() {
        url = called.clone();
    } else {
        let mut moved = called.clone();
        moved.set_path(url.path());
        url = moved;
    }
    *resource = Value::String(url.into());
    Some(document.to_string().into_bytes())
}

static METADATA: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r#"(?i)(^|[\s,])(resource_metadata\s*=\s*)(?:"([^"]*)"|([^\s,"]+))"#;
    Regex::new(pattern).ok()
});

/// Lets a 401 name the guard's document instead of the server's. Where the server's is, when it
/// names one of its own.
pub(super) fn point_here(headers: &mut HeaderMap, called: &Url, upstream: &Url) -> Option<Url> {
    let pattern = METADATA.as_ref()?;
    let challenges: Vec<HeaderValue> = headers.get_all(WWW_AUTHENTICATE).iter().cloned().collect();
    let mut told = None;
    headers.remove(WWW_AUTHENTICATE);
    for challenge in challenges {
        let changed = challenge.to_str().ok().map(|text| {
            pattern.replace(text, |found: &Captures<'_>| {
                let part = |number| found.get(number).map_or("", |part| part.as_str());
                let url = Url::parse(&[part(3), part(4)].concat()).ok();
                match url.filter(|url| url.origin() == upstream.origin()) {
                    None => part(0).to_owned(),
                    Some(url) => {
                        told = Some(url);
                        let mut here = called.clone();
                        here.set_path(&format!(
                            "{RESOURCE}{}",
                            called.path().trim_end_matches('/')
                        ));
                        format!("{}{}\"{here}\"", part(1), part(2))
                    }
                }
            })
        });
        let changed = changed.and_then(|text| HeaderValue::from_str(&text).ok());
        headers.append(WWW_AUTHENTICATE, changed.unwrap_or(challenge));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[track_caller]
    fn check(path: &str, upstream: &str, expected: &[&str], called: Option<&str>) {
        let found = wanted(path, &url(upstream), None).unwrap();
        let places: Vec<_> = found.places.iter().map(Url::as_str).collect();
        assert_eq!(
            (places.as_slice(), found.called.as_deref()),
            (expected, called),
            "{path}"
        );
    }

    #[test]
    fn documents_are_looked_for_where_the_server_may_have_them() {
        let up = "https://up.test/a/mcp?x=1";
        let own = "https://up.test/.well-known/oauth-protected-resource/a/mcp";
        let root = "https://up.test/.well-known/oauth-protected-resource";
        check(
            "/.well-known/oauth-protected-resource/a/mcp",
            up,
            &[own],
            Some("/a/mcp"),
        );
        check(
            "/.well-known/oauth-protected-resource",
            up,
            &[own, root],
            Some("/"),
        );
        check(
            "/.well-known/oauth-protected-resource",
            "https://up.test/",
            &[root],
            Some("/"),
        );
        for path in [
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/tenant",
            "/.well-known/openid-configuration/tenant",
            "/tenant/.well-known/openid-configuration",
        ] {
            check(path, up, &[&format!("https://up.test{path}")], None);
        }
        for path in [
            "/",
            "/a/mcp",
            "/.well-known/oauth-protected-resource/other",
            "/.well-known/oauth-protected-resources",
            "/.well-known/oauth-authorization-server/../../admin",
            "/.well-known/oauth-authorization-server/%2e%2e/%2e%2e/admin",
            "/.well-known/oauth-authorization-servers",
            "/.well-known/security.txt",
        ] {
            assert_eq!(wanted(path, &url(up), None), None, "{path}");
        }
        let told = url("https://up.test/meta");
        let found = wanted(
            "/.well-known/oauth-protected-resource",
            &url(up),
            Some(&told),
        );
        assert_eq!(found.unwrap().places.first(), Some(&told));
    }

    #[test]
    fn what_a_server_says_of_itself_is_said_of_the_guard() {
        let up = url("https://up.test/mcp");
        let check = |resource: &str, called: &str, expected: Option<&str>| {
            let document =
                json!({ "resource": resource, "authorization_servers": ["https://up.test/"] });
            let found = about_guard(document.to_string().as_bytes(), &url(called), &up);
            let expected = expected.map(|resource| {
                json!({ "resource": resource, "authorization_servers": ["https://up.test/"] })
            });
            let found = found.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
            assert_eq!(found, expected, "{resource}");
        };
        let (here, root) = ("http://localhost:9/mcp", "http://localhost:9/");
        check("https://up.test/mcp", here, Some(here));
        check("https://up.test/mcp", root, Some(root));
        check("https://UP.test:443/", here, Some(root));
        check("https://other.test/mcp", here, None);
        check("not a place", here, None);
        assert_eq!(about_guard(b"[]", &url(here), &up), None);
        assert_eq!(about_guard(b"nonsense", &url(here), &up), None);
    }

    #[test]
    fn a_challenge_points_to_the_guard() {
        let up = url("https://up.test/mcp");
        let check = |said: &str, called: &str, expected: &str, told: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=x"));
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(said).unwrap());
            let found = point_here(&mut headers, &url(called), &up);
            assert_eq!(found, told.map(url), "{said}");
            let all: Vec<_> = headers.get_all(WWW_AUTHENTICATE).iter().collect();
            assert_eq!(all, ["Basic realm=x", expected]);
        };
        let own = "https://up.test/.well-known/oauth-protected-resource/mcp";
        let here = "http://localhost:9/.well-known/oauth-protected-resource";
        check(
            &format!("Bearer error=\"invalid_token\", resource_metadata=\"{own}\", scope=\"a\""),
            "http://localhost:9/mcp",
            &format!(
                "Bearer error=\"invalid_token\", resource_metadata=\"{here}/mcp\", scope=\"a\""
            ),
            Some(own),
        );
        check(
            &format!("Bearer Resource_Metadata = {own}"),
            "http://localhost:9/",
            &format!("Bearer Resource_Metadata = \"{here}\""),
            Some(own),
        );
        let foreign = "Bearer resource_metadata=\"https://other.test/meta\"";
        check(foreign, "http://localhost:9/mcp", foreign, None);
        check("Bearer", "http://localhost:9/mcp", "Bearer", None);
    }
}
