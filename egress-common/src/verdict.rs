//! What was decided, and why.

/// A rule of the running policy: its position in the compiled rule list, counted from 1.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RuleId(pub u32);

impl RuleId {
    /// No rule spoke: the default decided.
    pub const NONE: Self = Self(0);
    /// egressd's own: traffic to the guard resolver.
    pub const RESOLVER: Self = Self(Self::PROXIED - 1);
    /// egressd's own: a listener of the same session on loopback.
    pub const SESSION: Self = Self(Self::PROXIED - 2);
    /// egressd's own: an answer of a listener of the session to a loopback client.
    pub const INBOUND: Self = Self(Self::PROXIED - 3);
    /// egressd's own: traffic to the egress proxy.
    pub const PROXY: Self = Self(Self::PROXIED - 4);

    /// Set in the port table where the rule asks the proxy to look at the flow: it allows the
    /// address, and the proxy has still to allow what is said there.
    const PROXIED: u32 = 1 << 31;

    /// The same rule, with the proxy asked.
    #[must_use]
    pub const fn through_proxy(self) -> Self {
        Self(self.0 | Self::PROXIED)
    }

    #[inline(always)]
    pub const fn is_proxied(self) -> bool {
        self.0 & Self::PROXIED != 0
    }

    /// The rule itself, as it is numbered in the policy.
    #[inline(always)]
    #[must_use]
    pub const fn plain(self) -> Self {
        Self(self.0 & !Self::PROXIED)
    }
}

/// A set of (protocol, port range) pairs, each with the rule that named it. 0 is the empty set.
/// Numbers are never used twice while the maps live.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PortSet(pub u32);

impl PortSet {
    pub const EMPTY: Self = Self(0);
}

/// An allowance and how long new flows may begin under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    pub rule: RuleId,
    /// Boot time in nanoseconds (`CLOCK_BOOTTIME`); `u64::MAX` for a grant that does not expire.
    pub expires: u64,
}

impl Grant {
    #[inline(always)]
    pub const fn lasting(rule: RuleId) -> Self {
        Self {
            rule,
            expires: u64::MAX,
        }
    }
}

/// What happens to one flow.
#[must_use = "a verdict that is not returned is a hole in the filter"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Deny(Reason, RuleId),
    Allow(Grant),
}

impl Verdict {
    #[inline(always)]
    pub const fn deny(reason: Reason) -> Self {
        Self::Deny(reason, RuleId::NONE)
    }

    #[inline(always)]
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// A [`Verdict`] with every word always set.
///
/// An enum leaves the words of the other variant undefined; the compiler may still copy them, and
/// the verifier (seen on Linux 6.18) refuses that with `R5 !read_ok`.
#[must_use = "a verdict that is not returned is a hole in the filter"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ruling {
    /// [`Reason`] as a number; 0 for allow.
    pub reason: u32,
    /// Asks for the proxy where [`RuleId::is_proxied`].
    pub rule: RuleId,
    /// As in [`Grant`]; 0 for deny.
    pub expires: u64,
}

impl Ruling {
    #[inline(always)]
    pub const fn allow(rule: RuleId, expires: u64) -> Self {
        Self {
            reason: 0,
            rule,
            expires,
        }
    }

    #[inline(always)]
    pub const fn deny(reason: Reason) -> Self {
        Self {
            reason: reason as u32,
            rule: RuleId::NONE,
            expires: 0,
        }
    }

    /// A deny rule spoke.
    #[inline(always)]
    pub const fn deny_by(rule: RuleId) -> Self {
        Self {
            reason: Reason::DeniedByRule as u32,
            rule,
            expires: 0,
        }
    }

    #[inline(always)]
    pub const fn is_allow(&self) -> bool {
        self.reason == 0
    }

