//! DNS questions for A records, written and read without a library: the load must cost less than
//! what it measures.

use std::{
    net::{SocketAddr, UdpSocket},
    ops::Range,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{median, monotonic, per_second};

const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any answer to such a question.
const MESSAGE: usize = 1500;

/// Which answers will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// With an address.
    Good,
    Any,
}

/// The median of the times, in nanoseconds, from the socket to the answer.
pub(super) fn ask(
    server: SocketAddr,
    zone: &str,
    names: Range<u32>,
    content: Content,
) -> Result<u64> {
    let mut times = Vec::new();
    let mut buffer = [0; MESSAGE];
    for n in names {
        let id = u16::try_from(n % 65_536)?;
        let question = question(id, &name(n, zone));
        let start = monotonic();
        // A socket for each question, as the C library has it.
        let socket = socket(server)?;
        socket.send(&question).context("sending a question")?;
        let length = socket
            .recv(&mut buffer)
            .with_context(|| format!("waiting for {server} to answer {}", name(n, zone)))?;
        times.push(monotonic() - start);
        let answer = buffer.get(..length).unwrap_or_default();
        let answered = read(answer).context("an answer without a header")?;
        ensure!(
            answered.id == id && (content == Content::Any || answered.is_good()),
            "{server} answered {} with {answered:?}",
            name(n, zone)
        );
    }
    Ok(median(times))
}

/// Good answers per second, with up to `window` questions under way on one socket.
pub(super) fn flood(
    server: SocketAddr,
    zone: &str,
    names: u32,
    window: u16,
    time: Duration,
) -> Result<u64> {
    let mut questions: Vec<Vec<u8>> = (0..names).map(|n| question(0, &name(n, zone))).collect();
    let socket = socket(server)?;
    let mut buffer = [0; MESSAGE];
    let mut next = 0;
    let mut send = |id: u16| -> Result<()> {
        let Some(question) = questions.get_mut(next) else {
            bail!("a flood needs a name to ask for")
        };
        next = (next + 1) % usize::try_from(names)?;
        for (byte, new) in question.iter_mut().zip(id.to_be_bytes()) {
            *byte = new;
        }
        socket.send(question).context("sending a question")?;
        Ok(())
    };
    let start = monotonic();
    let end = start + u64::try_from(time.as_nanos())?;
    let mut good: u64 = 0;
    for id in 0..window {
        send(id)?;
    }
    while monotonic() < end {
        let length = socket
            .recv(&mut buffer)
            .with_context(|| format!("{server} stopped answering after {good} answers"))?;
        let answer = buffer.get(..length).unwrap_or_default();
        let answered = read(answer).context("an answer without a header")?;
        ensure!(answered.is_good(), "{server} answered with {answered:?}");
        good += 1;
        send(answered.id)?;
    }
    Ok(per_second(good, monotonic() - start))
}

pub(super) fn socket(server: SocketAddr) -> Result<UdpSocket> {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).context("binding a UDP socket")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket
        .connect(server)
        .with_context(|| format!("connecting to {server}"))?;
    Ok(socket)
}

pub(super) fn name(n: u32, zone: &str) -> String {
    format!("n{n}.{zone}")
}

/// A question for the A records of `name`, recursion desired (RFC 1035 section 4.1).
pub(super) fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label.bytes().take(63));
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// What the header of an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answered {
    pub(super) id: u16,
    code: u8,
    records: u16,
}

impl Answered {
    pub(super) fn is_good(self) -> bool {
        self.code == 0 && self.records > 0
    }
}

pub(super) fn read(message: &[u8]) -> Option<Answered> {
    let (header, _) = message.split_first_chunk::<12>()?;
    let [a, b, _, flags, _, _, high, low, ..] = *header;
    Some(Answered {
        id: u16::from_be_bytes([a, b]),
        code: flags & 0x0f,
        records: u16::from_be_bytes([high, low]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_as_rfc_1035_has_it() {
        let message = question(0x1234, "n7.test");
        assert_eq!(
            message,
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02n7\x04test\x00\x00\x01\x00\x01"
        );
    }

    #[test]
    fn a_refusal_is_not_good() {
        let refused = read(b"\x00\x01\x81\x05\x00\x01\x00\x00\x00\x00\x00\x00").expect("a header");
        assert_eq!(
            refused,
            Answered {
                id: 1,
                code: 5,
                records: 0
            }
        );
        assert!(!refused.is_good());
    }

    #[test]
    fn half_a_header_is_nothing() {
        assert_eq!(read(b"\x00\x01\x81"), None);
    }
}
