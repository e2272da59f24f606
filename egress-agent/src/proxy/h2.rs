//! HTTP/2 in TLS that was opened: every stream is a request of its own, judged like one of HTTP/1.
//!
//! Frames, flow control and the floods that HTTP/2 knows (of resets, settings, continuations) are
//! the business of hyper and h2, within the bounds below. All streams of a connection are for the
//! host that its TLS was opened for; a request for another is answered 421, and belongs on a
//! connection of its own. Trailers pass in both directions. Neither CONNECT nor its extended form
//! (RFC 8441, web sockets over HTTP/2) is offered: clients take HTTP/1 for those.

use std::{convert::Infallible, io, pin::Pin, rc::Rc, time::Duration};

use bytes::Bytes;
use egress_common::Reason;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, TE},
};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, rt::Executor, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    answer::Answer,
    exchange::{Exchange, Via, Way, hosts::Hosts, upstream::LocalBody},
    flow::{Denial, Flow},
    http1::{BadRequest, Head, LONGEST_HEAD, of_message},
};

/// Requests of one connection at a time.
const STREAMS: u32 = 100;
/// Streams that a client has reset before they were looked at (CVE-2023-44487), and that were reset
/// for errors of the client.
const RESETS: usize = 20;
/// For the next request to begin.
const IDLE: Duration = Duration::from_mins(2);
/// A client that is silent for so long is asked whether it still lives.
const PING: Duration = Duration::from_mins(1);
/// What one stream, and what one connection, may send ahead.
const STREAM_WINDOW: u32 = 1 << 20;
const WINDOW: u32 = 4 << 20;

/// One connection of a client.
struct Connection<'p> {
    flow: Flow<'p>,
    via: Via,
    hosts: Rc<Hosts<'p>>,
}

type Stream<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Hands streams over to the loop of their connection: they end with it.
#[derive(Clone)]
struct Streams<'a>(mpsc::UnboundedSender<Stream<'a>>);

impl<'a, F: Future<Output = ()> + 'a> Executor<F> for Streams<'a> {
    fn execute(&self, stream: F) {
        // Nobody receives when the connection has ended, and its streams with it.
        drop(self.0.send(Box::pin(stream)));
    }
}

/// Serves one client until it leaves.
pub(super) async fn hold<S>(flow: Flow<'_>, stream: S, via: Via)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut policies = flow.gate().watch();
    policies.mark_unchanged();
    let connection = Rc::new(Connection {
        flow,
        via,
        hosts: Rc::default(),
    });
    let (sender, mut begun) = mpsc::unbounded_channel();
    let serve = {
        let connection = Rc::clone(&connection);
        service_fn(move |request| {
            let connection = Rc::clone(&connection);
            async move { Ok::<_, Infallible>(connection.answer(request).await) }
        })
    };
    let longest = u32::try_from(LONGEST_HEAD).unwrap_or(u32::MAX);
    let mut served = std::pin::pin!(
        Builder::new(Streams(sender))
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(longest)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(PING)
            .serve_connection(TokioIo::new(stream), serve)
    );
    let mut streams = FuturesUnordered::new();
    let mut idle = std::pin::pin!(sleep_until(Instant::now() + IDLE));
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a client left");
                }
                break;
            }
            Some(stream) = begun.recv() => streams.push(stream),
            Some(()) = streams.next() => {
                if streams.is_empty() {
                    idle.as_mut().reset(Instant::now() + IDLE);
                }
            }
            changed = policies.changed() => {
                let allowed = connection.flow.still_allowed();
                if changed.is_err() || allowed.is_err() {
                    connection.hosts.end(allowed.err().as_ref());
                    break;
                }
            }
            () = &mut idle, if streams.is_empty() => {
                served.as_mut().graceful_shutdown();
                // A client that does not leave by itself has as long again.
                idle.as_mut().reset(Instant::now() + IDLE);
            }
        }
    }
    drop(streams);
    connection.hosts.end(None);
}

