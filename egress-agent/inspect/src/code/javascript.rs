//! What names and calls of JavaScript mean.

use tree_sitter::Node;

use super::{Act, LONGEST_NAME, MOST_DEEP, Scene, act, act_of, parts};
use crate::Confidence::{High, Medium};
use crate::Severity::{High as Bad, Low, Medium as Middling};

/// Everything that is told.
pub(super) const ALL: &[&[Act]] = &[CALLS, MODULES, &[ENVIRONMENT, BUILT, INSTALL, EVALUATION]];

/// What calls do.
pub(super) const CALLS: &[Act] = &[
    act(
        "javascript-command",
        Bad,
        High,
        &[
            "child_process.",
            "cluster.fork",
            "execa.",
            "shelljs.",
            "cross-spawn.",
            "zx.",
            "Deno.run",
            "Deno.Command",
            "Bun.spawn",
            "Bun.spawnSync",
            "Bun.$",
            "node-pty.",
            "process.binding",
            "process.dlopen",
            "process._linkedBinding",
        ],
    ),
    act(
        "javascript-deletion",
        Bad,
        High,
        &[
            "fs.rm",
            "fs.rmSync",
            "fs.unlink",
            "fs.unlinkSync",
            "fs.rmdir",
            "fs.rmdirSync",
            "fs.truncate",
            "fs.truncateSync",
            "fs.promises.rm",
            "fs.promises.unlink",
            "fs.promises.rmdir",
            "fs.promises.truncate",
            "rimraf.",
            "del.",
            "fs-extra.remove",
            "fs-extra.removeSync",
            "fs-extra.emptyDir",
            "fs-extra.emptyDirSync",
            "fs-extra.rm",
            "fs-extra.unlink",
            "Deno.remove",
            "Deno.removeSync",
        ],
    ),
    act(
        "javascript-evaluation",
        Bad,
        High,
        &[
            "eval",
            "Function",
            "vm.",
            "node:vm.",
            "vm2.",
            "repl.start",
            "module._load",
            "module.prototype._compile",
        ],
    ),
    act(
        "javascript-network",
        Middling,
        High,
        &[
            "fetch",
            "XMLHttpRequest",
            "WebSocket",
            "EventSource",
            "net.",
            "tls.",
            "http.",
            "https.",
            "http2.",
            "dgram.",
            "dns.",
            "axios.",
            "got.",
            "node-fetch.",
            "undici.",
            "request.",
            "superagent.",
            "ws.",
            "socket.io-client.",
            "navigator.sendBeacon",
            "ssh2.",
            "nodemailer.",
            "needle.",
            "ky.",
            "phin.",
            "puppeteer.",
            "playwright.",
            "Deno.connect",
            "Bun.connect",
            "Deno.listen",
        ],
    ),
    act(
        "javascript-worker",
        Middling,
        High,
        &[
            "worker_threads.",
            "Worker",
            "SharedWorker",
            "importScripts",
            "WebAssembly.",
        ],
    ),
    act(
        "javascript-signal",
        Middling,
        High,
        &["process.kill", "process.abort"],
    ),
    act(
        "javascript-privilege",
        Bad,
        High,
        &[
            "process.setuid",
            "process.setgid",
            "process.chroot",
            "inspector.",
            "v8.setFlagsFromString",
        ],
    ),
    act(
        "javascript-environment",
        Middling,
        High,
        &["Deno.env.", "dotenv."],
    ),
    act(
        "javascript-native",
        Bad,
        High,
        &[
            "ffi-napi.",
            "node-gyp.",
            "koffi.",
            "Deno.dlopen",
            "bun:ffi.",
        ],
    ),
    act(
        "javascript-deserialisation",
        Bad,
        High,
        &[
            "node-serialize.",
            "v8.deserialize",
            "serialize-javascript.",
            "js-yaml.load",
        ],
    ),
];

const MODULES: &[Act] = &[act(
    "javascript-risky-import",
    Low,
    Medium,
    &[
        "child_process.",
        "vm.",
        "net.",
        "tls.",
        "dgram.",
        "worker_threads.",
        "cluster.",
        "http.",
        "https.",
        "http2.",
        "dns.",
        "inspector.",
        "axios.",
        "node-fetch.",
        "got.",
        "execa.",
        "shelljs.",
        "ws.",
        "node-pty.",
        "repl.",
        "vm2.",
        "undici.",
    ],
)];

const ENVIRONMENT: Act = act("javascript-environment", Middling, High, &[]);
const BUILT: Act = act("javascript-built-name", Bad, Medium, &[]);
const INSTALL: Act = act("javascript-install", Bad, High, &[]);

