//! One question to the daemon within a deadline that holds for all of it: connecting, sending,
//! waiting.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};

use crate::control::message::{Failure, Reply, Request, parse_reply};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum AskError {
    #[error("egressd is not reached at `{}` ({source}): start it with `systemctl start egressd`, or see whether this user is in the group of the socket", path.display())]
    Unreachable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("egressd did not answer within {} ms: try once more, and then look at `egressctl status`", .0.as_millis())]
    TooSlow(Duration),
    #[error("egressd broke off ({0}): see its log")]
    Broken(#[source] io::Error),
    #[error("the question cannot be written: {0}")]
    Request(#[source] serde_json::Error),
    #[error("{0}{help}", help = help(.0))]
    Failed(Failure),
}

/// Longer answers are not read. Bytes.
const LONGEST_REPLY: usize = 4 << 20;

pub(in crate::cli) fn ask(
    path: &Path,
    request: &Request,
    patience: Duration,
) -> Result<Reply, AskError> {
    let line = request.line().map_err(AskError::Request)?;
    let clock = Clock {
        begun: Instant::now(),
        patience,
    };
    let stream = clock.connect(path)?;
    clock.send(&stream, &line)?;
    let reply = clock.receive(&stream)?;
    parse_reply(&reply)
        .and_then(|reply| reply)
        .map_err(AskError::Failed)
}

struct Clock {
    begun: Instant,
    patience: Duration,
}

impl Clock {
    fn left(&self) -> Result<Duration, AskError> {
        let left = self.patience.saturating_sub(self.begun.elapsed());
        if left.is_zero() {
            return Err(AskError::TooSlow(self.patience));
        }
        Ok(left)
    }

    fn broken(&self, error: io::Error) -> AskError {
        // What a timeout of a socket is told as.
        if error.kind() == io::ErrorKind::WouldBlock {
            AskError::TooSlow(self.patience)
        } else {
            AskError::Broken(error)
        }
    }

    /// Waits no longer than the deadline for a daemon whose queue is full.
    fn connect(&self, path: &Path) -> Result<UnixStream, AskError> {
        let unreachable = |error: rustix::io::Errno| {
            if error == rustix::io::Errno::AGAIN {
                return AskError::TooSlow(self.patience);
            }
            AskError::Unreachable {
                path: path.to_owned(),
                source: error.into(),
            }
        };
        let left = self.left()?;
        let address = SocketAddrUnix::new(path).map_err(unreachable)?;
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(unreachable)?;
        // unix(7) does not say so, but connect(2) waits as long as a write would.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(left))
            .map_err(unreachable)?;
        connect(&socket, &address).map_err(unreachable)?;
        Ok(UnixStream::from(socket))
    }

    fn send(&self, mut stream: &UnixStream, line: &[u8]) -> Result<(), AskError> {
        let mut rest = line;
        while !rest.is_empty() {
            let left = Some(self.left()?);
            let sent = stream
                .set_write_timeout(left)
                .and_then(|()| stream.write(rest));
            match sent {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                // A daemon that refuses a connection has said why before it closed.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    /// One line, without its newline.
    fn receive(&self, mut stream: &UnixStream) -> Result<Vec<u8>, AskError> {
        let mut reply = Vec::new();
        let mut chunk = [0; 16 << 10];
        loop {
            let left = Some(self.left()?);
            let read = stream
                .set_read_timeout(left)
                .and_then(|()| stream.read(&mut chunk));
            let read = read.map_err(|error| self.broken(error))?;
            reply.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if reply.pop_if(|last| *last == b'\n').is_some() {
                return Ok(reply);
            }
            if read == 0 || reply.len() > LONGEST_REPLY {
                return Err(AskError::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

fn help(failure: &Failure) -> String {
    failure
        .help
        .as_ref()
        .map_or_else(String::new, |help| format!(": {help}"))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    #[track_caller]
    fn check(answer: impl FnOnce(UnixStream) + Send + 'static, says: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = thread::spawn(move || answer(listener.accept().unwrap().0));
        let begun = Instant::now();
        let error = ask(&path, &Request::Sessions {}, PATIENCE).unwrap_err();
        let took = begun.elapsed();
        assert!(error.to_string().contains(says), "{error}");
        assert!(took < PATIENCE * 3, "{took:?}");
        daemon.join().unwrap();
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_not_waited_for() {
        check(
            |stream| {
                thread::sleep(PATIENCE * 2);
                drop(stream);
            },
            "within 200 ms",
        );
    }

    #[test]
    fn a_daemon_that_answers_a_byte_at_a_time_has_the_same_deadline() {
        check(
            |mut stream| {
                while stream.write_all(b" ").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            },
            "within 200 ms",
        );
    }

    #[test]
    fn a_daemon_that_goes_away_or_says_nonsense_is_told() {
        check(drop, "broke off");
        check(
            |mut stream| stream.write_all(b"nonsense\n").unwrap(),
            "cannot be read",
        );
    }

    #[test]
    fn a_daemon_that_accepts_nobody_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let address = SocketAddrUnix::new(&path).unwrap();
        let listener = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        let begun = Instant::now();
        let error = ask(&path, &Request::Sessions {}, PATIENCE).unwrap_err();
        assert!(matches!(error, AskError::TooSlow(_)), "{error}");
        assert!(begun.elapsed() < PATIENCE * 3);
    }

    #[test]
    fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
        let error = ask(Path::new("/nowhere/s"), &Request::Sessions {}, PATIENCE).unwrap_err();
        assert!(
            error.to_string().contains("systemctl start egressd"),
            "{error}"
        );
    }
}
