//! One picture as text: every list, whole, for pipes and reports.

use super::{panes::Pane, rows::Tone};
use crate::{
    cli::{
        Paint, Screen,
        table::{Cell, Table},
    },
    control::overview::Overview,
};

/// Prints the state and each list under its title.
pub(super) fn print(overview: &Overview, screen: &mut Screen) -> anyhow::Result<()> {
    let mut model = super::model::Model::new();
    model.update(overview, std::time::Duration::ZERO);
    let header = &model.header;
    let state = if header.observes {
        screen.paint(Paint::Warn, "observing: nothing is refused")
    } else {
        screen.paint(Paint::Allow, "enforcing")
    };
    screen.line(format!(
        "egressd {} {state}, {} guarded, up {}, at {}",
        header.version, header.guards, header.up, overview.time
    ))?;
    for warning in &header.warnings {
        let line = screen.paint(Paint::Warn, &format!("! {warning}"));
        screen.line(line)?;
    }
    for pane in Pane::ALL {
        screen.line("")?;
        let title = format!("{} ({})", pane.title(), pane.total(overview));
        let title = screen.paint(Paint::Strong, &title);
        screen.line(title)?;
        let names: Vec<&str> = pane.columns().iter().map(|column| column.name).collect();
        let mut table = Table::new(&names);
        for row in pane.rows(overview) {
            table.row(row.cells.iter().map(|text| match row.tone {
                Tone::Plain | Tone::Good => Cell::new(text),
                Tone::Bad => Cell::painted(text, Paint::Deny),
                Tone::Warn => Cell::painted(text, Paint::Warn),
            }));
        }
        if table.is_empty() {
            screen.line("nothing")?;
        } else {
            table.print(screen)?;
        }
    }
    Ok(())
}
