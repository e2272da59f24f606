//! What names and calls of Python mean.

use tree_sitter::Node;

use super::{Act, LONGEST_NAME, MOST_DEEP, Scene, act, act_of, parts};
use crate::Confidence::{High, Medium};
use crate::Severity::{Critical, High as Bad, Low, Medium as Middling};

/// Everything that is told.
pub(super) const ALL: &[&[Act]] = &[
    CALLS,
    MODULES,
    &[ENVIRONMENT, SHELL_TRUE, INSTALL, BUILT, DELETION],
];

/// What calls do.
pub(super) const CALLS: &[Act] = &[
    act(
        "python-command",
        Bad,
        High,
        &[
            "os.system",
            "os.popen",
            "os.execl",
            "os.execle",
            "os.execlp",
            "os.execlpe",
            "os.execv",
            "os.execve",
            "os.execvp",
            "os.execvpe",
            "os.spawnl",
            "os.spawnle",
            "os.spawnlp",
            "os.spawnlpe",
            "os.spawnv",
            "os.spawnve",
            "os.spawnvp",
            "os.spawnvpe",
            "os.posix_spawn",
            "os.posix_spawnp",
            "os.startfile",
            "os.fork",
            "os.forkpty",
            "subprocess.",
            "commands.",
            "popen2.",
            "pty.spawn",
            "posix.system",
            "posix.popen",
            "nt.system",
            "platform.popen",
            "asyncio.create_subprocess_shell",
            "asyncio.create_subprocess_exec",
            "asyncio.subprocess.",
            "pexpect.",
            "sh.",
            "plumbum.",
            "fabric.",
            "invoke.run",
            "_posixsubprocess.",
            "IPython.get_ipython",
            "paramiko.",
        ],
    ),
    act(
        "python-deletion",
        Bad,
        High,
        &[
            "os.remove",
            "os.unlink",
            "os.rmdir",
            "os.removedirs",
            "os.truncate",
            "shutil.rmtree",
            "pathlib.Path.unlink",
            "pathlib.Path.rmdir",
            "posix.remove",
            "posix.unlink",
            "posix.rmdir",
            "send2trash.",
        ],
    ),
    act(
        "python-move",
        Middling,
        High,
        &[
            "shutil.move",
            "os.rename",
            "os.replace",
            "os.renames",
            "os.chmod",
            "os.chown",
            "shutil.chown",
        ],
    ),
    act(
        "python-evaluation",
        Bad,
        High,
        &[
            "builtins.eval",
            "builtins.exec",
            "builtins.compile",
            "code.",
            "codeop.",
            "runpy.",
            "types.FunctionType",
            "types.CodeType",
            "ast.literal_eval_unsafe",
            "timeit.timeit",
            "timeit.repeat",
            "cProfile.run",
            "bdb.Bdb.run",
            "pdb.run",
            "trace.Trace.run",
        ],
    ),
    act(
        "python-import",
        Middling,
        High,
        &[
            "builtins.__import__",
            "importlib.",
            "imp.",
            "pkgutil.",
            "zipimport.",
            "pkg_resources.load_entry_point",
            "site.addsitedir",
        ],
    ),
    act(
        "python-network",
        Middling,
        High,
        &[
            "socket.",
            "urllib.",
            "urllib2.",
            "urllib3.",
            "requests.",
            "httpx.",
            "aiohttp.",
            "http.client.",
            "http.server.",
            "httplib.",
            "ftplib.",
            "smtplib.",
            "poplib.",
            "imaplib.",
            "telnetlib.",
            "xmlrpc.",
            "socketserver.",
            "websocket.",
            "websockets.",
            "asyncio.open_connection",
            "asyncio.start_server",
            "ssl.",
            "dns.",
            "scapy.",
            "pycurl.",
            "boto3.",
            "botocore.",
            "tornado.httpclient.",
            "treq.",
            "grpc.",
            "zmq.",
            "asyncssh.",
            "webbrowser.",
            "nntplib.",
            "_socket.",
        ],
    ),
    act(
        "python-environment",
        Middling,
        High,
        &[
            "os.getenv",
            "os.getenvb",
            "os.environ.",
            "os.environb.",
            "posix.environ.",
            "dotenv.",
            "os.putenv",
        ],
    ),
    act(
        "python-deserialisation",
        Bad,
        High,
        &[
            "pickle.",
            "cPickle.",
            "_pickle.",
            "marshal.",
            "shelve.",
            "dill.",
            "cloudpickle.",
            "joblib.load",
            "jsonpickle.",
            "yaml.load",
            "yaml.unsafe_load",
            "yaml.full_load",
            "torch.load",
            "numpy.load",
            "pandas.read_pickle",
        ],
    ),
    act(
        "python-native",
        Bad,
        High,
        &[
            "ctypes.",
            "cffi.",
            "_ctypes.",
            "mmap.mmap",
            "fcntl.ioctl",
            "resource.setrlimit",
        ],
    ),
    act(
        "python-install",
        Bad,
        High,
        &[
            "pip.",
            "pip._internal.",
            "ensurepip.",
            "setuptools.setup",
            "distutils.",
        ],
    ),
    act(
        "python-signal",
        Middling,
        High,
        &[
            "os.kill",
            "os.killpg",
            "signal.pthread_kill",
            "psutil.Process.kill",
        ],
    ),
    act(
        "python-privilege",
        Bad,
        High,
        &[
            "os.setuid",
            "os.setgid",
            "os.seteuid",
            "os.setreuid",
            "os.setresuid",
            "os.chroot",
            "os.mknod",
            "os.mkfifo",
            "sys.settrace",
            "sys.setprofile",
            "gc.get_objects",
        ],
    ),
];

