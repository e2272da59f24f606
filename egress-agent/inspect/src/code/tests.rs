use proptest::prelude::*;

use super::*;
use crate::shell::reach;

const PATIENCE: Duration = Duration::from_secs(5);

fn ids(language: Language, code: &str) -> Vec<String> {
    findings(language, code, PATIENCE)
        .into_iter()
        .map(|finding| finding.detector)
        .collect()
}

#[track_caller]
fn python(code: &str, expected: &str) {
    let found = ids(Language::Python, code);
    assert!(found.iter().any(|id| id == expected), "{code}: {found:?}");
}

#[track_caller]
fn javascript(code: &str, expected: &str) {
    let found = ids(Language::JavaScript, code);
    assert!(found.iter().any(|id| id == expected), "{code}: {found:?}");
}

#[test]
fn every_act_is_found_by_each_of_its_names() {
    for (language, acts) in [
        (Language::Python, python::CALLS),
        (Language::JavaScript, javascript::CALLS),
    ] {
        for act in acts {
            for path in act.paths {
                let path = path
                    .strip_suffix('.')
                    .map_or_else(|| (*path).to_owned(), |it| format!("{it}.anything"));
                let code = match (language, path.split_once('.')) {
                    (Language::Python, Some(("builtins", name))) => format!("{name}(x)"),
                    (Language::Python, Some((module, _))) => format!("import {module}\n{path}(1)"),
                    (Language::Python, None) => continue,
                    (Language::JavaScript, Some((module, rest)))
                        if !["process", "Deno", "Bun", "navigator", "WebAssembly"]
                            .contains(&module) =>
                    {
                        // Names of packages may have a dot.
                        let (module, rest) = if module == "socket" {
                            ("socket.io-client", "anything")
                        } else {
                            (module, rest)
                        };
                        format!("const m = require('{module}'); m.{rest}(1)")
                    }
                    (Language::JavaScript, _) => format!("{path}(1)"),
                };
                assert!(
                    ids(language, &code).iter().any(|id| id == act.id),
                    "{}: {code}: {:?}",
                    act.id,
                    ids(language, &code)
                );
            }
        }
    }
}

#[test]
fn python_is_read_through_its_names() {
    for code in [
        "import os\nos.system('x')",
        "import os as o; o.system('x')",
        "from os import system\nsystem('x')",
        "from os import system as s\ns('x')",
        "from subprocess import run as r\nr(['x'])",
        "from subprocess import *\nPopen('x')",
        "import subprocess\nf = subprocess.run\nf('x')",
        "import os\ngetattr(os, 'sys' + 'tem')('x')",
        "import os\nn = 'sys'\ngetattr(os, n + 'tem')('x')",
        "import os\ngetattr(os, 'metsys'[::-1])('x')",
        "import os\ngetattr(os, ''.join(['sys', 'tem']))('x')",
        "import os\nos.__dict__['system']('x')",
        "__import__('os').system('x')",
        "__builtins__.__import__('os').system('x')",
        "getattr(__builtins__, '__import__')('os').popen('x')",
        "__builtins__['__import__']('os').system('x')",
        "import importlib\nimportlib.import_module('os').system('x')",
        "import sys\nsys.modules['os'].system('x')",
        "import os\nglobals()['os'].system('x')",
        "import os\nvars(os)['system']('x')",
        "def f():\n    import os\n    return os.popen('x').read()",
        "(lambda o: 0)(0); import os\n(os.system)('x')",
        "import os, sys\nif True:\n  a, b = os.system, 1\n  a('x')",
        "import os\nos.\\\n system('x')",
        "__import__('\\x6fs').system('x')",
        "[__import__('os').system('x') for _ in range(1)]",
        "import asyncio\nasync def f():\n    await asyncio.create_subprocess_shell('x')",
    ] {
        python(code, "python-command");
    }
    python(
        "import subprocess\nsubprocess.run('x', shell=True)",
        "python-shell-true",
    );
    python(
        "from subprocess import call\ncall('x', shell=1)",
        "python-shell-true",
    );
    python(
        "import subprocess\nsubprocess.run(['pip', 'install', 'x'])",
        "python-install",
    );
    python("import os\nos.system('pip install x')", "python-install");
    python("import os\nprint(os.environ)", "python-environment");
    python("import os\nos.environ['A']", "python-environment");
    python(
        "from os import environ as e\nfor k in e: pass",
        "python-environment",
    );
    python("import os\nos.getenv('A')", "python-environment");
    python(
        "from pathlib import Path\nPath('a').unlink()",
        "python-deletion",
    );
    python("p.unlink()", "python-deletion");
    python("import shutil\nshutil.rmtree('a')", "python-deletion");
    python("eval('1')", "python-evaluation");
    python("e = eval\ne('1')", "python-evaluation");
    python("exec(compile('1', '', 'exec'))", "python-evaluation");
    python("import builtins as b\nb.eval('1')", "python-evaluation");
    python(
        "import urllib.request as u\nu.urlopen('x')",
        "python-network",
    );
    python(
        "import requests\nwith requests.Session() as s:\n    s.get('x')",
        "python-network",
    );
    python(
        "import socket\ns = socket.socket()\ns.connect(('a', 1))",
        "python-network",
    );
    python("import os\ngetattr(os, input())()", "python-built-name");
    python("import ctypes", "python-risky-import");
}

