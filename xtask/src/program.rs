//! Running other programs: what they printed, how they ended, and one line when they failed.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Runs `command` to its end and returns its standard output; a failure carries its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let name = spoken(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| {
        format!("cannot start `{name}`; `cargo xtask setup` installs what is missing")
    })?;
    finished(&name, &output)
}

/// Like [`run`], with `input` on the standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let name = spoken(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| {
            format!("cannot start `{name}`; `cargo xtask setup` installs what is missing")
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("writing to `{name}`"))?;
    }
    finished(&name, &child.wait_with_output()?)
}

/// A program on `PATH`, or in the directories that only root has there.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

/// The path of a program that must be there.
pub fn need(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("`{name}` is not installed; run `cargo xtask setup`"))
}

/// The command line, as a person would type it.
pub fn spoken(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn finished(name: &str, output: &Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let said = if said.is_empty() {
        "it printed nothing"
    } else {
        said
    };
    bail!("`{name}` failed ({}): {said}", output.status)
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_command_and_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo broken pipe dream >&2; exit 3"]))
            .expect_err("exit 3 is a failure")
            .to_string();
        assert!(error.contains("broken pipe dream"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("sh -c 'echo"), "{error}");
    }

    #[test]
    fn a_missing_program_says_what_to_do() {
        let error = run(&mut Command::new("no-such-program-here"))
            .expect_err("not installed")
            .to_string();
        assert!(error.contains("cargo xtask setup"), "{error}");
    }

    #[test]
    fn input_reaches_the_program() {
        let output = run_with_input(&mut Command::new("cat"), "hello\n").expect("cat works");
        assert_eq!(output, "hello\n");
    }

    #[test]
    fn command_lines_are_quoted_where_needed() {
        let mut command = Command::new("curl");
        command.args(["-H", "a b", "it's", ""]);
        assert_eq!(spoken(&command), r"curl -H 'a b' 'it'\''s' ''");
    }
}
