//! `/proc/PID/task/TID/children`: the live children that one thread made.
//! [`proc_tid_children(5)`](https://man7.org/linux/man-pages/man5/proc_tid_children.5.html)

use super::decimal;

/// Parses the pids. Each is followed by a space (`children_seq_show` in fs/proc/array.c). One without it was
/// cut, and would be another process's.
pub(crate) fn parse(text: &[u8]) -> impl Iterator<Item = u32> + '_ {
    text.split_inclusive(|&byte| byte == b' ').filter_map(|word| {
        let (pid, rest) = decimal::leading(word)?;
        (rest == b" ").then(|| u32::try_from(pid).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured() {
        assert_eq!(parse(b"2127 2139 31003 ").collect::<Vec<_>>(), [2127, 2139, 31003]);
        assert_eq!(parse(b"").count(), 0);
    }

    #[test]
    fn cut_or_foreign() {
        assert_eq!(parse(b"2127 21").collect::<Vec<_>>(), [2127]);
        assert_eq!(parse(b"x -1 99999999999 5 ").collect::<Vec<_>>(), [5]);
    }
}
