//! `dns.mode: snoop`, the part that listens: a packet socket whose filter lets DNS through.

use tokio::task::AbortHandle;

use super::guard::Guard;

/// Starts listening, where the policy asks for it.
pub(super) fn start(_guard: &Guard) -> anyhow::Result<Option<AbortHandle>> {
    Ok(None)
}
