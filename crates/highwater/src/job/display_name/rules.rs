//! The rules: programs, and the words that identify what they work on. To add one is to add a row and its test.

use super::{
    arguments::{Arguments, base_name},
    shell,
};

/// A rule for programs of one kind.
pub(super) struct Rule {
    /// Their names, as [`Arguments::family`] gives them.
    pub(super) programs: &'static [&'static str],
    /// Makes the name; `None` leaves the program's own.
    pub(super) name: fn(&Arguments) -> Option<String>,
}

pub(super) const RULES: &[Rule] = &[
    Rule { programs: &["rustc", "clippy-driver", "rustdoc", "miri"], name: rust_compiler },
    Rule { programs: &["sccache", "ccache", "distcc", "icecc"], name: wrapper },
    Rule {
        programs: &["cc", "gcc", "g++", "c++", "clang", "clang++", "gfortran", "nvcc", "icx", "icpx"],
        name: c_driver,
    },
    Rule { programs: &["cc1", "cc1plus", "cc1obj", "f951", "lto1", "cicc", "ptxas"], name: c_compiler },
    Rule {
        programs: &[
            "ld", "ld.bfd", "ld.gold", "ld.lld", "lld", "rust-lld", "ld64.lld", "mold", "collect", "as", "ar",
        ],
        name: linker,
    },
    Rule { programs: &["python", "pypy"], name: python },
    Rule {
        programs: &["ruby", "perl", "lua", "luajit", "php", "Rscript", "julia", "tclsh", "ghc", "runghc"],
        name: script,
    },
    Rule { programs: &["node", "nodejs", "deno", "bun"], name: node },
    Rule { programs: &["java"], name: java },
    Rule { programs: &["sh", "bash", "dash", "zsh", "ksh", "fish", "ash"], name: shell::name },
    Rule { programs: &["make", "gmake", "ninja"], name: make },
    Rule {
        programs: &["cargo", "go", "git", "docker", "podman", "kubectl", "npm", "yarn", "pnpm", "dotnet"],
        name: verb,
    },
    Rule { programs: &["compile"], name: go_compiler },
    Rule {
        programs: &["timeout", "nice", "nohup", "setsid", "env", "stdbuf", "taskset", "time"],
        name: starter,
    },
];

/// `rustc serde`, `rustc serde (build script)`.
fn rust_compiler(arguments: &Arguments) -> Option<String> {
    let name = arguments.value("--crate-name")?;
    let kind = match () {
        () if arguments.has("--print") || name == "___" => " (query)",
        () if arguments.values("--crate-type").any(|kind| kind == "proc-macro") => " (proc macro)",
        () if arguments.has("--test") => " (test)",
        () => "",
    };
    if name.starts_with("build_script_") {
        return Some(
            arguments.with(&format!("{} (build script)", package_of_build_script(arguments).unwrap_or(name))),
        );
    }
    let name = if name == "___" { "" } else { name };
    Some(arguments.with(&format!("{name}{kind}")).replace("  ", " "))
}

/// Returns the package that a build script belongs to: the directory of its source, without a version.
fn package_of_build_script<'a>(arguments: &Arguments<'a>) -> Option<&'a str> {
    let source = arguments
        .words
        .iter()
        .find(|word| base_name(word).rsplit_once('.').is_some_and(|(_, ending)| ending == "rs"))?;
    let directory = base_name(source.rsplit_once(['/', '\\'])?.0);
    let version = directory
        .match_indices('-')
        .find(|(at, _)| directory[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    Some(version.map_or(directory, |(at, _)| &directory[..at]))
}

/// `sccache rustc serde`: the name of what is wrapped.
fn wrapper(arguments: &Arguments) -> Option<String> {
    super::name_of(arguments.words).map(|name| arguments.with(&name))
}

/// `g++ foo.cc`, or `cc -> program` where it links.
fn c_driver(arguments: &Arguments) -> Option<String> {
    c_compiler(arguments).or_else(|| linker(arguments))
}

/// `cc1plus foo.cc`.
fn c_compiler(arguments: &Arguments) -> Option<String> {
    source(arguments).map(|source| arguments.with(source))
}

/// Returns the first source file among the words.
fn source<'a>(arguments: &Arguments<'a>) -> Option<&'a str> {
    const ENDINGS: [&str; 20] = [
        "c", "cc", "cpp", "cxx", "C", "c++", "m", "mm", "s", "S", "f", "f90", "f95", "F90", "cu", "i", "ii",
        "d", "hpp", "h",
    ];
    let operands = arguments.words.iter().enumerate().filter(|(at, word)| {
        // The value of an option is none: `-MF foo.d`, `-o foo.s`.
        let before = at.checked_sub(1).map(|at| arguments.words[at]);
        !word.starts_with('-') && !before.is_some_and(|option| VALUE_FOLLOWS.contains(&option))
    });
    operands
        .map(|(_, word)| base_name(word))
        .find(|name| name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending)))
}

