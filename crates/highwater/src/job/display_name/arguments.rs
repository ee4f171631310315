//! The words of a command line, and the questions that rules ask about them.

/// A command line, split into words.
pub(super) struct Arguments<'a> {
    /// Base name of the program, as it was called.
    pub(super) program: &'a str,
    /// The words after it.
    pub(super) words: &'a [&'a str],
}

impl<'a> Arguments<'a> {
    pub(super) fn new(argv0: &'a str, words: &'a [&'a str]) -> Self {
        Self { program: base_name(argv0).trim_end_matches(".exe"), words }
    }

    /// Returns the name under which the rules list a program: without the prefix of a cross compiler
    /// (`aarch64-linux-gnu-gcc`), the dash of a login shell, and a version at its end (`python3.11`, `clang-14`).
    pub(super) fn family(&self) -> &'a str {
        let program = self.program.strip_prefix('-').unwrap_or(self.program);
        let family = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
        let family = if family.is_empty() { program } else { family };
        match family.rsplit_once("-gnu-").or_else(|| family.rsplit_once("-musl-")) {
            Some((_, tool)) if !tool.is_empty() => tool,
            _ => family,
        }
    }

    /// Returns the value of an option, in the next word (`--name X`) or in the same (`--name=X`).
    pub(super) fn value(&self, option: &str) -> Option<&'a str> {
        self.values(option).next()
    }

    /// Returns the values of an option that may be given more than once.
    pub(super) fn values(&self, option: &str) -> impl Iterator<Item = &'a str> {
        let words = self.words;
        words.iter().enumerate().filter_map(move |(at, word)| match word.strip_prefix(option)? {
            "" => words.get(at + 1).copied(),
            rest => rest.strip_prefix('=').filter(|_| option.starts_with("--")),
        })
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// Returns the options, and the words from the first one on that is none. Each of `with_value` takes the next word.
    ///
    /// What follows a script or a class belongs to it, and says nothing of the interpreter.
    pub(super) fn split_options(&self, with_value: &[&str]) -> (&'a [&'a str], &'a [&'a str]) {
        let mut at = 0;
        while let Some(word) = self.words.get(at) {
            if *word == "--" {
                return (&self.words[..at], &self.words[at + 1..]);
            }
            if !word.starts_with('-') || *word == "-" {
                break;
            }
            at += if with_value.contains(word) { 2 } else { 1 };
        }
        self.words.split_at(at.min(self.words.len()))
    }

    /// Returns `program word`.
    pub(super) fn with(&self, word: &str) -> String {
        format!("{} {word}", self.program)
    }
}

/// Returns the last part of a path, of any system.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(path)
}