impl<'p> Connection<'p> {
    /// One request and its response.
    async fn answer(&self, request: Request<Incoming>) -> Response<LocalBody> {
        let (parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            let text = "this is no proxy that was asked for; connect to the host itself, and use HTTP/1.1 for a WebSocket";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return into_response(Answer::refused(status, "no-proxy", text));
        }
        let head = match Head::of_http2(&parts, !body.is_end_stream()) {
            Ok(head) => head,
            Err(bad) => return self.unreadable(bad),
        };
        let hosts = Rc::clone(&self.hosts);
        let mut exchange = Exchange::among(self.flow.clone(), self.via.clone(), hosts);
        let port = head.authority.port();
        let port = port.unwrap_or(exchange.default_port());
        // Nothing else may stand there (RFC 9113, section 8.2.2).
        let takes_trailers = parts.headers.contains_key(TE);
        let body = (body, takes_trailers);
        match self.pass(&mut exchange, &head, port, body).await {
            Ok(response) => response,
            Err(denial) => self.deny(&exchange, &denial, &head, port),
        }
    }

    /// Judges a request, and passes it on.
    async fn pass(
        &self,
        exchange: &mut Exchange<'p>,
        head: &Head,
        port: u16,
        (body, takes_trailers): (Incoming, bool),
    ) -> Result<Response<LocalBody>, Denial> {
        let way = exchange.judge(head.authority.host(), port).await?;
        let path = head.target.path();
        let path = path.map_or_else(|| "/".to_owned(), |path| path.to_string());
        let body: LocalBody = Box::pin(body.map_err(io::Error::other));
        let mut request = Request::builder()
            .method(head.method.clone())
            .uri(path)
            .body(body)
            .map_err(|error| Denial::with(Reason::UnreadableRequest, error.to_string()))?;
        *request.headers_mut() = head.forward();
        // A host that speaks HTTP/1 does not get to see it.
        if takes_trailers {
            let trailers = HeaderValue::from_static("trailers");
            request.headers_mut().insert(TE, trailers);
        }
        let response = exchange.send(&way, request).await?;
        self.hosts.keep(exchange.upstream.take());
        respond(&way, response)
    }

    fn deny(
        &self,
        exchange: &Exchange<'p>,
        denial: &Denial,
        head: &Head,
        port: u16,
    ) -> Response<LocalBody> {
        let host = head.authority.host();
        let mut flow = self.flow.clone();
        flow.host = Some(host.to_owned());
        flow.denied(denial);
        into_response(exchange.answer(denial, host, port, &head.fields))
    }

    fn unreadable(&self, bad: BadRequest) -> Response<LocalBody> {
        let message = format!("{}: {bad}", bad.code());
        self.flow
            .denied(&Denial::with(Reason::UnreadableRequest, message));
        into_response(Answer::refused(bad.status(), bad.code(), &bad.to_string()))
    }
}

/// A response as it goes to the client.
fn respond(way: &Way, response: Response<LocalBody>) -> Result<Response<LocalBody>, Denial> {
    let (parts, body) = response.into_parts();
    if parts.status.is_informational() {
        let message = format!("{} switched to another protocol unasked", way.host);
        return Err(Denial::with(Reason::DialFailed, message));
    }
    let mut fields = HeaderMap::with_capacity(parts.headers.len());
    for (name, value) in of_message(&parts.headers) {
        fields.append(name, value.clone());
    }
    // One without a body may have the length of what is not there, as for HEAD; of any other the
    // body itself knows it.
    if body.is_end_stream()
        && let Some(length) = parts.headers.get(CONTENT_LENGTH)
    {
        fields.insert(CONTENT_LENGTH, length.clone());
    }
    let mut response = Response::new(body);
    *response.status_mut() = parts.status;
    *response.headers_mut() = fields;
    Ok(response)
}

fn into_response(answer: Answer) -> Response<LocalBody> {
    let Answer {
        status,
        fields,
        body,
    } = answer;
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let body: LocalBody = Box::pin(body);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}
