//! From the file's text to what it means, or to everything that is wrong with it.
//!
//! First the shape (`shape`), then the meaning of whatever has a shape: names, ports, ranges,
//! bounds, and what cannot be enforced as written. A good file costs one pass for the data and
//! one of the parser that knows the places; problems cost what they need.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Display,
    ops::Range,
    path::PathBuf,
    sync::Arc,
};

use egress_common::Mode;

use super::{
    compile::Plan,
    extend::{self, Base, LoadBase, MAX_DEPTH, Section},
    file::{self, Errno, File, Inbound, Level},
    inspect::{self, InspectSettings},
    lint, load, network,
    problem::{Problem, Related, Severity},
    rule::{AuditSettings, DnsSettings, ProxySettings, Rule},
    session::{self, SessionSettings},
    settings,
    shape::{Shape, to_json},
    text::{self, Document, Lines, Place, has_objects, syntax},
    tools::{self, ToolSettings},
};

/// A policy file that says nothing wrong.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) name: Option<String>,
    pub(crate) description: String,
    pub(crate) mode: Mode,
    pub(crate) errno: Errno,
    pub(crate) inbound: Inbound,
    /// Allow rules, deny rules, then the rule for loopback ports.
    pub(crate) rules: Vec<Rule>,
    pub(crate) session_loopback: bool,
    pub(crate) dns: DnsSettings,
    pub(crate) audit: AuditSettings,
    pub(crate) proxy: ProxySettings,
    pub(crate) session: SessionSettings,
    pub(crate) tools: ToolSettings,
    pub(crate) inspect: InspectSettings,
    pub(crate) plan: Plan,
    pub(crate) warnings: Vec<Problem>,
    /// Sections that this file writes, or one that it extends.
    pub(crate) said: BTreeSet<Section>,
    /// Digests of the policies that this one extends, in their order.
    pub(crate) base_digests: Vec<Arc<str>>,
    /// The files of those policies.
    pub(crate) base_files: Vec<PathBuf>,
    /// The longest row of policies that extend each other, this one with it.
    pub(crate) height: usize,
}

/// Checks one file. The error is every problem, located and in the order of the text.
pub(crate) fn check(text: &str, source: &str, load: LoadBase<'_>) -> Result<Checked, Vec<Problem>> {
    let mut problems = Vec::new();
    let checked = try_check(text, source, load, &mut problems);
    text::locate(&mut problems, text);
    match checked {
        Some(checked) if !problems.iter().any(is_error) => Ok(Checked {
            warnings: problems,
            ..checked
        }),
        _ => {
            problems.retain(is_error);
            Err(problems)
        }
    }
}

fn is_error(problem: &Problem) -> bool {
    problem.severity == Severity::Error
}

fn try_check(
    text: &str,
    source: &str,
    load: LoadBase<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Checked> {
    let root = text::parse(text)
        .map_err(|problem| problems.push(*problem))
        .ok()?;
    let (document, file) = match serde_json::from_str::<File>(text) {
        // serde takes a list for an object, member by member; the format does not.
        Ok(file) if has_objects(&root) => (Document::new(root, HashMap::new()), file),
        read => {
            let schema = file::schema();
            let (document, mut shape) = Shape::new(&schema).check(root);
            let is_explained = !shape.is_empty();
            problems.append(&mut shape);
            if let (false, Err(error)) = (is_explained, read) {
                // What the two parsers read differently: numbers and escapes.
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                problems.push(syntax(message, offset(text, &error), None));
                return None;
            }
            let document = document?;
            // As text again: one derived reader in the program, not one for each kind of input.
            let file = serde_json::from_str(&to_json(document.root()).to_string()).ok()?;
            (document, file)
        }
    };
    let known = problems.len();
    let mut checker = Checker::new(document, text, source, problems);
    let checked = checker.file(file, load);
    suppress_echoes(problems, known);
    checked
}

/// Drops problems about something missing where the reason is a problem of the shape.
fn suppress_echoes(problems: &mut Vec<Problem>, known: usize) {
    let (shape, rest) = problems.split_at(known.min(problems.len()));
    let mut starts: Vec<_> = shape.iter().map(|problem| problem.span.start).collect();
    starts.sort_unstable();
    let is_echo = |problem: &Problem| {
        let inside = starts.partition_point(|start| *start < problem.span.start);
        starts
            .get(inside)
            .is_some_and(|start| *start < problem.span.end)
    };
    let kept: Vec<_> = rest
        .iter()
        .filter(|problem| !(problem.message.starts_with(network::MISSING) && is_echo(problem)))
        .cloned()
        .collect();
    problems.truncate(known);
    problems.extend(kept);
}

fn offset(text: &str, error: &serde_json::Error) -> Range<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at..at
}

