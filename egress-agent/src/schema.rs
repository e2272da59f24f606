//! The JSON Schemas of what people and programs write and read. Each is a file, so that editors find
//! it, and a test holds it to its type: `EGRESS_SNAPSHOTS=write` writes it anew. Made from the types
//! at run time, they would take half a megabyte of derived code along.

use serde_json::Value;

/// One schema, as its file holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema(&'static str);

/// Of a policy.
pub(crate) const POLICY: Schema = Schema(include_str!("../../policy/policy.schema.json"));
/// Of a pack of rules.
pub(crate) const PACK: Schema = Schema(include_str!("../../policy/packs/pack.schema.json"));
/// Of a line in the audit log.
pub(crate) const RECORD: Schema = Schema(include_str!("audit/record.schema.json"));

impl Schema {
    /// As it is written.
    pub(crate) fn text(self) -> &'static str {
        self.0.trim_end()
    }

    pub(crate) fn value(self) -> Value {
        #[expect(
            clippy::expect_used,
            reason = "compiled in, and a test compares each with its type"
        )]
        serde_json::from_str(self.0).expect("a schema that is compiled in is JSON")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Fails when the file, given from the root of the workspace, is not what the type asks for.
    pub(crate) fn assert_of<T: schemars::JsonSchema>(schema: Schema, file: &str) {
        let wanted = schemars::schema_for!(T).to_value();
        if std::env::var_os("EGRESS_SNAPSHOTS").is_some_and(|value| value == "write") {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
            let text = serde_json::to_string_pretty(&wanted).unwrap();
            fs::write(file, text + "\n").unwrap();
            return;
        }
        assert!(
            schema.value() == wanted,
            "{file} is old; EGRESS_SNAPSHOTS=write and this test write it anew"
        );
    }
}
