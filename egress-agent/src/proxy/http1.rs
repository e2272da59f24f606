//! HTTP/1 as the proxy reads it from a client and writes it back: bytes in, values out, and no I/O.
//!
//! ```text
//!  client ──bytes──▶ read ──▶ Head ──judged──▶ Head::forward ──▶ hyper's client ──▶ server
//!                            Decoder ──▶ body ─────────────────▶      │
//!  client ◀──bytes── write::head, body::chunk ◀───────────────────────┘
//! ```
//!
//! The server must read the request that was judged, whatever it is made of. So nothing of the
//! client's bytes goes on as it is: the request is read into values and written anew, and bytes
//! that any two readers could take differently are refused, with a reason ([`BadRequest`],
//! [`BadBody`]). What RFC 9112 lets a recipient repair is not repaired.
//!
//! | in question | here |
//! |---|---|
//! | limits | a head of 64 KiB and 128 fields, a target of 16 KiB, trailers of 8 KiB |
//! | ends of lines | CR LF; one empty line before a request passes |
//! | a field that goes on, white space before a colon | refused |
//! | `Content-Length` | one field, digits alone, no leading zero |
//! | `Transfer-Encoding` | one field, `chunked` in lower case, not with `Content-Length`, not in HTTP/1.0 |
//! | a body of CONNECT or TRACE | refused, also one of no bytes |
//! | extensions of chunks | refused |
//! | trailers | checked, and left out |
//! | `Host` | one, a host with or without a port, the same as in the target; HTTP/1.0 may name it in the target alone |
//! | method | a token in upper case |
//! | target | a path in the bytes of RFC 3986 and a few more; `http://` and no other scheme; `host:port` for CONNECT; `*` for OPTIONS |
//! | `Upgrade` | a proper WebSocket goes on, an improper one is refused, anything else is left out |
//! | `Expect` | `100-continue` is for the caller to answer; anything else is refused |
//! | `Connection` | fields that it names are left out; those that the server must see are refused |

pub mod body;
mod error;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod head;
mod http2;
mod target;
#[cfg(test)]
mod tests;
pub mod write;

pub use self::{
    body::{Decoder, Piece},
    error::{BadBody, BadRequest, BadResponse},
    fields::{Framing, LONGEST_BODY, MOST_OPTIONS, WebSocket, of_message},
    head::{Head, LONGEST_HEAD, LONGEST_METHOD, LONGEST_TARGET, MOST_FIELDS, Progress, read},
    target::{Authority, Target},
};