/// Modules that are told when they are imported.
const MODULES: &[Act] = &[act(
    "python-risky-import",
    Low,
    Medium,
    &[
        "pickle.",
        "cPickle.",
        "marshal.",
        "ctypes.",
        "socket.",
        "subprocess.",
        "importlib.",
        "code.",
        "pty.",
        "_posixsubprocess.",
        "paramiko.",
        "cffi.",
        "shelve.",
        "dill.",
        "telnetlib.",
        "ftplib.",
        "smtplib.",
        "requests.",
        "httpx.",
        "aiohttp.",
        "urllib.",
        "urllib3.",
        "pip.",
        "_socket.",
    ],
)];

const ENVIRONMENT: Act = act("python-environment", Middling, High, &[]);
const SHELL_TRUE: Act = act("python-shell-true", Critical, High, &[]);
const INSTALL: Act = act("python-install", Bad, High, &[]);
const BUILT: Act = act("python-built-name", Bad, Medium, &[]);
const DELETION: Act = act("python-deletion", Bad, Medium, &[]);

const BUILTINS: &[&str] = &[
    "eval",
    "exec",
    "compile",
    "__import__",
    "getattr",
    "globals",
    "locals",
    "vars",
    "open",
    "setattr",
    "breakpoint",
];

pub(super) fn visit(scene: &mut Scene<'_>, node: Node<'_>, field: Option<&str>) {
    match node.kind() {
        "import_statement" => import(scene, node),
        "import_from_statement" => import_from(scene, node),
        "assignment" | "named_expression" => assign(scene, node),
        "call" => call(scene, node),
        // A part of a longer name is told with it.
        "attribute" | "identifier" if matches!(field, Some("object" | "attribute")) => {}
        "attribute" | "subscript" | "identifier" => value(scene, node),
        "with_item" | "as_pattern" => with(scene, node),
        _ => {}
    }
}

fn import(scene: &mut Scene<'_>, node: Node<'_>) {
    for part in parts(node) {
        let (module, name) = if part.kind() == "aliased_import" {
            let module = part
                .child_by_field_name("name")
                .map_or("", |it| scene.text(it));
            let alias = part
                .child_by_field_name("alias")
                .map_or("", |it| scene.text(it));
            scene.call_it(alias, module);
            (module, alias)
        } else {
            let module = scene.text(part);
            let first = module.split('.').next().unwrap_or_default();
            scene.call_it(first, first);
            (module, first)
        };
        if !name.is_empty() {
            told_module(scene, module, part);
        }
    }
}

