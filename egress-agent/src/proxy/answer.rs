//! What a client reads that was refused: a status, one header for programs, and a short text.

use std::fmt::Write as _;

use egress_common::{Protocol, Reason};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;

use super::flow::Denial;
use crate::policy::{Host, Name, Policy, suggest};

/// A response that the proxy makes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub body: String,
}

/// The body of a refusal, where the client takes JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Body {
    /// The stable code of the reason.
    pub error: String,
    /// What happened, and why.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What would allow it: a rule as it would stand in `network.allow`, or for a host that is
    /// allowed an entry of `requests` in its rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_with: Option<serde_json::Value>,
    /// Whether the same request may succeed later.
    pub retry: bool,
}

impl Answer {
    /// What is said for a denial. `asked` are the fields of the request, if it could be read.
    pub fn denied(
        denial: &Denial,
        policy: &Policy,
        (host, port): (Option<&str>, u16),
        asked: Option<&HeaderMap>,
    ) -> Self {
        let status = status(denial.reason);
        let rule = policy.rule(denial.rule);
        let message = denial.message.clone();
        let message = message
            .or_else(|| rule.and_then(|rule| rule.reason.clone()))
            .unwrap_or_else(|| says(denial.reason).to_owned());
        let is_allowable = matches!(denial.reason, Reason::NameDenied | Reason::PortNotAllowed);
        let allow_with = host
            .filter(|_| is_allowable)
            .and_then(|host| Name::parse(host).ok())
            .map(|name| suggest(&Host::Name(name), port, Protocol::TCP))
            .and_then(|text| serde_json::from_str(&text).ok());
        let more = denial.more.as_deref();
        let entry = more.and_then(|more| more.allow_with.clone());
        let retry_after = more.and_then(|more| more.retry_after);
        let body = Body {
            error: denial.reason.code().to_owned(),
            message,
            host: host.map(str::to_owned),
            rule: rule.map(|rule| rule.name.clone()),
            allow_with: allow_with.or(entry),
            // A budget that never begins anew stays used up.
            retry: may_pass_later(denial.reason)
                && (denial.reason != Reason::HostBudget || retry_after.is_some()),
        };
        let mut answer = Self::new(status, &body, asked);
        if let Some(wait) = retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            answer.fields.insert(RETRY_AFTER, seconds.into());
        }
        answer
    }

    /// What is said of a request that cannot be read, or that asks for what a proxy does not do.
    pub fn refused(status: StatusCode, code: &str, message: &str) -> Self {
        let body = Body {
            error: code.to_owned(),
            message: message.to_owned(),
            host: None,
            rule: None,
            allow_with: None,
            retry: false,
        };
        Self::new(status, &body, None)
    }

    fn new(status: StatusCode, body: &Body, asked: Option<&HeaderMap>) -> Self {
        let mut fields = HeaderMap::new();
        let is_json = asked
            .and_then(|fields| fields.get(ACCEPT))
            .and_then(|value| value.to_str().ok())
            .is_some_and(|accept| accept.contains("json"));
        let (kind, text) = match serde_json::to_string(body) {
            Ok(text) if is_json => ("application/json", text + "\n"),
            Ok(_) | Err(_) => ("text/plain; charset=utf-8", plain(body)),
        };
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // RFC 9209; `egressd` is the name of the intermediary, `error` one of its registered types.
        let kind = match status {
            StatusCode::BAD_GATEWAY => "destination_unavailable",
            StatusCode::GATEWAY_TIMEOUT => "http_response_timeout",
            _ => "http_request_denied",
        };
        let status_field = format!("egressd; error={kind}; details=\"{}\"", body.error);
        if let Ok(value) = HeaderValue::try_from(status_field) {
            fields.insert("proxy-status", value);
        }
        Self {
            status,
            fields,
            body: text,
        }
    }
}

fn plain(body: &Body) -> String {
    let Body {
        error,
        message,
        host,
        rule,
        allow_with,
        retry,
    } = body;
    let mut text = format!("egressd: {error}");
    // Writing to a string cannot fail.
    if let Some(host) = host {
        write!(text, ": {host}").unwrap_or_default();
    }
    write!(text, ": {message}").unwrap_or_default();
    if let Some(rule) = rule {
        write!(text, " (rule {rule})").unwrap_or_default();
    }
    text.push('\n');
    if let Some(rule) = allow_with {
        let place = if error == Reason::RequestDenied.code() {
            "to `requests` of the rule"
        } else {
            "to network.allow"
        };
        writeln!(text, "to allow it, add {place}: {rule}").unwrap_or_default();
    }
    if !retry {
        text.push_str("do not retry: the answer stays the same until the policy changes\n");
    }
    text
}

/// The status that says best what happened (RFC 9110 section 15).
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what has no status of its own is refused by the policy"
)]
pub const fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::HostBudget => StatusCode::TOO_MANY_REQUESTS,
        Reason::DialFailed | Reason::TlsFailed | Reason::UpstreamFailed => StatusCode::BAD_GATEWAY,
        Reason::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        Reason::ProxyFull | Reason::NotConfigured => StatusCode::SERVICE_UNAVAILABLE,
        Reason::UnreadableRequest => StatusCode::BAD_REQUEST,
        Reason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::FORBIDDEN,
    }
}

const fn may_pass_later(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::HostBudget
            | Reason::DialFailed
            | Reason::UpstreamFailed
            | Reason::TooSlow
            | Reason::ProxyFull
    )
}

/// A reason in words, where nothing better is known.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the proxy gives few of the reasons"
)]
pub const fn says(reason: Reason) -> &'static str {
    match reason {
        Reason::NameDenied => "no rule of the policy names this host",
        Reason::PortNotAllowed => "the policy allows this host on other ports",
        Reason::DeniedByRule => "a rule of the policy denies this host",
        Reason::NameMismatch => "this host was not resolved to the address that was dialled",
        Reason::NoRule => "no rule of the policy allows this address",
        Reason::RequestDenied => "the policy allows other requests to this host",
        Reason::ContentDenied => "the policy refuses what stands in it",
        Reason::HostBudget => "the budget for this host is used up",
        Reason::BodyTooLarge => "the body is longer than can be judged",
        Reason::CredentialMisplaced => "the placeholder stands for a secret of another host",
        Reason::DialFailed => "the host cannot be reached",
        Reason::TlsFailed => "the TLS of the host failed",
        Reason::TooSlow => "no answer came in time",
        Reason::ProxyFull => "the proxy has no room for one more connection",
        Reason::Revoked => "the policy no longer allows this host",
        _ => "the policy does not allow it",
    }
}
