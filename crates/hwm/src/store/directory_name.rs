//! The names of the directories in which records are kept.

/// Returns the time and the name in the name of a directory: `2026-11-21T14-09-00.123Z-4321@base`.
pub(super) fn parts(dir: &str) -> Option<(&str, Option<&str>)> {
    let (front, name) = match dir.split_once('@') {
        Some((front, name)) => (front, Some(name)),
        None => (dir, None),
    };
    let (moment, pid) = front.split_once("Z-")?;
    (is_moment(moment) && pid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
        .then_some((moment, name))
}

/// Returns whether a text has the form `2026-11-21T14-09-00.123`, and numbers that a moment has.
fn is_moment(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00-00-00.000";
    let has_form = text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == *form,
        });
    let within = |range: std::ops::Range<usize>, most: u32| {
        text.get(range).and_then(|digits| digits.parse().ok()).is_some_and(|number: u32| number <= most)
    };
    // A leap second is the 60th.
    has_form
        && within(5..7, 12)
        && within(8..10, 31)
        && within(11..13, 23)
        && within(14..16, 59)
        && within(17..19, 60)
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
        for foreign in [
            "",
            "index.json",
            "Z-1",
            "2026Z-1",
            "2026-11-21T14-09-00.123Z",
            "2026-11-21T14-09-00.123Z-x",
            "2026-99-99T99-99-99.999Z-1",
            "1\x1b]0;title!!!!!!!!!\x07T1Z-3",
        ] {
            assert_eq!(parts(foreign), None, "{foreign}");
        }
    }
}
