//! The first bytes of a TLS client: which name it asks for. Pure.
//!
//! Read are TLS records (RFC 8446 section 5.1) and the `ClientHello` in them (RFC 8446 section
//! 4.1.2, RFC 5246 section 7.4.1.2) with its `server_name` (RFC 6066 section 3) and its
//! application protocols (RFC 7301 section 3.1). The reader is stricter than servers are: where two
//! of them could see different names, there is no hello at all.
//!
//! # What nobody outside can know: Encrypted Client Hello
//!
//! With ECH (RFC 9849) the name that can be read is the outer one, of the client-facing server. The
//! name of the server that answers stands in the encrypted payload. A client without a key of that
//! server sends a payload of random bytes (GREASE, section 6.2 there); the server ignores it and
//! the outer name is the true one. The two are made to look the same: the config identifier, the
//! encapsulated key and the payload are random bytes of the same lengths in both. So a hello with
//! this extension does not say which name it asks for, and whoever decides by names has to deny
//! it. Browsers always send the extension; curl, git, Python, Java, Node and Go do not unless they
//! are asked to. The way out is to turn it off in the client. Taking it out of the hello is none:
//! both sides hash the hello, so the handshake would fail. [`Ech`] says what was there.

use std::net::IpAddr;

/// Bytes of the hello with the headers of its records.
pub const LONGEST: usize = 64 << 10;
/// Records that a hello may be split over: more serve only to hide it.
const MOST_RECORDS: usize = 64;
/// Bytes of plain text in one record (RFC 8446 section 5.1).
const LONGEST_RECORD: usize = 1 << 14;
/// Characters of a host name (RFC 1035 section 2.3.4, as text).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What the bytes are so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A hello has begun and is not whole.
    More,
    Hello(Hello),
}

/// What a client said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name as it was sent, in its case: letters, digits, `-`, `_` and dots, no address.
    pub name: Option<String>,
    /// Protocols that the client would speak (`h2`, `http/1.1`), the best first.
    pub protocols: Vec<Vec<u8>>,
    /// `Some`: the name need not be the one of the server that answers.
    pub ech: Option<Ech>,
    /// Bytes that the hello took, headers of records included. What follows is early data.
    pub length: usize,
}

/// How a hello hides another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ech {
    /// RFC 9849, real or GREASE.
    Outer,
    /// The hello is one that a client-facing server has decrypted; no client sends it.
    Inner,
    /// ESNI, or a draft of ECH.
    Draft,
}

/// Why the bytes are no hello that can be judged.
///
/// The first byte already decides whether they are TLS. Which other protocol they are is told as
/// well as the bytes at hand allow, so more of them can give another of [`Self::NotTls`],
/// [`Self::Http`], [`Self::Ssh`] and [`Self::Sslv2`]; never a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHello {
    #[error("the client speaks no TLS")]
    NotTls,
    #[error("the client speaks plain HTTP on a port for TLS")]
    Http,
    #[error("the client speaks SSH on a port for TLS")]
    Ssh,
    #[error("the client speaks SSL 2, which has no names")]
    Sslv2,
    #[error("the client speaks SSL 3, which has no names")]
    Sslv3,
    #[error("the client began with a TLS alert")]
    Alert,
    #[error("a record of type {0} stands where the hello should be")]
    RecordType(u8),
    #[error("a record has version {0:#06x}, which no TLS has")]
    RecordVersion(u16),
    #[error("a record has {0} bytes; 1 to {LONGEST_RECORD} are allowed")]
    RecordLength(usize),
    #[error("the hello is split over more than {MOST_RECORDS} records")]
    Records,
    #[error("the client began with handshake message {0}, not with a hello")]
    Message(u8),
    #[error("the hello has more than {} KiB", LONGEST >> 10)]
    TooLong,
    #[error("something follows the hello in its record")]
    Trailing,
    #[error("the hello has version {0:#06x}, which no TLS has")]
    Version(u16),
    #[error("the lengths in the hello disagree at its {0}")]
    Length(&'static str),
    #[error("the hello does not offer to go without compression")]
    Compression,
    #[error("extension {0} stands in the hello twice")]
    Repeated(u16),
    #[error("the pre-shared key is not the last extension")]
    KeyNotLast,
    #[error("the hello has more than one server name, or one of an unknown type")]
    Names,
    #[error("the server name is empty")]
    NameEmpty,
    #[error(
        "the server name has more than {LONGEST_NAME} characters, or a label more than {LONGEST_LABEL}"
    )]
    NameTooLong,
    #[error("byte {0:#04x} cannot stand in a server name")]
    NameByte(u8),
    #[error("the server name has an empty label, or a dot at its end")]
    NameDot,
    #[error("the server name is an IP address, which it must not be")]
    NameAddress,
    #[error("the hello carries the compressed form of an encrypted one")]
    Ech,
}

