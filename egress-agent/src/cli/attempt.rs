//! `egressctl attempt`: the processes of the escape suite, a verb that people do not call.

use clap::Args;

use super::{Exit, Screen};
use crate::escape::{attempts, driver, helper};

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct AttemptArgs {
    /// Name every attempt.
    #[arg(long)]
    list: bool,
    /// Read names from the standard input, and make each attempt in a process of its own.
    #[arg(long)]
    serve: bool,
    /// Make this attempt in this process.
    #[arg(long, value_name = "NAME")]
    one: Option<String>,
    /// Be the process outside of the guard.
    #[arg(long)]
    helper: bool,
    /// Make these attempts, each in a process of its own.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(args: AttemptArgs, screen: &mut Screen) -> anyhow::Result<Exit> {
    if args.list {
        for attempt in attempts::all() {
            screen.line(format!("{:<28} {}", attempt.name, attempt.title))?;
        }
    } else if args.serve {
        driver::serve(screen.writer())?;
    } else if args.helper {
        helper::run(&driver::ground()?, screen.writer())?;
    } else if let Some(name) = args.one {
        screen.json(&driver::make(&name)?)?;
    } else {
        for name in args.names {
            driver::say(&mut screen.writer(), &name)?;
        }
    }
    Ok(Exit::Ok)
}
