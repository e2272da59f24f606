//! DNS over TCP (RFC 7766): framed messages, answered in any order.
//!
//! A connection that is silent, or does not take its answers, for ten seconds is closed. A session
//! has at most eight of them, so that one cannot take all 64 from the others.

use std::{cell::RefCell, collections::HashMap, io, net::SocketAddr, rc::Rc, time::Duration};

use egress_common::{ClientKey, Protocol};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::timeout,
};

use super::{
    Host,
    engine::Step,
    server::{Route, Shared},
};

const IDLE: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 64;
const MAX_OF_SESSION: usize = 8;
/// Answers that wait to be written; a session has no more questions open.
const QUEUE: usize = 256;
/// After an error of accept(2), such as too many descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The open connections by session; askers that nobody knows count as one session.
#[derive(Debug, Default)]
pub(super) struct Connections {
    total: usize,
    sessions: HashMap<Option<u64>, usize>,
}

/// A place among the connections, given back when dropped.
struct Place<'a> {
    connections: &'a RefCell<Connections>,
    session: Option<u64>,
}

impl<'a> Place<'a> {
    fn take(connections: &'a RefCell<Connections>, session: Option<u64>) -> Option<Self> {
        let mut open = connections.borrow_mut();
        let of_session = open.sessions.get(&session).copied().unwrap_or_default();
        if open.total >= MAX_CONNECTIONS || of_session >= MAX_OF_SESSION {
            return None;
        }
        open.total += 1;
        open.sessions.insert(session, of_session + 1);
        Some(Self {
            connections,
            session,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.connections.borrow_mut();
        open.total = open.total.saturating_sub(1);
        if let Some(of_session) = open.sessions.get_mut(&self.session) {
            *of_session = of_session.saturating_sub(1);
            if *of_session == 0 {
                open.sessions.remove(&self.session);
            }
        }
    }
}

/// Accepts until the task is dropped.
pub(super) async fn serve<H: Host + 'static>(shared: Rc<Shared<H>>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                tokio::task::spawn_local(converse(Rc::clone(&shared), stream, from));
            }
            Err(error) => {
                tracing::warn!(%error, "a DNS connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse<H: Host + 'static>(shared: Rc<Shared<H>>, stream: TcpStream, from: SocketAddr) {
    let key = ClientKey::new(Protocol::TCP, from.ip().into(), from.port());
    let session = shared.host.client(&key).map(|client| client.session);
    let Some(_place) = Place::take(&shared.connections, session) else {
        tracing::debug!(?session, "too many DNS connections");
        return;
    };
    let (reader, writer) = stream.into_split();
    let (replies, queue) = mpsc::channel(QUEUE);
    let (read, written) = tokio::join!(read(&shared, reader, key, replies), write(writer, queue));
    for error in [read.err(), written.err()].into_iter().flatten() {
        tracing::debug!(%error, "a DNS connection ended");
    }
}

/// Takes questions until the client stops asking. The queue closes when the last answer is in it.
async fn read<H: Host + 'static>(
    shared: &Rc<Shared<H>>,
    mut reader: OwnedReadHalf,
    key: ClientKey,
    replies: mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let mut message = Vec::new();
    let mut out = Vec::new();
    loop {
        if timeout(IDLE, frame(&mut reader, &mut message))
            .await
            .is_ok_and(|read| read.is_ok())
        {
            match shared.ask(key, &message, &mut out, || Route::Tcp(replies.clone())) {
                Step::Reply => {
                    if replies.send(std::mem::take(&mut out)).await.is_err() {
                        return Ok(());
                    }
                }
                Step::Silent => return Ok(()),
                Step::Wait | Step::Ask(_) | Step::Approve { .. } => {}
            }
        } else {
            return Ok(());
        }
    }
}

async fn frame(reader: &mut OwnedReadHalf, message: &mut Vec<u8>) -> io::Result<()> {
    let length = reader.read_u16().await?;
    message.resize(usize::from(length), 0);
    reader.read_exact(message).await?;
    Ok(())
}

async fn write(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(reply) = queue.recv().await {
        let Ok(length) = u16::try_from(reply.len()) else {
            continue;
        };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(reply);
        timeout(IDLE, writer.write_all(&framed)).await??;
    }
    Ok(())
}
