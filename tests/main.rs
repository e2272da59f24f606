//! The integration tests: one binary, one module for each subject.
#![cfg(test)]

mod harness;

mod clients;
mod kernel;
mod world;
