//! egressd and egressctl: everything but the kernel programs.
#![deny(unsafe_code)]

pub mod audit;
pub mod cli;
pub mod control;
pub mod daemon;
pub mod dns;
pub mod kernel;
pub mod launch;
pub mod policy;
pub mod trust;
