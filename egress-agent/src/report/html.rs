//! A page as one HTML file: no script, nothing fetched, and a policy in it that allows neither.
//!
//! What is not a literal of this file is escaped: [`Page::raw`] takes nothing else.

mod chart;

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::page::{Block, Cell, Tone, when};
use crate::{audit::record::Verdict, cli::table::plain};

const STYLE: &str = include_str!("style.css");

pub fn html(blocks: &[Block]) -> String {
    let mut page = Page::default();
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
    page.text(&STANDARD.encode(Sha256::digest(STYLE)));
    page.raw("'; base-uri 'none'; form-action 'none'\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    page.raw("<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    page.text(title(blocks));
    page.raw("</title>\n<style>");
    page.raw(STYLE);
    page.raw("</style>\n</head>\n<body>\n<main>\n");
    for block in blocks {
        page.block(block);
    }
    page.end_section();
    page.raw("</main>\n<footer><p>Made by egressctl from the audit log of egressd. ");
    page.raw("Times are UTC. What agents chose, such as names, is shown as text, with control characters as escapes.");
    page.raw("</p></footer>\n</body>\n</html>\n");
    page.html
}

fn title(blocks: &[Block]) -> &'static str {
    let title = blocks.iter().find_map(|block| match block {
        Block::Title(title) => Some(*title),
        Block::Section { .. }
        | Block::Heading(_)
        | Block::Note(..)
        | Block::Facts(_)
        | Block::Figures(_)
        | Block::Timeline { .. }
        | Block::Table { .. } => None,
    });
    title.unwrap_or("Report")
}

#[derive(Debug, Default)]
struct Page {
    html: String,
    in_section: bool,
}

impl Page {
    /// Markup. Only text that was there when this was compiled has this lifetime.
    fn raw(&mut self, markup: &'static str) {
        self.html.push_str(markup);
    }

    /// Text, wherever text or the value of an attribute in quotes may stand.
    fn text(&mut self, text: &str) {
        for c in plain(text).chars() {
            match c {
                '&' => self.html.push_str("&amp;"),
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '"' => self.html.push_str("&quot;"),
                '\'' => self.html.push_str("&#39;"),
                c => self.html.push(c),
            }
        }
    }

    fn number(&mut self, number: i64) {
        // Writing into a string does not fail.
        write!(self.html, "{number}").unwrap_or_default();
    }

    fn end_section(&mut self) {
        if std::mem::take(&mut self.in_section) {
            self.raw("</section>\n");
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Title(title) => {
                self.raw("<h1>");
                self.text(title);
                self.raw("</h1>\n");
            }
            Block::Section { id, title } => {
                self.end_section();
                self.in_section = true;
                self.raw("<section id=\"");
                self.text(id);
                self.raw("\">\n<h2>");
                self.cell(title);
                self.raw("</h2>\n");
            }
            Block::Heading(title) => {
                self.raw("<h3>");
                self.text(title);
                self.raw("</h3>\n");
            }
            Block::Note(tone, cells) => self.note(*tone, cells),
            Block::Facts(facts) => {
                self.raw("<dl class=\"facts\">\n");
                for (name, cells) in facts {
                    self.raw("<div><dt>");
                    self.text(name);
                    self.raw("</dt><dd>");
                    self.cells(cells);
                    self.raw("</dd></div>\n");
                }
                self.raw("</dl>\n");
            }
            Block::Figures(figures) => self.figures(figures),
            Block::Timeline { id, timeline } => self.chart(id, timeline),
            Block::Table { head, rows, more } => {
                if !rows.is_empty() {
                    self.table(head, rows);
                }
                if let Some(more) = more {
                    self.raw("<p class=\"more\">");
                    self.text(more);
                    self.raw("</p>\n");
                }
            }
        }
    }

    fn note(&mut self, tone: Tone, cells: &[Cell]) {
        self.raw(match tone {
            Tone::Plain => "<p class=\"note\">",
            Tone::Good => "<p class=\"note good\">",
            Tone::Warn => "<p class=\"note warn\">",
            Tone::Bad => "<p class=\"note bad\">",
        });
        if !tone.word().is_empty() {
            self.raw("<strong>");
            self.text(tone.word());
            self.raw(":</strong> ");
        }
        self.cells(cells);
        self.raw("</p>\n");
    }

    fn figures(&mut self, figures: &[(&'static str, u64, Tone)]) {
        self.raw("<ul class=\"figures\">\n");
        for (name, count, tone) in figures {
            self.raw(match tone {
                Tone::Plain | Tone::Good => "<li>",
                Tone::Warn => "<li class=\"warn\">",
                Tone::Bad => "<li class=\"bad\">",
            });
            self.raw("<b>");
            self.text(&Cell::Number(*count).text());
            self.raw("</b> ");
            self.text(name);
            self.raw("</li>\n");
        }
        self.raw("</ul>\n");
    }

    /// On a narrow screen each row is a card, and each cell says what it is.
    fn table(&mut self, head: &[&'static str], rows: &[Vec<Cell>]) {
        self.raw("<table>\n<thead><tr>");
        let first = rows.first().map(Vec::as_slice).unwrap_or_default();
        for (index, name) in head.iter().enumerate() {
            let is_number = first.get(index).is_some_and(Cell::is_number);
            self.raw(if is_number {
                "<th scope=\"col\" class=\"number\">"
            } else {
                "<th scope=\"col\">"
            });
            self.text(name);
            self.raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.raw("<tr>");
            for (cell, name) in row.iter().zip(head) {
                self.raw(if cell.is_number() {
                    "<td class=\"number\" data-label=\""
                } else {
                    "<td data-label=\""
                });
                self.text(name);
                self.raw("\">");
                self.cell(cell);
                self.raw("</td>");
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody>\n</table>\n");
    }

    fn cells(&mut self, cells: &[Cell]) {
        for cell in cells {
            self.cell(cell);
        }
    }

    fn cell(&mut self, cell: &Cell) {
        match cell {
            Cell::Words(text) => self.text(text),
            Cell::Number(_) | Cell::Bytes(_) => self.text(&cell.text()),
            Cell::Foreign(text) => self.code(text),
            Cell::Rule(rule) => self.code(&rule.to_string()),
            Cell::Verdict(verdict) => {
                self.raw(match verdict {
                    Verdict::Allow => "<span class=\"allow\">",
                    Verdict::Deny => "<span class=\"deny\">",
                    Verdict::Redact | Verdict::Ask => "<span class=\"ask\">",
                });
                self.text(verdict.code());
                self.raw("</span>");
            }
            Cell::Time(time) => {
                self.raw("<time datetime=\"");
                self.text(&time.to_string());
                self.raw("\">");
                self.text(&when(*time));
                self.raw("</time>");
            }
            Cell::Link { id, text } => {
                self.raw("<a href=\"#");
                self.text(id);
                self.raw("\">");
                self.code(text);
                self.raw("</a>");
            }
            Cell::Nothing => self.raw("<span class=\"nothing\">-</span>"),
        }
    }

    fn code(&mut self, text: &str) {
        if text.is_empty() {
            return self.raw("<span class=\"nothing\">-</span>");
        }
        self.raw("<code>");
        self.text(text);
        self.raw("</code>");
    }
}

#[cfg(test)]
mod tests;
