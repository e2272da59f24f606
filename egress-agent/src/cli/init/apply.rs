//! Makes the changes, one after the other, and says where it stopped.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::{
    Prepared,
    plan::{Change, Mark},
};
use crate::cli::{
    home::{self, Done, Task},
    table::plain,
};

/// The programs that steps run are root's own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a program says in its own favour, in bytes.
const LONGEST: usize = 400;

pub(super) fn all(prepared: &mut Prepared) -> anyhow::Result<()> {
    let mut done = Vec::new();
    each(prepared, &mut done).with_context(|| {
        let done = if done.is_empty() {
            "nothing was changed".to_owned()
        } else {
            format!("done so far: {}", done.join(", "))
        };
        format!(
            "stopped half-way ({done}); mend this and run init again, which goes on, or take it \
             back with `egressctl uninstall`"
        )
    })
}

fn each(prepared: &mut Prepared, done: &mut Vec<String>) -> anyhow::Result<()> {
    if !prepared.changes() {
        return Ok(());
    }
    let settings = prepared.settings();
    let Prepared {
        tree,
        manifest,
        place,
        user,
        program,
        change,
        units,
        steps,
        ..
    } = prepared;
    manifest.policy = Some(change.path.clone());
    for change in std::iter::once(&*change).chain(&*units) {
        if Change::writes(change) {
            change.apply(tree, manifest, place)?;
            done.push(tree.shown(&change.path).display().to_string());
        }
    }
    if let (Some(user), false) = (user, settings.is_empty()) {
        let task = Task::Install {
            program: program.clone(),
            files: settings,
        };
        let (installed, why) = match home::ask(user, &task)? {
            Done::Installed(installed) => (installed, None),
            Done::Failed { installed, why } => (installed, Some(why)),
            Done::Seen(_) | Done::Removed(_) => {
                bail!("the child answered something else than was asked for")
            }
        };
        done.extend(
            installed
                .iter()
                .map(|one| plain(&one.file.display().to_string())),
        );
        manifest.note_home(user, installed);
        manifest.write(tree, place)?;
        if let Some(why) = why {
            bail!("{}", plain(&why));
        }
    }
    for step in &*steps {
        match step.marks {
            Mark::Group => manifest.group = true,
            Mark::Enabled => manifest.enabled = true,
            Mark::Nothing => {}
        }
        if step.marks != Mark::Nothing {
            manifest.write(tree, place)?;
        }
        command(&step.words)?;
        done.push(format!("`{}`", step.words.join(" ")));
    }
    Ok(())
}

/// Runs a program of the system to its end.
pub(in crate::cli) fn command(words: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("a command has a name")?;
    let shown = words.join(" ");
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("SYSTEMD_COLORS", "0")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{shown}`"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = output.stderr.get(..LONGEST).unwrap_or(&output.stderr);
    let said = String::from_utf8_lossy(said);
    let said = plain(said.trim()).replace("\\n", "; ");
    bail!("`{shown}` failed ({}): {said}", output.status)
}