fn told_module(scene: &mut Scene<'_>, module: &str, node: Node<'_>) {
    if let Some(act) = act_of(MODULES, module) {
        scene.found(act, node.byte_range());
    }
}

fn import_from(scene: &mut Scene<'_>, node: Node<'_>) {
    let Some(module_node) = node.child_by_field_name("module_name") else {
        return;
    };
    let module = scene.text(module_node);
    told_module(scene, module, node);
    for part in parts(node) {
        if part.id() == module_node.id() {
            continue;
        }
        match part.kind() {
            "aliased_import" => {
                let name = part
                    .child_by_field_name("name")
                    .map_or("", |it| scene.text(it));
                let alias = part
                    .child_by_field_name("alias")
                    .map_or("", |it| scene.text(it));
                scene.call_it(alias, &format!("{module}.{name}"));
            }
            // Every name of the module may be meant.
            "wildcard_import" => {
                for path in CALLS.iter().flat_map(|act| act.paths) {
                    if let Some(name) = path
                        .strip_prefix(module)
                        .and_then(|it| it.strip_prefix('.'))
                        && !name.is_empty()
                        && !name.contains('.')
                    {
                        scene.call_it(name, path);
                    }
                }
                for name in [
                    "run",
                    "Popen",
                    "call",
                    "check_output",
                    "check_call",
                    "environ",
                    "urlopen",
                    "get",
                    "post",
                    "loads",
                    "load",
                ] {
                    scene.call_it(name, &format!("{module}.{name}"));
                }
            }
            _ => {
                let name = scene.text(part);
                scene.call_it(name, &format!("{module}.{name}"));
            }
        }
    }
}

fn assign(scene: &mut Scene<'_>, node: Node<'_>) {
    let left = node
        .child_by_field_name("left")
        .or_else(|| node.child_by_field_name("name"));
    let right = node
        .child_by_field_name("right")
        .or_else(|| node.child_by_field_name("value"));
    let (Some(left), Some(right)) = (left, right) else {
        return;
    };
    if left.kind() == "identifier" {
        bind(scene, left, right);
    } else if matches!(left.kind(), "pattern_list" | "tuple_pattern")
        && matches!(right.kind(), "expression_list" | "tuple")
    {
        for (left, right) in parts(left).into_iter().zip(parts(right)) {
            if left.kind() == "identifier" {
                bind(scene, left, right);
            }
        }
    }
}

fn bind(scene: &mut Scene<'_>, left: Node<'_>, right: Node<'_>) {
    let name = scene.text(left);
    if let Some(path) = path(scene, right, 0) {
        scene.call_it(name, &path);
    } else if let Some(text) = string(scene, right, 0) {
        scene.call_it(name, &format!("'{text}"));
    } else {
        scene.names.remove(name);
    }
}

fn with(scene: &mut Scene<'_>, node: Node<'_>) {
    if let [value, target] = parts(node).as_slice()
        && let Some(path) = path(scene, *value, 0)
    {
        let name = scene.text(*target);
        scene.call_it(name, &path);
    }
}

fn call(scene: &mut Scene<'_>, node: Node<'_>) {
    let Some(function) = node.child_by_field_name("function") else {
        return;
    };
    let arguments = node.child_by_field_name("arguments");
    let Some(called) = path(scene, function, 0) else {
        by_method(scene, node, function);
        return;
    };
    if let Some(act) = act_of(CALLS, &called) {
        scene.found(act, node.byte_range());
    }
    let commands = called.starts_with("subprocess.") || called.starts_with("os.");
    for argument in arguments.map(parts).unwrap_or_default() {
        if argument.kind() == "keyword_argument" {
            let name = argument
                .child_by_field_name("name")
                .map_or("", |it| scene.text(it));
            let value = argument
                .child_by_field_name("value")
                .map_or("", |it| scene.text(it));
            if name == "shell" && !matches!(value, "False" | "0" | "None") {
                scene.found(&SHELL_TRUE, node.byte_range());
            }
        } else if argument.kind() == "dictionary_splat" && commands {
            scene.found(&SHELL_TRUE, node.byte_range());
        }
    }
    if commands && arguments.is_some_and(|it| installs(scene, it)) {
        scene.found(&INSTALL, node.byte_range());
    }
    // The name is not told by the text.
    if called == "builtins.getattr"
        && let [of, name, ..] = arguments.map(parts).unwrap_or_default().as_slice()
        && let Some(module) = path(scene, *of, 0)
        && string(scene, *name, 0).is_none()
        && acts_beneath(&module)
    {
        scene.found(&BUILT, node.byte_range());
    }
}

