//! The picture: from a [`Model`] to cells. Pure; whatever the size of the window is, it says
//! something sensible and nothing leaves its place.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};
use unicode_width::UnicodeWidthStr as _;

use super::{
    dialog::Dialog,
    model::{List, Model},
    panes::{Column, Pane, WIDE},
    rows::{Row, Tone},
    words::{cut, number, wrapped},
};

/// Smaller windows get a word instead.
const SMALLEST: (u16, u16) = (40, 12);
/// Rows of a list that is not looked at.
const FEW: u16 = 2;
const MANY: u16 = 5;
/// From this height on they get more.
const HIGH: u16 = 34;
/// What stands before a row: a mark for the selected one.
const MARK: u16 = 2;

/// What the daemon's silence means.
pub(super) const GONE: &str = "egressd does not answer: what is pinned goes on denying";

/// Draws everything; `color` is false where colours are not wanted. Returns the rows that the list
/// has that is looked at.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, color: bool) -> usize {
    let area = frame.area();
    let mut canvas = Canvas {
        buffer: frame.buffer_mut(),
        color,
    };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        canvas.text(
            area,
            0,
            &format!("top needs {width}x{height}"),
            Style::new(),
        );
        canvas.text(area, 1, "q quit", Style::new());
        return 1;
    }
    let header = header(&mut canvas, area, model);
    let body = Rect {
        y: area.y + header,
        height: area.height - header - 1,
        ..area
    };
    let page = panes(&mut canvas, body, model);
    foot(&mut canvas, area, model);
    if let Some(dialog) = &model.dialog {
        over(&mut canvas, body, dialog);
    }
    page
}

/// Where text goes, line by line.
struct Canvas<'b> {
    buffer: &'b mut Buffer,
    color: bool,
}

impl Canvas<'_> {
    fn style(&self, tone: Tone) -> Style {
        let style = Style::new();
        let (color, is_strong) = match tone {
            Tone::Plain => return style,
            Tone::Good => (Color::Green, false),
            Tone::Bad => (Color::Red, true),
            Tone::Warn => (Color::Yellow, false),
        };
        let style = if self.color { style.fg(color) } else { style };
        if is_strong {
            style.add_modifier(Modifier::BOLD)
        } else {
            style
        }
    }

    /// One line of an area.
    fn text(&mut self, area: Rect, line: u16, text: &str, style: Style) {
        self.put(area, line, 0, area.width, text, style);
    }

    /// A part of a line. What does not fit is left out.
    fn put(&mut self, area: Rect, line: u16, at: u16, width: u16, text: &str, style: Style) {
        if line >= area.height || at >= area.width {
            return;
        }
        let width = width.min(area.width - at);
        self.buffer
            .set_stringn(area.x + at, area.y + line, text, usize::from(width), style);
    }

    fn clear(&mut self, area: Rect) {
        let blank = " ".repeat(usize::from(area.width));
        for line in 0..area.height {
            for x in 0..area.width {
                if let Some(cell) = self.buffer.cell_mut((area.x + x, area.y + line)) {
                    cell.reset();
                }
            }
            self.text(area, line, &blank, Style::new());
        }
    }
}

