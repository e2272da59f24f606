//! Providers of models.

use super::{Detector, Edge, Search, TOKEN, check, near};

pub(super) const ALL: &[Detector] = &[
    ANTHROPIC,
    OPENAI,
    OPENAI_LEGACY,
    OPENROUTER,
    HUGGING_FACE,
    REPLICATE,
    TOGETHER,
    TOGETHER_OLD,
    PINECONE,
    PINECONE_OLD,
    GROQ,
    XAI,
    FIREWORKS,
    PERPLEXITY,
];

/// *What it does*: finds keys of the Claude API, of its administration and of Claude Code's
/// sign-in. *Why it matters*: whoever holds it runs models on its owner's account and may read
/// what others asked. *Known gaps*: none known. *Example*: `sk-ant-api03-` and 95 letters, digits,
/// `-` and `_`.
const ANTHROPIC: Detector = Detector {
    id: "anthropic-key",
    what: "an Anthropic API key",
    keywords: &["sk-ant-"],
    search: Search::Pattern(r"sk-ant-[a-z]+[0-9]{0,4}-[A-Za-z0-9_-]{20,}"),
    edge: Edge::Any,
    positive: &[
        "key: sk-ant-api03-<url:93>AA",
        "sk-ant-oat01-<url:93>AA",
        "sk-ant-admin01-<url:93>AA",
    ],
    negative: &["task-ant-farm", "sk-ant-api03-short"],
    ..TOKEN
};

/// *What it does*: finds keys of projects, service accounts and administrators. *Why it matters*:
/// whoever holds it runs models on its owner's account and may read what others asked. *Known
/// gaps*: none known. *Example*: `sk-proj-` and at least 40 letters, digits, `-` and `_`.
const OPENAI: Detector = Detector {
    id: "openai-key",
    what: "an OpenAI API key",
    keywords: &["sk-proj-", "sk-svcacct-", "sk-admin-"],
    search: Search::Pattern(r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}"),
    edge: Edge::Any,
    positive: &[
        "OPENAI_API_KEY=sk-proj-<url:74>T3BlbkFJ<url:74>",
        "sk-svcacct-<url:60>",
        "sk-admin-<url:60>",
    ],
    negative: &["sk-proj-name", "a task-proj-plan"],
    ..TOKEN
};

/// *What it does*: finds user keys from before there were projects. *Why it matters*: whoever
/// holds it runs models on its owner's account and may read what others asked. *Known gaps*: other
/// services copied the form; the finding then names the wrong issuer. *Example*: `sk-` and 48
/// letters and digits.
const OPENAI_LEGACY: Detector = Detector {
    id: "openai-legacy-key",
    what: "an OpenAI API key",
    keywords: &["sk-"],
    search: Search::Pattern(r"sk-[A-Za-z0-9]{48}\b"),
    check: Some(check::random),
    positive: &["sk-<an:20>T3BlbkFJ<an:20>", "key sk-<an:48>."],
    negative: &["disk-usage", "sk-<let:48>", "task-<an:48>"],
    ..TOKEN
};

/// *What it does*: finds keys of `OpenRouter`. *Why it matters*: whoever holds it runs models on its
/// owner's account and may read what others asked. *Known gaps*: none known. *Example*:
/// `sk-or-v1-` and 64 hexadecimal digits.
const OPENROUTER: Detector = Detector {
    id: "openrouter-key",
    what: "an OpenRouter key",
    keywords: &["sk-or-v1-"],
    search: Search::Pattern(r"sk-or-v1-[0-9a-f]{64}"),
    edge: Edge::Any,
    positive: &["sk-or-v1-<hex:64>"],
    negative: &["sk-or-v1-abc"],
    ..TOKEN
};

/// *What it does*: finds tokens of users and of organisations. *Why it matters*: whoever holds it
/// reads private models and may publish under its owner's name. *Known gaps*: none known.
/// *Example*: `hf_` and 34 letters.
const HUGGING_FACE: Detector = Detector {
    id: "hugging-face-token",
    what: "a Hugging Face token",
    keywords: &["hf_", "api_org_"],
    search: Search::Pattern(r"(?:hf|api_org)_[A-Za-z0-9]{34}\b"),
    edge: Edge::Any,
    positive: &["hf_<an:34>", "HF_TOKEN=hf_<an:34>", "api_org_<an:34>"],
    negative: &["hf_hub_download", "hf_model_name_or_path"],
    ..TOKEN
};

/// *What it does*: finds API tokens of Replicate. *Why it matters*: whoever holds it runs models
/// on its owner's account and may read what others asked. *Known gaps*: none known. *Example*:
/// `r8_` and 37 letters and digits.
const REPLICATE: Detector = Detector {
    id: "replicate-token",
    what: "a Replicate token",
    keywords: &["r8_"],
    search: Search::Pattern(r"r8_[A-Za-z0-9]{37}\b"),
    edge: Edge::Any,
    positive: &["r8_<an:37>"],
    negative: &["r8_unorm", "r8_<an:12>"],
    ..TOKEN
};

