//! Judges one tool call: the first question that applies decides.
//!
//! 1. `tools.deny`
//! 2. secrets, credentials and what controls the guards, in any argument
//! 3. tools that go to URLs
//! 4. shell commands
//! 5. connectors and their owners
//! 6. names that sound like the network
//! 7. unknown tools that carry a place, or a shell command
//! 8. confirmations
//!
//! Then section `inspect` has its say about content, and the stricter word holds.
//!
//! What passes is left to the agent's own permissions, and its packets to the kernel.

use std::path::Path;

use serde_json::Value;

use super::{
    Call, Class, Judgement, Verdict,
    builtin::{self, Kind},
    command,
    links::{Reading, links},
    owners,
    paths::{self, Access, Sensitive},
    place::{Denial, Place, Standing, standing},
    secrets,
};
use crate::{
    inspect::{Finding, Tokens, chain},
    policy::{Action, Policy, quote},
};

/// Where tools of other servers that run commands have them, and the words behind the first.
const COMMAND_KEYS: &[&str] = &["command", "cmd", "command_line", "commandLine"];
const WORD_KEYS: &[&str] = &["args", "arguments", "argv"];

/// What the policy says about a tool call.
pub fn judge(policy: &Policy, call: &Call) -> Judgement {
    judge_after(policy, call, Vec::new())
}

/// The same, with what the calls before it make of this one.
pub fn judge_after(policy: &Policy, call: &Call, before: Vec<Finding>) -> Judgement {
    let judgement = by_name_and_place(policy, call);
    policy.content().weigh(call, judgement, before)
}

/// A call that is denied for what can be taken out of it: its arguments without that, and what a
/// person is asked about them. `None` when there is nothing to take out, or it stays denied.
///
/// A hook that changes a call approves it, or has a person approve it; so a person is asked.
pub fn amended(
    policy: &Policy,
    call: &Call,
    judgement: &Judgement,
    before: Vec<Finding>,
    tokens: &Tokens,
) -> Option<(Value, Judgement)> {
    // A secret is seen before the rest of the content is.
    let is_content = judgement.class == Class::Content
        || judgement.class == Class::Sensitive && judgement.reason.as_deref() == Some("secret");
    if judgement.verdict != Verdict::Deny || !is_content {
        return None;
    }
    let input = policy.content().amend(call, tokens)?;
    let mut without = call.clone();
    without.input = input;
    let left = judge_after(policy, &without, before);
    if left.verdict == Verdict::Deny {
        return None;
    }
    let why = judgement.text.rsplit_once("; ");
    let why = why.map_or(judgement.text.as_str(), |(why, _hint)| why);
    let asked = Judgement {
        verdict: Verdict::Ask,
        text: format!(
            "{why}; the call that you are shown has it taken out: refuse it if it still shows it"
        ),
        ..judgement.clone()
    };
    Some((without.input, asked))
}

/// What a call does, as far as chains of calls care.
pub fn acts(call: &Call) -> Vec<chain::Category> {
    let reach = command::shell_command(call);
    let reach = reach.map(|command| super::reach(&command, call.cwd.as_deref()));
    let texts = super::strings(&call.input).map(|(_, text)| text);
    chain::categories(&call.tool, texts, reach.as_ref())
}

fn by_name_and_place(policy: &Policy, call: &Call) -> Judgement {
    let tools = policy.tools();
    let name = call.tool.as_str();
    if let Some(glob) = tools.deny.find(name) {
        let text = format!(
            "{} is never let through: `tools.deny` of the policy `{}` lists `{}`; use another way \
             or ask whoever owns the policy",
            quote(name),
            policy.name(),
            glob.as_str()
        );
        let mut judgement = deny(Class::HardDeny, "hard-deny", text);
        judgement.rule = Some(glob.as_str().to_owned());
        return judgement;
    }
    let kind = builtin::kind(name);
    if let Some(judgement) = sensitive(policy, call, kind) {
        return judgement;
    }
    if kind == Some(Kind::Url) || tools.url_tools.is_match(name) {
        return confirm(policy, name, url(policy, call));
    }
    if let Some(Kind::Shell(keys)) = kind {
        return confirm(policy, name, command::judge(policy, call, keys));
    }
    if kind.is_none()
        && let Some(judgement) = unknown(policy, call)
    {
        return judgement;
    }
    confirm(policy, name, allow(Class::Other))
}

