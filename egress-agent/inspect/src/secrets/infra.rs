//! Stores of secrets and makers of machines.

use super::{Detector, Edge, Search, TOKEN};
use std::ops::Range;

use crate::view::words::is_alnum;

pub(super) const ALL: &[Detector] = &[VAULT, TERRAFORM, DATABRICKS, DOPPLER];

/// *What it does*: finds service, batch and recovery tokens. *Why it matters*: whoever holds it
/// reads the secrets that its policies allow. *Known gaps*: tokens from before version 1.10 (`s.`
/// and 24 signs). *Example*: `hvs.` and at least 24 letters, digits, `-` and `_`.
const VAULT: Detector = Detector {
    id: "vault-token",
    what: "a Vault token",
    keywords: &["hvs.", "hvb.", "hvr."],
    search: Search::Pattern(r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    edge: Edge::Any,
    positive: &["hvs.<url:90>", "hvb.<url:138>", "VAULT_TOKEN=hvs.<an:24>"],
    negative: &["hvs.x"],
    ..TOKEN
};

/// *What it does*: finds tokens of users, teams and organisations of HCP Terraform. *Why it
/// matters*: whoever holds it changes infrastructure and reads its state. *Known gaps*: none
/// known. *Example*: 14 letters and digits, `.atlasv1.` and 60 to 70 signs.
const TERRAFORM: Detector = Detector {
    id: "terraform-token",
    what: "a Terraform token",
    keywords: &[".atlasv1."],
    search: Search::Hand(terraform),
    edge: Edge::Any,
    positive: &["<an:14>.atlasv1.<an:67>"],
    negative: &[".atlasv1.", "x.atlasv1.<an:67>"],
    ..TOKEN
};

/// *What it does*: finds personal access tokens. *Why it matters*: whoever holds it reads the data
/// of a workspace and runs code there. *Known gaps*: OAuth secrets (`dose`). *Example*: `dapi` and
/// 32 hexadecimal digits.
const DATABRICKS: Detector = Detector {
    id: "databricks-token",
    what: "a Databricks token",
    keywords: &["dapi", "dose"],
    search: Search::Pattern(r"(?:dapi|dose)[a-f0-9]{32}(?:-[0-9])?\b"),
    edge: Edge::Any,
    positive: &["dapi<hex:32>", "dapi<hex:32>-2"],
    negative: &["dapiserver"],
    ..TOKEN
};

/// *What it does*: finds tokens of Doppler. *Why it matters*: whoever holds it reads the secrets
/// of a project. *Known gaps*: none known. *Example*: `dp.pt.` and 43 letters and digits.
const DOPPLER: Detector = Detector {
    id: "doppler-token",
    what: "a Doppler token",
    keywords: &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa."],
    search: Search::Pattern(r"dp\.(?:pt|ct|sa|st(?:\.[a-z0-9_-]{2,35})?)\.[A-Za-z0-9]{40,44}"),
    edge: Edge::Any,
    positive: &["dp.pt.<an:43>", "dp.st.prd.<an:43>"],
    negative: &["dp.pt.x"],
    ..TOKEN
};

/// Walks back over the 14 signs before the middle.
fn terraform(bytes: &[u8], middle: usize) -> Option<Range<usize>> {
    let start = middle.checked_sub(14)?;
    let is_sign = |byte: &&u8| is_alnum(**byte) || b"-_=".contains(byte);
    let tail = middle + b".atlasv1.".len();
    let after = bytes
        .get(tail..bytes.len().min(tail + 80))?
        .iter()
        .take_while(is_sign)
        .count();
    let is_token = bytes.get(start..middle)?.iter().all(|byte| is_alnum(*byte)) && after >= 60;
    is_token.then_some(start..tail + after)
}
