//! What was read so far: each thing once, in the order in which it stood.

use std::collections::BTreeSet;

use super::options::Args;
use super::place::Place;
use super::word::{is_known, shown};
use super::{Code, Command, Contact, Reach, Remote};

/// Reasons beyond these say nothing new.
const MOST_REASONS: usize = 16;
/// Bytes of commands and code that are kept; each word and each text counts a little more.
const MOST_KEPT: usize = 256 * 1024;
const EACH_KEPT: usize = 32;

type Key = (String, Option<u16>, String, bool, Option<String>);

#[derive(Debug, Default)]
pub(super) struct Notes {
    reach: Reach,
    contacts: BTreeSet<Key>,
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
    kept: usize,
}

impl Notes {
    pub(super) fn contact(&mut self, program: &str, place: Place, writes: bool) {
        let Place { host, port, owner } = place;
        if host.is_empty() {
            return;
        }
        if !is_known(&host) {
            self.unclear(format!("{program}: the host is made at run time"));
            return;
        }
        // curl and wget expand braces themselves.
        if let Some((before, rest)) = host.split_once('{')
            && let Some((choice, after)) = rest.split_once('}')
        {
            for one in choice.split(',').take(64) {
                self.host(
                    program,
                    format!("{before}{one}{after}"),
                    port,
                    writes,
                    owner.clone(),
                );
            }
            return;
        }
        self.host(program, host, port, writes, owner);
    }

    fn host(
        &mut self,
        program: &str,
        host: String,
        port: Option<u16>,
        writes: bool,
        owner: Option<String>,
    ) {
        let owner = owner.filter(|owner| is_known(owner));
        let key = (host, port, program.to_owned(), writes, owner);
        if self.contacts.insert(key.clone()) {
            let (host, port, program, writes, owner) = key;
            self.reach.contacts.push(Contact {
                host,
                port,
                program,
                writes,
                owner,
            });
        }
    }

    pub(super) fn remote(&mut self, name: &str, writes: bool, directory: Option<&str>) {
        if !is_known(name) {
            self.unclear("git: the remote is made at run time".to_owned());
            return;
        }
        let remote = Remote {
            name: name.to_owned(),
            writes,
            directory: directory.map(shown),
        };
        if self.reach.remotes.len() < 64 && !self.reach.remotes.contains(&remote) {
            self.reach.remotes.push(remote);
        }
    }

    pub(super) fn read(&mut self, path: &str) {
        let path = shown(path);
        if self.reads.insert(path.clone()) {
            self.reach.reads.push(path);
        }
    }

    pub(super) fn write(&mut self, path: &str) {
        let path = shown(path);
        if self.writes.insert(path.clone()) {
            self.reach.writes.push(path);
        }
    }

    pub(super) fn executes(&mut self, why: String) {
        self.reach.executes_download.get_or_insert(why);
    }

    pub(super) fn environment(&mut self) {
        self.reach.reads_environment = true;
    }

    pub(super) fn act(&mut self, act: &str) {
        if !self.reach.acts.iter().any(|known| known == act) {
            self.reach.acts.push(act.to_owned());
        }
    }

    pub(super) fn unclear(&mut self, why: String) {
        if self.reach.unclear.len() < MOST_REASONS && !self.reach.unclear.contains(&why) {
            self.reach.unclear.push(why);
        }
    }

    /// A command that runs.
    pub(super) fn command(&mut self, words: Args<'_, '_>, input: Option<&str>) {
        if words
            .first()
            .is_some_and(|program| matches!(&**program, ":" | "true" | "false"))
        {
            return;
        }
        let length: usize = words.iter().map(|word| word.len() + EACH_KEPT).sum();
        if self.keep(length + input.map_or(0, str::len)) {
            self.reach.commands.push(Command {
                words: words.iter().map(|word| shown(word)).collect(),
                input: input.map(shown),
            });
        }
    }

    /// How many commands are kept.
    pub(super) fn commands(&self) -> usize {
        self.reach.commands.len()
    }

    /// What a here-document gives to the command of a number, and to what that wraps.
    pub(super) fn feed(&mut self, number: usize, text: &str) {
        let mut outer: Option<Vec<String>> = None;
        for at in number..self.reach.commands.len() {
            if !self.keep(text.len()) {
                return;
            }
            let Some(command) = self.reach.commands.get_mut(at) else {
                return;
            };
            if outer.is_some_and(|outer| !outer.ends_with(&command.words)) {
                return;
            }
            let input = command.input.get_or_insert_default();
            input.push_str(&shown(text));
            outer = Some(command.words.clone());
        }
    }

    /// A function that starts itself more than once.
    pub(super) fn multiplies(&mut self, name: &str) {
        self.reach.multiplies.get_or_insert_with(|| shown(name));
    }

    /// Code for an interpreter.
    pub(super) fn code(&mut self, program: &str, text: &str) {
        if self.keep(program.len() + text.len() + EACH_KEPT) {
            self.reach.code.push(Code {
                program: program.to_owned(),
                text: shown(text),
            });
        }
    }

    fn keep(&mut self, length: usize) -> bool {
        self.kept = self.kept.saturating_add(length);
        let fits = self.kept <= MOST_KEPT;
        self.reach.is_cut |= !fits;
        fits
    }

    pub(super) fn into_reach(self) -> Reach {
        self.reach
    }
}
