//! Forms and other bodies of several parts (RFC 7578, RFC 2046 section 5.1), taken apart to be
//! judged. Pure.
//!
//! Readers of these bodies forgive much, each something else: a line feed for a line, a boundary
//! that goes on, text before the first part. A body that two of them could take apart in two ways is
//! refused. The parts are told with their places; nothing is written anew.

use std::{borrow::Cow, ops::Range};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use memchr::memmem;

/// Parts of a body.
const MOST_PARTS: usize = 1000;
/// Bytes of the header of a part.
const LONGEST_HEADER: usize = 16 << 10;
/// Characters of a boundary (RFC 2046 section 5.1.1).
const LONGEST_BOUNDARY: usize = 70;
/// Some writers leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a `Content-Type` of several parts says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `multipart/form-data`: every part has a name.
    pub is_form: bool,
    pub boundary: String,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The field of the form.
    pub name: Option<String>,
    pub filename: Option<String>,
    /// Its `Content-Type`, as it was sent.
    pub content_type: Option<String>,
    /// Where the lines of its header stand in the body.
    pub header: Range<usize>,
    /// Where its content stands, as it was sent.
    pub place: Range<usize>,
    /// Its content, decoded when it came as base64.
    pub content: Cow<'a, [u8]>,
}

/// Why a body cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMultipart {
    #[error("the type of the body cannot be read")]
    Type,
    #[error("the type of the body has no boundary, two, or one that must not be")]
    Boundary,
    #[error("the body does not begin with its boundary")]
    Preamble,
    #[error("the boundary stands in the body at byte {0}, and not as a line of its own")]
    Ambiguous(usize),
    #[error("something follows the last boundary")]
    Epilogue,
    #[error("the body ends before its last boundary")]
    Truncated,
    #[error("the body has more than {MOST_PARTS} parts")]
    TooMany,
    #[error("the header of part {0} cannot be read")]
    Header(usize),
    #[error("the header of part {0} says something twice")]
    Repeated(usize),
    #[error("part {0} of the form has no name")]
    NoName(usize),
    #[error("part {0} has parts of its own")]
    Nested(usize),
    #[error("part {0} has a transfer encoding that is not known")]
    Encoding(usize),
    #[error("part {0} is not base64, as it says")]
    Base64(usize),
}

/// Reads a `Content-Type`; `None` when it is not of several parts.
pub fn kind(content_type: &str) -> Result<Option<Kind>, InvalidMultipart> {
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let essence = essence.trim_matches([' ', '\t']).to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("multipart/") else {
        return Ok(None);
    };
    if subtype.is_empty() || !subtype.bytes().all(is_token) {
        return Err(InvalidMultipart::Type);
    }
    let parameters = read_parameters(parameters).ok_or(InvalidMultipart::Type)?;
    let mut boundaries = parameters
        .into_iter()
        .filter(|(name, _)| name == "boundary");
    let (Some((_, boundary)), None) = (boundaries.next(), boundaries.next()) else {
        return Err(InvalidMultipart::Boundary);
    };
    let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_sound = (1..=LONGEST_BOUNDARY).contains(&boundary.len())
        && boundary.bytes().all(stands)
        && !boundary.ends_with(' ');
    if !is_sound {
        return Err(InvalidMultipart::Boundary);
    }
    Ok(Some(Kind {
        is_form: subtype == "form-data",
        boundary,
    }))
}

/// Takes a whole body apart.
pub fn split<'a>(kind: &Kind, body: &'a [u8]) -> Result<Vec<Part<'a>>, InvalidMultipart> {
    let delimiter = format!("--{}", kind.boundary);
    let mut parts = Vec::new();
    // Where the part begins that is being read.
    let mut start = None;
    for at in memmem::find_iter(body, delimiter.as_bytes()) {
        let rest = body.get(at + delimiter.len()..).unwrap_or_default();
        match start {
            None if at > 0 => return Err(InvalidMultipart::Preamble),
            None => {}
            Some(start) => {
                let end = at.checked_sub(2).filter(|end| *end >= start);
                let line = end.and_then(|end| body.get(end..at));
                let (Some(end), Some(b"\r\n")) = (end, line) else {
                    return Err(InvalidMultipart::Ambiguous(at));
                };
                if parts.len() == MOST_PARTS {
                    return Err(InvalidMultipart::TooMany);
                }
                parts.push(part(kind, body, start..end, parts.len() + 1)?);
            }
        }
        match rest {
            [b'\r', b'\n', ..] => start = Some(body.len() - rest.len() + 2),
            [b'-', b'-'] | [b'-', b'-', b'\r', b'\n'] => return Ok(parts),
            [b'-', b'-', ..] => return Err(InvalidMultipart::Epilogue),
            [] | [b'\r' | b'-'] => return Err(InvalidMultipart::Truncated),
            _ => return Err(InvalidMultipart::Ambiguous(at)),
        }
    }
    Err(if start.is_some() {
        InvalidMultipart::Truncated
    } else {
        InvalidMultipart::Preamble
    })
}

