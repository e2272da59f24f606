//! The asking side, for `egressctl` and the hooks: blocking, one connection.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    GROUP,
    message::{Failure, Reply, Request, parse_reply},
};

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("egressd is not running, or `{}` cannot be reached: start it with `systemctl start egressd`", .path.display())]
    Unreachable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("uid {uid} may not use `{}`: run it with sudo, or join the group with `usermod -aG {GROUP} USER`", .path.display())]
    NotAllowed {
        path: PathBuf,
        uid: u32,
        #[source]
        source: io::Error,
    },
    #[error("egressd did not answer")]
    Broken(#[source] io::Error),
    #[error("the request cannot be written")]
    Request(#[source] serde_json::Error),
    /// What the daemon answered, or why its answer cannot be read.
    #[error("{}", full(.0))]
    Failed(Failure),
    #[error("egressd answered something else than was asked for")]
    Unexpected,
}

/// Longer replies are not read. Bytes.
const LONGEST_REPLY: u64 = 64 << 20;
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| {
            if source.kind() == io::ErrorKind::PermissionDenied {
                ClientError::NotAllowed {
                    path: path.to_owned(),
                    uid: rustix::process::geteuid().as_raw(),
                    source,
                }
            } else {
                ClientError::Unreachable {
                    path: path.to_owned(),
                    source,
                }
            }
        })?;
        for set in [
            stream.set_read_timeout(Some(PATIENCE)),
            stream.set_write_timeout(Some(PATIENCE)),
        ] {
            set.map_err(ClientError::Broken)?;
        }
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Asks once and waits for the answer.
    pub fn request(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.send(request)?;
        self.receive()?
            .ok_or_else(|| ClientError::Broken(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Asks for a log, and gives its replies until the daemon is done or gone. Waits without
    /// limit: a log that is followed may be silent for long.
    pub fn stream(
        mut self,
        request: &Request,
    ) -> Result<impl Iterator<Item = Result<Reply, ClientError>> + use<>, ClientError> {
        self.send(request)?;
        let unlimited = self.stream.get_ref().set_read_timeout(None);
        unlimited.map_err(ClientError::Broken)?;
        let mut is_over = false;
        Ok(std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            let reply = self.receive().transpose();
            is_over = !matches!(
                reply,
                Some(Ok(Reply::Line(_) | Reply::Missed(_) | Reply::Unreadable(_)))
            );
            reply.filter(|reply| !matches!(reply, Ok(Reply::Done(_))))
        }))
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let line = request.line().map_err(ClientError::Request)?;
        let sent = self.stream.get_mut().write_all(&line);
        // A daemon that refuses the connection has said why before it closed.
        match sent {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(ClientError::Broken),
        }
    }

    /// The next reply; `None` when the daemon closed the connection.
    fn receive(&mut self) -> Result<Option<Reply>, ClientError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(LONGEST_REPLY);
        limited
            .read_until(b'\n', &mut line)
            .map_err(ClientError::Broken)?;
        if line.is_empty() {
            return Ok(None);
        }
        parse_reply(&line)
            .and_then(|reply| reply)
            .map(Some)
            .map_err(ClientError::Failed)
    }
}

fn full(failure: &Failure) -> String {
    match &failure.help {
        Some(help) => format!("{failure}: {help}"),
        None => failure.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::net::UnixListener,
        thread::{JoinHandle, spawn},
    };

    use super::*;

    /// A daemon that takes one request line and answers with `reply`.
    fn daemon(path: &Path, reply: &'static str) -> JoinHandle<String> {
        let listener = UnixListener::bind(path).unwrap();
        spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            stream.get_mut().write_all(reply.as_bytes()).unwrap();
            line
        })
    }

    #[track_caller]
    fn check(reply: &'static str, expected: Result<Reply, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let daemon = daemon(&path, reply);
        let got = Client::connect(&path)
            .unwrap()
            .request(&Request::Sessions {});
        assert_eq!(daemon.join().unwrap(), "{\"v\":1,\"op\":\"sessions\"}\n");
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(got), Err(expected)) => assert!(got.to_string().contains(expected), "{got}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn an_answer_is_a_reply_or_says_what_is_wrong() {
        check(
            "{\"v\":1,\"ok\":{\"sessions\":[]}}\n",
            Ok(Reply::Sessions(Vec::new())),
        );
        check(
            "{\"v\":1,\"error\":{\"code\":\"busy\",\"message\":\"full\",\"help\":\"wait\"}}\n",
            Err("full: wait"),
        );
        check(
            "{\"v\":7}\n",
            Err("version 7, and this side speaks version 1"),
        );
        check("garbage\n", Err("cannot be read"));
        check("", Err("did not answer"));
    }

    #[test]
    fn a_log_ends_with_done_or_with_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let reply = "{\"v\":1,\"ok\":{\"line\":\"a\"}}\n{\"v\":1,\"ok\":{\"missed\":2}}\n{\"v\":1,\"ok\":{\"done\":\"\"}}\n";
        let daemon = daemon(&path, reply);
        let replies = Client::connect(&path)
            .unwrap()
            .stream(&Request::Sessions {})
            .unwrap();
        let replies: Vec<_> = replies.map(Result::unwrap).collect();
        assert_eq!(replies, [Reply::Line("a".to_owned()), Reply::Missed(2)]);
        daemon.join().unwrap();
    }

    #[test]
    fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
        let error = Client::connect(Path::new("/nowhere/control.sock")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "egressd is not running, or `/nowhere/control.sock` cannot be reached: start it with `systemctl start egressd`"
        );
    }
}
