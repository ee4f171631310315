//! Properties of every parser that hold for any bytes; for the fuzzer and the property tests.

use super::{children, cmdline, smaps_rollup::SmapsRollup, stat::Stat, statm::Statm, status::Status};

/// Passes `text` to each parser, which must not panic.
pub(crate) fn parse(text: &[u8]) {
    if let Some(statm) = Statm::parse(text) {
        assert!(!statm.has_no_memory() || statm.resident_pages == 0);
    }
    if let Some(stat) = Stat::parse(text) {
        let _ = stat.has_not_exec();
    }
    if let Some(sums) = SmapsRollup::parse(text) {
        assert_ne!(sums, SmapsRollup::default(), "nothing found is no value");
    }
    Status::parse(text);
    #[cfg(feature = "job")]
    for mapping in super::smaps::file_mappings(text) {
        assert_ne!(mapping.inode, 0, "memory without a file");
    }
    assert!(children::parse(text).count() <= text.len());
    if let Some(name) = cmdline::command_name(text) {
        assert!(!name.is_empty() && !name.contains(['/', '\0']), "{name:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Generates pieces of kernel text, so that chance gets past the first byte.
    fn kernel_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(
                &[
                    "State:\t",
                    "VmHWM:\t",
                    "VmRSS:",
                    "PPid:\t",
                    "Threads:\t",
                    "Pss:",
                    "Private_Clean:",
                    "Private_Dirty:",
                    "7f00-7f01 r--p 00 08:01 ",
                    "Rss:",
                    "Anonymous:",
                    " kB",
                    "\n",
                    " ",
                    "(",
                    ")",
                    "/",
                    ":",
                    "\0",
                    "-",
                    "18446744073709551615",
                ][..]
            )
            .prop_map(|piece| piece.as_bytes().to_vec()),
            any::<u32>().prop_map(|number| number.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&text);
        }

        #[test]
        fn any_pieces(text in kernel_like()) {
            parse(&text);
        }

        #[test]
        fn any_comm_leaves_the_fields_alone(comm in prop::collection::vec(any::<u8>(), 0..16), ppid: u32, start: u64) {
            let zeros = |count| "0 ".repeat(count);
            let fields = format!(") S {ppid} {}{start} 0 0", zeros(22 - 5));
            let stat = Stat::parse(&[b"7 (", &comm[..], fields.as_bytes()].concat());
            let stat = stat.expect("every field stands");
            prop_assert_eq!((stat.pid, stat.ppid, stat.start_ticks), (7, ppid, start));
            prop_assert_eq!(stat.comm, String::from_utf8_lossy(&comm));
        }

        #[test]
        fn any_pids(pids in prop::collection::vec(any::<u32>(), 0..50)) {
            let text: Vec<u8> = pids.iter().flat_map(|pid| format!("{pid} ").into_bytes()).collect();
            prop_assert_eq!(children::parse(&text).collect::<Vec<_>>(), pids);
        }
    }
}
