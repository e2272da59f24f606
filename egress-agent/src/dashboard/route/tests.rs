use hyper::Request;
use proptest::prelude::*;

use super::*;
use crate::dashboard::token::Token;

struct Known {
    gate: Gate,
    bearer: String,
}

fn known() -> Known {
    let token = Token::make().unwrap();
    Known {
        gate: Gate::new("127.0.0.1:9440".parse().unwrap(), token.check()),
        bearer: format!("Bearer {}", token.reveal()),
    }
}

fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

impl Known {
    /// With the right host and token.
    fn ask(&self, target: &str, more: &[(&str, &str)]) -> Result<Route, Refused> {
        let own = [("host", "127.0.0.1:9440"), ("authorization", &self.bearer)];
        self.gate.check(&head(target, &[&own, more].concat()))
    }
}

#[test]
fn every_path_is_found_and_no_other() {
    let known = known();
    assert_eq!(known.ask("/", &[]), Ok(Route::Page));
    assert_eq!(known.ask("/api/overview", &[]), Ok(Route::Overview));
    assert_eq!(known.ask("/api/policy", &[]), Ok(Route::Policy));
    assert_eq!(known.ask("/api/timeline", &[]), Ok(Route::Timeline));
    assert_eq!(known.ask("/metrics", &[]), Ok(Route::Metrics));
    let why = Route::Why {
        target: "[2001:db8::1]:443".to_owned(),
        session: Some("s1".to_owned()),
    };
    let target = "/api/why?target=%5B2001:db8::1%5D:443&session=s1";
    assert_eq!(known.ask(target, &[]), Ok(why));
    let filter = Filter {
        denied: true,
        ..Filter::default()
    };
    let events = Ok(Route::Events(Box::new(filter)));
    assert_eq!(known.ask("/api/events?denied=1&session=", &[]), events);
    for path in [
        "/index.html",
        "/api",
        "/api/allow",
        "/api/overview/",
        "//",
        "/..",
    ] {
        assert_eq!(known.ask(path, &[]), Err(Refused::Path), "{path}");
    }
    for query in [
        "/api/why",
        "/api/why?target=",
        "/api/why?target=a:1&target=b:1",
        "/api/overview?token=x",
        "/api/events?denied=yes",
    ] {
        let found = known.ask(query, &[]);
        assert!(
            matches!(found, Err(Refused::Query(_))),
            "{query}: {found:?}"
        );
    }
    let long = format!("/api/why?target={}", "a".repeat(LONGEST));
    assert!(matches!(known.ask(&long, &[]), Err(Refused::Query(_))));
}

#[test]
fn data_wants_the_token_and_the_page_does_not() {
    let known = known();
    let host = ("host", "localhost:9440");
    let check = |target: &str, token: Option<&str>| {
        let mut headers = vec![host];
        headers.extend(token.map(|token| ("authorization", token)));
        known.gate.check(&head(target, &headers))
    };
    assert_eq!(check("/", None), Ok(Route::Page));
    let bare = known.bearer.strip_prefix("Bearer ").unwrap();
    let basic = format!("Basic {bare}");
    for target in ["/api/overview", "/api/events", "/metrics", "/nothing"] {
        for token in [
            None,
            Some(""),
            Some("Bearer "),
            Some("Bearer x"),
            Some(bare),
            Some(&*basic),
        ] {
            assert_eq!(
                check(target, token),
                Err(Refused::Token),
                "{target} {token:?}"
            );
        }
    }
    assert_eq!(
        check("/api/overview", Some(&known.bearer)),
        Ok(Route::Overview)
    );
    let twice = [("authorization", "Bearer x")];
    assert_eq!(known.ask("/api/overview", &twice), Err(Refused::Token));
    // Never in the query.
    let target = format!("/api/overview?token={bare}");
    assert_eq!(check(&target, None), Err(Refused::Token));
}

#[test]
fn no_other_name_and_no_other_site_gets_an_answer() {
    let known = known();
    for host in [
        "evil.test:9440",
        "127.0.0.1",
        "127.0.0.1:80",
        "",
        "localhost",
        "127.0.0.1:9440.",
    ] {
        let headers = [("host", host), ("authorization", &*known.bearer)];
        for path in ["/", "/api/overview"] {
            let found = known.gate.check(&head(path, &headers));
            assert_eq!(found, Err(Refused::Host), "{host}");
        }
    }
    assert_eq!(known.gate.check(&head("/", &[])), Err(Refused::Host));
    assert_eq!(
        known.ask("/", &[("host", "evil.test")]),
        Err(Refused::Host),
        "twice"
    );
    assert_eq!(known.ask("http://evil.test:9440/", &[]), Err(Refused::Host));
    for origin in [
        "http://evil.test:9440",
        "null",
        "",
        "https://127.0.0.1:9440",
        "127.0.0.1:9440",
    ] {
        let found = known.ask("/api/overview", &[("origin", origin)]);
        assert_eq!(found, Err(Refused::Origin), "{origin}");
    }
    for site in ["cross-site", "same-site", "anything"] {
        let headers = [("sec-fetch-site", site)];
        assert_eq!(known.ask("/api/overview", &headers), Err(Refused::Origin));
        // A link may lead to the page, which says nothing by itself.
        assert_eq!(known.ask("/", &headers), Ok(Route::Page));
    }
    let own = [
        ("origin", "http://localhost:9440"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(known.ask("/api/overview", &own), Ok(Route::Overview));
}

#[test]
fn only_questions_are_let_through() {
    let known = known();
    for length in ["1", "00", "x"] {
        let headers = [("content-length", length)];
        assert_eq!(known.ask("/api/overview", &headers), Err(Refused::Body));
    }
    let chunked = [("transfer-encoding", "chunked")];
    assert_eq!(known.ask("/", &chunked), Err(Refused::Body));
    assert_eq!(known.ask("/", &[("content-length", "0")]), Ok(Route::Page));
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "CONNECT", "PATCH",
    ] {
        let mut parts = head("/", &[("host", "127.0.0.1:9440")]);
        parts.method = method.parse().unwrap();
        assert_eq!(known.gate.check(&parts), Err(Refused::Method), "{method}");
    }
}

#[test]
fn the_socket_for_metrics_has_one_path() {
    assert_eq!(check_metrics(&head("/metrics", &[])), Ok(Route::Metrics));
    for path in ["/", "/api/overview", "/api/events", "/api/why?target=a:1"] {
        assert_eq!(
            check_metrics(&head(path, &[])),
            Err(Refused::Path),
            "{path}"
        );
    }
}

proptest! {
    /// Whatever it says besides, a request without the token learns nothing.
    #[test]
    fn without_the_token_there_is_the_page_or_nothing(
        path in "/[ -~]{0,40}",
        name in "[a-z-]{1,20}",
        value in "[ -~]{0,60}",
    ) {
        let known = known();
        let request = Request::get(path)
            .header("host", "127.0.0.1:9440")
            .header(name, value)
            .body(());
        let Ok(request) = request else { return Ok(()) };
        let found = known.gate.check(&request.into_parts().0);
        prop_assert!(matches!(found, Ok(Route::Page) | Err(_)), "{found:?}");
    }
}
