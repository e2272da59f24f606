//! The kernel programs of egressd. Entry points only: each hands its context to the module of
//! its hook family.
//!
//! One loaded set of programs guards one cgroup. Every map belongs to that set, so two guarded
//! cgroups share nothing.

#![no_std]
#![no_main]
#![expect(
    clippy::inline_always,
    reason = "the verifier judges one program at a time, and calls cost on every packet"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the shape of an entry point is the macro's"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "kernel fields are wider than what stands in them"
)]

mod connect;
mod egress;
mod events;
mod ingress;
mod loopback;
mod lsm;
mod maps;
mod note;
mod session;
mod sock;
mod steer;
mod tap;

use aya_ebpf::{
    macros::{cgroup_skb, cgroup_sock, cgroup_sock_addr, lsm, socket_filter},
    programs::{LsmContext, SkBuffContext, SockAddrContext, SockContext},
};

#[cgroup_sock_addr(connect4)]
fn connect4(ctx: SockAddrContext) -> i32 {
    connect::connect(&ctx, connect::Family::V4)
}

#[cgroup_sock_addr(connect6)]
fn connect6(ctx: SockAddrContext) -> i32 {
    connect::connect(&ctx, connect::Family::V6)
}

#[cgroup_sock_addr(sendmsg4)]
fn sendmsg4(ctx: SockAddrContext) -> i32 {
    connect::sendmsg(&ctx, connect::Family::V4)
}

#[cgroup_sock_addr(sendmsg6)]
fn sendmsg6(ctx: SockAddrContext) -> i32 {
    connect::sendmsg(&ctx, connect::Family::V6)
}

#[cgroup_sock_addr(recvmsg4)]
fn recvmsg4(ctx: SockAddrContext) -> i32 {
    steer::undo(&ctx, connect::Family::V4)
}

#[cgroup_sock_addr(recvmsg6)]
fn recvmsg6(ctx: SockAddrContext) -> i32 {
    steer::undo(&ctx, connect::Family::V6)
}

#[cgroup_sock_addr(getpeername4)]
fn getpeername4(ctx: SockAddrContext) -> i32 {
    steer::undo(&ctx, connect::Family::V4)
}

#[cgroup_sock_addr(getpeername6)]
fn getpeername6(ctx: SockAddrContext) -> i32 {
    steer::undo(&ctx, connect::Family::V6)
}

#[cgroup_sock(sock_create)]
fn sock_create(ctx: SockContext) -> i32 {
    sock::create(&ctx)
}

#[cgroup_skb(egress)]
fn egress(ctx: SkBuffContext) -> i32 {
    egress::egress(&ctx)
}

#[lsm(hook = "socket_create")]
fn lsm_socket_create(ctx: LsmContext) -> i32 {
    lsm::create(&ctx)
}

#[lsm(hook = "socket_connect")]
fn lsm_socket_connect(ctx: LsmContext) -> i32 {
    lsm::use_socket(&ctx)
}

#[lsm(hook = "socket_sendmsg")]
fn lsm_socket_sendmsg(ctx: LsmContext) -> i32 {
    lsm::use_socket(&ctx)
}

#[lsm(hook = "socket_listen")]
fn lsm_socket_listen(ctx: LsmContext) -> i32 {
    lsm::use_socket(&ctx)
}

#[lsm(hook = "socket_accept")]
fn lsm_socket_accept(ctx: LsmContext) -> i32 {
    lsm::use_socket(&ctx)
}

#[lsm(hook = "unix_stream_connect")]
fn lsm_unix_stream_connect(ctx: LsmContext) -> i32 {
    lsm::connect_unix(&ctx)
}

#[lsm(hook = "unix_may_send")]
fn lsm_unix_may_send(ctx: LsmContext) -> i32 {
    lsm::send_unix(&ctx)
}

#[cgroup_skb(ingress)]
fn ingress(ctx: SkBuffContext) -> i32 {
    ingress::ingress(&ctx)
}

#[socket_filter]
fn dns_tap(ctx: SkBuffContext) -> i64 {
    tap::filter(&ctx)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The programs hold no panicking code; the verifier refuses this loop if one appears.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
