//! The manual pages of both programs: one for each, and one for each verb that people type.
//!
//! Names, options and what they do come from the definitions that the programs read their
//! arguments with; what those do not know (files, signals, exit statuses) stands here.

use std::{fs, path::Path};

use anyhow::Context as _;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::Program;
use crate::cli::{Exit, Screen};

/// What a page says beside the definitions: titles of sections, and their items.
type Sections = &'static [(&'static str, &'static [(&'static str, &'static str)])];

const DAEMON: Sections = &[
    (
        "FILES",
        &[
            (
                "/etc/egressd/policy.json",
                "The policy of agent.slice, as the service names it. Only root may be able to change it.",
            ),
            (
                "/usr/share/egressd",
                "Profiles, packs of rules and the schema of policies, to read and to copy from.",
            ),
            (
                "/run/egressd/control.sock",
                "The control socket. Members of the group egressd may start sessions and look.",
            ),
            ("/var/log/egressd", "The audit log."),
            (
                "/sys/fs/bpf/egressd",
                "What holds while no daemon runs: pinned programs and tables.",
            ),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "Reads the policies again. A bad one changes nothing.",
            ),
            (
                "SIGTERM, SIGINT",
                "Ends the daemon and leaves the guard on: what is pinned goes on denying, and no new \
                 name resolves. egressctl release takes the guard off.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Stopped as it was told to."),
            (
                "2",
                "Wrong usage, or a failure, which standard error names.",
            ),
            ("3", "A policy is not valid."),
            (
                "others",
                "With a command: the status of the command; 125 to 127 where it could not be started.",
            ),
        ],
    ),
];

const CONTROL: Sections = &[
    (
        "EXIT STATUS",
        &[
            ("0", "Yes, or done."),
            ("1", "No, or denied."),
            (
                "2",
                "Wrong usage, or a failure, which standard error names.",
            ),
            ("3", "A policy is not valid."),
            (
                "others",
                "egressctl run: the status of its command; 125 to 127 where it could not be started.",
            ),
        ],
    ),
    (
        "FILES",
        &[(
            "/run/egressd/control.sock",
            "The control socket of egressd, unless --socket or EGRESSD_SOCKET names another.",
        )],
    ),
];

/// Writes a file for every page; `date` is that of the pages, as `2026-01-31`.
pub(super) fn write(directory: &Path, date: &str, screen: &mut Screen) -> anyhow::Result<Exit> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for Page { file, text } in pages(date)? {
        let path = directory.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        screen.line(path.display())?;
    }
    Ok(Exit::Ok)
}

struct Page {
    file: String,
    text: Vec<u8>,
}

fn pages(date: &str) -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for (program, section, sections) in [
        (Program::Egressd, "8", DAEMON),
        (Program::Egressctl, "1", CONTROL),
    ] {
        let mut command = program.command().disable_help_subcommand(true);
        command.build();
        let set = Set { section, date };
        let others = match program {
            Program::Egressd => "egressctl(1)",
            Program::Egressctl => "egressd(8)",
        };
        set.write(&command, sections, others, &mut pages)?;
    }
    Ok(pages)
}

/// The pages of one program.
struct Set<'a> {
    section: &'a str,
    date: &'a str,
}

impl Set<'_> {
    fn write(
        &self,
        command: &clap::Command,
        sections: Sections,
        parent: &str,
        pages: &mut Vec<Page>,
    ) -> anyhow::Result<()> {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let own = format!("{name}({})", self.section);
        let verbs: Vec<&clap::Command> = command
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
            .collect();
        let man = Man::new(command.clone())
            .section(self.section)
            .date(self.date)
            .source(format!("egressd {}", env!("CARGO_PKG_VERSION")))
            .manual("egressd");
        let mut text = Vec::new();
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        if command
            .get_arguments()
            .any(|argument| !argument.is_hide_set())
        {
            man.render_options_section(&mut text)?;
        }
        let mut roff = Roff::new();
        if !verbs.is_empty() {
            roff.control("SH", ["VERBS"]);
            for verb in &verbs {
                let about = verb.get_about().map(ToString::to_string);
                let page = verb.get_display_name().unwrap_or(verb.get_name());
                roff.control("TP", []);
                roff.text([bold(page), roman(format!("({})", self.section))]);
                roff.text([roman(about.unwrap_or_default())]);
            }
        }
        for (title, items) in sections {
            roff.control("SH", [*title]);
            for (what, says) in *items {
                roff.control("TP", []);
                roff.text([bold(*what)]);
                roff.text([roman(*says)]);
            }
        }
        roff.control("SH", ["SEE ALSO"]);
        roff.text([roman(parent)]);
        roff.to_writer(&mut text)?;
        pages.push(Page {
            file: format!("{name}.{}", self.section),
            text,
        });
        for verb in verbs {
            self.write(verb, &[], &own, pages)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_that_people_type_has_a_page_and_no_other() {
        let pages = pages("2026-01-31").expect("pages");
        let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        for file in [
            "egressd.8",
            "egressd-run.8",
            "egressctl.1",
            "egressctl-run.1",
            "egressctl-policy.1",
            "egressctl-policy-check.1",
            "egressctl-completions.1",
        ] {
            assert!(files.contains(&file), "{file} is missing in {files:?}");
        }
        for hidden in ["enter", "attempt", "man", "help"] {
            let ends = |file: &&&str| file.split(['-', '.']).any(|word| word == hidden);
            assert_eq!(files.iter().find(ends), None, "{hidden}");
        }
    }

    #[test]
    fn a_page_names_the_verbs_and_where_to_read_on() {
        let pages = pages("2026-01-31").expect("pages");
        let text = |file: &str| {
            let page = pages.iter().find(|page| page.file == file).expect(file);
            String::from_utf8(page.text.clone()).expect("text")
        };
        let root = text("egressctl.1");
        assert!(root.contains("egressctl\\-why"), "{root}");
        assert!(root.contains("egressd(8)"), "{root}");
        assert!(!root.contains("egressctl\\-enter"), "{root}");
        assert!(text("egressd.8").contains("SIGHUP"));
        assert!(text("egressctl-why.1").contains("egressctl(1)"));
        assert!(text("egressctl-why.1").contains(".TH egressctl-why 1 2026-01-31"));
    }
}
