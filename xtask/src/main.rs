//! `cargo xtask …`: the tasks of the project, the same on a desk and in CI.
#![expect(
    clippy::print_stdout,
    reason = "a task tells the person at the terminal what it does"
)]

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod check;
mod demo;
mod dist;
mod fuzz;
mod load;
mod play;
mod publish;
mod setup;
mod test;
mod vm;
mod workspace;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The tasks of egressd",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what building and testing need
    Setup {
        /// Only say what is missing; the status is 1 when something is
        #[arg(long)]
        check: bool,
    },
    /// Formatting, lints for the host and for the kernel programs, documentation
    Check,
    /// Every test, those that need root and the kernel included
    Test {
        /// Only tests whose names contain one of these
        filter: Vec<String>,
    },
    /// Feeds made-up bytes to every parser that eats foreign ones
    Fuzz {
        /// Such as `dns_question`; all without one
        targets: Vec<String>,
        /// For each target
        #[arg(long, default_value_t = 30)]
        seconds: u32,
    },
    /// The kernel tests and the escape suite on Debian's kernels, in software emulation
    Vm(vm::Vm),
    /// Writes what the escape suite found into the README
    Holds(publish::Holds),
    /// Guards real programs against a small internet made of network namespaces
    Demo,
    /// Every figure of the README, side by side with what it is compared with
    Bench(bench::Bench),
    /// The release: Debian package, tarball and checksums, in target/dist
    Dist(dist::Dist),
    /// What the benchmarks measure with
    #[command(subcommand, hide = true)]
    Load(load::Load),
    /// The small internet of the tests
    World {
        #[command(subcommand)]
        play: Play,
    },
}

#[derive(Subcommand)]
enum Play {
    /// Builds one and runs a command on its machine, or a shell; nothing is guarded
    Run { command: Vec<OsString> },
    /// Removes what worlds of dead processes have left
    Clean,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            let mut message = std::io::stderr();
            // Without a standard error there is nobody to tell.
            std::io::Write::write_fmt(&mut message, format_args!("error: {error:#}\n")).ok();
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup { check: true } => return Ok(setup::check()),
        Task::Setup { check: false } => setup::install()?,
        Task::Check => check::run()?,
        Task::Test { filter } => test::run(&filter)?,
        Task::Holds(holds) => publish::run(&holds)?,
        Task::Fuzz { targets, seconds } => fuzz::run(&targets, seconds)?,
        Task::Vm(vm) => vm::run(vm)?,
        Task::Demo => demo::run()?,
        Task::Dist(dist) => dist::run(&dist)?,
        Task::Bench(bench) => return bench::run(&bench),
        Task::Load(load) => load.run()?,
        Task::World {
            play: Play::Run { command },
        } => return play::run(&command),
        Task::World { play: Play::Clean } => play::clean()?,
    }
    Ok(ExitCode::SUCCESS)
}
