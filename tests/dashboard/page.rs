//! The page, as a person meets it.

use std::{fs, path::PathBuf, time::Duration};

use super::{Watched, browser::Browser, pictures, policy};
use crate::agent::Agent;

/// What the page is made of, without what changes: landmarks, headings, tables, fields, buttons.
const STRUCTURE: &str = include_str!("structure.js");

/// Every text whose colour stands out from what is behind it by less than 4.5 to 1 (WCAG 1.4.3).
const FAINT: &str = include_str!("faint.js");

const DENIAL: &str = r##"
const rows = [...document.querySelectorAll("#denials-table tbody tr")];
const row = rows.find((row) => row.textContent.includes("live.denied.test"));
return row ? row.innerText : "";
"##;

#[test]
fn a_page_without_the_token_says_what_to_do() {
    let watched = Watched::start(policy());
    let browser = Browser::start(&watched.world);
    browser.look(1280, 800, false);
    let gate = "return document.documentElement.dataset.state === 'gate' && document.getElementById('gate').innerText";
    let hidden = "return document.getElementById('main').hidden";
    browser.open(&watched.url());
    let said = browser.wait("the gate", gate);
    assert!(
        said.as_str().unwrap().contains("egressctl dashboard"),
        "{said}"
    );
    assert_eq!(browser.script(hidden), true);
    browser.picture(&pictures().join("gate-1280-light.png"));
    // A wrong one is as good as none, and is not kept.
    browser.open(&format!("{}#token={}", watched.url(), "x".repeat(43)));
    let said = browser.wait(
        "the gate with a reason",
        "const text = document.getElementById('gate-why').innerText; return text.includes('made at every start') && text",
    );
    assert!(
        said.as_str().unwrap().contains("not, or no longer"),
        "{said}"
    );
    assert_eq!(browser.script(hidden), true);
    assert_eq!(browser.script("return sessionStorage.length"), 0);
    // What `egressctl dashboard` prints can be pasted; the field has the focus.
    browser.write("nonsense");
    browser.press(&["Enter"]);
    browser.wait(
        "a complaint",
        "return document.getElementById('gate-error').innerText.includes('neither a token')",
    );
    browser.script("document.getElementById('gate-token').value = ''");
    browser.write(&format!("{}#token={}", watched.url(), watched.token));
    browser.press(&["Enter"]);
    browser.wait(
        "the page",
        "return document.documentElement.dataset.state === 'live'",
    );
    assert_eq!(browser.script("return location.href"), watched.url());
}

#[test]
fn a_person_sees_a_denial_and_learns_why() {
    let watched = Watched::start(policy());
    let agent = Agent::start(&watched.world);
    let browser = Browser::start(&watched.world);
    browser.look(1280, 800, false);
    browser.open(&format!("{}#token={}", watched.url(), watched.token));
    browser.wait(
        "the page",
        "return document.documentElement.dataset.state === 'live'",
    );
    // The token is in no address, and in no history.
    assert_eq!(browser.script("return location.href"), watched.url());
    let statement = browser.script("return document.getElementById('state-title').innerText");
    let statement = statement.as_str().unwrap();
    let whole = watched.world.ctl(&["status"]).outcome.succeeded();
    assert_eq!(statement.starts_with("Whole:"), whole, "{statement}");
    browser.wait(
        "the session",
        "return document.querySelector('#sessions-table tbody tr')?.innerText",
    );

    // A denial comes by itself, with its reason and with what would allow it.
    let requests = browser.requests();
    let curl = ["curl", "-sS", "-m", "5", "https://live.denied.test/"];
    watched
        .world
        .run(&curl)
        .fails_within(Duration::from_secs(5));
    let row = browser.wait("the denial", DENIAL);
    let row = row.as_str().unwrap();
    for word in [
        "no rule names it",
        "name-denied",
        "curl[",
        "egressctl allow live.denied.test:443 --for 1h",
    ] {
        assert!(row.contains(word), "{word}: {row}");
    }
    browser.wait(
        "the announcement",
        "return document.getElementById('told').textContent.includes('live.denied.test')",
    );
    browser.wait(
        "the timeline",
        "return /[1-9][0-9]* denied/.test(document.getElementById('timeline-text').innerText)",
    );
    browser.wait("the hits", "return [...document.querySelectorAll('#policy-list tbody tr')].some((row) => row.innerText.includes('no rule') && /[1-9]/.test(row.cells[4].innerText))");

    keyboard(&browser);
    hostile(&watched, &browser);

    // All that was asked is of this origin.
    let origin = watched.url();
    let requests = [requests, browser.requests()].concat();
    assert!(requests.len() > 5, "{requests:?}");
    for request in &requests {
        // The tab that the browser opens with is inside the browser.
        let is_inside = request.starts_with("data:") || request.starts_with("chrome://");
        let is_own = request.starts_with(&origin) || is_inside;
        assert!(is_own, "{request}");
        assert!(!request.contains(&watched.token), "{request}");
    }
    let console = browser.console();
    assert!(console.is_empty(), "{console:?}");
    structure(&browser);
    looks(&browser);

    // Stopped, it says so; started again, it wants the new token.
    drop(agent);
    watched
        .world
        .daemon()
        .expect("a daemon")
        .signal("TERM")
        .expect("a signal");
    let lost = browser.wait(
        "the loss",
        "return document.documentElement.dataset.state === 'lost' && document.getElementById('lost').innerText",
    );
    let lost = lost.as_str().unwrap();
    assert!(
        lost.starts_with("egressd does not answer; what is pinned goes on denying."),
        "{lost}"
    );
    assert_eq!(
        browser.script("return document.title"),
        "egressd does not answer"
    );
    browser.picture(&pictures().join("lost-360-dark.png"));
}