/// Reads the part at this place; parts are counted from one.
fn part<'a>(
    kind: &Kind,
    body: &'a [u8],
    place: Range<usize>,
    number: usize,
) -> Result<Part<'a>, InvalidMultipart> {
    let bytes = body.get(place.clone()).unwrap_or_default();
    let length = if bytes.starts_with(b"\r\n") {
        Some(0)
    } else {
        memmem::find(bytes, b"\r\n\r\n").map(|end| end + 2)
    };
    let length = length
        .filter(|length| *length <= LONGEST_HEADER)
        .ok_or(InvalidMultipart::Header(number))?;
    let header = place.start..place.start + length;
    let place = header.end + 2..place.end;
    let lines = body.get(header.clone()).unwrap_or_default();
    let Header {
        disposition,
        content_type,
        encoding,
    } = read_header(lines, number)?;
    let (name, filename) = match disposition {
        Some(text) => read_disposition(kind, &text, number)?,
        None => (None, None),
    };
    if kind.is_form && name.is_none() {
        return Err(InvalidMultipart::NoName(number));
    }
    let is_nested = |kind: &String| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/")
    };
    if content_type.as_ref().is_some_and(is_nested) {
        return Err(InvalidMultipart::Nested(number));
    }
    let sent = body.get(place.clone()).unwrap_or_default();
    let encoding = encoding.map(|encoding| encoding.to_ascii_lowercase());
    let content = match encoding.as_deref() {
        None | Some("7bit" | "8bit" | "binary") => Cow::Borrowed(sent),
        Some("base64") => Cow::Owned(from_base64(sent).ok_or(InvalidMultipart::Base64(number))?),
        Some(_) => return Err(InvalidMultipart::Encoding(number)),
    };
    Ok(Part {
        name,
        filename,
        content_type,
        header,
        place,
        content,
    })
}

/// The lines of a header that mean something here.
#[derive(Default)]
struct Header {
    disposition: Option<String>,
    content_type: Option<String>,
    encoding: Option<String>,
}

fn read_header(lines: &[u8], number: usize) -> Result<Header, InvalidMultipart> {
    let wrong = || InvalidMultipart::Header(number);
    let mut header = Header::default();
    // Names of files in other encodings are looked at as well as can be.
    let text = String::from_utf8_lossy(lines);
    for line in text.split_terminator("\r\n") {
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        // A line that is continued begins with a space, which no name does.
        let is_sound = !name.is_empty()
            && name.bytes().all(is_token)
            && !value.contains(|c: char| c.is_ascii_control() && c != '\t');
        if !is_sound {
            return Err(wrong());
        }
        let field = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut header.disposition,
            "content-type" => &mut header.content_type,
            "content-transfer-encoding" => &mut header.encoding,
            _ => continue,
        };
        let value = value.trim_matches([' ', '\t']).to_owned();
        if field.replace(value).is_some() {
            return Err(InvalidMultipart::Repeated(number));
        }
    }
    Ok(header)
}

/// The name of the field and of the file (RFC 7578 section 4.2).
fn read_disposition(
    kind: &Kind,
    text: &str,
    number: usize,
) -> Result<(Option<String>, Option<String>), InvalidMultipart> {
    let wrong = || InvalidMultipart::Header(number);
    let (what, parameters) = text.split_once(';').unwrap_or((text, ""));
    let what = what.trim_matches([' ', '\t']);
    if what.is_empty() || !what.bytes().all(is_token) {
        return Err(wrong());
    }
    if kind.is_form && !what.eq_ignore_ascii_case("form-data") {
        return Err(wrong());
    }
    let (mut name, mut filename) = (None, None);
    for (parameter, value) in read_parameters(parameters).ok_or_else(wrong)? {
        let (field, value) = match parameter.as_str() {
            "name" => (&mut name, value),
            "filename" => (&mut filename, value),
            // It should not stand in forms, and clients write it all the same. With a plain name
            // beside it, each reader chooses another one of the two.
            "name*" => (&mut name, extended(&value).ok_or_else(wrong)?),
            "filename*" => (&mut filename, extended(&value).ok_or_else(wrong)?),
            _ => continue,
        };
        if field.replace(value).is_some() {
            return Err(InvalidMultipart::Repeated(number));
        }
    }
    Ok((name, filename))
}

