//! Connections to hosts that the requests of one client share, when it makes several at a time.

use std::cell::RefCell;

use tokio::sync::Mutex;

use super::upstream::Upstream;
use crate::proxy::flow::Denial;

/// One that speaks HTTP/2 takes many requests at a time, one that speaks HTTP/1 the next when it
/// has answered.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Hosts<'p> {
    /// One is dialled at a time: the next request may share it.
    dialling: Mutex<()>,
    kept: RefCell<Vec<Upstream<'p>>>,
}

impl<'p> Hosts<'p> {
    /// A connection to this host: one that is there, or what `dial` makes. Whether it is new.
    pub(super) async fn get(
        &self,
        host: &str,
        dial: impl Future<Output = Result<Upstream<'p>, Denial>>,
    ) -> Result<(Upstream<'p>, bool), Denial> {
        let _one_at_a_time = self.dialling.lock().await;
        if let Some(upstream) = self.take(host) {
            return Ok((upstream, false));
        }
        let fresh = dial.await?;
        let Some(shared) = fresh.share() else {
            return Ok((fresh, true));
        };
        self.kept.borrow_mut().push(fresh);
        Ok((shared, true))
    }

    /// Gives no more requests to the connections of this host: one of them is about to end, as a
    /// server does with one that has had many.
    pub(super) fn forget(&self, host: &str) {
        let mut kept = self.kept.borrow_mut();
        for ending in kept.extract_if(.., |upstream| upstream.is_free(host)) {
            ending.tell();
        }
    }

    fn take(&self, host: &str) -> Option<Upstream<'p>> {
        let mut kept = self.kept.borrow_mut();
        for ended in kept.extract_if(.., |upstream| upstream.is_closed()) {
            ended.tell();
        }
        let at = kept.iter().position(|upstream| upstream.is_free(host))?;
        match kept.get(at).and_then(Upstream::share) {
            Some(shared) => Some(shared),
            None => Some(kept.swap_remove(at)),
        }
    }

    /// Takes back the connection of a request that has its response; the body may still come.
    pub(in crate::proxy) fn keep(&self, upstream: Option<Upstream<'p>>) {
        let whole = upstream.filter(Upstream::tells);
        self.kept.borrow_mut().extend(whole);
    }

    /// Tells of every connection, and lets go of it.
    pub(in crate::proxy) fn end(&self, denial: Option<&Denial>) {
        for upstream in self.kept.take() {
            match denial {
                Some(denial) => upstream.flow.denied(denial),
                None => upstream.tell(),
            }
        }
    }
}

/// What a client had open when egressd stopped is told of as well.
impl Drop for Hosts<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}
