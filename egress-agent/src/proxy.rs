//! The egress proxy: a lease allows an address, and the proxy checks the name that is asked for
//! there, and where the policy wants it what is said.
//!
//! ```text
//!   connect() ──kernel leads──▶ steered door ──┐  first bytes   judge   dial        tunnel
//!   CONNECT, GET http://… ──▶ explicit door ───┴─▶ hello ──────▶ Gate ─▶ the address ─▶ splice
//!                                                  http1                that was leased
//! ```
//!
//! It runs on a thread of its own: neither bytes nor their inspection keep the guard resolver or a
//! hook waiting. What it must know it reads by itself, from the policy that it is given whole and
//! from the tables of the kernel ([`Gate`]); what it has to say goes to the daemon as [`Told`].
//!
//! A flow is dialled at the address that the kernel allowed, and no name is ever resolved here:
//! the explicit door asks the guard resolver for the session ([`Question`]), so that the name, the
//! lease and the address that is dialled are one answer.
//!
//! Nothing passes by default: bytes that are neither TLS nor HTTP, a TLS client that names no host
//! or may hide it, a name that was not resolved to this very address are ended with a reason.

pub mod answer;
pub mod ca;
mod conversation;
pub mod decode;
mod dial;
mod door;
mod exchange;
pub mod flow;
pub mod gate;
mod h2;
pub mod hello;
pub mod http1;
mod known;
pub mod multipart;
pub mod open;
mod prefixed;
mod requests;
pub mod server;
pub mod sockets;
pub mod told;
mod tunnel;
pub mod websocket;

pub use gate::{Gate, Question};
pub use server::Server;
pub use sockets::{Ports, Sockets};
pub use told::{Told, Traffic};
