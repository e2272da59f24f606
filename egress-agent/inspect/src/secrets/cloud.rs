//! Clouds and places where sites run.

use super::{Detector, Edge, Search, TOKEN, check, near};
use std::ops::Range;

use crate::finding::Severity;

pub(super) const ALL: &[Detector] = &[
    AWS_ID,
    AWS_SECRET,
    GOOGLE_KEY,
    GOOGLE_TOKEN,
    GOOGLE_SECRET,
    GOOGLE_CLIENT,
    GCP_ACCOUNT,
    AZURE_STORAGE,
    DIGITALOCEAN,
    CLOUDFLARE,
    CLOUDFLARE_CA,
    VERCEL,
    VERCEL_OLD,
    NETLIFY,
    SUPABASE,
];

/// *What it does*: finds the ids of long-lived and temporary keys (IAM, unique identifiers). *Why
/// it matters*: the id alone opens nothing, but it stands beside the secret and names the account.
/// *Known gaps*: the documented example, which ends in `EXAMPLE`, is none. *Example*: `AKIA` and
/// 16 letters and digits of base32.
const AWS_ID: Detector = Detector {
    id: "aws-access-key",
    what: "an AWS access key",
    severity: Severity::High,
    keywords: &["AKIA", "ASIA", "ABIA", "ACCA"],
    search: Search::Pattern(r"A(?:KI|SI|BI|CC)A[A-Z2-7]{16}\b"),
    edge: Edge::Any,
    check: Some(check::not_example),
    positive: &["AKIA<b32:16>", "id=ASIA<b32:16>;"],
    negative: &["AKIAIOSFODNN7EXAMPLE", "AKIA<b32:8>"],
    ..TOKEN
};

/// *What it does*: finds 40 signs of base64 that are given to a name such as
/// `aws_secret_access_key`. *Why it matters*: whoever holds it acts in the account: reads stores,
/// starts machines, runs up cost. *Known gaps*: a secret key without its name near it is high
/// entropy and no more. *Example*: `aws_secret_access_key = ` and 40 signs.
const AWS_SECRET: Detector = Detector {
    id: "aws-secret-key",
    what: "an AWS secret key",
    keywords: &[
        "secret_access_key",
        "secretaccesskey",
        "secret-access-key",
        "aws_secret",
        "aws-secret",
        "secret access key",
    ],
    search: Search::Given(
        near!("secret[_ -]?access[_ -]?key|aws[_-]secret(?:[_-]key)?"),
        r"[A-Za-z0-9/+]{40,}",
    ),
    edge: Edge::Any,
    check: Some(check::aws_secret),
    positive: &[
        "aws_secret_access_key = <b64:40>",
        r#""SecretAccessKey": "<b64:40>""#,
        "AWS_SECRET_ACCESS_KEY=<b64:40>",
    ],
    negative: &[
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "secret_access_key: String",
        "secret_access_key=<b64:41>",
    ],
    ..TOKEN
};

/// *What it does*: finds API keys of Google Cloud, Maps, Firebase and Gemini. *Why it matters*:
/// unrestricted keys run up cost and open models; some are public by design. *Known gaps*: whether
/// a key is restricted. *Example*: `AIza` and 35 letters, digits, `-` and `_`.
const GOOGLE_KEY: Detector = Detector {
    id: "google-api-key",
    what: "a Google API key",
    severity: Severity::High,
    keywords: &["AIza"],
    search: Search::Pattern(r"AIza[A-Za-z0-9_-]{35}"),
    edge: Edge::Any,
    positive: &["AIza<url:35>", "?key=AIza<url:35>"],
    negative: &["AIzashort"],
    ..TOKEN
};

/// *What it does*: finds access tokens of Google's OAuth. *Why it matters*: until it ends, it acts
/// as its user. *Known gaps*: none known. *Example*: `ya29.` and at least 20 letters, digits, `-`
/// and `_`.
const GOOGLE_TOKEN: Detector = Detector {
    id: "google-oauth-token",
    what: "a Google OAuth token",
    keywords: &["ya29."],
    search: Search::Pattern(r"ya29\.[A-Za-z0-9_-]{20,}"),
    edge: Edge::Any,
    positive: &["Bearer ya29.<url:80>", "ya29.a0<url:80>"],
    negative: &["ya29.short"],
    ..TOKEN
};

