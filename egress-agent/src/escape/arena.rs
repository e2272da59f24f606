//! The arena: the near and the far side as network namespaces of this process, and what runs there.
//!
//! A namespace lives as long as the thread that stands in it, and the mounts of the near side are
//! private to its thread. However this process ends, the kernel takes down namespaces, veth,
//! mounts and with them the pins of the guard; [`home`] is for the rest.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::unix::process::CommandExt as _,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Signal, set_parent_process_death_signal};

mod answers;
mod capture;
mod far;
mod frame;
pub mod home;
mod links;
mod side;

use self::{capture::Capture, far::Services, side::Side};
use super::ground::NEAR_V4;

/// The name of both ends of the veth, each in its own namespace.
pub const DEVICE: &str = "uplink";
/// The far side's own address on the link, next to the near side's.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Where markers go ([`frame::marker`]): discard, and no attempt's business.
const MARKER_PORT: u16 = 9;

/// Both sides, running. Dropped in this order.
#[derive(Debug)]
pub struct Arena {
    marker: UdpSocket,
    markers: u64,
    capture: Capture,
    _services: Services,
    near: Side,
    _far: Side,
}

/// How long the link must be silent before it counts as settled.
const QUIET: Duration = Duration::from_millis(20);
/// The same when something has arrived: more of its kind may follow a few clock ticks later, as
/// the kernel's second report of a group does.
const QUIET_AFTER: Duration = Duration::from_millis(80);
/// When a link that is never silent is read anyway.
const RESTLESS: Duration = Duration::from_secs(1);

impl Arena {
    /// Builds both sides; everything answers when this returns.
    pub fn build() -> anyhow::Result<Self> {
        let near = Side::with_mounts().context("make the near side")?;
        let far = Side::new().context("make the far side")?;
        links::join(&near, &far).context("join the two sides")?;
        let services = Services::start(&far).context("start the far side's services")?;
        let capture = Capture::start(&far, DEVICE).context("capture on the far side")?;
        let marker = near
            .run(|| UdpSocket::bind((NEAR_V4, 0)))?
            .context("open the marker socket")?;
        marker.connect(SocketAddr::new(IpAddr::V4(GATEWAY_V4), MARKER_PORT))?;
        let mut arena = Self {
            marker,
            markers: 0,
            capture,
            _services: services,
            near,
            _far: far,
        };
        arena.settle()?;
        Ok(arena)
    }

    /// Does something on the near side.
    pub fn near<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        self.near.run(work)
    }

    /// Starts a command on the near side. It is killed when this process ends, as is the rest.
    #[expect(unsafe_code, reason = "a child's death signal is set after fork")]
    pub fn spawn(&self, mut command: Command) -> anyhow::Result<Child> {
        // SAFETY: one system call, and no memory of the parent is touched.
        unsafe {
            command.pre_exec(|| {
                set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)
            });
        }
        let name = command.get_program().to_string_lossy().into_owned();
        self.near
            .run(move || command.spawn())?
            .with_context(|| format!("start {name}"))
    }

    /// Waits until nothing moves, and gives what has arrived on the far side since the last call,
    /// one line for each frame.
    pub fn settle(&mut self) -> anyhow::Result<Vec<String>> {
        let started = Instant::now();
        loop {
            let quiet = if self.capture.is_empty() {
                started.elapsed() >= QUIET
            } else {
                self.capture.silence() >= QUIET_AFTER
            };
            if quiet || started.elapsed() >= RESTLESS {
                break;
            }
            std::thread::sleep(QUIET / 4);
        }
        // Frames on a veth keep their order: when the marker is there, so is all before it.
        self.markers += 1;
        self.marker.send(&frame::marker(self.markers))?;
        if !self
            .capture
            .wait_for_marker(self.markers, Duration::from_secs(5))
        {
            bail!("the capture on the far side no longer sees what the near side sends");
        }
        Ok(self.capture.take())
    }
}
