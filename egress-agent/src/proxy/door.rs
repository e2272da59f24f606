//! The two doors: what a connection is, whether it may pass, and its way to the host.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use egress_common::{Client, Reason, RuleId};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Gate, Told, Traffic,
    dial::{dial, ready, reset},
    gate::Way,
    hello::{self, Alert, Hello, InvalidHello},
    told::Outcome,
    tunnel::{Counts, Pipes, join},
};

/// For a client to say which host it wants.
const OPENING: Duration = Duration::from_secs(10);
/// For a refused client to read why.
const LINGER: Duration = Duration::from_secs(1);
/// What is read in one go before the host is known.
const PIECE: usize = 4 << 10;

/// What the connections of one thread have in common.
#[derive(Debug)]
pub struct Place {
    pub gate: Arc<Gate>,
    pub pipes: Pipes,
}

/// Why a flow is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub reason: Reason,
    pub rule: RuleId,
    /// For people; the reason alone says it where there is none.
    pub message: Option<String>,
}

/// One flow, and what is known of it so far.
#[derive(Debug)]
struct Flow<'p> {
    place: &'p Place,
    client: Client,
    destination: SocketAddr,
    host: Option<String>,
    begun: Instant,
    counts: Counts,
}

impl Place {
    pub fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            pipes: Pipes::default(),
        }
    }
}

impl Denial {
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            rule: RuleId::NONE,
            message: None,
        }
    }

    fn with(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..Self::new(reason)
        }
    }
}

impl From<(Reason, RuleId)> for Denial {
    fn from((reason, rule): (Reason, RuleId)) -> Self {
        Self {
            rule,
            ..Self::new(reason)
        }
    }
}

/// A connection that the kernel led here.
pub async fn steered(place: &Place, stream: TcpStream, peer: SocketAddr) {
    let gate = &place.gate;
    // A process outside the guard, or one that found the port by itself.
    let Some(client) = gate.client(peer) else {
        return reset(stream);
    };
    let Some(original) = gate.original(client.cookie) else {
        return reset(stream);
    };
    let destination = SocketAddr::new(IpAddr::from(original.destination), original.port);
    let mut flow = Flow {
        place,
        client: Client {
            process: original.process,
            ..client
        },
        destination,
        host: None,
        begun: Instant::now(),
        counts: Counts::default(),
    };
    let Some(_seat) = gate.seat() else {
        flow.denied(&Denial::new(Reason::ProxyFull));
        return reset(stream);
    };
    if let Err(error) = ready(&stream) {
        tracing::debug!(%error, "a connection was gone before it was looked at");
        return;
    }
    flow.open(stream).await;
}

/// A client that asks the proxy by itself.
pub async fn explicit(_place: &Place, stream: TcpStream, _peer: SocketAddr) {
    reset(stream);
}

/// What a client began with.
#[derive(Debug)]
enum Opening {
    Tls(Hello),
}