/// *What it does*: finds the secrets of OAuth clients. *Why it matters*: whoever holds it can pose
/// as the application. *Known gaps*: secrets from before the prefix (24 signs). *Example*:
/// `GOCSPX-` and 28 letters, digits, `-` and `_`.
const GOOGLE_SECRET: Detector = Detector {
    id: "google-client-secret",
    what: "a Google client secret",
    severity: Severity::High,
    keywords: &["GOCSPX-"],
    search: Search::Pattern(r"GOCSPX-[A-Za-z0-9_-]{28}"),
    edge: Edge::Any,
    positive: &["GOCSPX-<url:28>"],
    negative: &["GOCSPX-x"],
    ..TOKEN
};

/// *What it does*: finds the ids of OAuth clients. *Why it matters*: it is no secret, but it names
/// the project and stands beside the secret. *Known gaps*: none known. *Example*: digits, `-`, 32
/// letters and digits, `.apps.googleusercontent.com`.
const GOOGLE_CLIENT: Detector = Detector {
    id: "google-client-id",
    what: "a Google client id",
    severity: Severity::Info,
    keywords: &[".apps.googleusercontent.com"],
    search: Search::Hand(client_id),
    edge: Edge::Any,
    positive: &["<dig:12>-<low:32>.apps.googleusercontent.com"],
    negative: &["x.apps.googleusercontent.com"],
    ..TOKEN
};

/// *What it does*: finds the id of the key in the JSON file of a service account. *Why it
/// matters*: whoever holds it acts in the account: reads stores, starts machines, runs up cost.
/// *Known gaps*: a file that was cut before this line; its private key is found as a key.
/// *Example*: `"private_key_id": "` and 40 hexadecimal digits.
const GCP_ACCOUNT: Detector = Detector {
    id: "gcp-service-account",
    what: "a Google service account",
    keywords: &["private_key_id"],
    search: Search::Pattern(
        r#"private_key_id["'\\]{0,3}\s{0,4}[:=]\s{0,4}["'\\]{0,3}([0-9a-f]{40})\b"#,
    ),
    edge: Edge::Any,
    positive: &[
        r#"{"type": "service_account", "private_key_id": "<hex:40>""#,
        "private_key_id=<hex:40>",
    ],
    negative: &["private_key_id: &str"],
    ..TOKEN
};

/// *What it does*: finds the keys of storage accounts, Cosmos DB and service buses in connection
/// strings. *Why it matters*: whoever holds it acts in the account: reads stores, starts machines,
/// runs up cost. *Known gaps*: keys outside of connection strings and names. *Example*:
/// `AccountKey=` and 88 signs of base64.
const AZURE_STORAGE: Detector = Detector {
    id: "azure-storage-key",
    what: "an Azure storage key",
    keywords: &[
        "accountkey",
        "account_key",
        "storage_key",
        "sharedaccesskey",
    ],
    search: Search::Given(
        near!("account_?key|storage_?key|sharedaccesskey"),
        r"[A-Za-z0-9+/]{86}==",
    ),
    edge: Edge::Any,
    check: Some(check::azure),
    positive: &[
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=<azure>;EndpointSuffix=core.windows.net",
        "AZURE_STORAGE_KEY=<azure>",
    ],
    negative: &["AccountKey=abc"],
    ..TOKEN
};

/// *What it does*: finds personal, OAuth and refresh tokens. *Why it matters*: whoever holds it
/// acts in the account: reads stores, starts machines, runs up cost. *Known gaps*: none known.
/// *Example*: `dop_v1_` and 64 hexadecimal digits.
const DIGITALOCEAN: Detector = Detector {
    id: "digitalocean-token",
    what: "a DigitalOcean token",
    keywords: &["dop_v1_", "doo_v1_", "dor_v1_"],
    search: Search::Pattern(r"do[opr]_v1_[a-f0-9]{64}"),
    edge: Edge::Any,
    positive: &["dop_v1_<hex:64>", "doo_v1_<hex:64>"],
    negative: &["dop_v1_x"],
    ..TOKEN
};

/// *What it does*: finds tokens and global keys that are given to a name with `cloudflare` in it,
/// or `CF_API_TOKEN`. *Why it matters*: whoever holds it acts in the account: reads stores, starts
/// machines, runs up cost. *Known gaps*: tokens without the name near them. *Example*:
/// `CLOUDFLARE_API_TOKEN=` and 40 letters, digits, `-` and `_`.
const CLOUDFLARE: Detector = Detector {
    id: "cloudflare-token",
    what: "a Cloudflare token",
    keywords: &["cloudflare", "cf_api", "cf-api"],
    search: Search::Given(
        near!("cloudflare|cf[_-]api"),
        r"(?:[A-Za-z0-9_-]{40}|[0-9a-f]{37})\b",
    ),
    edge: Edge::Any,
    check: Some(check::random_near),
    positive: &["CLOUDFLARE_API_TOKEN=<an:40>", "cf_api_key: <hex:37>"],
    negative: &["cloudflare: enabled"],
    ..TOKEN
};

