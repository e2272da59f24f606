//! The two doors: who comes, what a connection begins with, and whether it may pass.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use egress_common::{Client, Reason};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{timeout, timeout_at},
};

use super::{
    conversation,
    dial::{dial, reset},
    exchange::Via,
    flow::{Denial, Flow, Place},
    gate::Way,
    hello::{self, Alert, Hello, InvalidHello},
    open,
    told::Outcome,
    tunnel::tunnel,
};
use crate::policy::Level;

/// For a client to say which host it wants.
pub(super) const OPENING: Duration = Duration::from_secs(10);
/// For a refused client to read why.
const LINGER: Duration = Duration::from_secs(1);
/// What is read in one go before the host is known.
const PIECE: usize = 4 << 10;

/// A connection that the kernel led here.
pub(super) async fn steered(place: &Place, stream: TcpStream, peer: SocketAddr) {
    let gate = &place.gate;
    // A process outside the guard, or one that found the port by itself.
    let Some(client) = gate.client(peer) else {
        return reset(stream);
    };
    let Some(original) = gate.original(client.cookie) else {
        return reset(stream);
    };
    let destination = SocketAddr::new(IpAddr::from(original.destination), original.port);
    let client = Client {
        process: original.process,
        ..client
    };
    let flow = Flow::new(place, client, Some(destination));
    let Some(_seat) = gate.seat(client.session) else {
        flow.denied(&Denial::new(Reason::ProxyFull));
        return reset(stream);
    };
    open(flow, destination, stream, Vec::new(), None).await;
}

/// A client that asks the proxy by itself.
pub(super) async fn explicit(place: &Place, stream: TcpStream, peer: SocketAddr) {
    let Some(client) = place.gate.client(peer) else {
        return reset(stream);
    };
    let flow = Flow::new(place, client, None);
    let Some(_seat) = place.gate.seat(client.session) else {
        flow.denied(&Denial::new(Reason::ProxyFull));
        return reset(stream);
    };
    conversation::hold(flow, stream, Vec::new(), Via::Explicit { peer }).await;
}

/// What a client began with.
#[derive(Debug)]
pub(super) enum Opening {
    Tls(Hello),
    /// The first letter of a method.
    Http,
}

/// Looks at the first bytes of a flow to this destination, and passes it on or refuses it. `asked`
/// is the host that the client asked the proxy for, and the connection to it.
pub(super) async fn open(
    mut flow: Flow<'_>,
    destination: SocketAddr,
    mut stream: TcpStream,
    mut bytes: Vec<u8>,
    asked: Option<(String, TcpStream)>,
) {
    let (named, dialled) = asked.unzip();
    let opened = opening(&flow, &mut stream, &mut bytes).await;
    let judged = match opened {
        Ok(Opening::Http) => {
            let via = Via::Steered { destination, named };
            // Boxed, as what opens TLS is: a tunnel is to be small.
            return Box::pin(conversation::hold(flow, stream, bytes, via)).await;
        }
        Ok(Opening::Tls(hello)) => judge_hello(&mut flow, destination, hello, named.as_deref()),
        Err(denial) => Err(denial),
    };
    let outcome = match judged {
        Ok(way) => match flow.gate().level_in_tls(&way) {
            Level::Http => {
                return Box::pin(open::open(flow, destination, stream, bytes, way)).await;
            }
            level @ (Level::Address | Level::Name) => {
                flow.level = level;
                flow.is_shut = true;
                Outcome::Allowed(way.rule)
            }
        },
        Err(denial) if flow.observes() => Outcome::Denied(denial.reason, denial.rule),
        Err(denial) => {
            flow.denied(&denial);
            return refuse_tls(stream, &bytes, &denial).await;
        }
    };
    match begin(destination, dialled, &bytes).await {
        Ok(host) => {
            flow.counts.add_up(bytes.len());
            drop(bytes);
            tunnel(&flow, stream, host, outcome).await;
        }
        Err(error) => {
            flow.denied(&Denial::dial(destination, &error));
            reset(stream);
        }
    }
}

