//! A page as Markdown. Foreign text stands in code spans, where nothing of it is markup or a link.

use std::fmt::Write as _;

use super::page::{Block, Cell, Tone, described};
use crate::cli::table::plain;

pub fn markdown(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        // Writing into a string does not fail.
        self::block(&mut text, block).unwrap_or_default();
    }
    text
}

fn block(text: &mut String, block: &Block) -> std::fmt::Result {
    match block {
        Block::Title(title) => writeln!(text, "# {title}\n"),
        Block::Section { id: _, title } => writeln!(text, "\n## {}\n", cell(title)),
        Block::Heading(title) => writeln!(text, "\n### {title}\n"),
        Block::Note(tone, cells) => match tone {
            Tone::Plain | Tone::Good => writeln!(text, "{}\n", line(cells)),
            Tone::Bad | Tone::Warn => writeln!(text, "> **{}:** {}\n", tone.word(), line(cells)),
        },
        Block::Facts(facts) => facts
            .iter()
            .try_for_each(|(name, cells)| writeln!(text, "- {name}: {}", line(cells)))
            .and_then(|()| writeln!(text)),
        Block::Figures(figures) => {
            let figures = figures
                .iter()
                .map(|(name, count, _)| format!("**{}** {name}", Cell::Number(*count).text()));
            writeln!(text, "{}\n", figures.collect::<Vec<_>>().join(" · "))
        }
        Block::Timeline { id: _, timeline } => writeln!(text, "{}\n", described(timeline)),
        Block::Table { head, rows, more } => {
            if !rows.is_empty() {
                writeln!(text, "| {} |", head.join(" | "))?;
                writeln!(text, "|{}", "---|".repeat(head.len()))?;
                for row in rows {
                    let cells: Vec<String> = row.iter().map(cell).collect();
                    writeln!(text, "| {} |", cells.join(" | "))?;
                }
                writeln!(text)?;
            }
            more.as_ref()
                .map_or(Ok(()), |more| writeln!(text, "{more}\n"))
        }
    }
}

fn line(cells: &[Cell]) -> String {
    cells.iter().map(cell).collect()
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Foreign(_) | Cell::Rule(_) | Cell::Link { .. } => code(&cell.text()),
        Cell::Words(_)
        | Cell::Number(_)
        | Cell::Bytes(_)
        | Cell::Verdict(_)
        | Cell::Time(_)
        | Cell::Nothing => cell.text(),
    }
}

/// A code span ends at a backtick, and a cell of a table at a bar, wherever that stands.
fn code(text: &str) -> String {
    let text = plain(text).replace('`', "\\u{60}").replace('|', "\\u{7c}");
    match text.trim() {
        "" => "-".to_owned(),
        text => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_leave_its_cell_or_become_a_link() {
        for text in ["`<b>", "a|b", "x\n# y", "``` ", " [a](b) ", "www.evil.test"] {
            let rows = vec![vec![Cell::Foreign(text.to_owned()), Cell::Nothing]];
            let table = Block::Table {
                head: vec!["a", "b"],
                rows,
                more: None,
            };
            let written = markdown(&[table]);
            assert_eq!(written.lines().count(), 4, "{written}");
            let row = written.lines().nth(2).unwrap();
            assert_eq!(row.matches('|').count(), 3, "{row}");
            assert_eq!(row.matches('`').count(), 2, "{row}");
        }
        assert_eq!(code("  "), "-");
    }
}
