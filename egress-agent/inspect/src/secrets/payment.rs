//! Shops and payments.

use super::{Detector, Edge, Search, TOKEN, check, near};
use crate::finding::Severity;

pub(super) const ALL: &[Detector] = &[
    STRIPE,
    STRIPE_TEST,
    STRIPE_HOOK,
    SHOPIFY,
    SQUARE,
    PAYPAL_TOKEN,
    PAYPAL,
];

/// *What it does*: finds secret and restricted keys of the live mode. *Why it matters*: whoever
/// holds it moves money or reads who paid. *Known gaps*: none known. *Example*: `sk_live_` and at
/// least 20 letters and digits.
const STRIPE: Detector = Detector {
    id: "stripe-key",
    what: "a Stripe key",
    keywords: &["sk_live_", "rk_live_"],
    search: Search::Pattern(r"[rs]k_live_[A-Za-z0-9]{20,}"),
    edge: Edge::Any,
    positive: &["sk_live_<an:24>", "rk_live_<an:99>"],
    negative: &["sk_live_x"],
    ..TOKEN
};

/// *What it does*: finds secret and restricted keys of the test mode. *Why it matters*: it opens
/// no money, but the account's test data. *Known gaps*: none known. *Example*: `sk_test_` and at
/// least 20 letters and digits.
const STRIPE_TEST: Detector = Detector {
    id: "stripe-test-key",
    what: "a Stripe test key",
    severity: Severity::Medium,
    keywords: &["sk_test_", "rk_test_"],
    search: Search::Pattern(r"[rs]k_test_[A-Za-z0-9]{20,}"),
    edge: Edge::Any,
    positive: &["sk_test_<an:24>", "rk_test_<an:99>"],
    negative: &["sk_test_x"],
    ..TOKEN
};

/// *What it does*: finds the secrets that sign webhooks. *Why it matters*: whoever holds it forges
/// payments that a shop believes. *Known gaps*: none known. *Example*: `whsec_` and 32 or more
/// signs of base64.
const STRIPE_HOOK: Detector = Detector {
    id: "stripe-webhook-secret",
    what: "a Stripe webhook secret",
    severity: Severity::High,
    keywords: &["whsec_"],
    search: Search::Pattern(r"whsec_[A-Za-z0-9+/=]{32,}"),
    edge: Edge::Any,
    positive: &["whsec_<an:32>"],
    negative: &["whsec_x"],
    ..TOKEN
};

/// *What it does*: finds access tokens of apps and the secrets that they share. *Why it matters*:
/// whoever holds it moves money or reads who paid. *Known gaps*: none known. *Example*: `shpat_`
/// and 32 hexadecimal digits.
const SHOPIFY: Detector = Detector {
    id: "shopify-token",
    what: "a Shopify token",
    keywords: &["shpat_", "shpca_", "shppa_", "shpss_"],
    search: Search::Pattern(r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    edge: Edge::Any,
    positive: &["shpat_<hex:32>", "shpss_<hex:32>"],
    negative: &["shpat_x"],
    ..TOKEN
};

/// *What it does*: finds access tokens and application secrets. *Why it matters*: whoever holds it
/// moves money or reads who paid. *Known gaps*: none known. *Example*: `sq0atp-` and 22 letters,
/// digits, `-` and `_`.
const SQUARE: Detector = Detector {
    id: "square-token",
    what: "a Square token",
    keywords: &["sq0atp-", "sq0csp-", "EAAA"],
    search: Search::Pattern(
        r"(?:sq0atp-[A-Za-z0-9_-]{22}|sq0csp-[A-Za-z0-9_-]{43}|EAAA[A-Za-z0-9_-]{60}\b)",
    ),
    check: Some(check::random),
    positive: &["sq0atp-<url:22>", "sq0csp-<url:43>", "EAAA<an:60>"],
    negative: &["sq0atp-x", "EAAAA"],
    ..TOKEN
};

/// *What it does*: finds access tokens of Braintree. *Why it matters*: whoever holds it moves
/// money or reads who paid. *Known gaps*: none known. *Example*: `access_token$production$`, 16
/// signs, `$`, 32 hexadecimal digits.
const PAYPAL_TOKEN: Detector = Detector {
    id: "paypal-token",
    what: "a PayPal token",
    keywords: &["access_token$"],
    search: Search::Pattern(r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}"),
    edge: Edge::Any,
    positive: &["access_token$production$<low:16>$<hex:32>"],
    negative: &["access_token$x"],
    ..TOKEN
};

/// *What it does*: finds 80 signs that are given to a name with `paypal` and `secret` in it. *Why
/// it matters*: whoever holds it moves money or reads who paid. *Known gaps*: secrets without the
/// name near them. *Example*: `PAYPAL_CLIENT_SECRET=` and 80 letters, digits, `-` and `_`.
const PAYPAL: Detector = Detector {
    id: "paypal-secret",
    what: "a PayPal secret",
    keywords: &["paypal"],
    search: Search::Given(near!("paypal[a-z_. -]{0,16}secret"), r"E[A-Za-z0-9_-]{79,}"),
    edge: Edge::Any,
    check: Some(check::paypal),
    positive: &["PAYPAL_CLIENT_SECRET=E<url:79>"],
    negative: &["paypal secret: none"],
    ..TOKEN
};