/// Names that everybody has.
const GLOBALS: &[&str] = &[
    "eval",
    "Function",
    "fetch",
    "XMLHttpRequest",
    "WebSocket",
    "EventSource",
    "Worker",
    "SharedWorker",
    "importScripts",
    "process",
    "require",
    "navigator",
    "Deno",
    "Bun",
    "WebAssembly",
    "module",
    "Reflect",
];

pub(super) fn visit(scene: &mut Scene<'_>, node: Node<'_>) {
    match node.kind() {
        "import_statement" => import(scene, node),
        "variable_declarator" => {
            if let (Some(name), Some(value)) = (
                node.child_by_field_name("name"),
                node.child_by_field_name("value"),
            ) {
                bind(scene, name, value);
            }
        }
        "assignment_expression" => {
            if let (Some(name), Some(value)) = (
                node.child_by_field_name("left"),
                node.child_by_field_name("right"),
            ) {
                bind(scene, name, value);
            }
        }
        "call_expression" => call(scene, node, "function"),
        "new_expression" => call(scene, node, "constructor"),
        "member_expression" | "subscript_expression" => value(scene, node),
        _ => {}
    }
}

fn module_name(text: &str) -> &str {
    text.strip_prefix("node:").unwrap_or(text)
}

/// `fs/promises` is `fs.promises`.
fn module_path(name: &str) -> String {
    match module_name(name) {
        "fs/promises" => "fs.promises".to_owned(),
        "dns/promises" => "dns".to_owned(),
        name => name.to_owned(),
    }
}

fn import(scene: &mut Scene<'_>, node: Node<'_>) {
    let Some(source) = node.child_by_field_name("source") else {
        return;
    };
    let Some(module) = string(scene, source, 0).map(|it| module_path(&it)) else {
        return;
    };
    told_module(scene, &module, node);
    for clause in parts(node) {
        if clause.kind() != "import_clause" {
            continue;
        }
        for part in parts(clause) {
            match part.kind() {
                "identifier" => scene.call_it(scene.text(part), &module),
                "namespace_import" => {
                    if let Some(name) = parts(part).first() {
                        scene.call_it(scene.text(*name), &module);
                    }
                }
                _ => {
                    for one in parts(part) {
                        let name = one
                            .child_by_field_name("name")
                            .map_or("", |it| scene.text(it));
                        let alias = one
                            .child_by_field_name("alias")
                            .map_or(name, |it| scene.text(it));
                        let path = if name == "default" {
                            module.clone()
                        } else {
                            format!("{module}.{name}")
                        };
                        scene.call_it(alias, &path);
                    }
                }
            }
        }
    }
}

fn told_module(scene: &mut Scene<'_>, module: &str, node: Node<'_>) {
    if let Some(act) = act_of(MODULES, module) {
        scene.found(act, node.byte_range());
    }
}

fn bind(scene: &mut Scene<'_>, target: Node<'_>, value: Node<'_>) {
    if let Some(path) = path(scene, value, 0) {
        bind_path(scene, target, &path, 0);
    } else if target.kind() == "identifier" {
        let name = scene.text(target);
        if let Some(text) = string(scene, value, 0) {
            scene.call_it(name, &format!("'{text}"));
        } else {
            scene.names.remove(name);
        }
    }
}

