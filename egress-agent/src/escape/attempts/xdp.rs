//! `AF_XDP`: one frame by way of rings that are shared with the kernel.
#![expect(
    unsafe_code,
    reason = "the rings are memory that is shared with the kernel"
)]

use std::{
    ffi::c_void,
    os::fd::AsFd as _,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous},
    net::{
        sockopt,
        xdp::{XdpUmemReg, XdpUmemRegFlags},
    },
};

use super::{link, place::as_family, raw::Socket};
use crate::escape::{Ground, Outcome, attempt::Tried};

/// Memory for frames, of which the first chunk is used.
const AREA: usize = 16 * PAGE;
const CHUNK: u32 = 4096;
const PAGE: usize = CHUNK as usize;
const SLOTS: u32 = 4;
/// `include/uapi/linux/if_xdp.h`.
const XDP_PGOFF_TX_RING: u64 = 0x8000_0000;
const XDP_COPY: u16 = 1 << 1;
const AF_XDP: i32 = 44;

/// Sends one frame. Memory stays mapped: the process ends with the attempt.
pub(super) fn send(ground: &Ground, frame: &[u8]) -> Tried {
    let device = link::device(ground)?;
    let socket = Socket::open(ground, "AF_XDP", AF_XDP, libc::SOCK_RAW, 0)?;
    let fd = socket.as_fd();
    let kept = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice.
    let area = unsafe { mmap_anonymous(ptr::null_mut(), AREA, kept, MapFlags::PRIVATE) }
        .map_err(refused("mmap"))?;
    // SAFETY: the area is larger than a frame, and nobody else knows it yet.
    unsafe { ptr::copy_nonoverlapping(frame.as_ptr(), area.cast(), frame.len().min(PAGE)) };
    sockopt::set_xdp_umem_reg(
        fd,
        XdpUmemReg {
            addr: area as u64,
            len: AREA as u64,
            chunk_size: CHUNK,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        },
    )
    .map_err(refused("XDP_UMEM_REG"))?;
    sockopt::set_xdp_umem_fill_ring_size(fd, SLOTS).map_err(refused("XDP_UMEM_FILL_RING"))?;
    sockopt::set_xdp_umem_completion_ring_size(fd, SLOTS)
        .map_err(refused("XDP_UMEM_COMPLETION_RING"))?;
    sockopt::set_xdp_tx_ring_size(fd, SLOTS).map_err(refused("XDP_TX_RING"))?;
    let offsets = sockopt::xdp_mmap_offsets(fd).map_err(refused("XDP_MMAP_OFFSETS"))?;
    // SAFETY: a new mapping; one page holds a ring of a few slots.
    let ring = unsafe {
        mmap(
            ptr::null_mut(),
            PAGE,
            kept,
            MapFlags::SHARED | MapFlags::POPULATE,
            fd,
            XDP_PGOFF_TX_RING,
        )
    }
    .map_err(refused("mmap of the ring"))?;
    let at = |offset: u64| -> *mut c_void {
        let offset = usize::try_from(offset).unwrap_or(0).min(PAGE - 16);
        // SAFETY: the offset lies in the mapped page.
        unsafe { ring.byte_add(offset) }
    };
    // SAFETY: the first slot: `struct xdp_desc` begins with the place in the area, its length
    // follows. It stays the sender's until the producer's count moves on.
    unsafe { at(offsets.tx.desc).cast::<u64>().write(0) };
    let length = u32::try_from(frame.len()).unwrap_or(0);
    // SAFETY: as above.
    unsafe { at(offsets.tx.desc + 8).cast::<u32>().write(length) };
    let mut name = as_family(AF_XDP, vec![0; 2]);
    name.extend(XDP_COPY.to_ne_bytes());
    name.extend(device.to_ne_bytes());
    name.extend([0; 8]);
    socket.bind(&name)?;
    // SAFETY: the producer's count is an aligned word of the page, which lives as long as the
    // process.
    let producer = unsafe { AtomicU32::from_ptr(at(offsets.tx.producer).cast()) };
    producer.store(1, Ordering::Release);
    socket.send_to(&[], libc::MSG_DONTWAIT, &[])
}

fn refused(call: &'static str) -> impl FnOnce(Errno) -> Outcome {
    move |errno| Outcome::refused(call)(errno.into())
}
