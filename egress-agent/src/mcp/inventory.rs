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
    /// Names of the page that is read.
    page: BTreeSet<String>,
    /// Tools that must not be shown, and why.
    hidden: BTreeMap<String, Block>,
    /// There were more of them than are remembered: nobody can tell which they are.
    is_overflowing: bool,
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
            page: BTreeSet::new(),
            hidden: BTreeMap::new(),
            is_overflowing: false,
        })
    }

    /// A page of a listing comes.
    pub fn begin(&mut self, is_first: bool) {
        self.page.clear();
        if is_first {
            self.reload();
            self.ledger.begin();
            self.hidden.clear();
            self.is_overflowing = false;
        }
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
        if !self.page.insert(name.to_owned()) {
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
        if self.is_overflowing {
            return Some(Block::new(
                "too-many-hidden",
                format!("more than {MOST_HIDDEN} tools of the server must not be shown"),
                "ask the person to look at the server",
            ));
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
        } else {
            self.is_overflowing = true;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Nowhere;

    impl Store for Nowhere {
        fn load(&self) -> Result<Option<Ledger>, String> {
            Ok(None)
        }

        fn save(&self, _: &Ledger) -> Result<(), String> {
            Err("the disk is full".to_owned())
        }
    }

    fn inventory() -> Inventory {
        Inventory::open("s", Box::new(Nowhere)).unwrap()
    }

    #[test]
    fn pages_belong_together_and_a_name_is_listed_once() {
        let mut inventory = inventory();
        inventory.begin(true);
        assert!(inventory.see(&json!({ "name": "a" }), None).is_ok());
        let (_, block) = inventory.see(&json!({ "name": "a" }), None).unwrap_err();
        assert_eq!(block.code, "malformed-tool");
        inventory.begin(false);
        assert!(inventory.see(&json!({ "name": "b" }), None).is_ok());
        let other = json!({ "name": "a", "description": "other" });
        let (_, block) = inventory.see(&other, None).unwrap_err();
        assert_eq!(block.code, "tool-changed", "on another page too");
        assert!(inventory.end(true).is_err());
        assert!(inventory.may_call("b").is_none() && inventory.may_call("a").is_some());
    }

    #[test]
    fn hidden_tools_without_number_stop_all_calls() {
        let mut inventory = inventory();
        inventory.begin(true);
        assert!(inventory.see(&json!({ "name": "a" }), None).is_ok());
        for number in 0..=MOST_HIDDEN {
            let found = Block::new("poison", "r", "h");
            let tool = json!({ "name": number.to_string() });
            assert!(inventory.see(&tool, Some(found)).is_err());
        }
        assert_eq!(inventory.may_call("a").unwrap().code, "too-many-hidden");
        inventory.begin(true);
        assert!(inventory.may_call("a").is_none());
    }
}
