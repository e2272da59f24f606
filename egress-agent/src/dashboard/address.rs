//! Where the dashboard listens: on loopback, and nowhere else.

use std::{fmt, net::SocketAddr, str::FromStr};

/// A port of the loopback device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address(SocketAddr);

/// Why a text is no such address. Says what to write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidAddress {
    #[error("write `127.0.0.1:PORT` or `[::1]:PORT`; port 0 takes a free one")]
    Shape,
    #[error(
        "{0} can be reached from elsewhere, and the dashboard is for this machine alone: write \
         `127.0.0.1:PORT` or `[::1]:PORT`, and look at it from another machine through \
         `ssh -L PORT:127.0.0.1:PORT HOST`"
    )]
    NotLoopback(SocketAddr),
}

impl Address {
    pub const fn socket(self) -> SocketAddr {
        self.0
    }

    /// The same with the port that the system chose.
    #[must_use]
    pub const fn with(self, bound: SocketAddr) -> Self {
        Self(bound)
    }

    /// What `Host` may say: the address, and the name that every machine has for it.
    pub fn hosts(self) -> Vec<String> {
        let (ip, port) = (self.0.ip(), self.0.port());
        let mut hosts = vec![self.0.to_string(), format!("localhost:{port}")];
        if port == 80 {
            // Which browsers leave out.
            let ip = if ip.is_ipv6() {
                format!("[{ip}]")
            } else {
                ip.to_string()
            };
            hosts.extend([ip, "localhost".to_owned()]);
        }
        hosts
    }

    /// The address of the page, without the token.
    pub fn url(self) -> String {
        format!("http://{}/", self.0)
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let address: SocketAddr = text.parse().map_err(|_not_one| InvalidAddress::Shape)?;
        let is_plain = match address {
            SocketAddr::V4(_) => true,
            SocketAddr::V6(address) => address.scope_id() == 0,
        };
        if !address.ip().is_loopback() {
            return Err(InvalidAddress::NotLoopback(address));
        }
        if !is_plain {
            return Err(InvalidAddress::Shape);
        }
        Ok(Self(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_an_address() {
        for good in [
            "127.0.0.1:0",
            "127.0.0.1:9440",
            "127.3.2.1:80",
            "[::1]:9440",
        ] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in [
            "0.0.0.0:80",
            "[::]:80",
            "192.0.2.1:80",
            "[::ffff:127.0.0.1]:80",
            "[fe80::1]:80",
        ] {
            let error = bad.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("ssh -L"), "{bad}: {error}");
        }
        for bad in [
            "",
            "9440",
            ":9440",
            "localhost:9440",
            "127.0.0.1",
            "127.0.0.1:x",
            "::1:80",
        ] {
            assert_eq!(bad.parse::<Address>(), Err(InvalidAddress::Shape), "{bad}");
        }
    }

    #[test]
    fn hosts_are_the_address_and_its_name() {
        let hosts = |text: &str| text.parse::<Address>().unwrap().hosts();
        assert_eq!(
            hosts("127.0.0.1:9440"),
            ["127.0.0.1:9440", "localhost:9440"]
        );
        assert_eq!(
            hosts("[::1]:80"),
            ["[::1]:80", "localhost:80", "[::1]", "localhost"]
        );
    }
}