/// A value with its charset (RFC 8187 section 3.2), of which only UTF-8 is read.
fn extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, value) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.ok().map(Cow::into_owned)
}

/// Parameters after their first semicolon: names in lower case, values as tokens or in quotes.
fn read_parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_matches([' ', '\t']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            read_quoted(quoted)?
        } else {
            let end = after.find(';').unwrap_or(after.len());
            let (value, after) = after.split_at(end);
            let value = value.trim_end_matches([' ', '\t']);
            let stands = |c: char| c.is_ascii_graphic() && c != '"';
            if value.is_empty() || !value.chars().all(stands) {
                return None;
            }
            (value.to_owned(), after)
        };
        parameters.push((name, value));
        let after = after.trim_start_matches([' ', '\t']);
        rest = match after.strip_prefix(';') {
            Some(after) => after.trim_start_matches([' ', '\t']),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(parameters)
}

/// A value up to its quote, and what follows. A backslash escapes only what would be special:
/// some clients write paths of Windows as they are.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => return Some((value, chars.as_str())),
            '\\' if chars.as_str().starts_with(['"', '\\']) => value.extend(chars.next()),
            _ => value.push(char),
        }
    }
    None
}

/// RFC 2045 section 6.8, in lines or not; what is no letter of it is an error.
fn from_base64(sent: &[u8]) -> Option<Vec<u8>> {
    let is_blank = |byte: &u8| matches!(byte, b'\r' | b'\n' | b' ' | b'\t');
    let letters: Vec<u8> = sent
        .iter()
        .copied()
        .filter(|byte| !is_blank(byte))
        .collect();
    BASE64.decode(letters).ok()
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl InvalidMultipart {
    /// A stable code, for records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Type => "multipart-type",
            Self::Boundary => "multipart-boundary",
            Self::Preamble => "multipart-preamble",
            Self::Ambiguous(_) => "multipart-ambiguous",
            Self::Epilogue => "multipart-epilogue",
            Self::Truncated => "multipart-truncated",
            Self::TooMany => "multipart-too-many",
            Self::Header(_) => "multipart-header",
            Self::Repeated(_) => "multipart-repeated",
            Self::NoName(_) => "multipart-no-name",
            Self::Nested(_) => "multipart-nested",
            Self::Encoding(_) => "multipart-encoding",
            Self::Base64(_) => "multipart-base64",
        }
    }
}

/// The first line is the type. The parts lie in their order, every byte is of one part or of a
/// line between two, and no boundary is left in a part.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some(line) = memchr::memchr(b'\n', bytes) else {
        return;
    };
    let (content_type, body) = bytes.split_at(line);
    let body = body.get(1..).unwrap_or_default();
    let Ok(Some(kind)) = kind(&String::from_utf8_lossy(content_type)) else {
        return;
    };
    let Ok(parts) = split(&kind, body) else {
        return;
    };
    let delimiter = format!("--{}", kind.boundary);
    let mut expected = Vec::new();
    for part in &parts {
        let bytes = |place: &Range<usize>| body.get(place.clone()).unwrap_or_default();
        let (header, content) = (bytes(&part.header), bytes(&part.place));
        for piece in [header, content] {
            assert!(memmem::find(piece, delimiter.as_bytes()).is_none());
        }
        assert!(!kind.is_form || part.name.is_some());
        let pieces = [
            delimiter.as_bytes(),
            b"\r\n",
            header,
            b"\r\n",
            content,
            b"\r\n",
        ];
        expected.extend(pieces.concat());
    }
    expected.extend(delimiter.as_bytes());
    expected.extend(b"--");
    let rest = body.strip_prefix(expected.as_slice());
    assert!(matches!(rest, Some(b"" | b"\r\n")), "bytes of no part");
}

#[cfg(test)]
mod tests;
