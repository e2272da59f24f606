//! Why bytes are not taken as a request, as a body or as a response.
//!
//! Each reason has a status for the client, a code that stays the same, and a text of one line:
//! what is wrong, and what to send. None of them can be answered by going on: where a request
//! begins that comes after bytes that were refused is not known, so the connection ends.

use http::StatusCode;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error("a line ends without a carriage return; end every line with CR LF")]
    BareLf,
    #[error("a carriage return stands alone; end every line with CR LF")]
    BareCr,
    #[error("the head has a NUL byte; leave it out")]
    Nul,
    #[error("more than one empty line stands before the request; send none")]
    EmptyLines,
    #[error("the head is longer than 64 KiB; send fewer or shorter fields")]
    HeadTooLong,
    #[error("the head has more than 128 fields; send fewer")]
    TooManyFields,
    #[error("the request target is longer than 16 KiB; send a shorter one")]
    TargetTooLong,
    #[error(
        "the first line is not a method, a target and a version with one space between them; send one as RFC 9112 writes it"
    )]
    RequestLine,
    #[error("the method is not a token in upper case; write it as RFC 9110 does")]
    Method,
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1; use one of them")]
    Version,
    #[error(
        "the target is none that this method can have, or has a byte that must be percent-encoded; send a path, or an absolute URL to a proxy"
    )]
    Target,
    #[error("the scheme of the target is not http; use CONNECT for everything else")]
    Scheme,
    #[error("the target names a user; leave the part before the `@` out")]
    Userinfo,
    #[error("the target does not name a host with a valid port; write `host` or `host:port`")]
    Authority,
    #[error("a field goes on in a second line; write it in one")]
    Folded,
    #[error(
        "a field has no name that is a token with a colon straight after it; write `Name: value`"
    )]
    FieldName,
    #[error("the value of a field has a control character; leave it out")]
    FieldValue,
    #[error(
        "a field is called like one that tells where the body ends, with `_` for `-`; leave it out"
    )]
    LookAlike,
    #[error("no `Host` says for whom the request is; send one")]
    HostMissing,
    #[error("more than one `Host` says for whom the request is; send one")]
    HostTwice,
    #[error("`Host` is not a host, or a host and a port; write `host` or `host:port`")]
    Host,
    #[error("`Host` and the target name different servers; name the same")]
    HostMismatch,
    #[error("both `Content-Length` and `Transfer-Encoding` say where the body ends; send one")]
    TwoLengths,
    #[error("more than one `Content-Length` or `Transfer-Encoding`; send one")]
    LengthTwice,
    #[error("`Content-Length` is not one plain decimal number; write it with digits alone")]
    ContentLength,
    #[error("`Content-Length` is more than any body can have; send less")]
    BodyTooLong,
    #[error("`Transfer-Encoding` is not exactly `chunked`; nothing else is understood")]
    TransferCoding,
    #[error("`Transfer-Encoding` is not part of HTTP/1.0; use HTTP/1.1 or `Content-Length`")]
    TransferCodingIn10,
    #[error("this method has no body; leave `Content-Length` and `Transfer-Encoding` out")]
    BodyNotAllowed,
    #[error("`Expect` is not `100-continue`; nothing else is understood")]
    Expectation,
    #[error("`Connection` is not a list of at most 16 tokens; write it so")]
    Connection,
    #[error(
        "`Connection` names a field that the server must see; name fields of the connection alone"
    )]
    ConnectionNames,
    #[error(
        "the upgrade to WebSocket is not one of RFC 6455; send a GET without a body, one `Upgrade: websocket` and one valid `Sec-WebSocket-Key`"
    )]
    WebSocket,
    #[error("this version of WebSocket is not known; use `Sec-WebSocket-Version: 13`")]
    WebSocketVersion,
}

impl BadRequest {
    pub const ALL: [Self; 34] = [
        Self::BareLf,
        Self::BareCr,
        Self::Nul,
        Self::EmptyLines,
        Self::HeadTooLong,
        Self::TooManyFields,
        Self::TargetTooLong,
        Self::RequestLine,
        Self::Method,
        Self::Version,
        Self::Target,
        Self::Scheme,
        Self::Userinfo,
        Self::Authority,
        Self::Folded,
        Self::FieldName,
        Self::FieldValue,
        Self::LookAlike,
        Self::HostMissing,
        Self::HostTwice,
        Self::Host,
        Self::HostMismatch,
        Self::TwoLengths,
        Self::LengthTwice,
        Self::ContentLength,
        Self::BodyTooLong,
        Self::TransferCoding,
        Self::TransferCodingIn10,
        Self::BodyNotAllowed,
        Self::Expectation,
        Self::Connection,
        Self::ConnectionNames,
        Self::WebSocket,
        Self::WebSocketVersion,
    ];