/// Questions about tools that no agent brings along.
fn unknown(policy: &Policy, call: &Call) -> Option<Judgement> {
    let tools = policy.tools();
    let name = call.tool.as_str();
    if tools.is_local(name) {
        return None;
    }
    let mut entries = tools
        .connectors
        .iter()
        .filter(|connector| connector.tools.is_match(name))
        .peekable();
    let is_listed = entries.peek().is_some();
    if !is_listed && tools.connector_tools.is_match(name) {
        let text = format!(
            "{} is a connector that the policy `{}` does not allow; list it in `tools.connectors` \
             if the agent may use it",
            quote(name),
            policy.name()
        );
        return Some(deny(Class::Connector, "connector-not-allowed", text));
    }
    let scopes = tools
        .owner_scopes
        .iter()
        .filter(|scope| scope.tools.is_match(name));
    let mut found = None;
    for scope in entries.chain(scopes) {
        let Some(allowed) = &scope.owners else {
            continue;
        };
        let owners = found.get_or_insert_with(|| owners::owners(&call.input));
        if let Some(other) = owners.iter().find(|owner| !allowed.contains(owner)) {
            let text = format!(
                "{} would act for {}, and the policy `{}` allows only {}; use a repository of \
                 theirs or ask whoever owns the policy",
                quote(name),
                quote(other),
                policy.name(),
                list(allowed)
            );
            return Some(deny(Class::Connector, "owner-not-allowed", text));
        }
    }
    if is_listed {
        return Some(confirm(policy, name, allow(Class::Connector)));
    }
    // Servers write their names as they like: `HTTP_post` is no other tool.
    let lower = name.to_ascii_lowercase();
    let glob = tools.network_names.find(name);
    if let Some(glob) = glob.or_else(|| tools.network_names.find(&lower)) {
        let text = format!(
            "{} sounds like the network (`{}`) and the policy `{}` knows nothing of it; list it in \
             `tools.url_tools` or `tools.connectors`, or its server in `tools.local_servers`",
            quote(name),
            glob.as_str(),
            policy.name()
        );
        let mut judgement = deny(Class::NetworkName, "network-name", text);
        judgement.rule = Some(glob.as_str().to_owned());
        return Some(judgement);
    }
    let found = links(&call.input, Reading::May);
    let first = found.places.first().map(Place::to_string);
    let Some(first) = first.or_else(|| found.unreadable.first().cloned()) else {
        return carried_command(policy, call);
    };
    let text = format!(
        "{} is unknown to the policy `{}` and carries the place {}; list it in `tools.url_tools` \
         if it goes only where its arguments say",
        quote(name),
        policy.name(),
        quote(&first)
    );
    let mut judgement = deny(Class::CarriesHost, "carries-host", text);
    judgement.hosts = found.places.iter().map(Place::to_string).collect();
    Some(judgement)
}

/// The denial of a shell command in the arguments of a tool that is not known to run any.
fn carried_command(policy: &Policy, call: &Call) -> Option<Judgement> {
    let fields = call.input.as_object()?;
    let key = COMMAND_KEYS.iter().find(|key| fields.contains_key(**key))?;
    let mut command = text_at(&call.input, key)?;
    if let Some(words) = WORD_KEYS.iter().find_map(|key| text_at(&call.input, key)) {
        command = format!("{command} {words}");
    }
    let command = Value::String(command);
    let input = [((*key).to_owned(), command)].into_iter().collect();
    let as_shell = Call {
        cwd: call.cwd.clone(),
        ..Call::new(&call.tool, Value::Object(input))
    };
    let judgement = command::judge(policy, &as_shell, &[key]);
    (judgement.verdict != Verdict::Allow).then_some(judgement)
}

