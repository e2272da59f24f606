//! Bytes between two sockets, untouched: moved inside the kernel with splice(2), and counted.
//!
//! An idle tunnel holds no buffer: pipes come from a pool when there is something to move, and go
//! back when it has been moved.

use std::{cell::RefCell, io, os::fd::OwnedFd, rc::Rc};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, copy_bidirectional},
    net::TcpStream,
};

use super::{
    dial::reset,
    flow::{Counts, Flow},
    told::Outcome,
};

/// Bytes that are moved in one go.
const CHUNK: usize = 256 << 10;
/// Bytes that are moved in one go without a pipe.
const COPIED: usize = 16 << 10;
/// Pipes that are kept for the next tunnel with something to say.
const KEPT: usize = 64;

/// Pipes that hold nothing. One for each thread.
#[derive(Clone, Debug, Default)]
pub struct Pipes(Rc<RefCell<Vec<Pipe>>>);

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.0.borrow_mut().pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Beyond fs.pipe-user-pages-soft it stays as it is, which is only slower.
        fcntl_setpipe_size(&write, CHUNK).unwrap_or_default();
        Ok(Pipe { read, write })
    }

    /// Takes back an empty pipe.
    fn give(&self, pipe: Pipe) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT {
            kept.push(pipe);
        }
    }
}

/// Moves bytes both ways until both sides have ended, or one fails. An end is passed on as it
/// comes: the other direction goes on.
pub(super) async fn join(
    client: &TcpStream,
    host: &TcpStream,
    pipes: &Pipes,
    counts: &Counts,
) -> io::Result<()> {
    let up = carry(client, host, pipes, |bytes| counts.add_up(bytes));
    let down = carry(host, client, pipes, |bytes| counts.add_down(bytes));
    tokio::try_join!(up, down).map(|((), ())| ())
}

/// Lets bytes pass until both sides have ended, or the policy no longer allows the host; then tells
/// what passed.
pub(super) async fn tunnel(flow: &Flow<'_>, client: TcpStream, host: TcpStream, outcome: Outcome) {
    let joined = join(&client, &host, &flow.place.pipes, &flow.counts);
    if !until_ended(flow, joined, outcome).await {
        reset(client);
        reset(host);
    }
}

/// The same for streams that are no sockets. The host's counts its bytes by itself.
pub(super) async fn copy(
    flow: &Flow<'_>,
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut host: impl AsyncRead + AsyncWrite + Unpin,
    outcome: Outcome,
) {
    let joined = async {
        let copied = copy_bidirectional(&mut client, &mut host).await;
        copied.map(|_counted| ())
    };
    until_ended(flow, joined, outcome).await;
}

/// Tells what passed. Whether it came to a good end.
async fn until_ended<'f>(
    flow: &'f Flow<'f>,
    joined: impl Future<Output = io::Result<()>>,
    outcome: Outcome,
) -> bool {
    // Told when egressd stops and drops it, too.
    let mut cut = Cut {
        flow,
        outcome: Some(outcome),
    };
    let ended = flow.while_allowed(joined).await;
    cut.outcome = None;
    match ended {
        Ok(Ok(())) => {
            flow.told(outcome, None);
            true
        }
        Ok(Err(error)) => {
            flow.told(outcome, Some(format!("the connection broke: {error}")));
            false
        }
        Err(denial) => {
            flow.denied(&denial);
            false
        }
    }
}

/// A flow that nothing has been told of.
struct Cut<'f> {
    flow: &'f Flow<'f>,
    /// `None` once it has ended by itself.
    outcome: Option<Outcome>,
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            let message = "egressd stopped, and the connection with it";
            self.flow.told(outcome, Some(message.to_owned()));
        }
    }
}

async fn carry(
    from: &TcpStream,
    to: &TcpStream,
    pipes: &Pipes,
    count: impl Fn(usize),
) -> io::Result<()> {
    loop {
        from.readable().await?;
        let pipe = match pipes.take() {
            Ok(pipe) => pipe,
            Err(error) if is_out_of_files(&error) => {
                match copy_piece(from, to).await? {
                    Some(0) => return shut(to),
                    Some(length) => count(length),
                    None => {}
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let filled = from.try_io(Interest::READABLE, || {
            Ok(splice(from, None, &pipe.write, None, CHUNK, flags)?)
        });
        match filled {
            Ok(0) => {
                pipes.give(pipe);
                return shut(to);
            }
            Ok(length) => {
                empty(&pipe, to, length).await?;
                count(length);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        pipes.give(pipe);
    }
}

/// Neither this process nor the machine has a descriptor left.
fn is_out_of_files(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    )
}

/// Moves what is there through memory, where no pipe is to be had: slower, and it goes on. How much;
/// `None` when nothing was there.
async fn copy_piece(from: &TcpStream, to: &TcpStream) -> io::Result<Option<usize>> {
    let mut piece = vec![0; COPIED];
    let length = match from.try_read(&mut piece) {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut left = piece.get(..length).unwrap_or_default();
    while !left.is_empty() {
        to.writable().await?;
        match to.try_write(left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(length))
}

async fn empty(pipe: &Pipe, to: &TcpStream, mut left: usize) -> io::Result<()> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    while left > 0 {
        let moved = to.try_io(Interest::WRITABLE, || {
            Ok(splice(&pipe.read, None, to, None, left, flags)?)
        });
        match moved {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => left = left.saturating_sub(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Passes on that nothing more comes.
fn shut(to: &TcpStream) -> io::Result<()> {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
