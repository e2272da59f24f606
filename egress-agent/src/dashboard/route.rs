//! What a request asks for, and whether it may. Pure, and the only place where it is decided.

use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING},
    http::request::Parts,
};
use serde::Serialize;

use super::{address::Address, token::Check};
use crate::audit::filter::Filter;

/// The longest target of `why`, and the longest name of a session. Bytes.
const LONGEST: usize = 512;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Route {
    Page,
    Overview,
    Events(Box<Filter>),
    Why {
        target: String,
        session: Option<String>,
    },
    Policy,
    Timeline,
    Metrics,
}

/// Why a request is not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    Method,
    Host,
    Origin,
    Body,
    Path,
    Query(String),
    Token,
    /// A guarded process asks.
    Guarded,
    Busy,
}

/// What a refused client is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Told {
    code: &'static str,
    message: String,
    help: &'static str,
}

/// Knows under which names it is called, and the token.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    hosts: Vec<String>,
    token: Check,
}

impl Gate {
    pub(super) fn new(address: Address, token: Check) -> Self {
        Self {
            hosts: address.hosts(),
            token,
        }
    }

    /// Says what may be answered. The order is that of trust: nothing is read of a request that
    /// another site could have caused.
    pub(super) fn check(&self, head: &Parts) -> Result<Route, Refused> {
        self.check_host(&head.headers, &head.uri)?;
        self.check_origin(&head.headers)?;
        check_shape(head)?;
        if head.uri.path() == "/" {
            // It has no secret in it, and a browser has no token to ask for it with.
            return Ok(Route::Page);
        }
        check_site(&head.headers)?;
        self.check_token(&head.headers)?;
        route(&head.uri)
    }

    /// A page of another site can have its own name lead to this machine, and its requests say so.
    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Refused> {
        let is_ours = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        let host = single(headers, &HOST).and_then(|host| host.to_str().ok());
        let authority = uri.authority().map(http::uri::Authority::as_str);
        if !host.is_some_and(is_ours) || !authority.is_none_or(is_ours) {
            return Err(Refused::Host);
        }
        Ok(())
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if !headers.contains_key(ORIGIN) {
            return Ok(());
        }
        let origin = single(headers, &ORIGIN).and_then(|origin| origin.to_str().ok());
        let host = origin.and_then(|origin| origin.strip_prefix("http://"));
        if host.is_some_and(|host| self.hosts.iter().any(|own| own == host)) {
            Ok(())
        } else {
            Err(Refused::Origin)
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let given = single(headers, &AUTHORIZATION).map(hyper::header::HeaderValue::as_bytes);
        let token = given.and_then(|given| {
            let (scheme, token) = given.split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
        });
        // One that is not there takes as long as a wrong one.
        if self.token.fits(token.unwrap_or_default()) {
            Ok(())
        } else {
            Err(Refused::Token)
        }
    }
}

/// The socket for metrics has one path, and its mode is its token.
pub(super) fn check_metrics(head: &Parts) -> Result<Route, Refused> {
    check_shape(head)?;
    match route(&head.uri)? {
        Route::Metrics => Ok(Route::Metrics),
        Route::Page
        | Route::Overview
        | Route::Events(_)
        | Route::Why { .. }
        | Route::Policy
        | Route::Timeline => Err(Refused::Path),
    }
}

/// Nothing but a question: no other method, and no body.
fn check_shape(head: &Parts) -> Result<(), Refused> {
    if head.method != Method::GET {
        return Err(Refused::Method);
    }
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let has_body = lengths.any(|length| length != "0");
    if has_body || head.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refused::Body);
    }
    Ok(())
}

/// Browsers say which site caused a request, and no page can make them say otherwise.
fn check_site(headers: &HeaderMap) -> Result<(), Refused> {
    let site = HeaderName::from_static("sec-fetch-site");
    let mut sites = headers.get_all(site).iter();
    if sites.all(|site| site == "same-origin" || site == "none") {
        Ok(())
    } else {
        Err(Refused::Origin)
    }
}

fn route(uri: &Uri) -> Result<Route, Refused> {
    let mut query = Query::read(uri.query().unwrap_or_default())?;
    let route = match uri.path() {
        "/api/overview" => Route::Overview,
        "/api/events" => {
            let denied = match query.take("denied").as_deref() {
                None | Some("0") => false,
                Some("1") => true,
                Some(_) => return Err(Refused::Query("`denied` is 0 or 1".to_owned())),
            };
            Route::Events(Box::new(Filter {
                denied,
                session: query.take("session"),
                ..Filter::default()
            }))
        }
        "/api/why" => Route::Why {
            target: query
                .take("target")
                .ok_or_else(|| Refused::Query("`target` is missing".to_owned()))?,
            session: query.take("session"),
        },
        "/api/policy" => Route::Policy,
        "/api/timeline" => Route::Timeline,
        "/metrics" => Route::Metrics,
        _ => return Err(Refused::Path),
    };
    query.end()?;
    Ok(route)
}

/// The members of a query string.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(text: &str) -> Result<Self, Refused> {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        let members: Vec<(String, String)> = pairs.into_owned().collect();
        if members
            .iter()
            .any(|(name, value)| name.len() + value.len() > LONGEST)
        {
            return Err(Refused::Query(format!(
                "a member has more than {LONGEST} bytes"
            )));
        }
        Ok(Self(members))
    }

    /// An empty one is one that is not there.
    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(found, _)| found == name)?;
        let (_, value) = self.0.remove(index);
        (!value.is_empty()).then_some(value)
    }

    /// Nothing is guessed about what is left.
    fn end(self) -> Result<(), Refused> {
        match self.0.first() {
            None => Ok(()),
            Some(_) => Err(Refused::Query(
                "a member is unknown, or there twice".to_owned(),
            )),
        }
    }
}

/// The value of a header that stands there once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h hyper::header::HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

impl Refused {
    /// The status, and what the client is told.
    pub(super) fn told(&self) -> (StatusCode, Told) {
        let told = |status, code, message: &str, help| {
            let message = message.to_owned();
            (
                status,
                Told {
                    code,
                    message,
                    help,
                },
            )
        };
        match self {
            Self::Method => told(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "the dashboard only answers questions",
                "use GET; changes are made with egressctl",
            ),
            Self::Host => told(
                StatusCode::FORBIDDEN,
                "host",
                "the request was made under another name than that of this listener",
                "use the address that `egressctl dashboard` prints",
            ),
            Self::Origin => told(
                StatusCode::FORBIDDEN,
                "origin",
                "a page of another site asks",
                "open the address that `egressctl dashboard` prints by itself",
            ),
            Self::Body => told(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body",
                "the request has a body",
                "leave it out",
            ),
            Self::Path => told(
                StatusCode::NOT_FOUND,
                "path",
                "nothing is served at this path",
                "see /api/overview, /api/events, /api/why, /api/policy, /api/timeline and /metrics",
            ),
            Self::Query(why) => told(
                StatusCode::BAD_REQUEST,
                "query",
                why,
                "ask like /api/why?target=example.com:443",
            ),
            Self::Token => told(
                StatusCode::UNAUTHORIZED,
                "token",
                "the token is missing, or is not that of the egressd that runs now",
                "run `egressctl dashboard` and open the address that it prints",
            ),
            Self::Guarded => told(
                StatusCode::FORBIDDEN,
                "guarded",
                "a guarded process sees no more than its own session",
                "ask from outside of the guarded cgroup",
            ),
            Self::Busy => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many pages are open",
                "close some and try again",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
