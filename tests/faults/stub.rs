//! A resolver that misbehaves as the first label of the question says. It lives in the small
//! internet, on an address of its own.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use xtask::world::place::{ALLOWED_V4, DENIED_V4, INTRANET_V4};

use crate::harness::TestWorld;

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 54);
/// Nobody listens here.
pub(crate) const DEAD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 55);
/// Records in the answer to `many`.
pub(crate) const MANY: u16 = 4_000;

const A: [u8; 2] = [0, 1];
const TRUNCATED: u8 = 0x02;

/// The `n`th address of `many`: public, and routed nowhere in the small internet.
pub(crate) fn many(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(45, 0, high, low)
}

/// Ends its threads when it is dropped.
pub(crate) struct Stub {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Stub {
    #[track_caller]
    pub(crate) fn start(world: &TestWorld) -> Self {
        let (datagrams, listener) = world
            .internet()
            .run(|| {
                Ok((
                    UdpSocket::bind((ADDRESS, 53))?,
                    TcpListener::bind((ADDRESS, 53))?,
                ))
            })
            .expect("the address is free");
        let stop = Arc::new(AtomicBool::new(false));
        let tick = Some(Duration::from_millis(50));
        datagrams
            .set_read_timeout(tick)
            .expect("a socket takes a timeout");
        listener
            .set_nonblocking(true)
            .expect("a listener can be asked");
        let (over_udp, over_tcp) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            thread::spawn(move || serve_datagrams(&datagrams, &over_udp)),
            thread::spawn(move || serve_streams(&listener, &over_tcp)),
        ];
        Self { stop, threads }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn serve_datagrams(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Some(query) = Query::read(&buffer[..length]) else {
            continue;
        };
        if query.label == "slow" {
            let socket = socket.try_clone().expect("a socket can be cloned");
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(3));
                socket.send_to(&query.answer(0, &[ALLOWED_V4]), from).ok();
            });
            continue;
        }
        for answer in query.over_udp() {
            socket.send_to(&answer, from).ok();
        }
    }
}

fn serve_streams(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => serve_stream(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return,
        }
    }
}

fn serve_stream(mut stream: TcpStream) {
    stream.set_nonblocking(false).ok();
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok();
    let mut length = [0; 2];
    let mut query = [0; 4096];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let length = usize::from(u16::from_be_bytes(length));
    if length > query.len() || stream.read_exact(&mut query[..length]).is_err() {
        return;
    }
    if let Some(answer) = Query::read(&query[..length]).and_then(|query| query.over_tcp()) {
        let length = u16::try_from(answer.len()).expect("a message over TCP is short enough");
        let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
        stream.write_all(&framed).ok();
    }
}

struct Query {
    id: [u8; 2],
    /// Name, type and class, as they came.
    question: Vec<u8>,
    /// The first label of the name.
    label: String,
    is_a: bool,
}

impl Query {
    fn read(bytes: &[u8]) -> Option<Self> {
        let id = bytes.get(..2)?.try_into().ok()?;
        let name = bytes.get(12..)?;
        let first = usize::from(*name.first()?);
        let label = String::from_utf8_lossy(name.get(1..=first)?).to_ascii_lowercase();
        let mut end = 0;
        while *name.get(end)? != 0 {
            end += 1 + usize::from(*name.get(end)?);
        }
        let question = name.get(..end + 5)?.to_vec();
        let is_a = question.get(end + 1..end + 3)? == A;
        Some(Self {
            id,
            question,
            label,
            is_a,
        })
    }

    fn over_udp(&self) -> Vec<Vec<u8>> {
        let right = self.answer(0, &[ALLOWED_V4]);
        let mut other_id = self.answer(0, &[DENIED_V4]);
        other_id[0] ^= 0xff;
        let other_question = |mut answer: Vec<u8>| {
            // One letter of the name.
            answer[13] = b'z';
            answer
        };
        match self.label.as_str() {
            "wrong-id" => vec![other_id],
            "wrong-question" => vec![other_question(self.answer(0, &[DENIED_V4]))],
            // The lie comes first, the truth after it.
            "forged" => vec![
                other_id,
                other_question(self.answer(0, &[DENIED_V4])),
                right,
            ],
            "garbage" => vec![vec![0xff; 40], self.id.to_vec()],
            "private" => vec![self.answer(0, &[INTRANET_V4])],
            "mixed" => vec![self.answer(0, &[INTRANET_V4, ALLOWED_V4])],
            "failing" => vec![self.failure()],
            "silent" => Vec::new(),
            "truncated" | "many" | "cut-short" => vec![self.answer(TRUNCATED, &[])],
            _ => vec![right],
        }
    }

    fn over_tcp(&self) -> Option<Vec<u8>> {
        match self.label.as_str() {
            "truncated" => Some(self.answer(0, &[ALLOWED_V4])),
            "many" => {
                let addresses: Vec<_> = (0..MANY).map(many).collect();
                Some(self.answer(0, &addresses))
            }
            _ => None,
        }
    }

    /// NOERROR with these addresses; none for another type than A.
    fn answer(&self, flags: u8, addresses: &[Ipv4Addr]) -> Vec<u8> {
        let addresses = if self.is_a { addresses } else { &[] };
        let count = u16::try_from(addresses.len()).expect("a message has fewer records");
        let mut message = self.head(flags, 0, count);
        for address in addresses {
            // A pointer to the name of the question, type A, class IN, a TTL of 60 s.
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            message.extend(address.octets());
        }
        message
    }

    fn failure(&self) -> Vec<u8> {
        self.head(0, 2, 0)
    }

    /// RFC 1035 4.1.1: an answer with recursion, and the question.
    fn head(&self, flags: u8, code: u8, answers: u16) -> Vec<u8> {
        let mut message = self.id.to_vec();
        message.extend([0x81 | flags, 0x80 | code, 0, 1]);
        message.extend(answers.to_be_bytes());
        message.extend([0; 4]);
        message.extend(&self.question);
        message
    }
}