/// *What it does*: finds keys of Cloudflare's origin certificate authority. *Why it matters*:
/// whoever holds it makes certificates that Cloudflare trusts. *Known gaps*: none known.
/// *Example*: `v1.0-`, 24 and 146 hexadecimal digits.
const CLOUDFLARE_CA: Detector = Detector {
    id: "cloudflare-origin-key",
    what: "a Cloudflare origin key",
    keywords: &["v1.0-"],
    search: Search::Pattern(r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    edge: Edge::Any,
    positive: &["v1.0-<hex:24>-<hex:146>"],
    negative: &["v1.0-beta"],
    ..TOKEN
};

/// *What it does*: finds tokens with a prefix. *Why it matters*: whoever holds it deploys, and
/// reads the environment of deployments. *Known gaps*: older tokens (24 letters and digits) unless
/// the name stands near. *Example*: `vcp_` and at least 24 letters and digits.
const VERCEL: Detector = Detector {
    id: "vercel-token",
    what: "a Vercel token",
    keywords: &["vcp_", "vci_", "vca_", "vcr_", "vck_"],
    search: Search::Pattern(r"vc[piark]_[A-Za-z0-9]{24,}"),
    check: Some(check::random),
    positive: &["vcp_<an:56>", "vck_<an:56>"],
    negative: &["vci_name", "vca_<let:30>"],
    ..TOKEN
};

/// *What it does*: finds 24 letters and digits that are given to a name with `vercel` and `token`
/// in it. *Why it matters*: whoever holds it deploys, and reads the environment of deployments.
/// *Known gaps*: tokens without the name near them. *Example*: `VERCEL_TOKEN=` and 24 letters and
/// digits.
const VERCEL_OLD: Detector = Detector {
    id: "vercel-legacy-token",
    what: "a Vercel token",
    keywords: &["vercel"],
    search: Search::Given(near!("vercel[a-z_-]{0,12}token"), r"[A-Za-z0-9]{24}\b"),
    edge: Edge::Any,
    check: Some(check::random_near),
    positive: &["VERCEL_TOKEN=<an:24>"],
    negative: &["vercel deploy: done"],
    ..TOKEN
};

/// *What it does*: finds personal access tokens. *Why it matters*: whoever holds it deploys, and
/// reads the environment of sites. *Known gaps*: tokens from before the prefix. *Example*: `nfp_`
/// and 36 letters and digits.
const NETLIFY: Detector = Detector {
    id: "netlify-token",
    what: "a Netlify token",
    keywords: &["nfp_", "nfc_", "nfo_", "nfu_"],
    search: Search::Pattern(r"nf[pcou]_[A-Za-z0-9]{36,40}\b"),
    edge: Edge::Any,
    check: Some(check::random),
    positive: &["nfp_<an:36>"],
    negative: &["nfc_reader", "nfo_<let:36>"],
    ..TOKEN
};

/// *What it does*: finds access tokens and secret keys. *Why it matters*: the secret key goes
/// around the row rules of the database. *Known gaps*: service-role keys in the old form are JSON
/// web tokens, found as such. *Example*: `sbp_` and 40 hexadecimal digits.
const SUPABASE: Detector = Detector {
    id: "supabase-key",
    what: "a Supabase key",
    keywords: &["sbp_", "sb_secret_"],
    search: Search::Pattern(r"(?:sbp_(?:v0_)?[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,})"),
    edge: Edge::Any,
    positive: &["sbp_<hex:40>", "sb_secret_<url:31>"],
    negative: &["sbp_name"],
    ..TOKEN
};

/// Walks back from the end that all client ids have.
fn client_id(bytes: &[u8], end: usize) -> Option<Range<usize>> {
    let tail = b".apps.googleusercontent.com".len();
    let id = bytes.get(end.checked_sub(33)?..end)?;
    let is_id = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (dash, id) = id.split_first()?;
    if *dash != b'-' || !id.iter().all(is_id) {
        return None;
    }
    let before = bytes.get(..end - 33)?.iter().rev().take(24);
    let digits = before.take_while(|byte| byte.is_ascii_digit()).count();
    (digits >= 6).then(|| end - 33 - digits..end + tail)
}