/// What the bytes are that a client sent first. Called again with more of them while it says
/// [`Progress::More`]; what is wrong is said at the first byte that shows it.
pub fn read(bytes: &[u8]) -> Result<Progress, InvalidHello> {
    let mut rest = Reader(bytes);
    let mut message = Vec::new();
    for _ in 0..MOST_RECORDS {
        let Some(length) = header(&mut rest, bytes)? else {
            return Ok(Progress::More);
        };
        let end = bytes.len() - rest.0.len() + length;
        if end > LONGEST {
            return Err(InvalidHello::TooLong);
        }
        let fragment = rest.up_to(length);
        message.extend_from_slice(fragment);
        let missing = length - fragment.len();
        if let Some(wanted) = message_length(&message)? {
            if message.len() + missing > wanted {
                return Err(InvalidHello::Trailing);
            }
            if message.len() == wanted {
                return hello(&message, end).map(Progress::Hello);
            }
        }
        if missing > 0 {
            return Ok(Progress::More);
        }
    }
    Err(InvalidHello::Records)
}

/// Reads the header of a record: the length of its fragment, when all of it is there.
fn header(rest: &mut Reader<'_>, all: &[u8]) -> Result<Option<usize>, InvalidHello> {
    let is_first = rest.0.len() == all.len();
    let Some(kind) = rest.u8() else {
        return Ok(None);
    };
    match kind {
        22 => {}
        21 if is_first => return Err(InvalidHello::Alert),
        20..=24 => return Err(InvalidHello::RecordType(kind)),
        _ if is_first => return Err(foreign(all)),
        _ => return Err(InvalidHello::RecordType(kind)),
    }
    let Some(major) = rest.u8() else {
        return Ok(None);
    };
    if major != 3 {
        return Err(if is_first {
            InvalidHello::NotTls
        } else {
            InvalidHello::RecordVersion(u16::from_be_bytes([major, 0]))
        });
    }
    match rest.u8() {
        None => return Ok(None),
        Some(0) => return Err(InvalidHello::Sslv3),
        // TLS 1.3 writes 1.0 or 1.2 here.
        Some(1..=3) => {}
        Some(minor) => {
            return Err(InvalidHello::RecordVersion(u16::from_be_bytes([
                major, minor,
            ])));
        }
    }
    let Some(length) = rest.u16().map(usize::from) else {
        return Ok(None);
    };
    if (1..=LONGEST_RECORD).contains(&length) {
        Ok(Some(length))
    } else {
        Err(InvalidHello::RecordLength(length))
    }
}

/// What bytes are that do not begin as TLS does.
fn foreign(bytes: &[u8]) -> InvalidHello {
    // A header of two bytes, and the message type of a client's hello.
    if let [first, _, 1, ..] = bytes
        && *first >= 0x80
    {
        return InvalidHello::Sslv2;
    }
    if bytes.starts_with(b"SSH-") {
        return InvalidHello::Ssh;
    }
    let method = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let follows = bytes.get(method);
    if method > 0 && follows.is_none_or(|byte| *byte == b' ') {
        return InvalidHello::Http;
    }
    InvalidHello::NotTls
}

/// Bytes of the handshake message that has begun, its header included.
fn message_length(message: &[u8]) -> Result<Option<usize>, InvalidHello> {
    let mut rest = Reader(message);
    match rest.u8() {
        None => return Ok(None),
        Some(1) => {}
        Some(other) => return Err(InvalidHello::Message(other)),
    }
    let Some(&[high, middle, low]) = rest.array() else {
        return Ok(None);
    };
    let length = 4 + u32::from_be_bytes([0, high, middle, low]) as usize;
    if length > LONGEST {
        return Err(InvalidHello::TooLong);
    }
    Ok(Some(length))
}

/// Reads a handshake message that is a whole hello.
fn hello(message: &[u8], length: usize) -> Result<Hello, InvalidHello> {
    let mut rest = Reader(message.get(4..).unwrap_or_default());
    let version = rest.u16().ok_or(InvalidHello::Length("version"))?;
    match version {
        0x0300 => return Err(InvalidHello::Sslv3),
        0x0301..=0x0303 => {}
        _ => return Err(InvalidHello::Version(version)),
    }
    rest.array::<32>().ok_or(InvalidHello::Length("random"))?;
    let session = rest.vector8().ok_or(InvalidHello::Length("session"))?;
    if session.len() > 32 {
        return Err(InvalidHello::Length("session"));
    }
    let ciphers = rest
        .vector16()
        .filter(|ciphers| !ciphers.is_empty() && ciphers.len() % 2 == 0);
    ciphers.ok_or(InvalidHello::Length("cipher suites"))?;
    let compression = rest
        .vector8()
        .ok_or(InvalidHello::Length("compression methods"))?;
    if !compression.contains(&0) {
        return Err(InvalidHello::Compression);
    }
    let mut hello = Hello {
        length,
        ..Hello::default()
    };
    // TLS 1.2 and before may leave the extensions away.
    if !rest.0.is_empty() {
        let list = rest.only_vector16();
        extensions(list.ok_or(InvalidHello::Length("extensions"))?, &mut hello)?;
    }
    Ok(hello)
}