/// Every host of a tool that goes to URLs must be allowed.
fn url(policy: &Policy, call: &Call) -> Judgement {
    let found = links(&call.input, Reading::Goes);
    let hosts: Vec<_> = found.places.iter().map(Place::to_string).collect();
    let with_hosts = |judgement: Judgement| Judgement {
        hosts: hosts.clone(),
        ..judgement
    };
    if let Some(text) = found.unreadable.first() {
        let text = format!(
            "no host can be read from {}, so that nobody can say where {} would go; write a whole \
             URL such as `https://example.org/`",
            quote(text),
            quote(&call.tool)
        );
        return with_hosts(deny(Class::Url, "unreadable-host", text));
    }
    if found.places.is_empty() {
        let text = format!(
            "{} goes to URLs, and its arguments name none; write a whole URL such as \
             `https://example.org/`",
            quote(&call.tool)
        );
        return deny(Class::Url, "no-host", text);
    }
    let mut judgement = with_hosts(allow(Class::Url));
    for place in &found.places {
        match standing(policy, place) {
            Standing::Allowed { rule } => judgement.rule = judgement.rule.or(rule),
            Standing::Kernel(why) => judgement.unclear.push(format!("{place}: {why}")),
            Standing::Denied(denial) => {
                return with_hosts(not_allowed(policy, Class::Url, &call.tool, place, &denial));
            }
        }
    }
    judgement
}

/// The judgement on a place that the policy denies.
pub(super) fn not_allowed(
    policy: &Policy,
    class: Class,
    who: &str,
    place: &Place,
    denial: &Denial,
) -> Judgement {
    let port = place.port.map(|port| format!(" port {port}"));
    let port = port.unwrap_or_default();
    let why = match (&denial.rule, &denial.text) {
        (Some(rule), Some(text)) => format!("the rule `{rule}` denies it: {text}"),
        (Some(rule), None) => format!("the rule `{rule}` denies it"),
        (None, Some(text)) => format!("it is refused ({}): {text}", denial.code),
        (None, None) => format!("no rule allows it ({})", denial.code),
    };
    let what = match &denial.suggestion {
        Some(rule) => {
            format!("use an allowed host, or ask whoever owns the policy to add {rule}")
        }
        None => "use another host; do not retry".to_owned(),
    };
    let text = format!(
        "{} would reach {place}{port}, and under the policy `{}` {why}; {what}",
        quote(who),
        policy.name()
    );
    let mut judgement = deny(class, denial.code, text);
    judgement.rule.clone_from(&denial.rule);
    judgement
}

/// Secrets, credentials and what controls the guards.
fn sensitive(policy: &Policy, call: &Call, kind: Option<Kind>) -> Option<Judgement> {
    let tool = quote(&call.tool);
    let secrets = policy.inspect().secrets;
    if secrets >= Action::Ask
        && let Some(what) = secrets::secret(&call.input)
    {
        let text = format!(
            "the arguments of {tool} hold {what}; name the variable or file that holds it instead, \
             and replace it if it is real"
        );
        let mut judgement = deny(Class::Sensitive, "secret", text);
        if secrets == Action::Ask {
            judgement.verdict = Verdict::Ask;
        }
        return Some(judgement);
    }
    let cwd = call.cwd.as_deref();
    let input = &call.input;
    let found = match kind {
        Some(Kind::Read(keys)) => named(policy, input, keys, Access::Read, cwd),
        Some(Kind::Write(keys)) => named(policy, input, keys, Access::Write, cwd),
        Some(Kind::Edit(keys)) => named(policy, input, keys, Access::Any, cwd),
        Some(Kind::Patch(keys)) => keys
            .iter()
            .filter_map(|key| text_at(input, key))
            .find_map(|patch| patched(policy, &patch, cwd)),
        // `command` reads shell commands more closely than words can.
        Some(Kind::Shell(_) | Kind::Quiet) => None,
        Some(Kind::Url) | None => super::strings(input).find_map(|(key, text)| {
            let is_path = is_path_key(key) && !text.contains(char::is_whitespace);
            let whole = is_path.then(|| paths::path(policy, text, Access::Any, cwd));
            let found = whole
                .flatten()
                .or_else(|| paths::mentioned(policy, text, Access::Any));
            found.map(|found| (found, text.to_owned()))
        }),
    };
    if let Some((found, path)) = found {
        return Some(off_limits(&call.tool, found, &path));
    }
    let is_foreign = matches!(kind, Some(Kind::Url) | None);
    if is_foreign && super::strings(input).any(|(_, text)| uploads(text)) {
        let text = format!(
            "the arguments of {tool} hold a command that uploads a file; run it as a shell command, \
             where its host is checked"
        );
        return Some(deny(Class::Sensitive, "upload-command", text));
    }
    None
}