fn acts_beneath(module: &str) -> bool {
    module == "builtins"
        || CALLS.iter().flat_map(|act| act.paths).any(|path| {
            path.strip_prefix(module)
                .is_some_and(|it| it.starts_with('.'))
        })
}

/// `pip install` in a command.
fn installs(scene: &Scene<'_>, arguments: Node<'_>) -> bool {
    let text = scene.text(arguments);
    let words: Vec<&str> = text
        .split(|it: char| !it.is_ascii_alphanumeric())
        .filter(|it| !it.is_empty())
        .take(64)
        .collect();
    words.windows(2).any(|pair| {
        matches!(pair, [program, "install"] if matches!(*program, "pip" | "pip3" | "npm" | "apt" | "gem" | "brew" | "uv"))
            || matches!(pair, ["get", "install"])
    })
}

/// Methods of values whose kind is not known.
fn by_method(scene: &mut Scene<'_>, node: Node<'_>, function: Node<'_>) {
    if function.kind() != "attribute" {
        return;
    }
    let method = function
        .child_by_field_name("attribute")
        .map_or("", |it| scene.text(it));
    if matches!(method, "unlink" | "rmdir" | "rmtree") {
        scene.found(&DELETION, node.byte_range());
    }
}

/// A name that is used without a call.
fn value(scene: &mut Scene<'_>, node: Node<'_>) {
    let Some(path) = path(scene, node, 0) else {
        return;
    };
    if matches!(
        path.as_str(),
        "os.environ" | "os.environb" | "posix.environ"
    ) || path.starts_with("os.environ.")
    {
        scene.found(&ENVIRONMENT, node.byte_range());
    }
}

/// What an expression stands for, as a path from a module.
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
                None if BUILTINS.contains(&name) => format!("builtins.{name}"),
                None if matches!(name, "__builtins__" | "__builtin__" | "builtins") => {
                    "builtins".to_owned()
                }
                None => return None,
            }
        }
        "attribute" => {
            let of = path(scene, node.child_by_field_name("object")?, deeper)?;
            let name = scene.text(node.child_by_field_name("attribute")?);
            match name {
                // `os.__dict__["system"]` is `os.system`.
                "__dict__" => of,
                "modules" if of == "sys" => "sys.modules".to_owned(),
                _ => format!("{of}.{name}"),
            }
        }
        "subscript" => {
            let of = path(scene, node.child_by_field_name("value")?, deeper)?;
            let key = string(scene, node.child_by_field_name("subscript")?, deeper);
            match (of.as_str(), key) {
                ("sys.modules", Some(key)) => key,
                ("globals" | "scope", Some(key)) => scene
                    .known(&key)
                    .map(str::to_owned)
                    .or_else(|| (key == "__builtins__").then(|| "builtins".to_owned()))?,
                (_, Some(key))
                    if key
                        .bytes()
                        .all(|it| it.is_ascii_alphanumeric() || it == b'_') =>
                {
                    format!("{of}.{key}")
                }
                _ => of,
            }
        }
        "call" => {
            let called = path(scene, node.child_by_field_name("function")?, deeper)?;
            let arguments = parts(node.child_by_field_name("arguments")?);
            match (called.as_str(), arguments.as_slice()) {
                ("builtins.getattr", [of, name, ..]) => {
                    let of = path(scene, *of, deeper)?;
                    let name = string(scene, *name, deeper)?;
                    format!("{of}.{name}")
                }
                (
                    "builtins.__import__" | "importlib.import_module" | "importlib.__import__",
                    [name, ..],
                ) => string(scene, *name, deeper)?,
                ("builtins.vars", [of, ..]) => path(scene, *of, deeper)?,
                ("builtins.globals" | "builtins.locals" | "builtins.vars", []) => {
                    "scope".to_owned()
                }
                // What a constructor gives has the methods of its class.
                (it, _)
                    if it
                        .rsplit('.')
                        .next()
                        .is_some_and(|name| name.starts_with(char::is_uppercase)) =>
                {
                    called
                }
                (it, _) if it.starts_with("socket.") || it.starts_with("functools.partial") => {
                    called
                }
                _ => return None,
            }
        }
        "parenthesized_expression" | "await" => path(scene, *parts(node).first()?, deeper)?,
        "conditional_expression" | "boolean_operator" | "tuple" | "list" => parts(node)
            .into_iter()
            .find_map(|part| path(scene, part, deeper))?,
        _ => return None,
    };
    (found.len() <= LONGEST_NAME).then_some(found)
}

