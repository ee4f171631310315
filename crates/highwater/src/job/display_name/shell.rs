//! Shells: the script, or the programs that a text after `-c` calls.

use super::arguments::{Arguments, base_name};

/// The most programs that a name lists.
const MAX_LISTED_PROGRAMS: usize = 3;
/// Words of the shell's grammar before which, or after which, a program may stand.
const KEYWORDS: [&str; 16] = [
    "if", "then", "else", "elif", "do", "while", "until", "!", "{", "(", "time", "exec", "command", "nohup",
    "env", "builtin",
];
/// Words that name no program: what they do takes no time, or ends a construct.
const NO_PROGRAMS: [&str; 26] = [
    ".", "cd", "set", "export", "trap", "fi", "done", "esac", "}", ")", "for", "case", "in", "ulimit",
    "umask", "shift", "local", "readonly", "unset", "return", "exit", "true", ":", "test", "[", "echo",
];

/// `sh build.sh`, `sh -c make, tee`.
pub(super) fn name(arguments: &Arguments) -> Option<String> {
    let mut words = arguments.words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file" => drop(words.next()),
            "-" | "--" => {}
            letters if letters.starts_with('-') && !letters.starts_with("--") && letters.contains('c') => {
                let text = words.find(|word| !word.starts_with(['-', '+']))?;
                let called = programs(text);
                return Some(if called.is_empty() {
                    arguments.with("-c")
                } else {
                    arguments.with(&format!("-c {}", called.join(", ")))
                });
            }
            option if option.starts_with(['-', '+']) => {}
            script => return Some(arguments.with(base_name(script))),
        }
    }
    None
}

/// Returns the programs that a text of the shell calls, each once, in their order. Words in quotes, expansions,
/// comments and all arguments are left out: they may be secret.
fn programs(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    // Lines of a here-document are no commands.
    let text = text.split_once("<<").map_or(text, |(before, _)| before);
    let mut is_in_test = false;
    for command in commands(text) {
        // `[[ a || b ]]` is one command.
        is_in_test |= command.contains("[[");
        if is_in_test {
            is_in_test = !command.contains("]]");
            continue;
        }
        let mut words =
            command.split_whitespace().skip_while(|word| KEYWORDS.contains(word) || is_assignment(word));
        let Some(program) = words.next() else { continue };
        let program = base_name(program.trim_start_matches(['(', '{']));
        let is_plain = program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
        let is_program = is_plain && !program.is_empty() && !program.starts_with('-');
        if is_program && !NO_PROGRAMS.contains(&program) && !found.contains(&program) {
            found.push(program);
        }
        if found.len() == MAX_LISTED_PROGRAMS {
            break;
        }
    }
    found
}

/// Returns whether a word is an assignment that ends with it. The value of another one may go on in the next word.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, value)| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !value.contains(['\'', '"', '`', '$', '(', '\\'])
    })
}

/// Splits a text at `;`, `&`, `|` and ends of lines that stand outside of quotes.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut quote = None;
        let mut is_escaped = false;
        let mut before = ' ';
        let end = rest.find(|c: char| {
            let was_escaped = std::mem::take(&mut is_escaped);
            let before = std::mem::replace(&mut before, c);
            match (quote, c) {
                _ if was_escaped => false,
                (None | Some('"'), '\\') => {
                    is_escaped = true;
                    false
                }
                (Some(open), _) => {
                    if c == open {
                        quote = None;
                    }
                    false
                }
                (None, '\'' | '"' | '`') => {
                    quote = Some(c);
                    false
                }
                // A comment, to the end of its line.
                (None, '#') if before.is_whitespace() => {
                    quote = Some('\n');
                    false
                }
                // `2>&1` goes on.
                (None, '&') => !matches!(before, '>' | '<'),
                (None, _) => matches!(c, ';' | '|' | '\n'),
            }
        });
        let (command, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, ""),
        };
        rest = after;
        Some(command)
    })
}