#[test]
fn javascript_is_read_through_its_names() {
    for code in [
        "require('child_process').exec('x')",
        "const cp = require('child_process'); cp.spawn('x')",
        "const { exec } = require('node:child_process'); exec('x')",
        "const { exec: e } = require('child_process'); e('x')",
        "import { execSync as x } from 'child_process'; x('y')",
        "import * as cp from 'node:child_process'; cp.fork('x')",
        "import cp from 'child_process'; cp.exec('x')",
        "(await import('child_process')).exec('x')",
        "require('child' + '_process')['ex' + 'ec']('x')",
        "const m = 'child_process'; require(m).exec('x')",
        "require(`child_${'process'}`).exec('x')",
        "require('\\x63hild_process').exec('x')",
        "process.mainModule.require('child_process').exec('x')",
        "globalThis.process.mainModule.require('child_process').exec('x')",
        "const f = require('util').promisify(require('child_process').exec); f('x')",
        "const r = require; r('child_process').exec('x')",
        "require('child_process').exec.call(null, 'x')",
        "Reflect.apply(require('child_process').exec, null, ['x'])",
        "require(['child', 'process'].join('_')).exec('x')",
        "(0, require('child_process').exec)('x')",
    ] {
        javascript(code, "javascript-command");
    }
    javascript("fetch('https://x.example')", "javascript-network");
    javascript("globalThis['fet' + 'ch']('x')", "javascript-network");
    javascript("new WebSocket('x')", "javascript-network");
    javascript("require('https').get('x')", "javascript-network");
    javascript(
        "import net from 'net'; net.connect(1)",
        "javascript-network",
    );
    javascript("eval('1')", "javascript-evaluation");
    javascript("(0, eval)('1')", "javascript-evaluation");
    javascript("new Function('return 1')()", "javascript-evaluation");
    javascript(
        "[].constructor.constructor('return 1')()",
        "javascript-evaluation",
    );
    javascript(
        "require('vm').runInNewContext('1')",
        "javascript-evaluation",
    );
    javascript("setTimeout('alert(1)', 1)", "javascript-evaluation");
    javascript(
        "require('fs').rmSync('a', {recursive: true})",
        "javascript-deletion",
    );
    javascript(
        "import { unlink } from 'fs/promises'; await unlink('a')",
        "javascript-deletion",
    );
    javascript("require('fs').promises.rm('a')", "javascript-deletion");
    javascript(
        "const { rmdir } = require('fs').promises; rmdir('a')",
        "javascript-deletion",
    );
    javascript("console.log(process.env)", "javascript-environment");
    javascript("const { TOKEN } = process.env", "javascript-environment");
    javascript("const { env } = process", "javascript-environment");
    javascript("process['env'].A", "javascript-environment");
    javascript("new Worker('a.js')", "javascript-worker");
    javascript("require(name).run()", "javascript-built-name");
    javascript(
        "require('child_process').exec('npm install x')",
        "javascript-install",
    );
}