/// Collects what is wrong while it turns texts into meanings.
#[derive(Debug)]
pub(crate) struct Checker<'c> {
    document: Document<'c>,
    lines: Lines,
    source: Arc<str>,
    problems: &'c mut Vec<Problem>,
}

impl<'c> Checker<'c> {
    /// `document` is `text` as far as its shape is right.
    pub(crate) fn new(
        document: Document<'c>,
        text: &str,
        source: &str,
        problems: &'c mut Vec<Problem>,
    ) -> Self {
        Self {
            document,
            lines: Lines::new(text),
            source: source.into(),
            problems,
        }
    }

    fn file(&mut self, file: File, load: LoadBase<'_>) -> Option<Checked> {
        let root = Place::ROOT;
        if file.version != 1 {
            let message = format!("version {} of the format is not known", file.version);
            self.error(&root.key("version"), message, Some("write `1`"));
        }
        if let Some(name) = &file.name {
            network::check_name(self, name, &root.key("name"));
        }
        let base = extend::base(self, &file, load);
        if base.height > MAX_DEPTH {
            self.error(&root.key("extends"), load::too_deep(), None);
        }
        let mode = extend::mode(self, &file, &base);
        let inspect = inspect::settings(
            self,
            file.inspect.as_ref(),
            base.inspect.as_ref(),
            &root.key("inspect"),
        );
        let proxy = settings::proxy(
            self,
            file.proxy.as_ref(),
            base.proxy.as_ref(),
            &inspect,
            &root.key("proxy"),
        );
        let level = proxy.as_ref().map_or(Level::Name, |proxy| proxy.level);
        let (rules, own) = network::rules(self, &file, &base, level);
        let is_session = file.network.loopback.allow.iter().any(network::is_session);
        let dns = settings::dns(self, file.dns.as_ref(), &base, &root.key("dns"));
        let audit = settings::audit(
            self,
            file.audit.as_ref(),
            base.audit.as_ref(),
            &root.key("audit"),
        );
        let session = session::settings(
            self,
            file.session.as_ref(),
            base.session.as_ref(),
            &root.key("session"),
        );
        let tools = tools::settings(
            self,
            file.tools.as_ref(),
            base.tools.as_ref(),
            &root.key("tools"),
        );
        let network = root.key("network");
        let plan = match Plan::new(&rules) {
            Ok(plan) => plan,
            Err(error) => {
                let message = format!("the policy does not fit into the kernel tables: {error}");
                self.error(&network, message, Some("split it over several policies"));
                return None;
            }
        };
        if !self.problems.iter().any(is_error) {
            let own = rules.get(own).unwrap_or_default();
            lint::check(self, &file, own, &rules);
        }
        let mut said = extend::written(&file);
        let Base {
            errno,
            inbound,
            session_loopback,
            digests,
            files,
            height,
            ..
        } = base;
        said.extend(base.said);
        Some(Checked {
            name: file.name,
            description: file.description,
            mode,
            errno: file.network.errno.or(errno).unwrap_or(Errno::Eperm),
            inbound: file.network.inbound.or(inbound).unwrap_or(Inbound::Deny),
            rules,
            session_loopback: is_session || session_loopback,
            dns: dns?,
            audit: audit?,
            proxy: proxy?,
            session,
            tools,
            inspect,
            plan,
            warnings: Vec::new(),
            said,
            base_digests: digests,
            base_files: files,
            height: height + 1,
        })
    }

    /// The line on which a place begins.
    pub(crate) fn line(&self, place: &Place<'_>) -> u32 {
        self.lines.line(self.document.range(place).start)
    }

    /// The name of the file.
    pub(crate) fn source(&self) -> Arc<str> {
        Arc::clone(&self.source)
    }

    pub(crate) fn document(&self) -> &Document<'_> {
        &self.document
    }

    pub(crate) fn error(&mut self, place: &Place<'_>, message: impl Display, help: Option<&str>) {
        self.report(Severity::Error, place, &message.to_string(), help);
    }

    /// The place of the last problem is a second one: `first` says which came before.
    pub(crate) fn relate(&mut self, message: &str, first: Range<usize>) {
        if let Some(problem) = self.problems.last_mut() {
            problem.related = Some(Related {
                message: message.to_owned(),
                line: 1,
                span: first,
            });
        }
    }

    pub(crate) fn warn(&mut self, place: &Place<'_>, message: impl Display, help: Option<&str>) {
        self.report(Severity::Warning, place, &message.to_string(), help);
    }

    fn report(&mut self, severity: Severity, place: &Place<'_>, message: &str, help: Option<&str>) {
        let mut problem = syntax(message, self.document.range(place), help);
        problem.severity = severity;
        problem.path = self.document.path(place);
        self.problems.push(problem);
    }
}