/// Two or three lines. Returns how many.
fn header(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> u16 {
    let header = &model.header;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let (state, tone) = if header.observes {
        ("OBSERVING: nothing is refused", Tone::Warn)
    } else {
        ("ENFORCING", Tone::Good)
    };
    let name = format!("egressd {}  ", header.version);
    canvas.text(area, 0, &name, bold);
    let at = columns(&name);
    let style = canvas.style(tone).add_modifier(Modifier::BOLD);
    canvas.put(area, 0, at, area.width, state, style);
    let rest = format!(
        "  {} guard{}, {} sessions, {} flows, up {}",
        header.guards,
        if header.guards == 1 { "" } else { "s" },
        model.list(Pane::Sessions).total,
        number(model.list(Pane::Flows).total),
        header.up,
    );
    let at = at.saturating_add(columns(state));
    canvas.put(area, 0, at, area.width, &rest, Style::new());

    let rates = &model.rates;
    let mut line = format!(
        "denials {}/s  events {}/s  DNS {}/s",
        rate(rates.denials),
        rate(rates.events),
        rate(rates.questions),
    );
    if !model.filter.is_empty() {
        line = format!("{line}  only: {}", model.filter);
    }
    if model.is_frozen {
        line = format!("FROZEN (f goes on)  {line}");
    }
    if let Some(why) = &model.gone {
        let style = canvas.style(Tone::Bad);
        canvas.text(area, 1, &format!("{GONE}; trying again ({why})"), style);
    } else {
        canvas.text(area, 1, &line, Style::new());
    }
    let Some(first) = header.warnings.first() else {
        return 2;
    };
    let more = match header.warnings.len() {
        1 => String::new(),
        several => format!(" (and {} more: egressctl status)", several - 1),
    };
    let width = usize::from(area.width).saturating_sub(more.width() + 2);
    let text = format!("! {}{more}", cut(first, width, false));
    let style = canvas.style(Tone::Warn);
    canvas.text(area, 2, &text, style);
    3
}

fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 9.95 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// All lists, the one that is looked at with all the room that the others leave.
fn panes(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> usize {
    let most = if area.height >= HIGH { MANY } else { FEW };
    let others: Vec<u16> = Pane::ALL
        .iter()
        .filter(|pane| **pane != model.pane())
        .map(|pane| rows_of(model.list(*pane)).min(most))
        .collect();
    let titles = u16::try_from(Pane::ALL.len()).unwrap_or(u16::MAX);
    // One row of its own and the names of its columns at least.
    let room = area.height.saturating_sub(titles + 2);
    let heights = fit(others, room);
    let taken: u16 = heights.iter().sum();
    let focused = area.height.saturating_sub(titles + taken + 1);
    let mut heights = heights.into_iter();
    let mut line = 0;
    let mut page = 1;
    for pane in Pane::ALL {
        let is_focused = pane == model.pane();
        let list = model.list(pane);
        title(canvas, area, line, pane, list, is_focused);
        line += 1;
        let height = if is_focused {
            heading(canvas, area, line, pane);
            line += 1;
            page = usize::from(focused);
            focused
        } else {
            heights.next().unwrap_or(0)
        };
        let lines = Rect {
            y: area.y + line.min(area.height),
            height: height.min(area.height.saturating_sub(line)),
            ..area
        };
        rows(canvas, lines, pane, list, is_focused);
        line += height;
    }
    page
}

fn rows_of(list: &List) -> u16 {
    u16::try_from(list.len()).unwrap_or(u16::MAX)
}

/// Takes lines from those who have most until all fit.
fn fit(mut heights: Vec<u16>, room: u16) -> Vec<u16> {
    while heights.iter().sum::<u16>() > room {
        let Some(most) = heights.iter_mut().max().filter(|most| **most > 0) else {
            break;
        };
        *most -= 1;
    }
    heights
}

fn title(
    canvas: &mut Canvas<'_>,
    area: Rect,
    line: u16,
    pane: Pane,
    list: &List,
    is_focused: bool,
) {
    let mark = if is_focused { ">" } else { " " };
    let listed = list.len() as u64;
    let count = if listed == list.total {
        number(list.total)
    } else {
        format!("{} of {}", number(listed), number(list.total))
    };
    let text = format!("{mark} {} ({count}) ", pane.title());
    let rule = "-".repeat(usize::from(area.width).saturating_sub(text.width()));
    let style = if is_focused {
        Style::new().add_modifier(Modifier::BOLD)
    } else {
        Style::new().add_modifier(Modifier::DIM)
    };
    canvas.text(area, line, &format!("{text}{rule}"), style);
}

fn heading(canvas: &mut Canvas<'_>, area: Rect, line: u16, pane: Pane) {
    let style = Style::new().add_modifier(Modifier::DIM);
    for (_, at, width, column) in placed(pane, area.width) {
        canvas.put(area, line, at, width, column.name, style);
    }
}

fn rows(canvas: &mut Canvas<'_>, area: Rect, pane: Pane, list: &List, is_focused: bool) {
    let height = usize::from(area.height);
    if list.len() == 0 && height > 0 {
        let style = Style::new().add_modifier(Modifier::DIM);
        canvas.text(area, 0, "  nothing", style);
        return;
    }
    // As far down as shows the selected row.
    let first = if is_focused {
        (list.selected + 1).saturating_sub(height)
    } else {
        0
    };
    let shown = list.shown().enumerate().skip(first).take(height);
    for (line, (index, row)) in (0..area.height).zip(shown) {
        let Some(row) = row else { continue };
        let is_selected = is_focused && index == list.selected;
        one_row(canvas, area, line, pane, row, is_selected);
    }
}

fn one_row(
    canvas: &mut Canvas<'_>,
    area: Rect,
    line: u16,
    pane: Pane,
    row: &Row,
    is_selected: bool,
) {
    let mut style = canvas.style(row.tone);
    if is_selected {
        style = style.add_modifier(Modifier::REVERSED);
        let blank = " ".repeat(usize::from(area.width));
        canvas.text(area, line, &blank, style);
        canvas.text(area, line, ">", style);
    }
    for (index, at, width, column) in placed(pane, area.width) {
        let text = row.cells.get(index).map_or("", String::as_str);
        let text = cut(text, usize::from(width), column.is_tail);
        canvas.put(area, line, at, width, &text, style);
    }
}

/// The columns that a window of this width has: place in the row, first cell, width.
fn placed(pane: Pane, total: u16) -> Vec<(usize, u16, u16, &'static Column)> {
    let fixed = |column: &Column| {
        let (narrow, wide) = column.width;
        if total < WIDE { narrow } else { wide }
    };
    let columns: Vec<_> = pane
        .columns()
        .iter()
        .enumerate()
        .filter(|(_, column)| total >= column.above)
        .collect();
    let gaps = u16::try_from(columns.len().saturating_sub(1)).unwrap_or(0);
    let taken: u16 = columns.iter().map(|(_, column)| fixed(column)).sum();
    let rest = total.saturating_sub(MARK + gaps + taken);
    let mut at = MARK;
    columns
        .into_iter()
        .map(|(index, column)| {
            let width = match fixed(column) {
                0 => rest,
                width => width,
            };
            let place = (index, at, width, column);
            at = at.saturating_add(width + 1);
            place
        })
        .collect()
}

fn foot(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let last = area.height - 1;
    let style = Style::new().add_modifier(Modifier::BOLD);
    if let Some(Dialog::Filter { .. }) = &model.dialog {
        let room = usize::from(area.width).saturating_sub(30);
        let word = cut(&model.filter, room, true);
        let text = format!("only: {word}_  (enter keeps, escape)");
        return canvas.text(area, last, &text, style);
    }
    if let Some(dialog) = &model.dialog {
        return canvas.text(area, last, dialog.keys(), style);
    }
    if let Some((tone, text)) = &model.notice {
        let style = canvas.style(*tone).add_modifier(Modifier::BOLD);
        return canvas.text(area, last, text, style);
    }
    let keys = if area.width >= 78 {
        "j/k tab move  enter explain  a allow  p pending  x end  / filter  f  ? help  q"
    } else if area.width >= 58 {
        "j/k tab  enter explain  a allow  x end  / find  ? help  q"
    } else {
        "tab j/k enter a x / ? q"
    };
    canvas.text(area, last, keys, Style::new().add_modifier(Modifier::DIM));
}

/// A dialog in the middle of the lists.
fn over(canvas: &mut Canvas<'_>, area: Rect, dialog: &Dialog) {
    if matches!(dialog, Dialog::Filter { .. }) {
        return;
    }
    let widest = area.width.saturating_sub(4).min(100);
    let text: Vec<(usize, String)> = dialog
        .lines()
        .iter()
        .enumerate()
        .flat_map(|(index, line)| {
            let parts = wrapped(line, usize::from(widest.saturating_sub(4)));
            parts.into_iter().map(move |part| (index, part))
        })
        .collect();
    let first = text.iter().position(|(index, _)| *index >= dialog.top());
    let title = dialog.title();
    let needed = text.iter().map(|(_, line)| line.width()).max().unwrap_or(0);
    let needed = u16::try_from(needed.max(title.width() + 2)).unwrap_or(u16::MAX);
    let width = needed.saturating_add(4).min(widest);
    let height = u16::try_from(text.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2)
        .min(area.height);
    let frame = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    canvas.clear(frame);
    let inner = usize::from(width.saturating_sub(2));
    let edge = format!("+{}+", "-".repeat(inner));
    canvas.text(frame, 0, &edge, Style::new());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let title = format!(" {} ", cut(&title, inner.saturating_sub(4), true));
    canvas.put(frame, 0, 2, frame.width.saturating_sub(4), &title, bold);
    canvas.text(frame, height.saturating_sub(1), &edge, Style::new());
    let room = usize::from(height.saturating_sub(2));
    // The end of a long text stays at the foot.
    let first = first.unwrap_or(0).min(text.len().saturating_sub(room));
    for line in 1..height.saturating_sub(1) {
        canvas.put(frame, line, 0, 1, "|", Style::new());
        canvas.put(frame, line, width - 1, 1, "|", Style::new());
    }
    for (line, (_, part)) in (1..height.saturating_sub(1)).zip(text.iter().skip(first)) {
        canvas.put(frame, line, 2, width.saturating_sub(4), part, Style::new());
    }
    let left = text.len().saturating_sub(first + room);
    if left > 0 {
        let more = format!(" {left} more lines ");
        canvas.put(
            frame,
            height - 1,
            2,
            frame.width.saturating_sub(4),
            &more,
            bold,
        );
    }
}

fn columns(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_the_window_and_never_leave_it() {
        for width in [40, 60, 80, 120, 300] {
            for pane in Pane::ALL {
                let columns = placed(pane, width);
                let (_, at, last, _) = columns.last().unwrap();
                assert!(at + last <= width.max(60), "{pane:?} at {width}");
                if width >= 60 {
                    assert!(
                        columns
                            .iter()
                            .all(|(_, _, width, _)| *width >= 5 || *width == 4),
                        "{pane:?} at {width}"
                    );
                }
            }
        }
    }

    #[test]
    fn lines_are_taken_from_those_who_have_most() {
        assert_eq!(fit(vec![2, 2, 1, 2], 7), [2, 2, 1, 2]);
        assert_eq!(fit(vec![5, 1, 0, 5], 6), [3, 1, 0, 2]);
        assert_eq!(fit(vec![2, 2], 0), [0, 0]);
    }
}