    /// For the client.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HeadTooLong | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::BareLf
            | Self::BareCr
            | Self::Nul
            | Self::EmptyLines
            | Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::Scheme
            | Self::Userinfo
            | Self::Authority
            | Self::Folded
            | Self::FieldName
            | Self::FieldValue
            | Self::LookAlike
            | Self::HostMissing
            | Self::HostTwice
            | Self::Host
            | Self::HostMismatch
            | Self::TwoLengths
            | Self::LengthTwice
            | Self::ContentLength
            | Self::TransferCodingIn10
            | Self::BodyNotAllowed
            | Self::Connection
            | Self::ConnectionNames
            | Self::WebSocket
            | Self::WebSocketVersion => StatusCode::BAD_REQUEST,
        }
    }

    /// For records and for programs: never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::Nul => "nul",
            Self::EmptyLines => "empty-lines",
            Self::HeadTooLong => "head-too-long",
            Self::TooManyFields => "too-many-fields",
            Self::TargetTooLong => "target-too-long",
            Self::RequestLine => "request-line",
            Self::Method => "method",
            Self::Version => "version",
            Self::Target => "target",
            Self::Scheme => "scheme",
            Self::Userinfo => "userinfo",
            Self::Authority => "authority",
            Self::Folded => "folded-field",
            Self::FieldName => "field-name",
            Self::FieldValue => "field-value",
            Self::LookAlike => "look-alike-field",
            Self::HostMissing => "host-missing",
            Self::HostTwice => "host-twice",
            Self::Host => "host",
            Self::HostMismatch => "host-mismatch",
            Self::TwoLengths => "two-lengths",
            Self::LengthTwice => "length-twice",
            Self::ContentLength => "content-length",
            Self::BodyTooLong => "body-too-long",
            Self::TransferCoding => "transfer-coding",
            Self::TransferCodingIn10 => "transfer-coding-in-1.0",
            Self::BodyNotAllowed => "body-not-allowed",
            Self::Expectation => "expectation",
            Self::Connection => "connection",
            Self::ConnectionNames => "connection-names",
            Self::WebSocket => "websocket",
            Self::WebSocketVersion => "websocket-version",
        }
    }
}

/// Why a chunked body is refused: 400 when no response has begun, the end of the connection else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("a chunk does not begin with 1 to 16 hexadecimal digits; write its size so")]
    Size,
    #[error("a chunk is larger than any body can be; send less")]
    TooLarge,
    #[error("a chunk has an extension; send none")]
    Extension,
    #[error("a line of a chunked body does not end with CR LF; end it so")]
    LineEnd,
    #[error("a chunk is longer than its size says, or CR LF is missing after it; send both right")]
    ChunkEnd,
    #[error("a trailer is not a valid field; write `Name: value`, or send none")]
    Trailer,
    #[error("a trailer is a field that only a head can have; leave it out")]
    TrailerName,
    #[error("the trailers are more than 32, or longer than 8 KiB; send fewer")]
    TooManyTrailers,
}

impl BadBody {
    pub const ALL: [Self; 8] = [
        Self::Size,
        Self::TooLarge,
        Self::Extension,
        Self::LineEnd,
        Self::ChunkEnd,
        Self::Trailer,
        Self::TrailerName,
        Self::TooManyTrailers,
    ];

    pub const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyTrailers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Size
            | Self::Extension
            | Self::LineEnd
            | Self::ChunkEnd
            | Self::Trailer
            | Self::TrailerName => StatusCode::BAD_REQUEST,
        }
    }

    /// For records and for programs: never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Size => "chunk-size",
            Self::TooLarge => "chunk-too-large",
            Self::Extension => "chunk-extension",
            Self::LineEnd => "chunk-line-end",
            Self::ChunkEnd => "chunk-end",
            Self::Trailer => "trailer",
            Self::TrailerName => "trailer-name",
            Self::TooManyTrailers => "too-many-trailers",
        }
    }
}

/// Why a response cannot be written: the client gets 502 in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    #[error("a field of the response has a line break or a NUL byte in its value")]
    Split,
    #[error("the server switched protocols, and nobody asked it to, or to another one")]
    Upgrade,
    #[error("an interim response cannot go to a client of HTTP/1.0")]
    Interim,
}

impl BadResponse {
    /// For records and for programs: never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Split => "response-split",
            Self::Upgrade => "response-upgrade",
            Self::Interim => "response-interim",
        }
    }
}
