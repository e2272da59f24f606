//! Answers: their bodies, and the headers that every one of them has.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::{Bytes, Frame},
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
        REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use serde::Serialize;

use super::{page, route::Refused};
use crate::control::message::{Code, Failure};

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Answer = Response<Body>;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// For every answer, an error too. The page alone has a wider `Content-Security-Policy`.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The page itself.
pub(super) fn page() -> Answer {
    let mut answer = whole(
        StatusCode::OK,
        "text/html; charset=utf-8",
        Bytes::from_static(page::TEXT.as_bytes()),
    );
    if let Ok(policy) = HeaderValue::from_str(page::security_policy()) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

pub(super) fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(bytes) => raw_json(bytes.into()),
        Err(error) => failed(&Failure::new(
            Code::Failed,
            format!("the answer cannot be written: {error}"),
        )),
    }
}

/// JSON that is made already.
pub(super) fn raw_json(bytes: Bytes) -> Answer {
    whole(StatusCode::OK, JSON, bytes)
}

pub(super) fn metrics(text: String) -> Answer {
    whole(StatusCode::OK, TEXT, text.into())
}

pub(super) fn events(events: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Answer {
    use futures_util::StreamExt as _;
    let frames = events.map(|bytes| Ok(Frame::data(bytes)));
    of(
        StatusCode::OK,
        "text/event-stream",
        StreamBody::new(frames).boxed_unsync(),
    )
}

/// What the daemon could not or would not say.
pub(super) fn failed(failure: &Failure) -> Answer {
    let status = match failure.code {
        Code::BadRequest | Code::WrongVersion => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::Busy | Code::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::InvalidPolicy | Code::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, failure)
}

/// What was not let through.
pub(super) fn refused(refused: &Refused) -> Answer {
    let (status, told) = refused.told();
    let mut answer = error(status, &told);
    let extra = match refused {
        Refused::Method => Some((ALLOW, "GET")),
        Refused::Token => Some((WWW_AUTHENTICATE, "Bearer realm=\"egressd\"")),
        Refused::Host
        | Refused::Origin
        | Refused::Body
        | Refused::Path
        | Refused::Query(_)
        | Refused::Guarded
        | Refused::Busy => None,
    };
    if let Some((name, value)) = extra {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[derive(Serialize)]
struct Error<T> {
    error: T,
}

fn error(status: StatusCode, told: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(&Error { error: told }).unwrap_or_default();
    whole(status, JSON, bytes.into())
}

fn whole(status: StatusCode, kind: &'static str, bytes: Bytes) -> Answer {
    of(status, kind, Full::new(bytes).boxed_unsync())
}

fn of(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
