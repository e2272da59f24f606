//! Standard input and output of the guard, without a thread for each of them where that can be:
//! a message that waits for a thread waits longer than for everything else that is done with it.
//!
//! Others may hold the same pipe or socket, with the same flags: they are left as they are. A pipe
//! is opened once more, a socket is asked not to wait each time.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::{
    fs::{FileType, fstat},
    net::{RecvFlags, SendFlags, recv, send},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, unix::AsyncFd},
    net::unix::pipe,
};

/// To be called within a runtime.
pub(super) fn input() -> io::Result<Box<dyn AsyncRead + Unpin>> {
    let file = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(match kind(&file)? {
        Kind::Pipe => match pipe::OpenOptions::new().open_receiver("/proc/self/fd/0") {
            Ok(pipe) => Box::new(pipe),
            Err(_) => Box::new(waiting(file)),
        },
        Kind::Socket => Box::new(Socket::new(file)?),
        Kind::Other => Box::new(waiting(file)),
    })
}

/// As [`input`].
pub(super) fn output() -> io::Result<Box<dyn AsyncWrite + Unpin + Send>> {
    let file = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(match kind(&file)? {
        Kind::Pipe => match pipe::OpenOptions::new().open_sender("/proc/self/fd/1") {
            Ok(pipe) => Box::new(pipe),
            // Nobody reads it any more, or it is another user's.
            Err(_) => Box::new(waiting(file)),
        },
        Kind::Socket => Box::new(Socket::new(file)?),
        Kind::Other => Box::new(waiting(file)),
    })
}

/// Anything, with the threads that wait for it.
fn waiting(file: OwnedFd) -> tokio::fs::File {
    tokio::fs::File::from_std(File::from(file))
}

enum Kind {
    Pipe,
    Socket,
    Other,
}

fn kind(file: &OwnedFd) -> io::Result<Kind> {
    let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
    Ok(if kind.is_fifo() {
        Kind::Pipe
    } else if kind.is_socket() {
        Kind::Socket
    } else {
        Kind::Other
    })
}

/// One side of a pair of sockets: what Node.js gives its children.
struct Socket(AsyncFd<OwnedFd>);

impl Socket {
    #[expect(
        deprecated,
        reason = "it trusts the type to name its own descriptor, which an `OwnedFd` does"
    )]
    fn new(socket: OwnedFd) -> io::Result<Self> {
        AsyncFd::new(socket).map(Self)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            let read = ready.try_io(|socket| {
                let room = into.initialize_unfilled();
                let (read, _) = recv(socket.get_ref(), room, RecvFlags::DONTWAIT)?;
                Ok(read)
            });
            // Otherwise it was not ready after all.
            if let Ok(read) = read {
                into.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let sent = ready.try_io(|socket| Ok(send(socket.get_ref(), bytes, flags)?));
            if let Ok(sent) = sent {
                return Poll::Ready(sent);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// It ends with this process: others may write to it too.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_socket_that_waits_is_read_and_written_to_its_end() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            let text = vec![7; 1 << 20];
            let sent = text.clone();
            let other = std::thread::spawn(move || {
                use std::io::{Read as _, Write as _};
                let mut theirs = theirs;
                let mut read = vec![0; sent.len()];
                theirs.read_exact(&mut read).unwrap();
                theirs.write_all(&read).unwrap();
                read
            });
            let mut socket = Socket::new(OwnedFd::from(ours)).unwrap();
            socket.write_all(&text).await.unwrap();
            let mut back = Vec::new();
            socket.read_to_end(&mut back).await.unwrap();
            assert!(back == text && other.join().unwrap() == text);
        });
    }
}
