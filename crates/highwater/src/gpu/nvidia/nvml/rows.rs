//! Parses rows of NVML's lists of processes from the bytes that the driver wrote.
//!
//! Neither the function nor its version gives the size of a row. Drivers 535.43 to 535.86 wrote 32 bytes from
//! a function whose rows have 24 before and after. So the room is filled with a sentinel, and the end of what
//! the driver wrote gives the size.

use crate::Unavailable;

/// The byte that fills the room for rows. As the last byte of a row it would be an impossible instance or
/// amount, so the end of the written part is exact.
pub(crate) const SENTINEL: u8 = 0xA5;

/// The room for each row: more than any known row has, so that a driver with longer ones still writes inside.
pub(crate) const ROW_ROOM_BYTES: usize = 64;

/// `NVML_VALUE_NOT_AVAILABLE` as an amount.
const NOT_AVAILABLE: u64 = u64::MAX;

/// `NVML_VALUE_NOT_AVAILABLE` as an instance: the process uses no part of a divided GPU.
const NO_INSTANCE: u32 = u32::MAX;

/// One process in the driver's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NvmlRow {
    pub(crate) pid: u32,
    /// `None` if the driver says that it is not available.
    pub(crate) used: Option<u64>,
    /// The GPU instance and the compute instance, on a divided GPU.
    pub(crate) instance: Option<(u32, u32)>,
}

/// The layouts that a function may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowLayout {
    /// `nvmlProcessInfo_v1_t`: 16 bytes, no instances.
    V1,
    /// `nvmlProcessInfo_v2_t`: 24 bytes, or 32 with `usedGpuCcProtectedMemory`.
    V2,
}

impl RowLayout {
    fn strides(self) -> &'static [usize] {
        match self {
            Self::V1 => &[16],
            Self::V2 => &[24, 32],
        }
    }
}

/// Returns room for a number of rows, filled with the sentinel; `u64` because the rows need such alignment.
///
/// The capacity given to the driver is odd, so that no two row sizes can explain the same end.
pub(crate) fn room(rows: usize) -> (Vec<u64>, usize) {
    let rows = rows | 1;
    (vec![u64::from_ne_bytes([SENTINEL; 8]); rows * ROW_ROOM_BYTES / 8], rows)
}

/// Parses `count` rows in `bytes`, with the `capacity` that the driver was given.
///
/// # Errors
/// [`Unavailable::LayoutUnknown`] if no known size of a row fits the written part.
pub(crate) fn rows(
    bytes: &[u8],
    count: usize,
    capacity: usize,
    layout: RowLayout,
) -> Result<Vec<NvmlRow>, Unavailable> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let stride = stride(bytes, count, capacity, layout).ok_or(Unavailable::LayoutUnknown)?;
    bytes
        .chunks_exact(stride)
        .take(count)
        .map(|row| parse(row, layout).ok_or(Unavailable::LayoutUnknown))
        .collect()
}

/// Finds the size of a row: the driver wrote `count` of them, or cleared the room for `capacity` first.
fn stride(bytes: &[u8], count: usize, capacity: usize, layout: RowLayout) -> Option<usize> {
    let written = bytes.iter().rposition(|byte| *byte != SENTINEL)? + 1;
    let fits = |rows: usize| {
        layout.strides().iter().copied().find(|stride| rows.checked_mul(*stride) == Some(written))
    };
    fits(count).or_else(|| fits(capacity)).filter(|stride| count <= bytes.len() / stride)
}

