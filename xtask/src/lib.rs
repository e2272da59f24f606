//! What the tasks, the tests and the benchmarks of egressd share.
//!
//! [`world`] is the small internet of network namespaces with real servers in it; [`program`] runs
//! other programs and says on one line why one failed; [`week`] writes a log as egressd would have;
//! [`guide`] is what a new user types. The tasks themselves (`cargo xtask …`) are in the binary.

pub mod guide;
pub mod holds;
pub mod program;
pub mod week;
pub mod world;
