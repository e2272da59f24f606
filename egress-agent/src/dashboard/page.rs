//! The page: one file, put together from its parts when egressd is built.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// What stands between `<style>` and `</style>`, and between `<script>` and `</script>`.
macro_rules! style {
    () => {
        concat!(
            "\n",
            include_str!("page/style.css"),
            include_str!("page/parts.css")
        )
    };
}
macro_rules! script {
    () => {
        concat!(
            "\n\"use strict\";\n",
            include_str!("page/words.js"),
            include_str!("page/table.js"),
            include_str!("page/timeline.js"),
            include_str!("page/policy.js"),
            include_str!("page/why.js"),
            include_str!("page/denials.js"),
            include_str!("page/board.js"),
            include_str!("page/main.js"),
        )
    };
}

const STYLE: &str = style!();
const SCRIPT: &str = script!();

/// All of it.
pub(super) const TEXT: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    style!(),
    "</style>\n",
    include_str!("page/body.html"),
    "<script>",
    script!(),
    "</script>\n</body>\n</html>\n",
);

/// What the page may do: run this one script, and ask the server that it came from. The browser
/// itself refuses to make elements out of text (`require-trusted-types-for`).
pub(super) fn security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
            hash(SCRIPT),
            hash(STYLE),
        )
    });
    &POLICY
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_nothing_of_anybody_else() {
        for (start, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
            assert_eq!(TEXT.matches(start).count(), 1);
            assert_eq!(TEXT.matches(end).count(), 1);
        }
        // What the hash is made of is what stands between the tags.
        let between = |start, end| {
            let (_, rest) = TEXT.split_once(start).unwrap();
            rest.split_once(end).unwrap().0
        };
        assert_eq!(between("<style>", "</style>"), STYLE);
        assert_eq!(between("<script>", "</script>"), SCRIPT);
        for word in [
            "http://",
            "https://",
            "//cdn",
            "@import",
            "url(",
            "<link rel=\"stylesheet",
            " style=\"",
            "onclick",
            "onload=",
            "<iframe",
            "<form action",
        ] {
            let allowed = TEXT.replace("http://www.w3.org/2000/svg", "");
            assert!(!allowed.contains(word), "{word}");
        }
    }

    #[test]
    fn every_reason_has_words() {
        for reason in egress_common::Reason::ALL {
            let code = format!("\"{}\":", reason.code());
            assert!(SCRIPT.contains(&code), "{code}");
        }
    }

    /// Text of strangers becomes text, and nothing else.
    #[test]
    fn no_text_becomes_an_element() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "DOMParser",
            "srcdoc",
            "createContextualFragment",
            "setTimeout(\"",
            "localStorage.setItem(\"token",
        ] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
    }

    #[test]
    fn the_browser_is_told_to_allow_nothing_else() {
        let policy = security_policy();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
        for word in ["unsafe-inline", "unsafe-eval", "*", "http:"] {
            assert!(!policy.contains(word), "{word}");
        }
    }
}
