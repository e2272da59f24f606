//! The answer of `why`, as lines.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use crate::{
    cli::{Screen, why},
    control::status::Why,
};

/// Keeps what is written to a [`Screen`].
#[derive(Clone, Debug, Default)]
struct Page(Rc<RefCell<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `egressctl why` prints.
pub(super) fn lines(why: &Why) -> Vec<String> {
    let page = Page::default();
    let mut screen = Screen::new(Box::new(page.clone()), false, false);
    let printed = why::print(why, &mut screen);
    let bytes = page.0.borrow();
    let mut lines: Vec<String> = String::from_utf8_lossy(&bytes)
        .lines()
        .map(|line| super::words::bounded(line, 1_000))
        .collect();
    if let Err(error) = printed {
        lines.push(format!("the answer cannot be shown: {error}"));
    }
    lines
}