/// Dials where that is still to be done, and hands over what the client has said already.
async fn begin(
    destination: SocketAddr,
    dialled: Option<TcpStream>,
    bytes: &[u8],
) -> io::Result<TcpStream> {
    let mut host = match dialled {
        Some(host) => host,
        None => dial(destination).await?,
    };
    host.write_all(bytes).await?;
    Ok(host)
}

async fn opening(
    flow: &Flow<'_>,
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> Result<Opening, Denial> {
    let deadline = flow.begun + OPENING;
    loop {
        if let Some(first) = bytes.first() {
            if first.is_ascii_uppercase() {
                return Ok(Opening::Http);
            }
            match hello::read(bytes) {
                Ok(hello::Progress::More) => {}
                Ok(hello::Progress::Hello(hello)) => return Ok(Opening::Tls(hello)),
                Err(invalid) => return Err(unreadable(&invalid)),
            }
        }
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
    }
}

/// Whether the host that a TLS client asks for is the one that led here.
fn judge_hello(
    flow: &mut Flow<'_>,
    destination: SocketAddr,
    hello: Hello,
    named: Option<&str>,
) -> Result<Way, Denial> {
    flow.host = hello.name.clone().or_else(|| named.map(str::to_owned));
    if hello.ech.is_some() {
        let message =
            "the client may hide which host it wants; turn Encrypted Client Hello off in it";
        return Err(Denial::with(Reason::EncryptedHello, message));
    }
    let Some(name) = hello.name else {
        let message = "the client does not say which host it wants; give the rule the level `address` if it cannot";
        return Err(Denial::with(Reason::NoServerName, message));
    };
    judge_name(flow, destination, &name, named)
}

/// Whether this name may be asked for at this address: the policy allows it, the guard resolver led
/// there from it, and it is the one that the proxy was asked for, if it was.
pub(super) fn judge_name(
    flow: &Flow<'_>,
    destination: SocketAddr,
    name: &str,
    named: Option<&str>,
) -> Result<Way, Denial> {
    let gate = flow.gate();
    let judged = gate.judge(flow.client.session, name, destination);
    let way = judged.map_err(|(reason, rule)| {
        let denial = Denial::from((reason, rule));
        if reason == Reason::NameMismatch {
            let address = destination.ip();
            denial.saying(format!(
                "no answer of the guard resolver led from {name} to {address} in this session"
            ))
        } else {
            denial
        }
    })?;
    match named {
        Some(named) if !named.eq_ignore_ascii_case(way.name.as_str()) => {
            let denial = Denial::from((Reason::NameMismatch, way.rule));
            Err(denial.saying(format!(
                "the proxy was asked for {named}, and the client asks for {name}"
            )))
        }
        Some(_) | None => Ok(way),
    }
}

fn unreadable(invalid: &InvalidHello) -> Denial {
    let message = format!("{invalid}; give the rule the level `address` if that is meant");
    Denial::with(Reason::UnreadableRequest, message)
}

/// Tells a TLS client in its own words, and another by a reset.
pub(super) async fn refuse_tls(mut stream: TcpStream, bytes: &[u8], denial: &Denial) {
    const HANDSHAKE: u8 = 22;
    if bytes.first() != Some(&HANDSHAKE) {
        return reset(stream);
    }
    let is_about_name = matches!(denial.reason, Reason::NoServerName | Reason::NameMismatch);
    let alert = if is_about_name {
        Alert::UnrecognizedName
    } else {
        Alert::AccessDenied
    };
    let told: io::Result<()> = async {
        stream.write_all(&alert.record()).await?;
        end(&mut stream).await
    }
    .await;
    if let Err(error) = told {
        tracing::debug!(%error, "a client was gone before it was refused");
    }
}

/// Ends a connection so that what was written last arrives: closed before the client has read, one
/// with unread bytes would be reset.
pub(super) async fn end(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 512];
    while timeout(LINGER, stream.read(&mut rest)).await?? > 0 {}
    Ok(())
}
