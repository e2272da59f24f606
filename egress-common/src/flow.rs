//! The thing that is judged: protocol, destination address, port.

use crate::Address;

/// A transport protocol number (IANA). Only TCP and UDP can be allowed.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Protocol(pub u8);

impl Protocol {
    pub const TCP: Self = Self(6);
    pub const UDP: Self = Self(17);

    #[inline(always)]
    pub const fn is_tcp_or_udp(self) -> bool {
        self.0 == Self::TCP.0 || self.0 == Self::UDP.0
    }
}

#[cfg(feature = "user")]
impl core::fmt::Display for Protocol {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::TCP => f.write_str("tcp"),
            Self::UDP => f.write_str("udp"),
            Self(1) => f.write_str("icmp"),
            Self(33) => f.write_str("dccp"),
            Self(58) => f.write_str("icmpv6"),
            Self(132) => f.write_str("sctp"),
            Self(136) => f.write_str("udplite"),
            Self(other) => write!(f, "ip-protocol-{other}"),
        }
    }
}

/// One flow: where packets go. The source does not take part in any decision.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    pub destination: Address,
    /// Host order.
    pub port: u16,
    pub protocol: Protocol,
    pub reserved: u8,
}

const _: () = assert!(size_of::<Flow>() == 20 && align_of::<Flow>() == 4);

impl Flow {
    pub const NONE: Self = Self::new(Protocol(0), Address::UNSPECIFIED, 0);

    #[inline(always)]
    pub const fn new(protocol: Protocol, destination: Address, port: u16) -> Self {
        Self {
            destination,
            port,
            protocol,
            reserved: 0,
        }
    }
}
