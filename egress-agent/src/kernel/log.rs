//! What the kernel programs have to say to the developer: aya-log into the diagnostic log.
//!
//! Decisions are events, never log lines; this is for what should not happen, such as a socket
//! that got no note because memory was short.

use aya::programs::links::{FdLink, PinnedLink};
use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;

use super::pins::Pins;

/// The reading end.
pub struct ProgramLog {
    lines: AsyncFd<EbpfLogger<&'static dyn log::Log>>,
}

/// The program that logs; all programs of a set share one ring.
const PROGRAM: &str = "sock_create";

impl ProgramLog {
    /// Finds the ring of the programs that are pinned. Needs `CAP_SYS_ADMIN`, and a tokio runtime.
    #[expect(
        unsafe_code,
        reason = "tokio cannot see that the logger owns its descriptor"
    )]
    pub fn open(pins: &Pins) -> anyhow::Result<Self> {
        let path = pins.current().join("links").join(PROGRAM);
        let link: FdLink = PinnedLink::from_pin(path)?.into();
        let logger = EbpfLogger::init_from_id(link.info()?.program_id())?;
        // SAFETY: the logger owns its ring's descriptor, gives the same one each time, and keeps
        // it open until it is dropped.
        let lines = unsafe { AsyncFd::register(logger) }.map_err(std::io::Error::from)?;
        Ok(Self { lines })
    }

    /// Writes what comes, for ever.
    pub async fn forward(mut self) -> std::io::Result<()> {
        loop {
            let mut ready = self.lines.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }
}
