//! The escape suite: every known way out of a guard, tried for real on the running kernel.
//!
//! Each [`Attempt`] is a few system calls of a process of its own. It is made without a guard
//! first, to show that the way is open on this machine, and then inside a session; a capture on
//! the far side counts what arrives. Both need only this program, so the same suite runs in the
//! tests, in emulated kernels and as `egressctl doctor --escape`.

pub mod arena;
pub mod attempt;
pub mod attempts;
pub mod driver;
pub mod ground;
pub mod guard;
pub mod helper;
pub mod suite;
pub mod verdict;

pub use attempt::{Attempt, Limit, Outcome};
pub use ground::{Ground, Guard};
