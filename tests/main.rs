//! The integration tests: one binary, one module for each subject.
#![cfg(test)]

mod agent;
mod harness;

mod cli;
mod clients;
mod faults;
mod guarantees;
mod kernel;
mod world;