fn extensions(list: &[u8], hello: &mut Hello) -> Result<(), InvalidHello> {
    let mut rest = Reader(list);
    let mut seen = Vec::new();
    while !rest.0.is_empty() {
        let extension = rest.u16().zip(rest.vector16());
        let (kind, body) = extension.ok_or(InvalidHello::Length("extensions"))?;
        seen.push(kind);
        match kind {
            0 => hello.name = Some(server_name(body)?),
            16 => {
                let list = protocols(body);
                hello.protocols = list.ok_or(InvalidHello::Length("protocols"))?;
            }
            41 if !rest.0.is_empty() => return Err(InvalidHello::KeyNotLast),
            0xfe0d => hello.ech = Some(ech(body)?),
            // `ech_outer_extensions` stands in inner hellos only, and those are encrypted.
            0xfd00 => return Err(InvalidHello::Ech),
            // ESNI, and what the drafts of ECH before the last ones used.
            0xffce | 0xff02..=0xff04 | 0xfe08..=0xfe0c => hello.ech = Some(Ech::Draft),
            _ => {}
        }
    }
    seen.sort_unstable();
    match seen.array_windows().find(|[one, next]| one == next) {
        Some([kind, _]) => Err(InvalidHello::Repeated(*kind)),
        None => Ok(()),
    }
}

/// RFC 6066 section 3: a list of names; only one type of name was ever defined, and two names of
/// one type must not stand in it.
fn server_name(body: &[u8]) -> Result<String, InvalidHello> {
    let wrong = InvalidHello::Length("server name");
    let mut list = Reader(Reader(body).only_vector16().ok_or(wrong)?);
    let kind = list.u8().ok_or(wrong)?;
    if kind != 0 {
        return Err(InvalidHello::Names);
    }
    let name = list.vector16().ok_or(wrong)?;
    if !list.0.is_empty() {
        return Err(InvalidHello::Names);
    }
    host(name)
}

/// A host in letters, digits, `-`, `_` and dots. Everything else that a name must be is for the
/// parser of names.
fn host(name: &[u8]) -> Result<String, InvalidHello> {
    if name.is_empty() {
        return Err(InvalidHello::NameEmpty);
    }
    let text = str::from_utf8(name).unwrap_or_default();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Err(InvalidHello::NameAddress);
    }
    let stands = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if let Some(stray) = name.iter().find(|byte| !stands(byte)) {
        return Err(InvalidHello::NameByte(*stray));
    }
    if text.split('.').any(str::is_empty) {
        return Err(InvalidHello::NameDot);
    }
    if name.len() > LONGEST_NAME || text.split('.').any(|label| label.len() > LONGEST_LABEL) {
        return Err(InvalidHello::NameTooLong);
    }
    // No top-level domain is a number: C libraries read such text as an address.
    let last = text.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        return Err(InvalidHello::NameAddress);
    }
    Ok(text.to_owned())
}

/// Whether `inet_aton(3)` reads the text as a number: decimal, octal, or hexadecimal.
fn is_number(label: &str) -> bool {
    let digits = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    digits.map_or_else(
        || label.bytes().all(|byte| byte.is_ascii_digit()),
        |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

fn protocols(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = Reader(Reader(body).only_vector16()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let name = list.vector8().filter(|name| !name.is_empty())?;
        protocols.push(name.to_vec());
    }
    (!protocols.is_empty()).then_some(protocols)
}

/// RFC 9849 section 5.
fn ech(body: &[u8]) -> Result<Ech, InvalidHello> {
    let mut rest = Reader(body);
    let kind = match rest.u8() {
        // Cipher suite, config identifier, encapsulated key, payload.
        Some(0) => rest
            .array::<5>()
            .and_then(|_| rest.vector16())
            .and_then(|_| rest.only_vector16())
            .filter(|payload| !payload.is_empty())
            .map(|_| Ech::Outer),
        Some(1) => rest.0.is_empty().then_some(Ech::Inner),
        _ => None,
    };
    kind.ok_or(InvalidHello::Length("encrypted hello"))
}

/// A cursor over foreign bytes: every read says whether there was enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().copied().map(u16::from_be_bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// As many bytes as there are, and no more than these.
    fn up_to(&mut self, count: usize) -> &'a [u8] {
        let count = count.min(self.0.len());
        self.take(count).unwrap_or_default()
    }

    /// Bytes behind their length in one byte.
    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// Bytes behind their length in two bytes.
    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// The same, and nothing may follow.
    fn only_vector16(&mut self) -> Option<&'a [u8]> {
        self.vector16().filter(|_| self.0.is_empty())
    }
}

