//! The tools that a server has listed, and which of them may be called.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use super::{
    drift::{Ledger, Print},
    gate::Block,
    message::refuse_variants,
};

/// Bytes of a tool's name.
const LONGEST_NAME: usize = 256;
/// Tools that are remembered as hidden.
const MOST_HIDDEN: usize = 4096;
const TOOL: &[&str] = &[
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
    "execution",
    "icons",
    "_meta",
];

/// Where the ledger is kept.
pub trait Store: Send {
    /// `None` when the server has never been seen.
    fn load(&self) -> Result<Option<Ledger>, String>;
    fn save(&self, ledger: &Ledger) -> Result<(), String>;
}

/// What is known of the tools of a server.
pub struct Inventory {
    ledger: Ledger,
    store: Box<dyn Store>,
    /// As it was last written.
    saved: Ledger,
    /// Names of the listing that is going on.
    listing: BTreeSet<String>,
    /// Tools that must not be shown, and why.
    hidden: BTreeMap<String, Block>,
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inventory")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl Inventory {
    /// Of the server of this name; fails when what is kept of it cannot be read.
    pub fn open(server: &str, store: Box<dyn Store>) -> Result<Self, String> {
        let ledger = store.load()?.unwrap_or_else(|| Ledger::new(server));
        Ok(Self {
            saved: ledger.clone(),
            ledger,
            store,
            listing: BTreeSet::new(),
            hidden: BTreeMap::new(),
        })
    }

    /// The first page of a listing comes.
    pub fn begin(&mut self) {
        self.reload();
        self.ledger.begin();
        self.listing.clear();
        self.hidden.clear();
    }

    /// One tool of it, and what was found in its texts. Its name, and why it must not be shown.
    pub fn see(&mut self, tool: &Value, found: Option<Block>) -> Result<(), (String, Block)> {
        let hint = "look at what the server sends";
        let fail = |name: &str, reason: &str| {
            Err((name.to_owned(), Block::new("malformed-tool", reason, hint)))
        };
        let Some(tool) = tool.as_object() else {
            return fail("", "an entry is no tool");
        };
        let Some(name) = tool.get("name").and_then(Value::as_str) else {
            return fail("", "a tool has no name");
        };
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
            return fail(
                "",
                "a tool has a name that is empty, too long or not printable",
            );
        }
        if let Err(invalid) = refuse_variants(tool, TOOL) {
            return fail(name, &invalid.to_string());
        }
        if !self.listing.insert(name.to_owned()) {
            return fail(name, "a tool is listed twice");
        }
        if let Some(block) = found {
            self.hide(name, &block);
            return Err((name.to_owned(), block));
        }
        let standing = self.ledger.see(name, Print::of(tool));
        if standing == super::drift::Standing::Accepted {
            self.hidden.remove(name);
            return Ok(());
        }
        let block = self.drifted(name, &standing.what());
        Err((name.to_owned(), block))
    }

    /// A page has come to its end.
    pub fn end(&mut self, is_last: bool) -> Result<(), String> {
        if is_last {
            self.ledger.end();
        }
        if self.ledger == self.saved {
            return Ok(());
        }
        self.store.save(&self.ledger)?;
        self.saved = self.ledger.clone();
        Ok(())
    }

    /// Why a tool must not be called.
    pub fn may_call(&mut self, name: &str) -> Option<Block> {
        if let Some(block) = self.hidden.get(name) {
            return Some(block.clone());
        }
        if self.ledger.is_accepted(name) {
            return None;
        }
        // A person may have accepted it meanwhile.
        self.reload();
        if self.ledger.is_accepted(name) {
            return None;
        }
        if let Some(standing) = self.ledger.pending(name) {
            return Some(self.drifted(name, &standing.what()));
        }
        Some(Block::new(
            "unknown-tool",
            format!("the server has never listed a tool `{}`", clip(name)),
            "list the tools first, and call one of them",
        ))
    }

    /// Takes what was written since, by another guard or by a person who accepts.
    fn reload(&mut self) {
        if let Ok(Some(kept)) = self.store.load()
            && kept != self.saved
        {
            self.saved = kept.clone();
            self.ledger.merge(kept);
        }
    }

    fn hide(&mut self, name: &str, block: &Block) {
        if self.hidden.len() < MOST_HIDDEN {
            self.hidden.insert(name.to_owned(), block.clone());
        }
    }

    fn drifted(&self, name: &str, what: &str) -> Block {
        Block::new(
            "tool-changed",
            format!("the tool `{}` {what}", clip(name)),
            format!(
                "ask the person to look at it, and then to run `egressctl mcp accept {}`",
                self.ledger.server
            ),
        )
    }
}

fn clip(name: &str) -> &str {
    name.get(..name.floor_char_boundary(128))
        .unwrap_or_default()
}
