//! The event ring: bytes from the kernel to [`Event`]s.

use std::io;

use aya::maps::{MapData, RingBuf};
use egress_common::{Address, Event, Flow, Process, Protocol, UNIX_PATH_BYTES, UnixEvent, limits};
use tokio::io::unix::AsyncFd;

/// The reading end of the ring.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
}

/// Events taken in one go: others get their turn between two batches.
const BATCH: usize = 256;

impl Events {
    /// Batches in a full ring.
    pub const BATCHES: usize = limits::EVENT_BYTES as usize / Event::BYTES / BATCH + 1;

    /// Must be called inside a tokio runtime.
    #[expect(
        unsafe_code,
        reason = "tokio cannot see that the ring owns its descriptor"
    )]
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns the map's descriptor, gives the same one each time, and keeps it
        // open until it is dropped.
        let ring = unsafe { AsyncFd::register(ring)? };
        Ok(Self { ring })
    }

    /// Waits for events and takes up to a batch of them.
    pub async fn next(&mut self) -> io::Result<Vec<Decided>> {
        let mut guard = self.ring.readable_mut().await?;
        let ring = guard.get_inner_mut();
        let mut events = Vec::new();
        while events.len() < BATCH {
            let Some(item) = ring.next() else {
                guard.clear_ready();
                break;
            };
            events.extend(parse(&item));
        }
        Ok(events)
    }
}

/// One decision of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    pub event: Event,
    /// The name of the UNIX socket that it is about; empty when that has none.
    pub unix: Option<Vec<u8>>,
}

/// Reads one record of the ring. `None` for one of an unknown length.
pub(super) fn parse(bytes: &[u8]) -> Option<Decided> {
    if let Ok(bytes) = <&[u8; size_of::<Event>()]>::try_from(bytes) {
        let event = parse_event(bytes)?;
        return Some(Decided { event, unix: None });
    }
    let bytes: &[u8; size_of::<UnixEvent>()] = bytes.try_into().ok()?;
    let event = parse_event(bytes.first_chunk()?)?;
    let mut at = Reader {
        bytes,
        at: size_of::<Event>(),
    };
    let length = usize::try_from(at.u32()?).ok()?;
    let path: [u8; UNIX_PATH_BYTES] = at.array()?;
    let unix = path.get(..length.min(UNIX_PATH_BYTES))?.to_vec();
    Some(Decided {
        event,
        unix: Some(unix),
    })
}

fn parse_event(bytes: &[u8; size_of::<Event>()]) -> Option<Event> {
    let mut at = Reader { bytes, at: 0 };
    Some(Event {
        time: at.u64()?,
        session: at.u64()?,
        cookie: at.u64()?,
        process: Process {
            pid: at.u32()?,
            uid: at.u32()?,
            comm: at.array()?,
        },
        flow: Flow {
            destination: Address::from_v6(at.array()?),
            port: u16::from_ne_bytes(at.array()?),
            protocol: Protocol(at.u8()?),
            reserved: at.u8()?,
        },
        rule: at.u32()?,
        generation: at.u32()?,
        hook: at.u8()?,
        allowed: at.u8()?,
        reason: at.u8()?,
        observed: at.u8()?,
        family: at.u32()?,
        reserved: at.u32()?,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let out = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(out)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }
}
