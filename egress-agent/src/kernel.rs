//! The kernel side of a guard: cgroup, programs, tables, events.
//!
//! Thin shells over aya and cgroupfs. What is decided, is decided in `egress_common` and
//! `policy`; here it is only carried across.

pub mod boot;
mod btf;
pub mod cgroup;
pub mod events;
pub mod flows;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod live;
pub mod log;
pub mod lsm;
pub mod pins;
pub mod programs;
pub mod tables;
pub mod tap;
pub mod watch;

pub use cgroup::{Cgroup, CgroupError, Hierarchy};
pub use programs::{KernelError, Programs, check_kernel};
pub use tables::Tables;
