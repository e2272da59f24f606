//! What goes wrong around egressd: each fault has one outcome, none opens anything, and none loses a
//! record without counting it.

mod control;
mod disk;
mod pins;
mod room;
mod stub;
mod upstream;
