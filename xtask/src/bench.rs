//! Every figure of the README, side by side with what it is compared with, in one run.
//!
//! All arms of a comparison run in turn within the same rounds; values are medians, and ratios are
//! medians of the ratios within each round. A figure that is missed is shown as missed.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

mod denial;
mod figure;
mod guard;
mod hook;
mod inspect;
mod log;
mod machine;
mod mcp;
mod names;
mod nft;
mod policies;
mod proxy;
mod rest;
mod rounds;
mod scale;
mod stage;
mod start;
mod traffic;
mod watch;

use self::{figure::Figure, machine::Machine, stage::Stage};
use crate::{
    setup,
    workspace::{build_release, cargo, need_root, show, target},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Bench {
    /// Only measurements whose names contain one of these
    filter: Vec<String>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A few rounds of everything, to see that it works
    #[arg(long)]
    quick: bool,
    /// Exit with 1 when a figure is missed
    #[arg(long)]
    strict: bool,
}

type Measure = fn(&Stage) -> Result<Vec<Figure>>;

const MEASUREMENTS: [(&str, Measure); 20] = [
    ("connect", traffic::connect),
    ("send", traffic::send),
    ("stream", traffic::stream),
    ("dns-latency", names::latency),
    ("dns-rate", names::rate),
    ("scale", scale::scale),
    ("denial", denial::denial),
    ("rest", rest::rest),
    ("start", start::start),
    ("hook", hook::hook),
    ("judgement", hook::judgement),
    ("inspect", inspect::inspect),
    ("mcp", mcp::mcp),
    ("proxy-connect", proxy::connect),
    ("proxy-tunnel", proxy::tunnel),
    ("proxy-get", proxy::get),
    ("proxy-first-byte", proxy::first_byte),
    ("proxy-idle", proxy::idle),
    ("log", log::log),
    ("watch", watch::watch),
];

pub(crate) fn run(bench: &Bench) -> Result<ExitCode> {
    need_root("bench")?;
    let chosen: Vec<(&str, Measure)> = MEASUREMENTS
        .into_iter()
        .filter(|(name, _)| {
            bench.filter.is_empty() || bench.filter.iter().any(|part| name.contains(part.as_str()))
        })
        .collect();
    let names = MEASUREMENTS.map(|(name, _)| name).join(", ");
    ensure!(
        !chosen.is_empty(),
        "no measurement has a name with {} in it; there are: {names}",
        bench.filter.join(" or ")
    );
    setup::install()?;
    println!("bench: building the release programs");
    let programs = build()?;
    let machine = Machine::look();
    let stage = Stage::build(programs, bench.quick, machine.cores())?;
    let mut figures = Vec::new();
    let mut failures = 0;
    for (number, (name, measure)) in chosen.iter().enumerate() {
        let started = Instant::now();
        // One that fails takes no figure from the others.
        let found = measure(&stage).unwrap_or_else(|error| {
            failures += 1;
            println!("bench: {name} was not measured: {error:#}");
            Vec::new()
        });
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "bench: {}/{} {name}: {seconds:.0} s",
            number + 1,
            chosen.len()
        );
        figures.extend(found);
    }
    println!("\n{}\n", machine.line());
    print!("{}", table(&figures));
    let missed = figures
        .iter()
        .filter(|figure| figure.is_reached() == Some(false))
        .count();
    let judged = figures
        .iter()
        .filter(|figure| figure.is_reached().is_some())
        .count();
    println!(
        "\nbench: {} of {judged} targets reached, {missed} missed",
        judged - missed
    );
    if let Some(file) = &bench.json {
        let text = serde_json::to_string_pretty(&report(&machine, bench.quick, &figures))?;
        fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(if failures > 0 || bench.strict && missed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The directory of egressd, egressctl and the load, as a package has them: one program, two names.
fn build() -> Result<PathBuf> {
    let shipped = build_release()?;
    show(cargo().args(["build", "--quiet", "--release", "--package", "xtask"]))?;
    let programs = target().join("release/bench");
    fs::create_dir_all(&programs).with_context(|| format!("making {}", programs.display()))?;
    let load = target().join("release/xtask");
    for (name, program) in [
        ("egressd", &shipped),
        ("egressctl", &shipped),
        ("xtask", &load),
    ] {
        let link = programs.join(name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(program, &link).with_context(|| format!("linking {}", link.display()))?;
    }
    Ok(programs)
}

fn report(machine: &Machine, quick: bool, figures: &[Figure]) -> Value {
    json!({
        "machine": machine.json(),
        "quick": quick,
        "figures": figures.iter().map(Figure::json).collect::<Vec<_>>(),
    })
}

/// Cells in columns, as wide as their widest.
fn table(figures: &[Figure]) -> String {
    let head = [
        "figure",
        "ours",
        "compared with",
        "ratio",
        "target",
        "reached",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(figures.iter().map(Figure::cells));
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        figure::{Target, Unit},
        *,
    };

    #[test]
    fn columns_line_up() {
        let memory = Figure::alone(
            "memory",
            Unit::Mebibytes.of(9.0),
            Target::AtMost(Unit::Mebibytes.of(16.0)),
        );
        assert_eq!(
            table(&[memory]),
            "figure  ours     compared with  ratio  target      reached\n\
             memory  9.0 MiB                        ≤ 16.0 MiB  yes\n"
        );
    }
}