/// Options of compilers whose value is the next word.
const VALUE_FOLLOWS: [&str; 14] = [
    "-o",
    "-MF",
    "-MT",
    "-MQ",
    "-MD",
    "-MMD",
    "-I",
    "-isystem",
    "-iquote",
    "-include",
    "-imultiarch",
    "-dumpbase",
    "-dumpbase-ext",
    "-auxbase-strip",
];

/// `ld -> libx.so`.
fn linker(arguments: &Arguments) -> Option<String> {
    let output = arguments
        .value("-o")
        .or_else(|| arguments.words.iter().find_map(|word| word.strip_prefix("/OUT:")))?;
    Some(arguments.with(&format!("-> {}", base_name(output))))
}

/// `python3 train.py`, `python3 -m pytest`, `python3 -c`.
fn python(arguments: &Arguments) -> Option<String> {
    let mut words = arguments.words.iter();
    while let Some(word) = words.next() {
        // Letters may be joined: `-um module`. What follows `-W` and `-X` in the same word is their value.
        let last_letter = word
            .strip_prefix('-')
            .filter(|letters| {
                letters.bytes().all(|byte| byte.is_ascii_alphabetic()) && !letters.starts_with(['W', 'X'])
            })
            .and_then(|letters| letters.chars().last());
        match (*word, last_letter) {
            (_, Some('m')) => return words.next().map(|module| arguments.with(&format!("-m {module}"))),
            (_, Some('c')) => return words.next().map(|text| arguments.with(python_text(text))),
            ("-W" | "-X" | "--check-hash-based-pycs", _) => drop(words.next()),
            ("-", _) => return Some(arguments.with("-")),
            (option, _) if option.starts_with('-') => {}
            (script, _) => return Some(arguments.with(base_name(script))),
        }
    }
    None
}

/// Returns what a text after `-c` does, as far as Python's own library starts it; otherwise `-c`, without the text.
fn python_text(text: &str) -> &'static str {
    match text {
        text if text.contains("multiprocessing.spawn") => "(spawned worker)",
        text if text.contains("multiprocessing.resource_tracker") => "(resource tracker)",
        text if text.contains("multiprocessing.forkserver") => "(fork server)",
        text if text.contains("sys.stdin.readline") => "(execnet worker)",
        _ => "-c",
    }
}

/// `ruby script.rb`, `perl -e`.
fn script(arguments: &Arguments) -> Option<String> {
    let family = arguments.family();
    let with_value: &[&str] = match family {
        "ruby" => &["-I", "-r", "-C"],
        "perl" => &["-I"],
        "php" => &["-d", "-c"],
        "lua" | "luajit" => &["-l"],
        "julia" => &["-t", "-p", "-J", "-L", "-C"],
        _ => &[],
    };
    // Letters may be joined: `perl -ne TEXT`.
    let takes_text = |option: &str| {
        !option.starts_with("--") && option.ends_with(['e', 'E'])
            || family == "php" && matches!(option, "-r" | "-B" | "-R")
    };
    let (options, [script, ..]) = arguments.split_options(with_value) else { return None };
    let name = if options.iter().any(|option| takes_text(option)) { "-e" } else { base_name(script) };
    Some(arguments.with(name))
}

/// `node server.js`, `deno run server.ts`.
fn node(arguments: &Arguments) -> Option<String> {
    const WITH_VALUE: [&str; 6] = ["-r", "--require", "--import", "--loader", "-C", "--conditions"];
    const TEXT_FOLLOWS: [&str; 5] = ["-e", "--eval", "-p", "--print", "-pe"];
    let (options, [script, rest @ ..]) = arguments.split_options(&WITH_VALUE) else { return None };
    if options.iter().any(|option| TEXT_FOLLOWS.contains(option)) {
        return Some(arguments.with("-e"));
    }
    if matches!(*script, "run" | "test" | "x") && matches!(arguments.family(), "deno" | "bun") {
        let file = rest.iter().find(|word| !word.starts_with('-'));
        let name = file.map_or((*script).to_owned(), |file| format!("{script} {}", base_name(file)));
        return Some(arguments.with(&name));
    }
    Some(arguments.with(base_name(script)))
}

