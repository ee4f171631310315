//! Titles that programs write over their command line (setproctitle): one word with spaces in it.

use super::arguments::base_name;

/// Programs whose title begins with their name and a colon, and the parts of it that say a role. What stands there
/// instead for a client names users and hosts, and is left out.
const ROLES: [(&str, &[&str]); 3] = [
    (
        "postgres",
        &[
            "checkpointer",
            "background writer",
            "walwriter",
            "autovacuum launcher",
            "autovacuum worker",
            "stats collector",
            "logical replication launcher",
            "logical replication worker",
            "parallel worker",
            "archiver",
            "startup",
            "walsender",
            "walreceiver",
            "logger",
            "io worker",
        ],
    ),
    ("nginx", &["master process", "worker process", "cache manager process", "cache loader process"]),
    ("php-fpm", &["master process", "pool"]),
];

/// Returns the name in a title; `None` if the text is no title.
pub(super) fn name(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with("[pytest-xdist ") {
        return Some("pytest worker".to_owned());
    }
    if let Some(rest) = text.strip_prefix("ray::") {
        return Some(format!("ray::{}", rest.split(['(', ' ']).next().unwrap_or(rest)));
    }
    let (program, role) = text.split_once(": ")?;
    let program = base_name(program);
    if program.contains(char::is_whitespace) {
        return None;
    }
    let known = ROLES.iter().find(|(name, _)| *name == program)?;
    // A cluster's name may stand before the role: `postgres: main: checkpointer`.
    let found =
        known.1.iter().find(|known| role.starts_with(**known) || role.contains(&format!(": {known}")));
    Some(match found {
        Some(role) => format!("{program}: {role}"),
        None => format!("{program}: client"),
    })
}
