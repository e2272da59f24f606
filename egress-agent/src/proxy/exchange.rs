//! One request and its response, whatever carried them here: judged, sent to the address that was
//! leased, and handed back.

pub(super) mod hosts;
pub(super) mod upstream;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use egress_common::Reason;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{net::TcpStream, time::timeout};

use super::{
    answer::Answer,
    dial::dial,
    door,
    flow::{Denial, Flow},
    gate::literal,
    open::Opener,
    requests::Judge,
    told::Outcome,
};
use crate::policy::{Level, Name};
use hosts::Hosts;
use upstream::{LocalBody, Secure, Unanswered, Upstream};

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
    /// Led here as well, in TLS for this host that was opened.
    Opened {
        destination: SocketAddr,
        name: String,
        opener: Arc<Opener>,
        /// What the client speaks inside.
        is_http2: bool,
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
    /// Connections that other requests of the same client may use at the same time.
    hosts: Option<Rc<Hosts<'p>>>,
    /// Of the connection that left HTTP with the last answer, where its messages are read.
    pub(super) judge: Option<Judge<'p>>,
}

impl<'p> Exchange<'p> {
    pub(super) fn new(flow: Flow<'p>, via: Via) -> Self {
        Self {
            flow,
            via,
            upstream: None,
            hosts: None,
            judge: None,
        }
    }

    /// One of several requests at a time, which share connections.
    pub(super) fn among(flow: Flow<'p>, via: Via, hosts: Rc<Hosts<'p>>) -> Self {
        let mut exchange = Self::new(flow, via);
        exchange.hosts = Some(hosts);
        exchange
    }

    /// The port of a request that names none.
    pub(super) const fn default_port(&self) -> u16 {
        match &self.via {
            Via::Explicit { .. } => 80,
            Via::Steered { destination, .. } | Via::Opened { destination, .. } => {
                destination.port()
            }
        }
    }

    /// Whether this host may be asked, and where it is.
    pub(super) async fn judge(&self, host: &str, port: u16) -> Result<Way, Denial> {
        match &self.via {
            Via::Explicit { peer } => self.asked(host, port, *peer).await,
            Via::Steered { destination, named } => {
                self.steered(host, port, *destination, named.as_deref())
            }
            Via::Opened {
                destination, name, ..
            } => self.steered(host, port, *destination, Some(name)),
        }
    }

    /// What a client is told of a denial. In TLS for one host, a request for another is for a
    /// connection of its own (RFC 9110, section 15.5.20).
    pub(super) fn answer(
        &self,
        denial: &Denial,
        host: &str,
        port: u16,
        fields: &HeaderMap,
    ) -> Answer {
        let policy = self.flow.gate().policy();
        let mut answer = Answer::denied(denial, &policy, (Some(host), port), Some(fields));
        if matches!(self.via, Via::Opened { .. }) && denial.reason == Reason::NameMismatch {
            answer.status = StatusCode::MISDIRECTED_REQUEST;
        }
        answer
    }

    /// Sends a request to a host that was judged, and judges what it says where the level asks for
    /// it, and what comes back.
    pub(super) async fn send(
        &mut self,
        way: &Way,
        request: Request<LocalBody>,
    ) -> Result<Response<LocalBody>, Denial> {
        if way.level != Level::Http {
            return Ok(self.pass(way, request).await?.map(local));
        }
        // Boxed: what only this level needs is in no other flow's memory.
        Box::pin(self.judged(way, request)).await
    }