/// `java Main`, `java app.jar`.
fn java(arguments: &Arguments) -> Option<String> {
    const WITH_VALUE: [&str; 12] = [
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--add-opens",
        "--add-exports",
        "--add-modules",
        "--add-reads",
        "--limit-modules",
        "--upgrade-module-path",
        "-d",
    ];
    let mut words = arguments.words;
    loop {
        let (options, [main, rest @ ..]) =
            Arguments { program: arguments.program, words }.split_options(&WITH_VALUE)
        else {
            return None;
        };
        // A file of more arguments.
        if main.starts_with('@') {
            words = rest;
            continue;
        }
        let name = if options.last() == Some(&"-jar") { base_name(main) } else { last_part(main) };
        return Some(arguments.with(name));
    }
}

/// Returns the last part of the name of a class or of a module with its class.
fn last_part(class: &str) -> &str {
    class.rsplit(['.', '/']).next().unwrap_or(class)
}

/// `make all`, and the directory where there is no target.
fn make(arguments: &Arguments) -> Option<String> {
    const WITH_VALUE: [&str; 6] = ["-C", "-f", "-j", "-I", "-l", "-o"];
    let words = arguments.words.iter().enumerate().filter(|(at, word)| {
        let is_value = at.checked_sub(1).is_some_and(|at| WITH_VALUE.contains(&arguments.words[at]));
        // `-j` takes a number, or nothing.
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let takes = is_value && (arguments.words[at - 1] != "-j" || is_number);
        !word.starts_with('-') && !word.contains('=') && !takes
    });
    let target = words.map(|(_, word)| word).next();
    match (target, arguments.value("-C")) {
        (Some(target), _) => Some(arguments.with(base_name(target))),
        (None, Some(directory)) => Some(arguments.with(&format!("({})", base_name(directory)))),
        (None, None) => None,
    }
}

/// `git fetch`: the verb, and the name of a script after `run`.
///
/// An option that is not known may take the next word, which may be secret (`kubectl --token T get`): then there is no name.
fn verb(arguments: &Arguments) -> Option<String> {
    const WITH_VALUE: [&str; 11] = [
        "-C",
        "-c",
        "-Z",
        "--config",
        "--color",
        "--git-dir",
        "--work-tree",
        "--context",
        "--namespace",
        "--prefix",
        "-H",
    ];
    const FLAGS: [&str; 15] = [
        "-v",
        "-vv",
        "-q",
        "-s",
        "-g",
        "-D",
        "-p",
        "--verbose",
        "--quiet",
        "--silent",
        "--offline",
        "--locked",
        "--frozen",
        "--no-pager",
        "--global",
    ];
    let mut words = arguments.words.iter();
    let verb = loop {
        match *words.next()? {
            option if WITH_VALUE.contains(&option) => drop(words.next()),
            option if FLAGS.contains(&option) || (option.starts_with("--") && option.contains('=')) => {}
            option if option.starts_with('-') => return None,
            // `cargo +nightly build`
            toolchain if toolchain.starts_with('+') => {}
            verb => break verb,
        }
    };
    let is_verb = verb.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let is_script = verb == "run" && matches!(arguments.program, "npm" | "yarn" | "pnpm");
    match words.next().filter(|script| is_script && !script.starts_with('-')) {
        Some(script) => Some(arguments.with(&format!("run {script}"))),
        None => is_verb.then(|| arguments.with(verb)),
    }
}

/// `compile runtime`: the package that Go compiles.
fn go_compiler(arguments: &Arguments) -> Option<String> {
    arguments.value("-p").map(|package| arguments.with(package))
}

/// `timeout make all`: a program that starts another one.
fn starter(arguments: &Arguments) -> Option<String> {
    let family = arguments.family();
    let with_value: &[&str] = match family {
        "timeout" => &["-k", "-s", "--kill-after", "--signal"],
        "nice" => &["-n"],
        "env" => &["-u", "-C", "-S", "--unset", "--chdir", "--split-string"],
        "stdbuf" => &["-i", "-o", "-e"],
        "time" => &["-f", "-o"],
        _ => &[],
    };
    let (_, mut command) = arguments.split_options(with_value);
    match family {
        // The time, and the mask or the list of processors.
        "timeout" | "taskset" => command = command.get(1..)?,
        "env" => {
            let variables = command.iter().take_while(|word| word.contains('=')).count();
            command = &command[variables..];
        }
        _ => {}
    }
    let program = command.first()?;
    let name = super::name_of(command).unwrap_or_else(|| base_name(program).to_owned());
    Some(arguments.with(&name))
}
