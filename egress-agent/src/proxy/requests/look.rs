//! Where secrets stand in a request: host, path, query, headers, body and its parts. Pure.

use std::fmt;

use http::{
    HeaderMap, HeaderName,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    request::Parts,
};

use super::fragments::Piece;
use crate::{
    content::{Content, Form, Sight},
    inspect::Finding,
    proxy::{
        decode::{Budget, DecodeError, Decoder},
        multipart::{self, InvalidMultipart},
    },
};

/// Bytes that a body may decode to for each of its own.
const RATIO: u64 = 200;
/// Values of one body that are remembered for the next.
const VALUES: usize = 32;

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    Host,
    Path,
    Query,
    Header(HeaderName),
    Body,
    /// Of the body, counted from 1.
    Part(usize),
    /// Several requests one after the other, in this place of theirs.
    Several(String),
    /// A message of a WebSocket.
    Message,
}

/// What was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) spot: Spot,
    pub(super) finding: Finding,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "what nobody judges passes"]
pub(super) struct Looked {
    pub(super) found: Vec<Found>,
    /// False when something may stand there unseen.
    pub(super) is_complete: bool,
}

/// Why a body cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Coding(#[from] DecodeError),
    #[error(transparent)]
    Multipart(#[from] InvalidMultipart),
    #[error("the field `{0}` cannot be read")]
    Field(HeaderName),
}

impl Looked {
    pub(super) const NOTHING: Self = Self {
        found: Vec::new(),
        is_complete: true,
    };

    pub(super) fn add(&mut self, sight: Sight, spot: impl Fn(&Finding) -> Spot) {
        self.is_complete &= sight.is_complete;
        self.found
            .extend(sight.findings.into_iter().map(|finding| Found {
                spot: spot(&finding),
                finding,
            }));
    }
}