fn bind_path(scene: &mut Scene<'_>, target: Node<'_>, path: &str, deep: u8) {
    if deep > MOST_DEEP {
        return;
    }
    match target.kind() {
        "identifier" | "shorthand_property_identifier_pattern" => {
            let name = scene.text(target);
            scene.call_it(name, path);
        }
        "object_pattern" => {
            for part in parts(target) {
                match part.kind() {
                    "shorthand_property_identifier_pattern" => {
                        let name = scene.text(part);
                        scene.call_it(name, &format!("{path}.{name}"));
                        environment(scene, path, part);
                    }
                    "pair_pattern" => {
                        let key = part
                            .child_by_field_name("key")
                            .and_then(|it| key(scene, it));
                        if let (Some(key), Some(value)) = (key, part.child_by_field_name("value")) {
                            bind_path(scene, value, &format!("{path}.{key}"), deep + 1);
                            environment(scene, path, part);
                        }
                    }
                    "object_assignment_pattern" => {
                        if let Some(left) = part.child_by_field_name("left") {
                            let name = scene.text(left);
                            scene.call_it(name, &format!("{path}.{name}"));
                        }
                    }
                    "rest_pattern" => {
                        if let Some(name) = parts(part).first() {
                            scene.call_it(scene.text(*name), path);
                        }
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn key(scene: &Scene<'_>, node: Node<'_>) -> Option<String> {
    match node.kind() {
        "property_identifier" => Some(scene.text(node).to_owned()),
        "computed_property_name" => string(scene, *parts(node).first()?, 0),
        _ => string(scene, node, 0),
    }
}

fn environment(scene: &mut Scene<'_>, path: &str, node: Node<'_>) {
    if path == "process.env" || (path == "process" && scene.text(node).starts_with("env")) {
        scene.found(&ENVIRONMENT, node.byte_range());
    }
}

fn call(scene: &mut Scene<'_>, node: Node<'_>, field: &str) {
    let Some(function) = node.child_by_field_name(field) else {
        return;
    };
    let arguments = node
        .child_by_field_name("arguments")
        .map(parts)
        .unwrap_or_default();
    let is_import = function.kind() == "import" || scene.text(function) == "require";
    if is_import {
        match arguments.first().map(|it| string(scene, *it, 0)) {
            Some(Some(module)) => told_module(scene, &module_path(&module), node),
            Some(None) => scene.found(&BUILT, node.byte_range()),
            None => {}
        }
        return;
    }
    let Some(mut called) = path(scene, function, 0) else {
        return;
    };
    // `f.call(…)`, `f.apply(…)`, `f.bind(…)` call f.
    for method in [".call", ".apply", ".bind"] {
        if called == "Reflect.apply" {
            break;
        }
        if let Some(of) = called.strip_suffix(method) {
            called = of.to_owned();
        }
    }
    if called == "Reflect.apply"
        && let Some(of) = arguments.first().and_then(|it| path(scene, *it, 0))
    {
        called = of;
    }
    if called.ends_with(".constructor.constructor") || called == "constructor.constructor" {
        "Function".clone_into(&mut called);
    }
    if let Some(act) = act_of(CALLS, &called) {
        scene.found(act, node.byte_range());
    }
    if called.starts_with("child_process.") {
        let text = node
            .child_by_field_name("arguments")
            .map_or("", |it| scene.text(it));
        if [
            "npm install",
            "npm i ",
            "pip install",
            "pip3 install",
            "yarn add",
            "pnpm add",
        ]
        .iter()
        .any(|it| text.contains(it))
        {
            scene.found(&INSTALL, node.byte_range());
        }
    }
    // A timer with a text evaluates it.
    if matches!(called.as_str(), "setTimeout" | "setInterval")
        && arguments
            .first()
            .is_some_and(|it| matches!(it.kind(), "string" | "template_string"))
    {
        scene.found(&EVALUATION, node.byte_range());
    }
}

const EVALUATION: Act = act("javascript-evaluation", Bad, High, &[]);

fn value(scene: &mut Scene<'_>, node: Node<'_>) {
    let Some(path) = path(scene, node, 0) else {
        return;
    };
    if path == "process.env" {
        scene.found(&ENVIRONMENT, node.byte_range());
    }
    // `child_process[name]`: which, the text does not say.
    if node.kind() == "subscript_expression"
        && let Some(index) = node.child_by_field_name("index")
        && string(scene, index, 0).is_none()
        && matches!(
            path.as_str(),
            "child_process" | "global" | "fs" | "fs.promises" | "process"
        )
    {
        scene.found(&BUILT, node.byte_range());
    }
}

/// What an expression stands for, as a path from a module or a global name.
fn path(scene: &Scene<'_>, node: Node<'_>, deep: u8) -> Option<String> {
    if deep > MOST_DEEP {
        return None;
    }
    let deeper = deep + 1;
    let found = match node.kind() {
        "identifier" => {
            let name = scene.text(node);
            match scene.known(name) {
                Some(path) if !path.starts_with('\'') => path.to_owned(),
                Some(_) => return None,
                None if matches!(name, "globalThis" | "global" | "window" | "self") => {
                    "global".to_owned()
                }
                None if GLOBALS.contains(&name) || matches!(name, "setTimeout" | "setInterval") => {
                    name.to_owned()
                }
                None => return None,
            }
        }
        "member_expression" => {
            let property = scene.text(node.child_by_field_name("property")?);
            let of = match path(scene, node.child_by_field_name("object")?, deeper) {
                Some(of) => of,
                // `[].constructor.constructor` is Function, whatever it is taken from.
                None if property == "constructor" => String::new(),
                None => return None,
            };
            join(&of, property)
        }
        "subscript_expression" => {
            let index = string(scene, node.child_by_field_name("index")?, deeper);
            let of = match path(scene, node.child_by_field_name("object")?, deeper) {
                Some(of) => of,
                None if index.as_deref() == Some("constructor") => String::new(),
                None => return None,
            };
            match index {
                Some(index) => join(&of, &index),
                None => of,
            }
        }
        "call_expression" => {
            let function = node.child_by_field_name("function")?;
            let arguments = parts(node.child_by_field_name("arguments")?);
            let called = if function.kind() == "import" {
                "require".to_owned()
            } else {
                path(scene, function, deeper)?
            };
            match called.as_str() {
                "require"
                | "module.require"
                | "process.mainModule.require"
                | "process.getBuiltinModule"
                | "require.main.require" => {
                    module_path(&string(scene, *arguments.first()?, deeper)?)
                }
                "module.createRequire" => "require".to_owned(),
                "util.promisify" => path(scene, *arguments.first()?, deeper)?,
                it => it.strip_suffix(".bind")?.to_owned(),
            }
        }
        "await_expression" | "parenthesized_expression" => {
            path(scene, *parts(node).first()?, deeper)?
        }
        "sequence_expression" => path(scene, *parts(node).last()?, deeper)?,
        "binary_expression" | "ternary_expression" => parts(node)
            .into_iter()
            .find_map(|part| path(scene, part, deeper))?,
        _ => return None,
    };
    (found.len() <= LONGEST_NAME).then_some(found)
}

fn join(of: &str, name: &str) -> String {
    match of {
        "global" => match name {
            "global" | "globalThis" | "window" | "self" => "global".to_owned(),
            _ => name.to_owned(),
        },
        "" => name.to_owned(),
        // `import x from "m"` and `require("m").default` are the same.
        _ if name == "default" => of.to_owned(),
        _ => format!("{of}.{name}"),
    }
}

/// The text of an expression, when it is plain.
fn string(scene: &Scene<'_>, node: Node<'_>, deep: u8) -> Option<String> {
    if deep > MOST_DEEP {
        return None;
    }
    let deeper = deep + 1;
    let found = match node.kind() {
        "string" | "template_string" => {
            let mut text = String::new();
            for part in parts(node) {
                match part.kind() {
                    "string_fragment" => text.push_str(scene.text(part)),
                    "escape_sequence" => text.push_str(&escape(scene.text(part))),
                    "template_substitution" => {
                        text.push_str(&string(scene, *parts(part).first()?, deeper)?);
                    }
                    _ => return None,
                }
            }
            text
        }
        "binary_expression" => {
            let operator = node
                .child_by_field_name("operator")
                .map_or("", |it| scene.text(it));
            if operator != "+" {
                return None;
            }
            let left = string(scene, node.child_by_field_name("left")?, deeper)?;
            left + &string(scene, node.child_by_field_name("right")?, deeper)?
        }
        "parenthesized_expression" => string(scene, *parts(node).first()?, deeper)?,
        "identifier" => scene
            .known(scene.text(node))?
            .strip_prefix('\'')?
            .to_owned(),
        "call_expression" => {
            let function = node.child_by_field_name("function")?;
            let object = function.child_by_field_name("object")?;
            let method = scene.text(function.child_by_field_name("property")?);
            let arguments = parts(node.child_by_field_name("arguments")?);
            match (method, object.kind(), arguments.as_slice()) {
                ("join", "array", [by]) => {
                    let mut texts = Vec::new();
                    for part in parts(object) {
                        texts.push(string(scene, part, deeper)?);
                    }
                    texts.join(&string(scene, *by, deeper)?)
                }
                ("concat", _, others) => {
                    let mut text = string(scene, object, deeper)?;
                    for other in others {
                        text.push_str(&string(scene, *other, deeper)?);
                    }
                    text
                }
                ("toLowerCase", _, []) => string(scene, object, deeper)?.to_lowercase(),
                ("trim" | "toString", _, _) => string(scene, object, deeper)?,
                ("replace", _, [from, to]) => string(scene, object, deeper)?.replacen(
                    &string(scene, *from, deeper)?,
                    &string(scene, *to, deeper)?,
                    1,
                ),
                _ => return None,
            }
        }
        _ => return None,
    };
    (found.len() <= LONGEST_NAME).then_some(found)
}

fn escape(text: &str) -> String {
    let digits = text
        .strip_prefix("\\x")
        .or_else(|| text.strip_prefix("\\u"))
        .map(|it| it.trim_matches(['{', '}']));
    digits
        .and_then(|it| u32::from_str_radix(it, 16).ok())
        .and_then(char::from_u32)
        .map_or_else(|| text.to_owned(), String::from)
}