pub(super) fn off_limits(tool: &str, found: Sensitive, path: &str) -> Judgement {
    let (tool, path) = (quote(tool), quote(path));
    match found {
        Sensitive::Credentials => deny(
            Class::Sensitive,
            "credential-path",
            format!(
                "{tool} would touch {path}, where credentials are; ask the person to do this step, \
                 or work with a sample file"
            ),
        ),
        Sensitive::Control => deny(
            Class::Sensitive,
            "control-plane",
            format!(
                "{tool} would touch {path}, which controls the agent and its guards; ask the \
                 person to change it"
            ),
        ),
    }
}

fn named(
    policy: &Policy,
    input: &Value,
    keys: &[&str],
    access: Access,
    cwd: Option<&Path>,
) -> Option<(Sensitive, String)> {
    keys.iter()
        .filter_map(|key| input.get(key)?.as_str())
        .find_map(|path| Some((paths::path(policy, path, access, cwd)?, path.to_owned())))
}

/// The files that a patch names.
fn patched(policy: &Policy, patch: &str, cwd: Option<&Path>) -> Option<(Sensitive, String)> {
    const MARKS: &[&str] = &[
        "*** Add File: ",
        "*** Update File: ",
        "*** Delete File: ",
        "*** Move to: ",
        "+++ b/",
        "--- a/",
    ];
    patch.lines().find_map(|line| {
        let line = line.trim_start();
        let path = MARKS
            .iter()
            .find_map(|mark| line.strip_prefix(mark))?
            .trim();
        Some((
            paths::path(policy, path, Access::Write, cwd)?,
            path.to_owned(),
        ))
    })
}

/// The text under a key; a list of words as one command.
pub(super) fn text_at(input: &Value, key: &str) -> Option<String> {
    match input.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Array(words) => {
            let words: Option<Vec<_>> = words.iter().map(Value::as_str).collect();
            let quoted = words?.into_iter().map(|word| {
                let word = word.replace('\'', "'\\''");
                format!("'{word}'")
            });
            Some(quoted.collect::<Vec<_>>().join(" "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn is_path_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["path", "file", "filename", "dir", "directory"]
        .iter()
        .any(|ending| key.ends_with(ending))
}

/// Whether a text is a command of curl or wget that sends a file.
fn uploads(text: &str) -> bool {
    let mut is_client = false;
    let mut sends_next = false;
    for word in text.split(char::is_whitespace) {
        let word = word.trim_matches(['"', '\'']);
        is_client |= matches!(word.rsplit('/').next(), Some("curl" | "wget"));
        let is_file = |word: &str| word.starts_with(['~', '/', '.']);
        let is_sent = word
            .split_once('@')
            .is_some_and(|(before, file)| is_file(file) && !before.contains("://"));
        if is_client && (is_sent || (sends_next && is_file(word))) {
            return true;
        }
        sends_next = matches!(word, "-T" | "--upload-file" | "--post-file" | "--body-file");
    }
    false
}

/// What is allowed otherwise may still wait for a person.
fn confirm(policy: &Policy, tool: &str, judgement: Judgement) -> Judgement {
    let glob = policy.tools().confirm.find(tool);
    let Some(glob) = glob.filter(|_| judgement.verdict != Verdict::Deny) else {
        return judgement;
    };
    Judgement {
        rule: Some(glob.as_str().to_owned()),
        hosts: judgement.hosts,
        unclear: judgement.unclear,
        ..needs_person(tool, &format!("{} is one", quote(tool)))
    }
}

/// A person lets it through, once, by name.
pub(super) fn needs_person(class: &str, what: &str) -> Judgement {
    let text = format!(
        "a person must confirm this call ({what}): ask them to run `egressctl confirm {class}` in \
         their own terminal, then repeat it within 60 s"
    );
    deny(Class::Confirm, "needs-confirmation", text)
}

pub(super) fn allow(class: Class) -> Judgement {
    Judgement {
        verdict: Verdict::Allow,
        class,
        reason: None,
        text: String::new(),
        hosts: Vec::new(),
        rule: None,
        unclear: Vec::new(),
        findings: Vec::new(),
    }
}

pub(super) fn deny(class: Class, reason: &str, text: String) -> Judgement {
    Judgement {
        verdict: Verdict::Deny,
        reason: Some(reason.to_owned()),
        text,
        ..allow(class)
    }
}

pub(super) fn list(words: &[String]) -> String {
    if words.is_empty() {
        return "nobody".to_owned();
    }
    let words: Vec<_> = words.iter().map(|word| quote(word)).collect();
    words.join(", ")
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod divergences;
#[cfg(test)]
mod tests;
