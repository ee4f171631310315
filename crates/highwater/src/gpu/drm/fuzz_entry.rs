//! Properties of the fdinfo parsers that hold for any bytes; for the fuzzer and the property tests.

use super::{
    dmem,
    fdinfo::DrmClient,
    regions::{Amount, Holding},
};

/// Passes `text` to the parsers, which must not panic.
pub(crate) fn parse(text: &[u8]) {
    let _ = dmem::parse(&String::from_utf8_lossy(text)).count();
    let Some(client) = DrmClient::parse(text) else { return };
    for driver in [None, Some("amdgpu"), Some("i915"), Some("xe"), Some("v3d")] {
        let (first, second) = match Holding::of(&client, driver) {
            Holding::Card { card, system } => (card, system),
            Holding::Unified(amount) => (Some(amount), None),
            Holding::Unreported => (None, None),
        };
        for Amount { bytes, private, .. } in [first, second].into_iter().flatten() {
            assert!(private <= bytes, "{private} of {bytes} are private");
        }
    }
    assert!(client.name.is_none_or(|name| !name.is_empty()));
    assert!(client.regions.len() <= 64 && client.engines.len() <= 64);
    let more = [b"unknown-key:\t1 MiB\n", text, b"\n: 2\n"].concat();
    assert_eq!(
        DrmClient::parse(&more).is_some(),
        DrmClient::parse(text).is_some(),
        "unknown keys say nothing"
    );
}
