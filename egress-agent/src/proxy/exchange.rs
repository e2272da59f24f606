//! One request and its response, whatever carried them here: judged, sent to the address that was
//! leased, and handed back.

pub(super) mod upstream;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use egress_common::Reason;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{net::TcpStream, time::timeout};

use super::{
    dial::dial,
    door,
    flow::{Denial, Flow},
    told::Outcome,
};
use crate::policy::{Level, Name};
use upstream::{LocalBody, Unanswered, Upstream};

/// For a host to answer. Models think for minutes before the first byte.
const ANSWER: Duration = Duration::from_secs(15 * 60);

/// How the client came.
#[derive(Clone, Debug)]
pub(super) enum Via {
    /// By itself, from this address.
    Explicit { peer: SocketAddr },
    /// Led here on its way to this destination; after a CONNECT, for this host.
    Steered {
        destination: SocketAddr,
        named: Option<String>,
    },
}

/// Where one request goes.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) level: Level,
    /// What is dialled: the first that answers.
    addresses: Vec<IpAddr>,
    pub(super) outcome: Outcome,
}

/// The requests of one client, and the connection to a host that is kept for the next of them.
pub(super) struct Exchange<'p> {
    pub(super) flow: Flow<'p>,
    pub(super) via: Via,
    pub(super) upstream: Option<Upstream<'p>>,
}

impl<'p> Exchange<'p> {
    pub(super) fn new(flow: Flow<'p>, via: Via) -> Self {
        Self {
            flow,
            via,
            upstream: None,
        }
    }

    /// The port of a request that names none.
    pub(super) const fn default_port(&self) -> u16 {
        match &self.via {
            Via::Explicit { .. } => 80,
            Via::Steered { destination, .. } => destination.port(),
        }
    }

    /// Whether this host may be asked, and where it is.
    pub(super) async fn judge(&self, host: &str, port: u16) -> Result<Way, Denial> {
        match &self.via {
            Via::Explicit { peer } => self.asked(host, port, *peer).await,
            Via::Steered { destination, named } => {
                self.steered(host, port, *destination, named.as_deref())
            }
        }
    }

    /// Sends a request that was judged.
    pub(super) async fn send(
        &mut self,
        way: &Way,
        mut request: Request<LocalBody>,
    ) -> Result<Response<Incoming>, Denial> {
        // A connection that was kept may have ended; nothing of the request is lost then.
        let mut is_fresh = false;
        loop {
            if !is_fresh && !self.has_upstream(way).await {
                is_fresh = true;
                self.begin(way).await?;
            }
            let Some(upstream) = &mut self.upstream else {
                return Err(Denial::new(Reason::DialFailed));
            };
            match timeout(ANSWER, upstream.send(request)).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(Unanswered::Unsent(unsent))) if !is_fresh => {
                    self.finish();
                    request = *unsent;
                }
                Ok(Err(Unanswered::Unsent(_))) => {
                    self.upstream = None;
                    let message = format!("{} takes no requests", way.host);
                    return Err(Denial::with(Reason::DialFailed, message));
                }
                Ok(Err(Unanswered::Failed(error))) => {
                    self.finish();
                    let message = format!(
                        "{} ended the connection without an answer: {error}",
                        way.host
                    );
                    return Err(Denial::with(Reason::DialFailed, message));
                }
                Err(_elapsed) => {
                    self.upstream = None;
                    let message =
                        format!("{} did not answer within {} s", way.host, ANSWER.as_secs());
                    return Err(Denial::with(Reason::TooSlow, message));
                }
            }
        }
    }

    /// Tells what passed on the connection to a host, and lets go of it.
    pub(super) fn finish(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            upstream.flow.told(upstream.outcome, None);
        }
    }

    /// A request on a flow that was led here.
    fn steered(
        &self,
        host: &str,
        port: u16,
        destination: SocketAddr,
        named: Option<&str>,
    ) -> Result<Way, Denial> {
        let mut flow = self.flow.clone();
        flow.host = Some(host.to_owned());
        let judged = if port == destination.port() {
            door::judge_name(&flow, destination, host, named)
        } else {
            let message = format!(
                "the request is for port {port}, on a connection to port {}",
                destination.port()
            );
            Err(Denial::with(Reason::NameMismatch, message))
        };
        let (level, outcome) = match judged {
            Ok(way) => (way.level, Outcome::Allowed(way.rule)),
            Err(denial) if self.flow.observes() => {
                (Level::Name, Outcome::Denied(denial.reason, denial.rule))
            }
            Err(denial) => return Err(denial),
        };
        Ok(Way {
            host: host.to_ascii_lowercase(),
            port,
            level,
            addresses: vec![destination.ip()],
            outcome,
        })
    }

    /// A request of a client that came by itself: the guard resolver says where its host is.
    async fn asked(&self, host: &str, port: u16, peer: SocketAddr) -> Result<Way, Denial> {
        let gate = self.flow.gate();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            let decided = gate.allowed_address(SocketAddr::new(address, port));
            let outcome = match decided {
                Ok(rule) => Outcome::Allowed(rule),
                Err((reason, rule)) if self.flow.observes() => Outcome::Denied(reason, rule),
                Err(denied) => return Err(denied.into()),
            };
            return Ok(Way {
                host: host.to_owned(),
                port,
                level: Level::Address,
                addresses: vec![address],
                outcome,
            });
        }
        let (name, level, outcome) = match gate.allowed(host, port) {
            Ok(way) => (way.name, way.level, Outcome::Allowed(way.rule)),
            Err((reason, rule)) => match Name::parse(host) {
                Ok(name) if self.flow.observes() => {
                    (name, Level::Name, Outcome::Denied(reason, rule))
                }
                Ok(_) | Err(_) => return Err((reason, rule).into()),
            },
        };
        let addresses = gate.resolve(peer, name.clone()).await.map_err(|no| {
            let reason = if no.is_denial {
                Reason::NameDenied
            } else {
                Reason::UpstreamFailed
            };
            Denial::with(reason, no.message)
        })?;
        Ok(Way {
            host: name.as_str().to_owned(),
            port,
            level,
            addresses,
            outcome,
        })
    }

    async fn has_upstream(&mut self, way: &Way) -> bool {
        let Some(upstream) = &mut self.upstream else {
            return false;
        };
        let leads = |destination: SocketAddr| {
            destination.port() == way.port && way.addresses.contains(&destination.ip())
        };
        upstream.flow.destination.is_some_and(leads) && upstream.serves(&way.host).await
    }

    /// A new connection for this way.
    async fn begin(&mut self, way: &Way) -> Result<(), Denial> {
        self.finish();
        let (stream, destination) = reach(way).await?;
        let mut flow = Flow::new(self.flow.place, self.flow.client, Some(destination));
        flow.host = Some(way.host.clone());
        let begun = Upstream::begin(stream, flow, way.outcome).await;
        let upstream = begun
            .map_err(|error| Denial::with(Reason::DialFailed, format!("{destination}: {error}")))?;
        self.upstream = Some(upstream);
        Ok(())
    }
}

/// The first of the addresses that answers.
pub(super) async fn reach(way: &Way) -> Result<(TcpStream, SocketAddr), Denial> {
    let mut failed = Denial::new(Reason::DialFailed);
    for address in &way.addresses {
        let destination = SocketAddr::new(*address, way.port);
        match dial(destination).await {
            Ok(stream) => return Ok((stream, destination)),
            Err(error) => failed = Denial::dial(destination, &error),
        }
    }
    Err(failed)
}
