//! Ports of a rule: `443/tcp`, `53/udp`, `8000-8099/tcp`, and a bare `443` for TCP.

use std::{fmt, str::FromStr};

use egress_common::Protocol;

/// One or more ports of one protocol, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortRange {
    pub protocol: Protocol,
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}

/// Why a text is not a port or a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPorts {
    #[error("not a port")]
    Shape,
    #[error("port 0 cannot be reached")]
    Zero,
    #[error("there is no port above 65535")]
    TooHigh,
    #[error("the range runs backwards")]
    Reversed { right: PortRange },
    #[error("a range names its protocol")]
    NoProtocol { range: String },
    #[error("only tcp and udp can be named")]
    Protocol { ports: String },
}

impl PortRange {
    /// Every port of both protocols, 0 included: what a deny rule without ports denies.
    pub const EVERY: [Self; 2] = [
        Self {
            protocol: Protocol::TCP,
            first: 0,
            last: u16::MAX,
        },
        Self {
            protocol: Protocol::UDP,
            first: 0,
            last: u16::MAX,
        },
    ];

    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol && (self.first..=self.last).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = InvalidPorts;

    fn from_str(text: &str) -> Result<Self, InvalidPorts> {
        let (numbers, protocol) = match text.split_once('/') {
            Some((numbers, protocol)) => (numbers, Some(protocol)),
            None => (text, None),
        };
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (first, last) = (number(first)?, number(last)?);
        let protocol = match protocol {
            Some("tcp") => Protocol::TCP,
            Some("udp") => Protocol::UDP,
            Some(_) => {
                let ports = numbers.to_owned();
                return Err(InvalidPorts::Protocol { ports });
            }
            None if numbers.contains('-') => {
                let range = numbers.to_owned();
                return Err(InvalidPorts::NoProtocol { range });
            }
            None => Protocol::TCP,
        };
        if first > last {
            return Err(InvalidPorts::Reversed {
                right: Self {
                    protocol,
                    first: last,
                    last: first,
                },
            });
        }
        Ok(Self {
            protocol,
            first,
            last,
        })
    }
}

impl TryFrom<u64> for PortRange {
    type Error = InvalidPorts;

    fn try_from(port: u64) -> Result<Self, InvalidPorts> {
        let port = match u16::try_from(port) {
            Ok(0) => return Err(InvalidPorts::Zero),
            Ok(port) => port,
            Err(std::num::TryFromIntError { .. }) => return Err(InvalidPorts::TooHigh),
        };
        Ok(Self {
            protocol: Protocol::TCP,
            first: port,
            last: port,
        })
    }
}

impl InvalidPorts {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Shape => "write `443/tcp`, `53/udp` or `8000-8099/tcp`".to_owned(),
            Self::Zero | Self::TooHigh => "ports go from 1 to 65535".to_owned(),
            Self::Reversed { right } => format!("write `{right}`"),
            Self::NoProtocol { range } => format!("write `{range}/tcp` or `{range}/udp`"),
            Self::Protocol { ports } => format!(
                "write `{ports}/tcp` or `{ports}/udp`; every other protocol is always denied"
            ),
        }
    }
}

fn number(text: &str) -> Result<u16, InvalidPorts> {
    // `+443` would parse as a number.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidPorts::Shape);
    }
    match text.parse::<u16>() {
        Ok(0) => Err(InvalidPorts::Zero),
        Ok(port) => Ok(port),
        Err(std::num::ParseIntError { .. }) => Err(InvalidPorts::TooHigh),
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            first,
            last,
        } = self;
        if first == last {
            write!(f, "{first}/{protocol}")
        } else {
            write!(f, "{first}-{last}/{protocol}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<PortRange>().unwrap().to_string(), expected);
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = text.parse::<PortRange>().unwrap_err();
        assert_eq!(format!("{error}: {}", error.help()), expected, "{text}");
    }

    #[test]
    fn ports_are_read() {
        check("443/tcp", "443/tcp");
        check("443", "443/tcp");
        check("53/udp", "53/udp");
        check("8000-8099/tcp", "8000-8099/tcp");
        check("1-65535/udp", "1-65535/udp");
        check("7-7/tcp", "7/tcp");
        assert_eq!(PortRange::try_from(22).unwrap().to_string(), "22/tcp");
    }

    #[test]
    fn what_is_no_port_is_refused_with_the_right_spelling() {
        refused("99-80/udp", "the range runs backwards: write `80-99/udp`");
        refused(
            "0/tcp",
            "port 0 cannot be reached: ports go from 1 to 65535",
        );
        refused(
            "0-9/tcp",
            "port 0 cannot be reached: ports go from 1 to 65535",
        );
        refused(
            "65536",
            "there is no port above 65535: ports go from 1 to 65535",
        );
        refused(
            "80-90",
            "a range names its protocol: write `80-90/tcp` or `80-90/udp`",
        );
        let shape = "not a port: write `443/tcp`, `53/udp` or `8000-8099/tcp`";
        for text in ["", "https", "+443", "443 ", "1-2-3/tcp", "-", "/tcp", "*"] {
            refused(text, shape);
        }
        for text in ["443/sctp", "443/TCP", "443/", "443/tcp/udp"] {
            refused(
                text,
                "only tcp and udp can be named: write `443/tcp` or `443/udp`; every other \
                 protocol is always denied",
            );
        }
        assert!(PortRange::try_from(0).is_err());
        assert!(PortRange::try_from(1 << 40).is_err());
    }
}
