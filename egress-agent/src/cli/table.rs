//! Small aligned tables for people. Text that others chose, such as names and commands, cannot
//! move the cursor or change colours: control characters are shown as escapes.

use std::io;

use super::{Paint, Screen};

/// Rows under a header; columns as wide as their widest cell.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

/// One field of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

const GAP: &str = "  ";

impl Table {
    pub fn new(header: &[&str]) -> Self {
        let header = header.iter().map(|name| Cell::painted(name, Paint::Dim));
        Self {
            header: header.collect(),
            rows: Vec::new(),
        }
    }

    /// Without a header: names on the left, values on the right.
    pub fn plain() -> Self {
        Self::new(&[])
    }

    /// Adds a row. An empty cell shows as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn print(&self, screen: &mut Screen) -> io::Result<()> {
        let widths = self.widths();
        let header = (!self.header.is_empty()).then_some(&self.header);
        for row in header.into_iter().chain(&self.rows) {
            let line = line(row, &widths, screen);
            screen.line(line)?;
        }
        Ok(())
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in self.rows.iter().chain([&self.header]) {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        widths
    }
}

impl Cell {
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = plain(text.as_ref());
        Self {
            text: if text.is_empty() {
                "-".to_owned()
            } else {
                text
            },
            paint: None,
        }
    }

    pub fn painted(text: impl AsRef<str>, paint: Paint) -> Self {
        Self {
            paint: Some(paint),
            ..Self::new(text)
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// `text` with control characters, and those that turn the direction of writing, as escapes.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                plain.extend(c.escape_unicode());
            }
            c if c.is_control() => plain.extend(c.escape_default()),
            c => plain.push(c),
        }
    }
    plain
}

fn line(row: &[Cell], widths: &[usize], screen: &Screen) -> String {
    let mut line = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        if index > 0 {
            line.push_str(GAP);
        }
        line.push_str(&match cell.paint {
            Some(paint) => screen.paint(paint, &cell.text),
            None => cell.text.clone(),
        });
        if index + 1 < row.len() {
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width())));
        }
    }
    line
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// A screen that keeps what is written.
    #[derive(Clone, Default)]
    pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub(crate) fn screen(&self, json: bool, color: bool) -> Screen {
            Screen::new(Box::new(self.clone()), json, color)
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn example() -> Table {
        let mut table = Table::new(&["ID", "COMMAND"]);
        table.row([Cell::new("s1"), Cell::new("claude")]);
        table.row([Cell::painted("long-one", Paint::Deny), Cell::new("")]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let written = Written::default();
        example().print(&mut written.screen(false, false)).unwrap();
        assert_eq!(
            written.text(),
            "ID        COMMAND\ns1        claude\nlong-one  -\n"
        );
    }

    #[test]
    fn colour_does_not_move_the_columns() {
        let written = Written::default();
        example().print(&mut written.screen(false, true)).unwrap();
        assert!(
            written
                .text()
                .ends_with("\u{1b}[1;31mlong-one\u{1b}[0m  -\n")
        );
    }

    #[test]
    fn a_table_without_a_header_starts_with_its_rows() {
        let written = Written::default();
        let mut table = Table::plain();
        assert!(table.is_empty());
        table.row([Cell::new("records"), Cell::new("3")]);
        table.print(&mut written.screen(false, false)).unwrap();
        assert_eq!(written.text(), "records  3\n");
    }

    #[test]
    fn text_cannot_steer_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\nc\u{9b}d\u{202e}"),
            r"a\u{1b}[2Jb\nc\u{9b}d\u{202e}"
        );
        assert_eq!(plain("grüße"), "grüße");
    }
}
