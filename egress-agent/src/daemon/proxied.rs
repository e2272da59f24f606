//! The daemon's side of the proxy: names for it, and records of what it did.

use std::{rc::Rc, time::Duration};

use tokio::{
    task::{AbortHandle, spawn_local},
    time::{sleep, timeout},
};

use super::{asking, guard::Guard, records::Records};
use crate::{
    audit::record::Layer,
    proxy::{Gate, Question, gate::Ends},
};

/// For the proxy to take a connection that was made last.
const ARRIVAL: Duration = Duration::from_millis(20);
/// For the flows of a session that has ended to end as well: a host may keep its side open.
const SETTLING: Duration = Duration::from_secs(2);

/// Serves the proxy of one guard.
pub(super) fn serve(guard: &Rc<Guard>, records: &Rc<Records>, ends: Ends) -> [AbortHandle; 2] {
    let Ends {
        mut told,
        mut questions,
    } = ends;
    let resolver = guard.resolver.clone();
    let answering = spawn_local(async move {
        while let Some(question) = questions.recv().await {
            let Question {
                client,
                name,
                answer,
            } = question;
            let resolver = resolver.clone();
            spawn_local(async move {
                let addresses = resolver.addresses(client, &name).await;
                // The client may have left.
                drop(answer.send(addresses));
            });
        }
    });
    let (guard, records) = (Rc::clone(guard), Rc::clone(records));
    let recording = spawn_local(async move {
        while let Some(one) = told.recv().await {
            let world = guard.world();
            records.proxied(world, &one);
            if let Some(need) = asking::need_of_proxy(world, &one) {
                // It was denied already: an answer opens the next try.
                let _asked = world.need(need);
            }
            let lost = guard.gate.take_lost();
            if lost > 0 {
                records.sink().lose(Layer::Proxy, lost);
            }
        }
    });
    [answering.abort_handle(), recording.abort_handle()]
}

/// Waits until every flow of a session has been told of, though not for long.
pub(super) async fn settled(gate: &Gate, session: u64) {
    sleep(ARRIVAL).await;
    let told = async {
        while !gate.has_told(session) {
            sleep(ARRIVAL).await;
        }
    };
    if timeout(SETTLING, told).await.is_err() {
        tracing::debug!(session, "rows lack flows that are still open");
    }
}