/// Looks at all but the body.
pub(super) fn head(content: &Content, host: &str, parts: &Parts) -> Looked {
    // Makes one text: values of a query are joined, labels of a host too.
    const SCHEME: &str = "http://";
    let mut looked = Looked::NOTHING;
    let target = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let path_at = SCHEME.len() + host.len();
    let query_at = path_at + target.find('?').unwrap_or(target.len());
    let address = format!("{SCHEME}{host}{target}");
    looked.add(
        content.leaves(Form::Text, address.as_bytes()),
        // Where it ends: what is coded may be told with the text before it.
        |finding| match finding.range.end {
            end if end > query_at => Spot::Query,
            end if end > path_at => Spot::Path,
            _ => Spot::Host,
        },
    );
    let mut lines = Vec::new();
    let mut names = Vec::new();
    for (name, value) in &parts.headers {
        names.push((lines.len(), name));
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    looked.add(content.leaves(Form::Text, &lines), |finding| {
        let after = names.partition_point(|(at, _)| *at <= finding.range.start);
        let name = after.checked_sub(1).and_then(|index| names.get(index));
        name.map_or(Spot::Body, |(_, name)| Spot::Header((*name).clone()))
    });
    looked
}

/// Undoes the coding of a body.
pub(super) fn decode(fields: &HeaderMap, body: &[u8], longest: u64) -> Result<Vec<u8>, Unreadable> {
    let budget = Budget {
        longest,
        ratio: RATIO,
    };
    let mut decoder = Decoder::new(&joined(fields, &CONTENT_ENCODING)?, budget)?;
    if decoder.is_identity() {
        return Ok(body.to_vec());
    }
    let mut out = Vec::new();
    decoder.push(body, &mut out)?;
    decoder.finish()?;
    Ok(out)
}

/// Looks at a body that was decoded.
pub(super) fn body(
    content: &Content,
    fields: &HeaderMap,
    body: &[u8],
) -> Result<Looked, Unreadable> {
    let mut looked = Looked::NOTHING;
    let kind = joined(fields, &CONTENT_TYPE)?;
    if is_form(&kind) {
        // Its values are joined like those of a query.
        let text = [b"?", body].concat();
        looked.add(content.leaves(Form::Text, &text), |_| Spot::Body);
    } else if let Some(kind) = multipart::kind(&kind)? {
        for (index, part) in multipart::split(&kind, body)?.iter().enumerate() {
            let seen = content.leaves(form(&part.content), &part.content);
            looked.add(seen, |_| Spot::Part(index + 1));
        }
    }
    // As well, whatever it says of itself.
    looked.add(content.leaves(form(body), body), |_| Spot::Body);
    Ok(looked)
}

/// The pieces that could be parts of one secret with those of other requests.
pub(super) fn pieces(parts: &Parts, decoded: &[u8], login: &[HeaderName]) -> Vec<Piece> {
    let piece = |place: String, text: Vec<u8>| Piece { place, text };
    let mut pieces = Vec::new();
    let segments = parts.uri.path().rsplit('/');
    if let Some(last) = segments.into_iter().find(|segment| !segment.is_empty()) {
        let text = percent_encoding::percent_decode_str(last).collect();
        pieces.push(piece("path".to_owned(), text));
    }
    let mut all = Vec::new();
    let query = parts.uri.query().unwrap_or_default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(VALUES) {
        all.extend_from_slice(value.as_bytes());
        pieces.push(piece(format!("query {name}"), value.into_owned().into()));
    }
    pieces.push(piece("query".to_owned(), all));
    for (name, value) in &parts.headers {
        if !is_of_every_request(name) && !login.contains(name) {
            pieces.push(piece(format!("header {name}"), value.as_bytes().to_vec()));
        }
    }
    pieces.extend(values(&parts.headers, decoded));
    pieces
}

/// The values of a body, or all of it.
fn values(fields: &HeaderMap, body: &[u8]) -> Vec<Piece> {
    let piece = |place: String, text: Vec<u8>| Piece { place, text };
    let kind = joined(fields, &CONTENT_TYPE).unwrap_or_default();
    let mut all = Vec::new();
    let mut pieces = Vec::new();
    let mut push = |name: &str, text: &[u8]| {
        if pieces.len() < VALUES {
            all.extend_from_slice(text);
            pieces.push(piece(format!("body {name}"), text.to_vec()));
        }
    };
    if form(body) == Form::Json
        && let Ok(value) = serde_json::from_slice(body)
    {
        // Whatever it says of itself.
        leaves("", &value, &mut push);
    } else if is_form(&kind) {
        for (name, value) in url::form_urlencoded::parse(body) {
            push(&name, value.as_bytes());
        }
    } else if let Ok(Some(kind)) = multipart::kind(&kind) {
        for part in multipart::split(&kind, body).unwrap_or_default() {
            push(part.name.as_deref().unwrap_or_default(), &part.content);
        }
    } else {
        return vec![piece("body".to_owned(), body.to_vec())];
    }
    pieces.push(piece("body".to_owned(), all));
    pieces
}

/// Every text in a value, with the name that it has. As deep as the parser reads.
fn leaves(name: &str, value: &serde_json::Value, push: &mut impl FnMut(&str, &[u8])) {
    match value {
        serde_json::Value::String(text) => push(name, text.as_bytes()),
        serde_json::Value::Array(list) => {
            for one in list {
                leaves(name, one, push);
            }
        }
        serde_json::Value::Object(map) => {
            for (name, one) in map {
                leaves(name, one, push);
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// Headers in which nothing changes from request to request that an agent chose.
fn is_of_every_request(name: &HeaderName) -> bool {
    const ALL: [&str; 10] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "sec-websocket-key",
        "sec-websocket-version",
        "transfer-encoding",
    ];
    ALL.contains(&name.as_str())
}

/// How a text is best read, by what it begins with: what it says of itself may be wrong.
pub(super) fn form(text: &[u8]) -> Form {
    match text.trim_ascii_start().first() {
        Some(b'{' | b'[' | b'"') => Form::Json,
        Some(_) | None => Form::Text,
    }
}

fn is_form(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// All values of a field in one (RFC 9110 section 5.3).
pub(super) fn joined(fields: &HeaderMap, name: &HeaderName) -> Result<String, Unreadable> {
    let mut all = String::new();
    for value in fields.get_all(name) {
        let value = value.to_str();
        let value = value.map_err(|_bytes| Unreadable::Field(name.clone()))?;
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(value);
    }
    Ok(all)
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host"),
            Self::Path => f.write_str("the path"),
            Self::Query => f.write_str("the query"),
            Self::Header(name) => write!(f, "the header `{name}`"),
            Self::Body => f.write_str("the body"),
            Self::Part(number) => write!(f, "part {number} of the body"),
            Self::Several(place) => write!(f, "several requests together ({place})"),
            Self::Message => f.write_str("a message of the WebSocket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TOKEN: &str = "ghp_a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

    fn parts(target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn spots(looked: &Looked) -> Vec<Spot> {
        assert!(looked.is_complete);
        looked
            .found
            .iter()
            .map(|found| found.spot.clone())
            .collect()
    }

    #[test]
    fn a_secret_is_found_wherever_it_stands_in_a_head() {
        let content = Content::default();
        let look = |host: &str, target: &str, fields: &[(&str, &str)]| {
            spots(&head(&content, host, &parts(target, fields)))
        };
        assert_eq!(look("a.test", "/x?y=z", &[("accept", "*/*")]), []);
        assert_eq!(look("a.test", &format!("/x/{TOKEN}"), &[]), [Spot::Path]);
        assert_eq!(look("a.test", &format!("/x?y={TOKEN}"), &[]), [Spot::Query]);
        let coded = TOKEN
            .bytes()
            .fold(String::new(), |coded, byte| format!("{coded}%{byte:02x}"));
        assert_eq!(look("a.test", &format!("/x?y={coded}"), &[]), [Spot::Query]);
        let name = HeaderName::from_static("x-note");
        let spot = [Spot::Header(name)];
        assert_eq!(look("a.test", "/", &[("a", "b"), ("x-note", TOKEN)]), spot);
    }

    #[test]
    fn a_secret_is_found_in_every_kind_of_body() {
        let content = Content::default();
        let look = |kind: &str, text: &str| {
            let parts = parts("/", &[("content-type", kind)]);
            body(&content, &parts.headers, text.as_bytes()).map(|looked| spots(&looked))
        };
        assert_eq!(look("text/plain", TOKEN), Ok(vec![Spot::Body]));
        assert_eq!(look("text/plain", "nothing"), Ok(vec![]));
        let json = format!(
            r#"{{ "a": {{ "b": "{}" }} }}"#,
            TOKEN.replace('g', "\\u0067")
        );
        assert_eq!(look("text/plain", &json), Ok(vec![Spot::Body]));
        let form = format!("a=b&c={}", TOKEN.replace('_', "%5F"));
        let kind = "application/x-www-form-urlencoded";
        let found = look(kind, &form).unwrap();
        assert!(found.contains(&Spot::Body), "{found:?}");
        let coded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, TOKEN);
        let parts = format!(
            "--xx\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nb\r\n--xx\r\n\
             content-disposition: form-data; name=\"f\"\r\ncontent-transfer-encoding: base64\r\n\r\n\
             {coded}\r\n--xx--\r\n"
        );
        let found = look("multipart/form-data; boundary=xx", &parts).unwrap();
        assert!(found.contains(&Spot::Part(2)), "{found:?}");
        let cut = look("multipart/form-data; boundary=xx", "--xx\r\n");
        assert!(matches!(cut, Err(Unreadable::Multipart(_))), "{cut:?}");
    }

    #[test]
    fn what_cannot_be_decoded_is_not_looked_at() {
        let with = |coding: &str| parts("/", &[("content-encoding", coding)]).headers;
        assert_eq!(decode(&with("identity"), b"x", 10).unwrap(), b"x");
        for (coding, text) in [("magic", &b"x"[..]), ("gzip", b"x")] {
            let error = decode(&with(coding), text, 10).unwrap_err();
            assert!(matches!(error, Unreadable::Coding(_)), "{error}");
        }
        assert!(decode(&with(""), b"more than ten", 10).is_ok());
    }

    #[test]
    fn pieces_are_what_a_client_chooses() {
        let fields = [("host", "a.test"), ("authorization", "x"), ("x-a", "1")];
        let parts = parts("/up/part%201?d=one&e=two", &fields);
        let login = [HeaderName::from_static("authorization")];
        let found = pieces(&parts, br#"{ "a": ["x", { "b": "y" }], "c": 1 }"#, &login);
        let found: Vec<_> = found
            .into_iter()
            .map(|it| format!("{}: {}", it.place, String::from_utf8(it.text).unwrap()))
            .collect();
        let expected = [
            "path: part 1",
            "query d: one",
            "query e: two",
            "query: onetwo",
            "header x-a: 1",
            "body a: x",
            "body b: y",
            "body: xy",
        ];
        assert_eq!(found, expected);
    }
}
