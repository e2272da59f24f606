//! The integration tests: one binary, one module for each subject.
#![cfg(test)]

mod agent;
mod harness;

mod clients;
mod guarantees;
mod kernel;
mod world;
