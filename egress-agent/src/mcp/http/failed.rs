//! Why there is no answer of the server that could be passed on. Pure.

use std::{error::Error, io, time::Duration};

use hyper::StatusCode;
use rustls::CertificateError;

use crate::mcp::gate::Block;

/// Why the server gave no answer that could be passed on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failed {
    Unreachable,
    /// Its certificate, and what is wrong with it.
    Untrusted(&'static str),
    /// It speaks no TLS that this side speaks.
    Tls,
    TooSlow(Duration),
    Elsewhere,
    Unreadable(&'static str),
    Busy,
}

impl Failed {
    /// Why a request did not get to the server.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Self::of_tls(tls);
            }
            // An error of I/O passes over the error that it was made from.
            let inner = error.downcast_ref().and_then(io::Error::get_ref);
            cause = match inner {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        Self::Unreachable
    }

    fn of_tls(error: &rustls::Error) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "rustls's own lists of errors, which may grow"
        )]
        match error {
            rustls::Error::InvalidCertificate(invalid) => Self::Untrusted(match invalid {
                CertificateError::UnknownIssuer => "this machine does not trust who issued it",
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "its time is over"
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "its time has not come"
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => "it is for another name",
                _ => "it is not valid",
            }),
            _ => Self::Tls,
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Unreachable
            | Self::Untrusted(_)
            | Self::Tls
            | Self::Elsewhere
            | Self::Unreadable(_) => StatusCode::BAD_GATEWAY,
            Self::TooSlow(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn block(self) -> Block {
        let (code, reason) = match self {
            Self::Unreachable => ("server-gone", "the server is not reached".to_owned()),
            Self::Untrusted(why) => {
                let reason = format!("the certificate of the server is refused: {why}");
                let hint = "mend the certificate, or name a file with the authority that issued \
                            it in SSL_CERT_FILE where the guard is started";
                return Block::new("untrusted-server", reason, hint);
            }
            Self::Tls => (
                "no-tls",
                "the server speaks no TLS that the guard speaks".to_owned(),
            ),
            Self::TooSlow(patience) => {
                let seconds = patience.as_secs();
                (
                    "no-answer",
                    format!("the server did not answer within {seconds} s"),
                )
            }
            Self::Elsewhere => (
                "redirect",
                "the server sends the guard somewhere else, and it goes nowhere else".to_owned(),
            ),
            Self::Unreadable(what) => ("unreadable-answer", format!("the server answers {what}")),
            Self::Busy => ("busy", "the guard holds too many messages".to_owned()),
        };
        Block::new(code, reason, "look at the server, and then try again")
    }
}
