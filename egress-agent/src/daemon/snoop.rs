//! `dns.mode: snoop`, the part that listens: packets from the tap, leases into the same table.

use std::rc::Rc;

use egress_common::DnsMode;
use tokio::task::{AbortHandle, spawn_local};

use super::guard::Guard;
use crate::{
    dns::{Host as _, snoop::Snoop},
    kernel::{
        boot,
        tap::{Tap, TapError},
    },
};

/// Starts listening, where the policy asks for it.
pub(super) fn start(guard: &Rc<Guard>) -> Result<Option<AbortHandle>, TapError> {
    if guard.world().policy().dns().mode != DnsMode::Snoop {
        return Ok(None);
    }
    let tap = Tap::open()?;
    let guard = Rc::clone(guard);
    let mut snoop = Snoop::new(&guard.upstreams);
    let task = spawn_local(async move {
        let mut packet = Vec::new();
        loop {
            if let Err(error) = tap.next(&mut packet).await {
                tracing::error!(%error, "DNS answers can no longer be seen: no new name leads anywhere");
                return;
            }
            observe(&guard, &mut snoop, &packet);
        }
    });
    Ok(Some(task.abort_handle()))
}

/// A question is remembered for the session that asks it; an answer to one becomes leases.
fn observe(guard: &Guard, snoop: &mut Snoop, packet: &[u8]) {
    let now = boot::now();
    if let Some(key) = snoop.asker(packet) {
        if let Some(client) = guard.world().client(&key) {
            snoop.observe_query(packet, client, now);
        }
    } else if let Some(seen) = snoop.observe_answer(packet, now) {
        guard.resolver.with_engine(|engine, world| {
            engine.observe(world, seen.client, seen.from, &seen.lookup, &seen.message);
        });
    }
}
