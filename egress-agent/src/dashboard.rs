//! What a person sees in a browser, and a monitoring system in numbers.
//!
//! ```text
//!  GET /                 the page: one file, no secret in it
//!  GET /api/overview     guards, sessions, flows, latest denials            ┐
//!  GET /api/events       new records, as a stream of events                 │ with the token,
//!  GET /api/why          how a destination is decided                       │ `Authorization: Bearer`
//!  GET /api/policy       the policy in force, and how often each rule hit   │
//!  GET /api/timeline     what was decided in each minute of the last hours  │
//!  GET /metrics          the same in the text format of Prometheus          ┘
//! ```
//!
//! It only looks. There is no request that changes anything, so that a stolen token opens nothing;
//! what it may ask the daemon is [`Question`], and nothing there changes anything either. It stands
//! on a thread of its own without any capability, asks seldom and keeps the answers for a moment:
//! however many pages are open, decisions do not wait for them.
//!
//! The listener is on loopback alone. Who may be at the other end of it is not known, so every
//! answer with data wants the token; a page of another origin is kept off by `Host`, `Origin` and
//! the lack of any cookie. A guarded process is kept off by the kernel, as from every port of this
//! machine that its policy does not open, and the token is not told to it.
//!
//! The UNIX socket for metrics has no token: its mode says who may ask, and no guarded process may.

mod address;
mod answer;
mod events;
pub mod metrics;
mod page;
mod patience;
pub mod policies;
mod room;
mod route;
mod server;
mod sight;
pub mod token;

use tokio::sync::oneshot;

pub use address::{Address, InvalidAddress};
pub use server::{Listeners, Server, Start};

use crate::control::{
    message::Failure,
    overview::Overview,
    status::{Status, Why},
};
use policies::InForce;

/// Where a question's answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// What the one task that owns the guards is asked. None of it changes anything.
#[derive(Debug)]
pub enum Question {
    Overview(Reply<Box<Overview>>),
    Status(Reply<Box<Status>>),
    Why {
        target: String,
        session: Option<String>,
        answer: Reply<Box<Why>>,
    },
    Policies(Reply<Vec<InForce>>),
}
