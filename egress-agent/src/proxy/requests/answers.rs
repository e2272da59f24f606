//! What comes back: orders to the model are found before the client has them, a stream of events
//! is read event by event, and the secret of the rule is covered wherever it shows.

mod mask;
mod stream;

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG},
};
use http_body_util::{BodyExt as _, Full};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use egress_common::Reason;

use super::{Judge, MOST_FINDINGS, aside, look};
use crate::{
    content::{Form, Sight},
    inspect::{
        Finding, Kind, Redaction, Tokens,
        redact::{redact, redact_json},
    },
    policy::OfAnswer,
    proxy::{
        decode::{self, Decoder},
        exchange::upstream::LocalBody,
        flow::Denial,
    },
};
use mask::Mask;
use stream::{Answer, Reader};

/// Bytes of an answer that is judged as a whole.
const LONGEST: usize = 8 << 20;
/// Bytes that an answer may decode to for each of its own.
const RATIO: u64 = 200;
/// Looked at to tell text from other bytes.
const SNIFFED: usize = 512;

impl Judge<'_> {
    /// The answer as the client may have it.
    pub(in crate::proxy) async fn answer(
        &self,
        response: Response<LocalBody>,
    ) -> Result<Response<LocalBody>, Denial> {
        let (mut parts, body) = response.into_parts();
        let mask = self.secret().map(|secret| Mask::new(secret.as_bytes()));
        if let Some(mask) = &mask {
            mask_fields(mask, &mut parts.headers);
        }
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Response::from_parts(parts, body));
        }
        let act = self.of_answers();
        let coding = look::joined(&parts.headers, &CONTENT_ENCODING)
            .map_err(|error| self.unjudged(&error.to_string()))?;
        let is_read = act != OfAnswer::Allow || mask.is_some();
        let mut answer = Answer::new(self, body, mask);
        if is_read && !coding.is_empty() {
            let budget = decode::Budget {
                longest: u64::MAX,
                ratio: RATIO,
            };
            match Decoder::new(&coding, budget) {
                Ok(decoder) => answer.decoder = Some(decoder),
                Err(error) => {
                    self.hold(Err(self.unjudged(&error.to_string())))?;
                    // The policy observes: what cannot be read goes on.
                    return Ok(Response::from_parts(parts, Box::pin(answer)));
                }
            }
            parts.headers.remove(CONTENT_ENCODING);
            parts.headers.remove(CONTENT_LENGTH);
        }
        if act == OfAnswer::Allow {
            return Ok(Response::from_parts(parts, Box::pin(answer)));
        }
        let kind = look::joined(&parts.headers, &CONTENT_TYPE).unwrap_or_default();
        if is(&kind, "text/event-stream") {
            parts.headers.remove(CONTENT_LENGTH);
            answer.reader = Reader::events(act);
            return Ok(Response::from_parts(parts, Box::pin(answer)));
        }
        let broken = |error: std::io::Error| {
            let message = format!("{} broke its answer off: {error}", self.host);
            Denial::with(Reason::DialFailed, message)
        };
        if !is_text(&kind) {
            let first = answer.first().await.map_err(broken)?;
            if !looks_like_text(first) {
                return Ok(Response::from_parts(parts, Box::pin(answer)));
            }
        }
        if act == OfAnswer::Warn {
            answer.reader = Reader::beside();
            answer.read_first();
            return Ok(Response::from_parts(parts, Box::pin(answer)));
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = answer.frame().await {
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                whole.extend_from_slice(&data);
            }
            if whole.len() > LONGEST {
                let message = format!("it has more than {} MiB of text", LONGEST >> 20);
                return Err(self.unjudged(&message));
            }
        }
        let whole = self.judged(act, &mut parts.headers, whole.freeze()).await?;
        // An answer to HEAD tells the length of what is not there.
        if parts.headers.contains_key(CONTENT_LENGTH) && !whole.is_empty() {
            parts.headers.insert(CONTENT_LENGTH, whole.len().into());
        }
        let body: LocalBody = Box::pin(Full::new(whole).map_err(|never| match never {}));
        Ok(Response::from_parts(parts, body))
    }

    /// What is done about orders, where the policy does more than observe.
    pub(super) fn of_answers(&self) -> OfAnswer {
        let act = self.policy.proxy().responses;
        if self.flow.observes() {
            act.min(OfAnswer::Warn)
        } else {
            act
        }
    }

    /// A whole text, without the orders in it.
    async fn judged(
        &self,
        act: OfAnswer,
        fields: &mut HeaderMap,
        text: Bytes,
    ) -> Result<Bytes, Denial> {
        let (policy, copy) = (Arc::clone(&self.policy), text.clone());
        let work = move || policy.content().comes(look::form(&copy), &copy);
        let sight = aside(text.len(), work).await?;
        if !sight.is_complete {
            return Err(self.unjudged("codings within codings lie deeper than they are read"));
        }
        if sight.findings.is_empty() {
            return Ok(text);
        }
        if act == OfAnswer::Deny || !can_be_stripped(&sight) {
            return Err(self.orders(&sight));
        }
        self.flow.witness().noted(
            self.rule,
            says("orders were taken out of the answer", &sight),
            first(&sight),
        );
        for name in ["content-md5", "digest", "content-digest", "repr-digest"] {
            fields.remove(HeaderName::from_static(name));
        }
        fields.remove(ETAG);
        let redaction = &self.policy.inspect().redaction;
        let memory = self.flow.place.memory.borrow();
        Ok(strip(&text, &sight, redaction, &memory.tokens).into())
    }

    /// An answer that holds orders.
    pub(super) fn orders(&self, sight: &Sight) -> Denial {
        let what = says(
            "the answer holds what reads like orders to the model",
            sight,
        );
        let message = format!("{what}; do not ask for it again, and tell the person of it");
        Denial::by(Reason::ContentDenied, self.rule, message).finding(first(sight))
    }

    fn unjudged(&self, why: &str) -> Denial {
        let message = format!("the answer of {} cannot be judged: {why}", self.host);
        Denial::by(Reason::ContentDenied, self.rule, message)
    }
}

