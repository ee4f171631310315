//! The names of the directories in which records are kept.

/// Returns the time and the name in the name of a directory: `2026-11-21T14-09-00.123Z-4321@base`.
pub(super) fn parts(dir: &str) -> Option<(&str, Option<&str>)> {
    let (front, name) = match dir.split_once('@') {
        Some((front, name)) => (front, Some(name)),
        None => (dir, None),
    };
    let (moment, pid) = front.split_once("Z-")?;
    let is_moment =
        moment.len() == "2026-11-21T14-09-00.123".len() && moment.starts_with(|c: char| c.is_ascii_digit());
    (is_moment && pid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')).then_some((moment, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories() {
        let parts = |dir| parts(dir).map(|(time, name)| (time.to_owned(), name.map(str::to_owned)));
        let moment = "2026-11-21T14-09-00.123".to_owned();
        assert_eq!(parts("2026-11-21T14-09-00.123Z-4321"), Some((moment.clone(), None)));
        assert_eq!(parts("2026-11-21T14-09-00.123Z-4321-2@a.b"), Some((moment, Some("a.b".to_owned()))));
        for foreign in
            ["", "index.json", "Z-1", "2026Z-1", "2026-11-21T14-09-00.123Z", "2026-11-21T14-09-00.123Z-x"]
        {
            assert_eq!(parts(foreign), None, "{foreign}");
        }
    }
}