/// Everything can be done without a mouse.
fn keyboard(browser: &Browser<'_>) {
    let focused = "return document.activeElement.id || document.activeElement.className || document.activeElement.localName";
    browser.script(
        "document.activeElement.blur(); getSelection().removeAllRanges(); window.scrollTo(0, 0)",
    );
    browser.press(&["Tab"]);
    assert_eq!(browser.script(focused), "skip");
    let outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid");
    browser.press(&["Enter"]);
    browser.wait(
        "the main part",
        "return document.activeElement.id === 'main'",
    );
    browser.press(&["/"]);
    assert_eq!(browser.script(focused), "why-target");
    browser.write("never.denied.test:443");
    browser.press(&["Enter"]);
    let answer = browser.wait(
        "the answer",
        "const text = document.getElementById('why-answer').innerText; return text.includes('never.denied.test') && text",
    );
    let answer = answer.as_str().unwrap();
    for word in ["denied", "denied-by-rule", "Ask the owner.", "never ("] {
        assert!(answer.contains(word), "{word}: {answer}");
    }
    browser.press(&["Escape"]);
    // One row of a table is in the order of Tab; arrows move, Enter asks.
    let rows = "return document.querySelectorAll('#denials-table tbody tr[tabindex=\"0\"]').length";
    assert_eq!(browser.script(rows), 1);
    browser.script("document.querySelector('#denials-table tbody tr[tabindex=\"0\"]').focus()");
    browser.press(&["End", "Up", "Home"]);
    let first = "const row = document.querySelector('#denials-table tbody tr'); return document.activeElement === row && document.activeElement.tabIndex === 0";
    browser.wait("the first row", first);
    browser.press(&["Enter"]);
    browser.wait(
        "the answer for the row",
        "return document.getElementById('why-answer').innerText.includes('live.denied.test') && document.activeElement.id === 'why-target'",
    );
}

/// Names that others chose are text, wherever they stand.
fn hostile(watched: &Watched, browser: &Browser<'_>) {
    let name = "<img src=x onerror=alert(1)>";
    let script = format!(
        "cp /usr/bin/curl './<b>\u{202e}x' && ./'<b>\u{202e}x' -sS -m 5 http://192.0.2.77/; \
         dig +time=1 +tries=1 '{name}\u{202e}gnp.denied.test'; : '{name}'"
    );
    watched.world.run(&["sh", "-c", &script]);
    let row = browser.wait(
        "the hostile row",
        "const row = [...document.querySelectorAll('#denials-table tbody tr')].find((row) => row.innerText.includes('<b>')); return row ? row.innerText : ''",
    );
    let row = row.as_str().unwrap();
    assert!(row.contains("<b>\\u{202e}x["), "{row}");
    let sleeps = format!("sleep 30; : '{name}'");
    let client = watched
        .world
        .guarded(&["sh", "-c", &sleeps])
        .expect("a client");
    let mut child = client.command().spawn().expect("a session");
    browser.wait(
        "the hostile command",
        "return document.getElementById('sessions-table').innerText.includes('<img src=x')",
    );
    let bad = r"return document.querySelectorAll('main img, main b:not(.gaps b), main script, [onerror]').length === 0
        && !/[\u202a-\u202e\u2066-\u2069\u0000-\u0008\u000b-\u001f]/.test(document.body.innerText)";
    assert_eq!(browser.script(bad), true);
    child.kill().expect("it ends");
    child.wait().expect("it ends");
}

/// The kept outline changes when the page does, and then somebody looks at it.
fn structure(browser: &Browser<'_>) {
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/dashboard/structure.txt");
    let found = browser.script(STRUCTURE);
    let found = found.as_str().unwrap();
    fs::write(pictures().join("structure.txt"), found).expect("a file");
    let expected = fs::read_to_string(&kept).unwrap_or_default();
    assert!(
        found == expected,
        "the structure changed: if that was meant, copy target/dashboard/structure.txt to tests/dashboard/\n{found}"
    );
}

/// On a desk and on a phone, by day and by night.
fn looks(browser: &Browser<'_>) {
    for (width, height) in [(1280, 800), (360, 740)] {
        for dark in [false, true] {
            browser.look(width, height, dark);
            let scheme = if dark { "dark" } else { "light" };
            let fits = format!(
                "return document.documentElement.scrollWidth <= {width} && innerWidth === {width}"
            );
            browser.wait("a page that fits", &fits);
            let faint = browser.script(FAINT);
            assert_eq!(faint, serde_json::json!([]), "{width} {scheme}");
            browser.picture(&pictures().join(format!("page-{width}-{scheme}.png")));
        }
    }
}