impl InvalidHello {
    /// A stable code, for records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotTls => "tls-not-tls",
            Self::Http => "tls-plain-http",
            Self::Ssh => "tls-ssh",
            Self::Sslv2 => "tls-ssl2",
            Self::Sslv3 => "tls-ssl3",
            Self::Alert => "tls-alert-first",
            Self::RecordType(_) => "tls-record-type",
            Self::RecordVersion(_) => "tls-record-version",
            Self::RecordLength(_) => "tls-record-length",
            Self::Records => "tls-too-many-records",
            Self::Message(_) => "tls-no-hello",
            Self::TooLong => "tls-hello-too-long",
            Self::Trailing => "tls-hello-trailing",
            Self::Version(_) => "tls-hello-version",
            Self::Length(_) => "tls-hello-malformed",
            Self::Compression => "tls-hello-compression",
            Self::Repeated(_) => "tls-extension-repeated",
            Self::KeyNotLast => "tls-key-not-last",
            Self::Names => "sni-names",
            Self::NameEmpty => "sni-empty",
            Self::NameTooLong => "sni-too-long",
            Self::NameByte(_) => "sni-characters",
            Self::NameDot => "sni-dot",
            Self::NameAddress => "sni-address",
            Self::Ech => "ech-malformed",
        }
    }

    /// What such a client is told; `None` when it would not understand an alert.
    pub const fn alert(self) -> Option<Alert> {
        match self {
            Self::NotTls | Self::Http | Self::Ssh | Self::Sslv2 | Self::Alert => None,
            Self::Sslv3 | Self::RecordVersion(_) | Self::Version(_) => Some(Alert::ProtocolVersion),
            Self::RecordLength(_) => Some(Alert::RecordOverflow),
            Self::RecordType(_) | Self::Message(_) | Self::Trailing => {
                Some(Alert::UnexpectedMessage)
            }
            Self::Length(_) | Self::TooLong | Self::Records => Some(Alert::DecodeError),
            Self::Compression | Self::Repeated(_) | Self::KeyNotLast | Self::Ech => {
                Some(Alert::IllegalParameter)
            }
            Self::Names
            | Self::NameEmpty
            | Self::NameTooLong
            | Self::NameByte(_)
            | Self::NameDot
            | Self::NameAddress => Some(Alert::UnrecognizedName),
        }
    }
}

/// Descriptions of alerts (RFC 8446 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alert {
    CloseNotify = 0,
    UnexpectedMessage = 10,
    RecordOverflow = 22,
    HandshakeFailure = 40,
    IllegalParameter = 47,
    AccessDenied = 49,
    DecodeError = 50,
    ProtocolVersion = 70,
    InternalError = 80,
    UnrecognizedName = 112,
}

impl Alert {
    /// The alert as a record in the clear, for a client whose hello was the last thing it sent.
    /// Every alert but the one that closes is fatal.
    pub const fn record(self) -> [u8; 7] {
        let level = if matches!(self, Self::CloseNotify) {
            1
        } else {
            2
        };
        [21, 3, 3, 0, 2, level, self as u8]
    }
}

/// Bytes of the hello are the same however they come, and another reader of TLS sees no other
/// name in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let whole = read(bytes);
    let step = bytes.len() / 64 + 1;
    for at in (0..bytes.len()).step_by(step) {
        match read(bytes.get(..at).unwrap_or_default()) {
            Ok(Progress::More) => {}
            Err(early) => match whole {
                Err(late) => assert_eq!(early.alert(), late.alert()),
                Ok(_) => assert!(whole.is_err(), "{early}, and then it is none"),
            },
            ended @ Ok(Progress::Hello(_)) => assert_eq!(ended, whole),
        }
    }
    if let Ok(Progress::Hello(hello)) = whole {
        assert!(hello.length <= bytes.len().min(LONGEST));
        let stands = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        assert!(hello.name.iter().all(|name| name.chars().all(stands)));
        let alone = bytes.get(..hello.length).map(read);
        assert_eq!(alone, Some(Ok(Progress::Hello(hello))));
    }
}

#[cfg(test)]
mod tests;
