//! One binary for every test that needs more than a function call.

mod smoke;