    /// As [`Self::send`], at level `http`.
    async fn judged(
        &mut self,
        way: &Way,
        request: Request<LocalBody>,
    ) -> Result<Response<LocalBody>, Denial> {
        let judge = Judge::new(&self.flow, &way.host, way.port)?;
        let request = judge.request(request).await?;
        let response = self.pass(way, request).await?;
        let response = judge.answer(response.map(local)).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.judge = Some(judge);
        }
        Ok(response)
    }

    async fn pass(
        &mut self,
        way: &Way,
        mut request: Request<LocalBody>,
    ) -> Result<Response<Incoming>, Denial> {
        let within = self.flow.gate().policy().proxy().answer_within;
        // A connection that was kept may have ended; nothing of the request is lost then.
        let mut is_fresh = false;
        loop {
            if !is_fresh && !self.has_upstream(way).await {
                is_fresh = self.begin(way).await?;
            }
            let Some(upstream) = &mut self.upstream else {
                return Err(Denial::new(Reason::DialFailed));
            };
            let flow = upstream.flow.clone();
            let sent = flow.while_allowed(timeout(within, upstream.send(request)));
            let sent = match sent.await {
                Ok(sent) => sent,
                Err(denial) => {
                    self.finish();
                    return Err(denial);
                }
            };
            match sent {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(Unanswered::Unsent(unsent))) if !is_fresh => {
                    self.finish();
                    if let Some(hosts) = &self.hosts {
                        hosts.forget(&way.host);
                    }
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
                        format!("{} did not answer within {} s", way.host, within.as_secs());
                    return Err(Denial::with(Reason::TooSlow, message));
                }
            }
        }
    }

    /// Tells what passed on the connection to a host, and lets go of it.
    pub(super) fn finish(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            upstream.tell();
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
        if let Some(address) = literal(host) {
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
        let session = self.flow.client.session;
        let mut allowed = gate.allowed(session, host, port);
        if let Err((Reason::NeedsApproval, rule)) = allowed
            && !self.flow.observes()
            && let Ok(name) = Name::parse(host)
        {
            // The guard resolver holds the question until a person has answered.
            let resolved = gate.resolve(session, peer, name).await;
            resolved.map_err(|no| Denial::by(Reason::NeedsApproval, rule, no.message))?;
            allowed = gate.allowed(session, host, port);
        }
        let (name, level, outcome) = match allowed {
            Ok(way) => (way.name, way.level, Outcome::Allowed(way.rule)),
            Err((reason, rule)) => match Name::parse(host) {
                Ok(name) if self.flow.observes() => {
                    (name, Level::Name, Outcome::Denied(reason, rule))
                }
                Ok(_) | Err(_) => return Err((reason, rule).into()),
            },
        };
        let addresses = gate
            .resolve(session, peer, name.clone())
            .await
            .map_err(|no| {
                let reason = if no.is_denial {
                    Reason::NameDenied
                } else {
                    Reason::UpstreamFailed
                };
                Denial::with(reason, no.message)
            })?;
        let mut refused = None;
        let mut way = Way {
            host: name.as_str().to_owned(),
            port,
            level,
            addresses,
            outcome,
        };
        for address in std::mem::take(&mut way.addresses) {
            match gate.led_to(SocketAddr::new(address, port)) {
                Ok(()) => way.addresses.push(address),
                Err((reason, rule)) if self.flow.observes() => {
                    way.outcome = Outcome::Denied(reason, rule);
                    way.addresses.push(address);
                }
                Err(denied) => refused = Some(denied),
            }
        }
        match refused {
            Some(denied) if way.addresses.is_empty() => Err(denied.into()),
            Some(_) | None => Ok(way),
        }
    }

    async fn has_upstream(&mut self, way: &Way) -> bool {
        let Some(upstream) = &mut self.upstream else {
            return false;
        };
        let leads = |destination: SocketAddr| {
            destination.port() == way.port && way.addresses.contains(&destination.ip())
        };
        upstream.flow.level == way.level
            && upstream.flow.destination.is_some_and(leads)
            && upstream.serves(&way.host).await
    }

    /// A connection for this way: a new one, unless another request has one to share. Whether it is
    /// new.
    async fn begin(&mut self, way: &Way) -> Result<bool, Denial> {
        self.finish();
        let (upstream, is_fresh) = match &self.hosts {
            // Boxed: the state of a handshake is large, and most flows have none.
            None => (Box::pin(self.dial(way)).await?, true),
            Some(hosts) => hosts.get(&way.host, Box::pin(self.dial(way))).await?,
        };
        self.upstream = Some(upstream);
        Ok(is_fresh)
    }

    async fn dial(&self, way: &Way) -> Result<Upstream<'p>, Denial> {
        let (stream, destination) = reach(way).await?;
        let mut flow = Flow::new(self.flow.place, self.flow.client, Some(destination));
        flow.host = Some(way.host.clone());
        flow.level = way.level;
        let secure = match &self.via {
            Via::Explicit { .. } | Via::Steered { .. } => None,
            Via::Opened {
                opener, is_http2, ..
            } => Some(Secure {
                opener,
                is_http2_welcome: *is_http2,
            }),
        };
        Upstream::begin(stream, flow, way.outcome, secure).await
    }
}

fn local(body: Incoming) -> LocalBody {
    Box::pin(body.map_err(io::Error::other))
}

/// A request that is given up in the middle has moved bytes all the same.
impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.finish();
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
