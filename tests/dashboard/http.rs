//! Requests as they stand on the wire, so that a test can send wrong ones.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use crate::harness::TestWorld;

/// More than any answer takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    /// Reads until the other side closes.
    pub(super) fn read(stream: &mut impl std::io::Read) -> Self {
        let mut bytes = Vec::new();
        // One that was reset has what came before.
        stream.read_to_end(&mut bytes).ok();
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&start))
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A connection within the machine of the world.
#[track_caller]
pub(super) fn connect(world: &TestWorld, address: SocketAddr) -> TcpStream {
    let stream = world.machine().run(|| Ok(TcpStream::connect(address)?));
    let stream = stream.unwrap_or_else(|error| panic!("{address}: {error:#}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends a head, line by line, and reads the answer to its end.
#[track_caller]
pub(super) fn ask(world: &TestWorld, address: SocketAddr, lines: &[&str]) -> Answer {
    let mut stream = connect(world, address);
    let text = format!("{}\r\n\r\n", lines.join("\r\n"));
    // What is refused early may be reset while it is sent.
    stream.write_all(text.as_bytes()).ok();
    Answer::read(&mut stream)
}

/// The same over a UNIX socket.
#[track_caller]
pub(super) fn ask_socket(path: &Path, lines: &[&str]) -> Answer {
    let mut stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let text = format!("{}\r\n\r\n", lines.join("\r\n"));
    stream.write_all(text.as_bytes()).expect("a request");
    Answer::read(&mut stream)
}