#[test]
fn ordinary_code_does_nothing() {
    for code in [
        "print('os.system(1)')",
        "# os.system('x')\nx = 1",
        "import re\nre.compile('x')",
        "import os\nprint(os.path.join('a', 'b'))",
        "import json\njson.loads('{}')",
        "import os.path\nos.path.exists('a')",
        "class A:\n    def eval(self): pass\nA().eval()",
        "def run(x): return x\nrun(1)",
        "system('x')",
        "x = {'a': 1}\nx['a'].remove(1)",
        "model.eval()",
    ] {
        assert!(
            ids(Language::Python, code).is_empty(),
            "{code}: {:?}",
            ids(Language::Python, code)
        );
    }
    for code in [
        "console.log(\"require('child_process').exec('x')\")",
        "// eval('1')\nlet a = 1",
        "const fs = require('fs'); fs.readFileSync('a')",
        "/a/.exec('b')",
        "const a = { fetch() {} }; a.fetch()",
        "function f() { return 1 } f()",
        "import path from 'path'; path.join('a', 'b')",
        "setTimeout(() => 1, 10)",
        "array.filter(Boolean).map((x) => x.remove())",
    ] {
        assert!(
            ids(Language::JavaScript, code).is_empty(),
            "{code}: {:?}",
            ids(Language::JavaScript, code)
        );
    }
}

#[test]
fn code_in_commands_is_read() {
    #[track_caller]
    fn check(command: &str, expected: &str) {
        let found = in_reach(&reach(command, None), PATIENCE);
        assert!(
            found.iter().any(|it| it.detector == expected),
            "{command}: {found:?}"
        );
    }
    check(
        "python3 -c 'import os; os.remove(\"a\")'",
        "python-deletion",
    );
    check(
        "python3.12 <<'E'\nimport os\nos.remove('a')\nE\n",
        "python-deletion",
    );
    check(
        "node -e 'fetch(\"https://x.example\")'",
        "javascript-network",
    );
    check("echo 'eval(\"1\")' | python", "python-evaluation");
    check(
        "sudo env A=1 node --eval \"require('child_process').exec('x')\"",
        "javascript-command",
    );
    check(
        "node <<'E'\nrequire('fs').rmSync('a')\nE\n",
        "javascript-deletion",
    );
    assert!(in_reach(&reach("python3 -c 'print(1)'", None), PATIENCE).is_empty());
}

#[test]
fn what_is_not_read_is_told() {
    let long = "x = 1\n".repeat(LONGEST / 6 + 1);
    assert_eq!(ids(Language::Python, &long), ["code-not-read"]);
    let some = "f(a, b)\n".repeat(40_000);
    let found = findings(Language::Python, &some, Duration::ZERO);
    assert!(found.iter().any(|it| it.detector == "code-not-read"));
}

#[test]
fn deep_code_is_read_without_end() {
    for (language, code) in [
        (Language::Python, "(".repeat(50_000)),
        (Language::Python, format!("{}1", "a[".repeat(20_000))),
        (
            Language::Python,
            format!("x = {}'a'", "'a' + ".repeat(20_000)),
        ),
        (Language::Python, format!("f{}", "(1)".repeat(20_000))),
        (Language::JavaScript, format!("a{}", ".b".repeat(20_000))),
        (Language::JavaScript, "[".repeat(50_000)),
        (Language::JavaScript, "`${".repeat(10_000)),
        (Language::JavaScript, format!("f{}", "(1)".repeat(20_000))),
    ] {
        findings(language, &code, Duration::from_millis(500));
    }
}

proptest! {
    #[test]
    fn any_text_is_read(
        text in any::<String>(),
        python in "(?:import |os|sys|from |\\.|system|\\(|\\)|'|\"|getattr|eval|\n|  |=|,|\\[|f\"\\{|\\}){0,40}",
        script in "(?:const |require|\\(|\\)|'|`|\\$\\{|\\}|\\{|child_process|exec|\\.|=|;|import |fetch|new |=>){0,40}",
    ) {
        for language in [Language::Python, Language::JavaScript] {
            for code in [&text, &python, &script] {
                for finding in findings(language, code, PATIENCE) {
                    prop_assert!(code.get(finding.range.clone()).is_some());
                }
            }
        }
    }
}

#[test]
#[ignore = "measures: only a release build says anything"]
fn megabytes_per_second() {
    for (language, code) in [
        (
            Language::Python,
            "import os\ndef f(a):\n    return os.path.join(a, 'b')  # comment\n",
        ),
        (
            Language::JavaScript,
            "const a = require('fs'); function f(b) { return a.readFileSync(b, 'utf8') }\n",
        ),
    ] {
        let code = code.repeat(400_000 / code.len());
        let start = Instant::now();
        let found = findings(language, &code, PATIENCE).len();
        println!(
            "{language:?}: {} bytes in {:?}, {found} findings",
            code.len(),
            start.elapsed()
        );
    }
}
