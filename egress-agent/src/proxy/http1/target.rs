//! What a request asks for, and from whom (RFC 9112, section 3.2).

use std::{fmt, net::Ipv6Addr};

use bytes::Bytes;
use http::{Method, uri::PathAndQuery};

use super::error::BadRequest;

/// Of a host, as DNS has it with the final dot.
const LONGEST_HOST: usize = 254;

/// The request target. The server it is for is [`super::Head::authority`], whichever form this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`: to the server itself, so from a flow that was steered here.
    Origin(PathAndQuery),
    /// `http://host/path?query`: to a proxy. Holds the path; `*` for OPTIONS without one, which is
    /// what a proxy sends on (RFC 9112, section 3.2.4).
    Absolute(PathAndQuery),
    /// `host:port` of CONNECT.
    Authority,
    /// `*` of OPTIONS.
    Asterisk,
}

impl Target {
    /// What the request line to the server says; `None` for a tunnel.
    pub fn path(&self) -> Option<PathAndQuery> {
        match self {
            Self::Origin(path) | Self::Absolute(path) => Some(path.clone()),
            Self::Asterisk => Some(PathAndQuery::from_static("*")),
            Self::Authority => None,
        }
    }
}

/// A host and its port, as the client wrote them.
///
/// The host is text of letters, digits, `-`, `_` and `.`, or an IPv6 address in brackets. Nothing
/// else was made of it: whether it is a name or an address in some notation, the reader of hosts
/// says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    host: Box<str>,
    port: Option<u16>,
}

impl Authority {
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535. Absent when the client wrote none: 80 then, for a target that is no tunnel.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (host, port) = match text.strip_prefix('[') {
            Some(inner) => {
                let (address, rest) = inner.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                let host = text.get(..address.len() + 2)?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':')?),
                };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_bracketed = host.starts_with('[');
        if host.is_empty() || host.len() > LONGEST_HOST {
            return None;
        }
        if !is_bracketed && !host.bytes().all(is_host) {
            return None;
        }
        let port = match port {
            Some(port) => Some(self::port(port)?),
            None => None,
        };
        Some(Self {
            host: host.into(),
            port,
        })
    }

    /// Whether both name the same server; `default` is the port of one without.
    fn agrees(&self, other: &Self, default: u16) -> bool {
        let port = |authority: &Self| authority.port.unwrap_or(default);
        self.host.eq_ignore_ascii_case(&other.host) && port(self) == port(other)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// One notation of each port: no sign, no leading zero, not empty.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

/// The target, and the authority in it.
pub(super) fn read(
    method: &Method,
    bytes: Bytes,
) -> Result<(Target, Option<Authority>), BadRequest> {
    if *method == Method::CONNECT {
        if bytes.contains(&b'@') {
            return Err(BadRequest::Userinfo);
        }
        let authority = Authority::parse(&bytes).filter(|authority| authority.port.is_some());
        let authority = authority.ok_or(BadRequest::Authority)?;
        return Ok((Target::Authority, Some(authority)));
    }
    if bytes.starts_with(b"/") {
        return Ok((Target::Origin(path(bytes)?), None));
    }
    if *bytes == *b"*" && *method == Method::OPTIONS {
        return Ok((Target::Asterisk, None));
    }
    let (authority, rest) = absolute(&bytes)?;
    let path = match rest {
        [] if *method == Method::OPTIONS => PathAndQuery::from_static("*"),
        [] => PathAndQuery::from_static("/"),
        rest => path(bytes.slice_ref(rest))?,
    };
    Ok((Target::Absolute(path), Some(authority)))
}

/// The authority of an absolute URL, and what comes after it.
fn absolute(bytes: &[u8]) -> Result<(Authority, &[u8]), BadRequest> {
    const SCHEME: usize = 7;
    let Some((scheme, rest)) = bytes.split_at_checked(SCHEME) else {
        return Err(BadRequest::Target);
    };
    if !scheme.eq_ignore_ascii_case(b"http://") {
        let has_scheme = memchr::memmem::find(bytes, b"://").is_some_and(|at| at > 0);
        return Err(if has_scheme {
            BadRequest::Scheme
        } else {
            BadRequest::Target
        });
    }
    let end = memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    if authority.contains(&b'@') {
        return Err(BadRequest::Userinfo);
    }
    let authority = Authority::parse(authority).ok_or(BadRequest::Authority)?;
    // `http://host?query` is written with a path by every client that means it.
    if !rest.is_empty() && !rest.starts_with(b"/") {
        return Err(BadRequest::Target);
    }
    Ok((authority, rest))
}

/// A path that begins with `/`, and its query.
///
/// Beyond the bytes of RFC 3986 those pass that browsers write and hyper takes: `[`, `]`, `^`,
/// `{`, `|` and `}`. A `%` in the path begins a byte in two hexadecimal digits; in the query
/// it may stand alone. Dots and doubled slashes are what they are: a rule about paths reads them.
fn path(bytes: Bytes) -> Result<PathAndQuery, BadRequest> {
    let mut rest = bytes.iter().copied();
    let mut is_query = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'/'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b':'
            | b'@'
            | b'['
            | b']'
            | b'^'
            | b'{'
            | b'|'
            | b'}' => {}
            b'?' => is_query = true,
            b'%' if is_query => {}
            b'%' => {
                let mut is_digit = || rest.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                if !(is_digit() && is_digit()) {
                    return Err(BadRequest::Target);
                }
            }
            _ => return Err(BadRequest::Target),
        }
    }
    let path = PathAndQuery::from_maybe_shared(bytes);
    path.ok().ok_or(BadRequest::Target)
}

/// The one server that target and `Host` name.
pub(super) fn agree(
    target: &Target,
    named: Option<Authority>,
    host: Option<&[u8]>,
    is_10: bool,
) -> Result<Authority, BadRequest> {
    let host = match host {
        Some(host) => Some(Authority::parse(host).ok_or(BadRequest::Host)?),
        None if is_10 => None,
        None => return Err(BadRequest::HostMissing),
    };
    match (named, host) {
        (Some(named), Some(host)) => {
            // CONNECT has no default port: a `Host` without one says nothing about the port.
            let default = match target {
                Target::Authority => named.port.unwrap_or_default(),
                Target::Origin(_) | Target::Absolute(_) | Target::Asterisk => 80,
            };
            if named.agrees(&host, default) {
                Ok(named)
            } else {
                Err(BadRequest::HostMismatch)
            }
        }
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => Err(BadRequest::HostMissing),
    }
}