/// *What it does*: finds keys with a prefix, and older ones (64 hexadecimal digits) beside the
/// service's name. *Why it matters*: whoever holds it runs models on its owner's account and may
/// read what others asked. *Known gaps*: older keys without the name near them. *Example*:
/// `tgp_v1_` and 43 letters, digits, `-` and `_`.
const TOGETHER: Detector = Detector {
    id: "together-key",
    what: "a Together key",
    keywords: &["tgp_v1_"],
    search: Search::Pattern(r"tgp_v1_[A-Za-z0-9_-]{40,}"),
    edge: Edge::Any,
    positive: &["tgp_v1_<url:43>"],
    negative: &["tgp_v1_"],
    ..TOKEN
};

/// *What it does*: finds 64 hexadecimal digits that are given to a name with `together` in it.
/// *Why it matters*: whoever holds it runs models on its owner's account and may read what others
/// asked. *Known gaps*: keys without the name near them. *Example*: `TOGETHER_API_KEY=` and 64
/// hexadecimal digits.
const TOGETHER_OLD: Detector = Detector {
    id: "together-legacy-key",
    what: "a Together key",
    keywords: &["together"],
    search: Search::Given(near!("together"), r"[0-9a-f]{64}\b"),
    edge: Edge::Any,
    check: Some(check::random_near),
    positive: &[
        "TOGETHER_API_KEY=<hex:64>",
        r#""together_api_key": "<hex:64>""#,
    ],
    negative: &["put together: a"],
    ..TOKEN
};

/// *What it does*: finds keys with a prefix. *Why it matters*: whoever holds it reads and changes
/// the vectors, and often the texts beside them. *Known gaps*: older keys, which are plain UUIDs,
/// unless the service's name stands near. *Example*: `pcsk_`, a short name and about 60 letters
/// and digits.
const PINECONE: Detector = Detector {
    id: "pinecone-key",
    what: "a Pinecone key",
    keywords: &["pcsk_"],
    search: Search::Pattern(r"pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{40,}"),
    edge: Edge::Any,
    positive: &["pcsk_<an:6>_<an:63>"],
    negative: &["pcsk_name"],
    ..TOKEN
};

/// *What it does*: finds a UUID that is given to a name with `pinecone` in it. *Why it matters*:
/// whoever holds it reads and changes the vectors. *Known gaps*: UUIDs that are something else in
/// such a place. *Example*: `PINECONE_API_KEY=` and a UUID.
const PINECONE_OLD: Detector = Detector {
    id: "pinecone-legacy-key",
    what: "a Pinecone key",
    keywords: &["pinecone"],
    search: Search::Given(
        near!("pinecone[a-z_. -]{0,12}key"),
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
    ),
    edge: Edge::Any,
    check: Some(check::random_near),
    positive: &["PINECONE_API_KEY=<hex:8>-<hex:4>-4<hex:3>-a<hex:3>-<hex:12>"],
    negative: &["pinecone index: a"],
    ..TOKEN
};

/// *What it does*: finds keys of `GroqCloud`. *Why it matters*: whoever holds it runs models on its
/// owner's account and may read what others asked. *Known gaps*: none known. *Example*: `gsk_` and
/// 52 letters and digits.
const GROQ: Detector = Detector {
    id: "groq-key",
    what: "a Groq key",
    keywords: &["gsk_"],
    search: Search::Pattern(r"gsk_[A-Za-z0-9]{52}\b"),
    edge: Edge::Any,
    positive: &["gsk_<an:52>"],
    negative: &["gsk_renderer_new"],
    ..TOKEN
};

/// *What it does*: finds keys of xAI. *Why it matters*: whoever holds it runs models on its
/// owner's account and may read what others asked. *Known gaps*: none known. *Example*: `xai-` and
/// 80 letters and digits.
const XAI: Detector = Detector {
    id: "xai-key",
    what: "an xAI key",
    keywords: &["xai-"],
    search: Search::Pattern(r"xai-[A-Za-z0-9]{70,}"),
    edge: Edge::Any,
    positive: &["xai-<an:80>"],
    negative: &["xai-sdk-python"],
    ..TOKEN
};

/// *What it does*: finds keys of Fireworks AI. *Why it matters*: whoever holds it runs models on
/// its owner's account and may read what others asked. *Known gaps*: none known. *Example*: `fw_`
/// and 22 or more letters and digits.
const FIREWORKS: Detector = Detector {
    id: "fireworks-key",
    what: "a Fireworks key",
    keywords: &["fw_"],
    search: Search::Pattern(r"fw_[A-Za-z0-9]{22,64}\b"),
    check: Some(check::random),
    positive: &["fw_<an:24>"],
    negative: &["fw_version_number", "fw_<let:24>"],
    ..TOKEN
};

/// *What it does*: finds keys of Perplexity. *Why it matters*: whoever holds it runs models on its
/// owner's account and may read what others asked. *Known gaps*: none known. *Example*: `pplx-`
/// and 48 letters and digits.
const PERPLEXITY: Detector = Detector {
    id: "perplexity-key",
    what: "a Perplexity key",
    keywords: &["pplx-"],
    search: Search::Pattern(r"pplx-[A-Za-z0-9]{48}\b"),
    edge: Edge::Any,
    positive: &["pplx-<an:48>"],
    negative: &["pplx-7b-online"],
    ..TOKEN
};
