//! The integration tests: one binary, one module for each subject.
#![cfg(test)]

mod agent;
mod harness;

mod bypass;
mod cli;
mod clients;
mod faults;
mod grants;
mod guarantees;
mod kernel;
mod learn;
mod mcp;
mod proxy;
mod proxy_tls;
mod watch;
mod world;