    /// A number that is no reason counts as a denial too.
    pub fn verdict(&self) -> Verdict {
        if self.is_allow() {
            return Verdict::Allow(Grant {
                rule: self.rule.plain(),
                expires: self.expires,
            });
        }
        let reason = u8::try_from(self.reason).ok().and_then(Reason::from_number);
        Verdict::Deny(reason.unwrap_or(Reason::Malformed), self.rule)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal;)*) => {
        /// Why something was denied. The number stands in events, the code in records and
        /// answers; both are stable.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name = $number,)* }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reasons! {
    /// No rule names this destination.
    NoRule = 1, "no-rule";
    /// A deny rule names it.
    DeniedByRule = 2, "denied-by-rule";
    /// The address is allowed, but not with this protocol and port.
    PortNotAllowed = 3, "port-not-allowed";
    /// A name led here, too long ago.
    LeaseExpired = 4, "lease-expired";
    /// Not TCP and not UDP over IP.
    UnsupportedProtocol = 5, "unsupported-protocol";
    /// A fragment whose ports cannot be seen.
    Fragment = 6, "fragment";
    /// IPv4 options can change where a packet goes.
    IpOptions = 7, "ip-options";
    /// IPv6 extension headers can change where a packet goes.
    ExtensionHeader = 8, "extension-header";
    /// Multicast or broadcast.
    Multicast = 9, "multicast";
    /// A loopback port that the policy does not open.
    Loopback = 10, "loopback";
    /// A 6to4 address, or a NAT64 address around one that must not be carried.
    EmbeddedAddress = 11, "embedded-address";
    /// A packet too short or too strange to read.
    Malformed = 12, "malformed";
    /// A loopback destination that would leave through another device.
    WrongDevice = 13, "wrong-device";
    /// The kernel tables are not filled, or cannot be read.
    NotConfigured = 14, "not-configured";
    /// The packet answers a connection from outside, and the policy says `inbound: deny`.
    Inbound = 15, "inbound";
    /// The policy allowed this flow when it began, and no longer does.
    Revoked = 16, "revoked";
    /// A socket of a family that no hook can hold, such as `AF_VSOCK`.
    SocketFamily = 17, "socket-family";
    /// An Internet socket that was made outside the guard and handed in.
    OutsideSocket = 18, "outside-socket";
    /// A UNIX socket of someone outside the guard, which the policy does not list.
    UnixSocket = 19, "unix-socket";
    /// A flow that the proxy has to look at, and that did not go through it.
    NotProxied = 20, "not-proxied";

    /// The name is allowed by no rule.
    NameDenied = 32, "name-denied";
    /// The record type is not one that the guard resolver answers.
    TypeDenied = 33, "type-denied";
    /// The answer pointed a public name into private, loopback or metadata space.
    PrivateAnswer = 34, "private-answer";
    /// A wildcard's budget of distinct names is used up.
    NameBudget = 35, "name-budget";
    /// A label under a wildcard is too long or too random.
    SuspiciousName = 36, "suspicious-name";
    /// The question could not be read, or is not one question of class IN.
    BadQuestion = 37, "bad-question";
    /// The upstream resolver failed, lied or was silent.
    UpstreamFailed = 38, "upstream-failed";
    /// The asker is in no guarded session.
    UnknownClient = 39, "unknown-client";
    /// A lease could not be written to the kernel.
    LeaseFailed = 40, "lease-failed";
    /// The client has too many questions open.
    TooManyQuestions = 41, "too-many-questions";
    /// A rule of `network.ask` wants a person to approve it, and nobody has.
    NeedsApproval = 42, "needs-approval";

    /// A TLS client that does not say which host it wants.
    NoServerName = 48, "no-server-name";
    /// A TLS client that may hide which host it wants (ECH).
    EncryptedHello = 49, "encrypted-hello";
    /// The client wants a host that is not what was resolved, dialled or asked for before.
    NameMismatch = 50, "name-mismatch";
    /// The first bytes are neither TLS nor HTTP, or cannot be read.
    UnreadableRequest = 51, "unreadable-request";
    /// A request that no rule for its host allows.
    RequestDenied = 52, "request-denied";
    /// Something in the request or the answer that the policy refuses.
    ContentDenied = 53, "content-denied";
    /// The budget of requests or bytes for this host is used up.
    HostBudget = 54, "host-budget";
    /// The address could not be reached.
    DialFailed = 55, "dial-failed";
    /// The TLS of the server, or of the client to the proxy, failed.
    TlsFailed = 56, "tls-failed";
    /// The client, or the server, said nothing for too long.
    TooSlow = 57, "too-slow";
    /// The proxy has no room for one more flow.
    ProxyFull = 58, "proxy-full";
    /// The body of a request is longer than can be judged.
    BodyTooLarge = 59, "body-too-large";
    /// The placeholder of a secret in a request to a host that the secret is not for.
    CredentialMisplaced = 60, "credential-misplaced";
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn numbers_and_codes_are_unique_and_lead_back() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
            for other in &Reason::ALL[index + 1..] {
                assert_ne!(reason.code(), other.code());
            }
        }
        assert_eq!(Reason::from_number(0), None);
    }
}
