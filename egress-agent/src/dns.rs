//! The guard resolver.
pub mod leases;
pub mod name;
mod question;
mod reply;
mod resolv;
mod special;
mod suspicion;
mod wire;
