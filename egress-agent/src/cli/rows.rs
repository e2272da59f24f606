//! What a session did with each host, as a table or as JSON.

use anyhow::bail;

use super::{
    Paint, Screen,
    table::{Cell, Table},
};
use crate::{
    audit::record::{Egress, Verdict},
    control::{
        client::Client,
        message::{Reply, Request},
    },
};

pub(super) fn ask(client: &mut Client, session: String) -> anyhow::Result<Vec<Egress>> {
    let session = Some(session);
    let Reply::Egress(rows) = client.request(&Request::Egress { session })? else {
        bail!("egressd answered something else");
    };
    Ok(rows)
}

/// What was denied first, then what moved most.
pub(super) fn print(rows: &[Egress], screen: &mut Screen) -> anyhow::Result<()> {
    if screen.is_json() {
        screen.json(&rows)?;
        return Ok(());
    }
    if rows.is_empty() {
        screen.line("no host was reached, and none was denied")?;
        return Ok(());
    }
    let mut rows: Vec<&Egress> = rows.iter().collect();
    rows.sort_by_key(|row| {
        let bytes = row
            .bytes_up
            .unwrap_or(0)
            .saturating_add(row.bytes_down.unwrap_or(0));
        (row.verdict != Verdict::Deny, std::cmp::Reverse(bytes))
    });
    let mut table = Table::new(&["HOST", "VERDICT", "CONNECTIONS", "UP", "DOWN", "TIME"]);
    for row in rows {
        let Egress {
            host,
            verdict,
            connections,
            bytes_up,
            bytes_down,
            duration_ms,
        } = row;
        let size = |bytes: &Option<u64>| Cell::new(bytes.map(size).unwrap_or_default());
        let time = duration_ms.map(std::time::Duration::from_millis);
        table.row([
            Cell::new(host),
            if *verdict == Verdict::Deny {
                Cell::painted("deny", Paint::Deny)
            } else {
                Cell::painted("allow", Paint::Allow)
            },
            Cell::new(connections.to_string()),
            size(bytes_up),
            size(bytes_down),
            Cell::new(time.map(super::duration).unwrap_or_default()),
        ]);
    }
    table.print(screen)?;
    Ok(())
}

/// `317 B`, `4.2 KiB`, `1.0 GiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = None;
    for name in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1_024;
        unit = Some(name);
    }
    match unit {
        None => format!("{bytes} B"),
        Some(unit) => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (4_301, "4.2 KiB"),
            (1 << 30, "1.0 GiB"),
            (5 << 40, "5.0 TiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