fn parse(row: &[u8], layout: RowLayout) -> Option<NvmlRow> {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(row.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_ne_bytes(row.get(at..at + 8)?.try_into().ok()?));
    let instance = match layout {
        RowLayout::V1 => None,
        RowLayout::V2 => Some((u32_at(16)?, u32_at(20)?)),
    };
    Some(NvmlRow {
        pid: u32_at(0)?,
        used: Some(u64_at(8)?).filter(|used| *used != NOT_AVAILABLE),
        instance: instance.filter(|(gpu, _)| *gpu != NO_INSTANCE),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds bytes as a driver would write them.
    fn written(rows: &[(u32, u64, u32, u32)], stride: usize, capacity: usize) -> Vec<u8> {
        let mut bytes = vec![SENTINEL; capacity * ROW_ROOM_BYTES];
        for (place, (pid, used, gpu, compute)) in rows.iter().enumerate() {
            let mut row = [0; 32];
            row[0..4].copy_from_slice(&pid.to_ne_bytes());
            row[8..16].copy_from_slice(&used.to_ne_bytes());
            row[16..20].copy_from_slice(&gpu.to_ne_bytes());
            row[20..24].copy_from_slice(&compute.to_ne_bytes());
            bytes[place * stride..][..stride].copy_from_slice(&row[..stride]);
        }
        bytes
    }

    const TWO: [(u32, u64, u32, u32); 2] =
        [(100, 4 << 30, u32::MAX, u32::MAX), (200, u64::MAX, u32::MAX, u32::MAX)];

    fn two() -> Vec<NvmlRow> {
        vec![
            NvmlRow { pid: 100, used: Some(4 << 30), instance: None },
            NvmlRow { pid: 200, used: None, instance: None },
        ]
    }

    #[test]
    fn rows_of_24_and_of_32_bytes_come_from_the_same_function() {
        for stride in [24, 32] {
            assert_eq!(rows(&written(&TWO, stride, 5), 2, 5, RowLayout::V2), Ok(two()), "{stride}");
        }
        assert_eq!(rows(&written(&TWO, 16, 5), 2, 5, RowLayout::V1), Ok(two()));
    }

    #[test]
    fn four_rows_of_24_are_not_three_of_32() {
        let four = [TWO[0], TWO[1], TWO[0], TWO[1]];
        let found = rows(&written(&four, 24, 5), 4, 5, RowLayout::V2).unwrap();
        assert_eq!(found.iter().map(|row| row.pid).collect::<Vec<_>>(), [100, 200, 100, 200]);
    }

    #[test]
    fn instances_of_a_divided_gpu() {
        let bytes = written(&[(7, 1, 3, 0)], 24, 1);
        let row = NvmlRow { pid: 7, used: Some(1), instance: Some((3, 0)) };
        assert_eq!(rows(&bytes, 1, 1, RowLayout::V2), Ok(vec![row]));
    }

    #[test]
    fn a_driver_that_clears_the_room_first() {
        let mut bytes = vec![SENTINEL; 9 * ROW_ROOM_BYTES];
        bytes[..9 * 24].fill(0);
        bytes[..24].copy_from_slice(&written(&TWO[..1], 24, 1)[..24]);
        assert_eq!(rows(&bytes, 1, 9, RowLayout::V2).unwrap(), two()[..1]);
    }

    #[test]
    fn an_unknown_size_is_not_guessed() {
        let wide: Vec<u8> = (0..2 * 40).map(|_| 1).chain([SENTINEL; 240]).collect();
        assert_eq!(rows(&wide, 2, 5, RowLayout::V2), Err(Unavailable::LayoutUnknown));
        assert_eq!(
            rows(&[SENTINEL; 320], 2, 5, RowLayout::V2),
            Err(Unavailable::LayoutUnknown),
            "nothing written"
        );
        assert_eq!(rows(&[], 2, 5, RowLayout::V2), Err(Unavailable::LayoutUnknown));
        assert_eq!(rows(&[0; 64], usize::MAX, 1, RowLayout::V2), Err(Unavailable::LayoutUnknown));
        assert_eq!(rows(&[], 0, 5, RowLayout::V2), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            count in prop_oneof![0_usize..40, any::<usize>()],
            capacity in prop_oneof![0_usize..40, any::<usize>()],
            v1 in any::<bool>(),
        ) {
            let layout = if v1 { RowLayout::V1 } else { RowLayout::V2 };
            if let Ok(found) = rows(&bytes, count, capacity, layout) {
                prop_assert_eq!(found.len(), count);
            }
        }

        #[test]
        fn what_is_written_is_read(
            pids in prop::collection::vec((1_u32..4_194_304, 0_u64..1 << 48), 1..30),
            wide in any::<bool>(),
        ) {
            let full: Vec<_> = pids.iter().map(|(pid, used)| (*pid, *used, u32::MAX, u32::MAX)).collect();
            let bytes = written(&full, if wide { 32 } else { 24 }, 31);
            let found = rows(&bytes, pids.len(), 31, RowLayout::V2).unwrap();
            let found: Vec<_> = found.iter().map(|row| (row.pid, row.used.unwrap())).collect();
            prop_assert_eq!(found, pids);
        }
    }
}