impl Flow<'_> {
    /// Looks at the first bytes, and passes the flow on or refuses it.
    async fn open(&mut self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let opened = self.opening(&mut stream, &mut bytes).await;
        let judged = opened.and_then(|opening| match opening {
            Opening::Tls(hello) => self.judge_hello(hello),
        });
        let outcome = match judged {
            Ok(way) => Outcome::Allowed(way.rule),
            Err(denial) if self.place.gate.observes() => {
                Outcome::Denied(denial.reason, denial.rule)
            }
            Err(denial) => {
                self.denied(&denial);
                return refuse_tls(stream, &bytes, &denial).await;
            }
        };
        let mut host = match dial(self.destination).await {
            Ok(host) => host,
            Err(error) => {
                let message = format!("{} cannot be reached: {error}", self.destination);
                self.denied(&Denial::with(Reason::DialFailed, message));
                return reset(stream);
            }
        };
        if let Err(error) = host.write_all(&bytes).await {
            let message = format!("{} ended the connection: {error}", self.destination);
            self.denied(&Denial::with(Reason::DialFailed, message));
            return reset(stream);
        }
        self.counts.up.set(u64::try_from(bytes.len()).unwrap_or(0));
        drop(bytes);
        self.tunnel(stream, host, outcome).await;
    }

    async fn opening(
        &self,
        stream: &mut TcpStream,
        bytes: &mut Vec<u8>,
    ) -> Result<Opening, Denial> {
        let deadline = self.begun + OPENING;
        loop {
            bytes.reserve(PIECE);
            let read = match timeout_at(deadline, stream.read_buf(bytes)).await {
                Ok(Ok(read)) => read,
                Ok(Err(error)) => {
                    return Err(Denial::with(Reason::UnreadableRequest, error.to_string()));
                }
                Err(_elapsed) => {
                    let message = "the client did not say which host it wants; where the server speaks first, give the rule the level `address`";
                    return Err(Denial::with(Reason::TooSlow, message));
                }
            };
            if read == 0 {
                let message = "the client left before it said which host it wants";
                return Err(Denial::with(Reason::UnreadableRequest, message));
            }
            match hello::read(bytes) {
                Ok(hello::Progress::More) => {}
                Ok(hello::Progress::Hello(hello)) => return Ok(Opening::Tls(hello)),
                Err(invalid) => return Err(unreadable(&invalid)),
            }
        }
    }

    /// Whether the host that a TLS client asks for is the one that led here.
    fn judge_hello(&mut self, hello: Hello) -> Result<Way, Denial> {
        self.host.clone_from(&hello.name);
        if hello.ech.is_some() {
            let message =
                "the client may hide which host it wants; turn Encrypted Client Hello off in it";
            return Err(Denial::with(Reason::EncryptedHello, message));
        }
        let Some(name) = hello.name else {
            let message = "the client does not say which host it wants; give the rule the level `address` if it cannot";
            return Err(Denial::with(Reason::NoServerName, message));
        };
        let judged = self
            .place
            .gate
            .judge(self.client.session, &name, self.destination);
        judged.map_err(|(reason, rule)| Denial {
            reason,
            rule,
            message: (reason == Reason::NameMismatch).then(|| {
                format!(
                    "no answer of the guard resolver led from {name} to {} in this session",
                    self.destination.ip()
                )
            }),
        })
    }

    /// Lets bytes pass until both sides have ended, or the policy no longer allows the host.
    async fn tunnel(&self, stream: TcpStream, host: TcpStream, outcome: Outcome) {
        let gate = &self.place.gate;
        let mut policies = gate.watch();
        policies.mark_unchanged();
        let joined = {
            let joined = join(&stream, &host, &self.place.pipes, &self.counts);
            tokio::pin!(joined);
            loop {
                tokio::select! {
                    ended = &mut joined => break Ok(ended),
                    changed = policies.changed() => {
                        if changed.is_err() {
                            break Err(Denial::new(Reason::NotConfigured));
                        }
                        if let Err(denial) = self.still_allowed() {
                            break Err(denial);
                        }
                    }
                }
            }
        };
        match joined {
            Ok(Ok(())) => self.told(outcome, None),
            Ok(Err(error)) => {
                self.told(outcome, Some(format!("the connection broke: {error}")));
                reset(stream);
                reset(host);
            }
            Err(denial) => {
                self.denied(&denial);
                reset(stream);
                reset(host);
            }
        }
    }

    /// By the policy that runs now; the lease of a flow that has begun may have run out.
    fn still_allowed(&self) -> Result<(), Denial> {
        let gate = &self.place.gate;
        if gate.observes() {
            return Ok(());
        }
        let host = self.host.as_deref().unwrap_or_default();
        match gate.allowed(host, self.destination.port()) {
            Ok(_) => Ok(()),
            Err((_, rule)) => Err((Reason::Revoked, rule).into()),
        }
    }

    fn denied(&self, denial: &Denial) {
        let outcome = Outcome::Denied(denial.reason, denial.rule);
        self.told(outcome, denial.message.clone());
    }

    fn told(&self, outcome: Outcome, message: Option<String>) {
        self.place.gate.tell(Told {
            session: self.client.session,
            process: self.client.process,
            destination: Some(self.destination),
            host: self.host.clone(),
            outcome,
            observed: self.place.gate.observes(),
            traffic: Traffic {
                up: self.counts.up.get(),
                down: self.counts.down.get(),
                duration: self.begun.elapsed(),
            },
            message,
        });
    }
}

fn unreadable(invalid: &InvalidHello) -> Denial {
    let message = format!("{invalid}; give the rule the level `address` if that is meant");
    Denial::with(Reason::UnreadableRequest, message)
}

/// Tells a TLS client in its own words, and another by a reset.
async fn refuse_tls(mut stream: TcpStream, bytes: &[u8], denial: &Denial) {
    const HANDSHAKE: u8 = 22;
    if bytes.first() != Some(&HANDSHAKE) {
        return reset(stream);
    }
    let alert = match denial.reason {
        Reason::NoServerName | Reason::NameMismatch => Alert::UnrecognizedName,
        _ => Alert::AccessDenied,
    };
    let told: io::Result<()> = async {
        stream.write_all(&alert.record()).await?;
        stream.shutdown().await?;
        // Closed before the client has read, a connection with unread bytes would be reset, and
        // the alert lost.
        let mut rest = [0; 512];
        while timeout(LINGER, stream.read(&mut rest)).await?? > 0 {}
        Ok(())
    }
    .await;
    if let Err(error) = told {
        tracing::debug!(%error, "a client was gone before it was refused");
    }
}
