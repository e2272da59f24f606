//! The revisions of the specification that the guard knows.

use serde_json::{Value, json};

use super::gate::Block;

/// The number of the error of revision 2026-07-28 for a revision that is not supported.
const UNSUPPORTED: i64 = -32022;
/// Where a request of revision 2026-07-28 says its revision.
const META: &str = "io.modelcontextprotocol/protocolVersion";

/// A revision of the specification, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

const ALL: [Revision; 5] = [
    Revision::V2024_11_05,
    Revision::V2025_03_26,
    Revision::V2025_06_18,
    Revision::V2025_11_25,
    Revision::V2026_07_28,
];

impl Revision {
    pub fn parse(text: &str) -> Option<Self> {
        ALL.into_iter().find(|revision| revision.text() == text)
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Only one revision has batches: the one before has none yet, the next removed them.
    pub const fn has_batches(self) -> bool {
        match self {
            Self::V2025_03_26 => true,
            Self::V2024_11_05 | Self::V2025_06_18 | Self::V2025_11_25 | Self::V2026_07_28 => false,
        }
    }

    /// Whether every result says in `resultType` what it is.
    pub fn has_result_types(self) -> bool {
        self >= Self::V2026_07_28
    }
}

/// What a request says of its revision: nothing, one that is known, or another.
pub fn of_request(params: &Value) -> Result<Option<Revision>, String> {
    let Some(text) = params.get("_meta").and_then(|meta| meta.get(META)) else {
        return Ok(None);
    };
    let text = text.as_str().unwrap_or_default();
    Revision::parse(text)
        .map(Some)
        .ok_or_else(|| text.chars().take(32).collect())
}

/// Why a revision is refused, and the JSON-RPC error: it names those that are supported, so that
/// a client can choose another.
pub fn refusal(requested: &str) -> (Block, Value) {
    let requested: String = requested.chars().take(32).collect();
    let block = Block::new(
        "unknown-revision",
        format!("the guard does not know the revision `{requested}` of MCP"),
        "use a revision that it knows, or a newer egressd",
    );
    let mut error = block.error(UNSUPPORTED);
    if let Some(data) = error.get_mut("data").and_then(Value::as_object_mut) {
        let supported: Vec<_> = ALL.iter().map(|revision| revision.text()).collect();
        data.insert("supported".to_owned(), json!(supported));
        data.insert("requested".to_owned(), json!(requested));
    }
    (block, error)
}