/// The text of an expression, when it is plain: literals, sums of them, names of them.
fn string(scene: &Scene<'_>, node: Node<'_>, deep: u8) -> Option<String> {
    if deep > MOST_DEEP {
        return None;
    }
    let deeper = deep + 1;
    let found = match node.kind() {
        "string" => {
            let mut text = String::new();
            for part in parts(node) {
                match part.kind() {
                    "string_content" => text.push_str(&unescaped(scene.text(part))),
                    "string_start" | "string_end" => {}
                    "interpolation" => {
                        text.push_str(&string(scene, *parts(part).first()?, deeper)?);
                    }
                    _ => return None,
                }
            }
            text
        }
        "concatenated_string" => {
            let mut text = String::new();
            for part in parts(node) {
                text.push_str(&string(scene, part, deeper)?);
            }
            text
        }
        "binary_operator" => {
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
        // `"metsys"[::-1]`.
        "subscript" => {
            let text = string(scene, node.child_by_field_name("value")?, deeper)?;
            let turned = node.child_by_field_name("subscript")?;
            (scene.text(turned).replace(' ', "") == "::-1").then(|| text.chars().rev().collect())?
        }
        "call" => {
            let function = node.child_by_field_name("function")?;
            let arguments = parts(node.child_by_field_name("arguments")?);
            if function.kind() == "attribute" {
                let method = scene.text(function.child_by_field_name("attribute")?);
                let of = string(scene, function.child_by_field_name("object")?, deeper)?;
                match (method, arguments.as_slice()) {
                    ("join", [list]) => {
                        let mut texts = Vec::new();
                        for part in parts(*list) {
                            texts.push(string(scene, part, deeper)?);
                        }
                        texts.join(&of)
                    }
                    ("lower", []) => of.to_lowercase(),
                    ("strip" | "decode" | "encode", _) => of.trim().to_owned(),
                    ("replace", [from, to]) => {
                        of.replace(&string(scene, *from, deeper)?, &string(scene, *to, deeper)?)
                    }
                    _ => return None,
                }
            } else if scene.text(function) == "chr" {
                let code: u32 = scene.text(*arguments.first()?).parse().ok()?;
                char::from_u32(code)?.to_string()
            } else {
                return None;
            }
        }
        _ => return None,
    };
    (found.len() <= LONGEST_NAME).then_some(found)
}

/// `\x73` and its like undone; other escapes stay.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = match after.as_bytes().first() {
            Some(b'x') => 2,
            Some(b'u') => 4,
            _ => 0,
        };
        let code = after
            .get(1..=digits)
            .filter(|_| digits > 0)
            .and_then(|it| u32::from_str_radix(it, 16).ok())
            .and_then(char::from_u32);
        if let Some(letter) = code {
            out.push(letter);
            rest = after.get(1 + digits..).unwrap_or_default();
        } else {
            out.push('\\');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}