/// The text with a mark in place of each order.
pub(super) fn strip(text: &[u8], sight: &Sight, redaction: &Redaction, tokens: &Tokens) -> Vec<u8> {
    let redact = match look::form(text) {
        Form::Json => redact_json,
        Form::Text => redact,
    };
    redact(text, &sight.findings, redaction, tokens)
}

/// Whether what was found stands somewhere, and the rest is worth something without it.
pub(super) fn can_be_stripped(sight: &Sight) -> bool {
    let deceives = |it: &Finding| it.kind == Kind::Poisoning;
    sight.is_complete && !sight.findings.iter().any(deceives)
}

/// What happened, with the first of the detectors.
pub(super) fn says(what: &str, sight: &Sight) -> String {
    let detector = sight.findings.first().map(|it| it.detector.as_str());
    detector.map_or_else(
        || what.to_owned(),
        |detector| format!("{what} (`{detector}`)"),
    )
}

pub(super) fn first(sight: &Sight) -> Vec<Finding> {
    sight.findings.iter().take(MOST_FINDINGS).cloned().collect()
}

/// Covers a secret. Whether it was there.
pub(super) fn cover(secret: &[u8], text: &mut [u8]) -> bool {
    Mask::new(secret).cover(text)
}

fn mask_fields(mask: &Mask, fields: &mut HeaderMap) {
    for value in fields.values_mut() {
        let mut bytes = value.as_bytes().to_vec();
        if mask.cover(&mut bytes) {
            // Stars are always a value.
            *value = HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static(""));
        }
    }
}

fn is(kind: &str, essence: &str) -> bool {
    let of = kind.split(';').next().unwrap_or_default();
    of.trim().eq_ignore_ascii_case(essence)
}

/// Types that say they are text.
fn is_text(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let is_known = [
        "application/json",
        "application/javascript",
        "application/ecmascript",
        "application/xml",
        "application/yaml",
        "application/x-ndjson",
        "application/x-yaml",
    ];
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || is_known.contains(&essence.as_str())
}

/// Whatever a host says of it: UTF-8 without control characters of no text.
fn looks_like_text(bytes: &[u8]) -> bool {
    let first = bytes.get(..SNIFFED).unwrap_or(bytes);
    let is_utf8 = match std::str::from_utf8(first) {
        Ok(_) => true,
        // The last character may be cut.
        Err(error) => error.error_len().is_none(),
    };
    is_utf8
        && !first
            .iter()
            .any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_other_bytes_whatever_a_host_says() {
        for kind in [
            "text/html; charset=x",
            "application/ld+json",
            "Image/SVG+XML",
        ] {
            assert!(is_text(kind), "{kind}");
        }
        assert!(!is_text("application/octet-stream"));
        assert!(!is_text(""));
        assert!(looks_like_text(b"plain\ttext\r\n\x1b[1m"));
        assert!(looks_like_text("caf\u{e9}".as_bytes()));
        assert!(looks_like_text(&"\u{e9}".as_bytes()[..1]));
        assert!(!looks_like_text(b"\x1f\x8b\x08\x00"));
        assert!(!looks_like_text(b"PK\x03\x04"));
        assert!(!looks_like_text(b"\x89PNG\r\n"));
    }
}
