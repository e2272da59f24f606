//! The integration tests: one binary, one module for each subject.
#![cfg(test)]

mod agent;
mod harness;

mod bypass;
mod cli;
mod clients;
mod dashboard;
mod faults;
mod grants;
mod guarantees;
mod guide;
mod init;
mod kernel;
mod learn;
mod mcp;
mod programs;
mod proxy;
mod proxy_tls;
mod report;
mod watch;
mod world;
