//! Memory of a whole device from the query ioctls of i915 and xe (`i915_drm.h` and `xe_drm.h` of include/uapi/drm). The
//! device node is opened for the moment of the query. While it is open, this process is a client itself.
//!
//! Opening needs the group `render`. Without `CAP_PERFMON` both drivers answer as if nothing were used: i915
//! reports all memory free, xe reports 0 used. Neither is taken for a figure. xe wakes the device to answer.

use std::path::Path;

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags, fstat, major, minor, open},
    io::Errno,
    ioctl::{Updater, ioctl, opcode},
    thread::CapabilitySet,
};

use super::cards::DeviceNode;
use crate::{Unavailable, capability::Raised};

/// Sizes of all regions in one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) total: u64,
    /// `None` if the driver does not report it.
    pub(super) used: Option<u64>,
}

/// A device's memory as the driver reports it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct QueriedRegions {
    /// `None` if it has no memory of its own.
    pub(super) card: Option<Size>,
    pub(super) system: Option<Size>,
}

/// The driver to query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    I915,
    Xe,
}

impl Driver {
    pub(super) fn called(name: Option<&str>) -> Option<Self> {
        match name {
            Some("i915") => Some(Self::I915),
            Some("xe") => Some(Self::Xe),
            _ => None,
        }
    }
}

/// Queries the first of `nodes` that can be opened; `dev` is the directory of device nodes.
pub(super) fn regions(
    driver: Driver,
    dev: &Path,
    nodes: &[DeviceNode],
) -> Result<QueriedRegions, Unavailable> {
    // Render nodes come last in the list, and more users may open them.
    let mut refusal = Unavailable::NotProvided;
    for node in nodes.iter().rev() {
        match open_node(dev, node) {
            Ok(fd) => {
                let _raised = Raised::new(CapabilitySet::PERFMON);
                let answer = match driver {
                    Driver::I915 => ask_i915(&fd),
                    Driver::Xe => ask_xe(&fd),
                };
                return parse(driver, &answer.map_err(why)?);
            }
            // A refusal says more than the absence of another node.
            Err(_) if refusal == Unavailable::PermissionDenied => {}
            Err(errno) => refusal = why(errno),
        }
    }
    Err(refusal)
}

/// Opens the node if it is the one that sysfs means: a container may have given the name to another.
fn open_node(dev: &Path, node: &DeviceNode) -> Result<OwnedFd, Errno> {
    let fd = open(dev.join(&node.path), OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
    let is = fstat(&fd)?.st_rdev;
    if node.number.is_some_and(|number| number == (major(is), minor(is))) {
        Ok(fd)
    } else {
        Err(Errno::NODEV)
    }
}

fn why(errno: Errno) -> Unavailable {
    match errno {
        Errno::ACCESS | Errno::PERM => Unavailable::PermissionDenied,
        // The driver is too old for the query, or there is no node.
        Errno::INVAL | Errno::NOENT | Errno::NOTTY => Unavailable::NotProvided,
        errno => Unavailable::DriverBroken {
            code: errno.raw_os_error().into(),
            text: std::io::Error::from(errno).to_string(),
        },
    }
}

/// Answers have some hundred bytes; a larger one is a fault of the driver.
const MAX_ANSWER_BYTES: usize = 1 << 16;

/// `struct drm_i915_query`
#[repr(C)]
struct I915Query {
    num_items: u32,
    flags: u32,
    items_ptr: u64,
}

/// `struct drm_i915_query_item`
#[repr(C)]
struct I915Item {
    query_id: u64,
    length: i32,
    flags: u32,
    data_ptr: u64,
}

fn ask_i915(fd: impl AsFd) -> Result<Vec<u8>, Errno> {
    const MEMORY_REGIONS: u64 = 4;
    /// `DRM_COMMAND_BASE + DRM_I915_QUERY`
    const QUERY: rustix::ioctl::Opcode = opcode::read_write::<I915Query>(b'd', 0x40 + 0x39);
    let mut answer = Vec::<u8>::new();
    // The first call asks for the length, the second for the data.
    for _ in 0..2 {
        let mut item = I915Item {
            query_id: MEMORY_REGIONS,
            length: i32::try_from(answer.len()).map_err(|_| Errno::INVAL)?,
            flags: 0,
            data_ptr: if answer.is_empty() { 0 } else { answer.as_mut_ptr() as u64 },
        };
        let mut query = I915Query { num_items: 1, flags: 0, items_ptr: (&raw mut item) as u64 };
        // SAFETY: the call reads and writes one `drm_i915_query` and the one item that it points to. If that has a
        // length, the call writes as many bytes of `answer`, which is that long. All live beyond the call.
        unsafe { ioctl(&fd, Updater::<QUERY, I915Query>::new(&mut query)) }?;
        // A negative length is the item's error: the query is unknown.
        let length = usize::try_from(item.length).map_err(|_| Errno::INVAL)?;
        if length > MAX_ANSWER_BYTES {
            return Err(Errno::INVAL);
        }
        if answer.is_empty() {
            answer.resize(length, 0);
        }
    }
    Ok(answer)
}

/// `struct drm_xe_device_query`
#[repr(C)]
struct XeQuery {
    extensions: u64,
    query: u32,
    size: u32,
    data: u64,
    reserved: [u64; 2],
}

fn ask_xe(fd: impl AsFd) -> Result<Vec<u8>, Errno> {
    const MEM_REGIONS: u32 = 1;
    /// `DRM_COMMAND_BASE + DRM_XE_DEVICE_QUERY`
    const QUERY: rustix::ioctl::Opcode = opcode::read_write::<XeQuery>(b'd', 0x40);
    let mut answer = Vec::<u8>::new();
    for _ in 0..2 {
        let mut query = XeQuery {
            extensions: 0,
            query: MEM_REGIONS,
            size: u32::try_from(answer.len()).map_err(|_| Errno::INVAL)?,
            data: if answer.is_empty() { 0 } else { answer.as_mut_ptr() as u64 },
            reserved: [0; 2],
        };
        // SAFETY: the call reads and writes one `drm_xe_device_query` and, where that has a size, as many bytes of
        // `answer`, which is that long. Both live beyond the call.
        unsafe { ioctl(&fd, Updater::<QUERY, XeQuery>::new(&mut query)) }?;
        if answer.is_empty() {
            let length = usize::try_from(query.size).unwrap_or(usize::MAX);
            if length > MAX_ANSWER_BYTES {
                return Err(Errno::INVAL);
            }
            answer.resize(length, 0);
        }
    }
    Ok(answer)
}

/// Parses a head that begins with the number of regions, then one record each: class and instance (u16 each),
/// u32, two u64. The first u64 is the size. The second is what is free (i915) or used (xe).
fn parse(driver: Driver, answer: &[u8]) -> Result<QueriedRegions, Unavailable> {
    const RECORD: usize = 88;
    const ON_THE_CARD: u16 = 1;
    let head = match driver {
        Driver::I915 => 16,
        Driver::Xe => 8,
    };
    let u64_at = |bytes: &[u8], at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let count = answer.get(..4).and_then(|bytes| Some(u32::from_ne_bytes(bytes.try_into().ok()?)));
    let count = count.and_then(|count| usize::try_from(count).ok()).ok_or(Unavailable::LayoutUnknown)?;
    let records = answer.get(head..).unwrap_or_default().chunks_exact(RECORD);
    if records.len() < count {
        return Err(Unavailable::LayoutUnknown);
    }
    let mut regions = QueriedRegions::default();
    for record in records.take(count) {
        let (Some(total), Some(second)) = (u64_at(record, 8), u64_at(record, 16)) else { continue };
        let is_card = u16::from_ne_bytes([record[0], record[1]]) == ON_THE_CARD;
        let used = match driver {
            // i915 does not count system memory: all of it always seems free.
            Driver::I915 => total.checked_sub(second).filter(|&used| used != 0),
            Driver::Xe => Some(second).filter(|&used| used != 0),
        };
        let place = if is_card { &mut regions.card } else { &mut regions.system };
        *place = Some(match *place {
            None => Size { total, used },
            // Devices have several tiles: one without a figure makes the sum unknown.
            Some(sum) => Size {
                total: sum.total.saturating_add(total),
                used: sum.used.zip(used).map(|(a, b)| a.saturating_add(b)),
            },
        });
    }
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds an answer as the drivers lay it out.
    fn answer(head: usize, regions: &[(u16, u64, u64)]) -> Vec<u8> {
        let mut bytes = u32::try_from(regions.len()).unwrap().to_ne_bytes().to_vec();
        bytes.resize(head, 0);
        for &(class, first, second) in regions {
            let start = bytes.len();
            bytes.extend(class.to_ne_bytes());
            bytes.resize(start + 8, 0);
            bytes.extend(first.to_ne_bytes());
            bytes.extend(second.to_ne_bytes());
            bytes.resize(start + 88, 0);
        }
        bytes
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn i915_with_and_without_the_right() {
        let sizes =
            parse(Driver::I915, &answer(16, &[(0, 64 * GIB, 64 * GIB), (1, 16 * GIB, 10 * GIB)])).unwrap();
        assert_eq!(sizes.card, Some(Size { total: 16 * GIB, used: Some(6 * GIB) }));
        assert_eq!(sizes.system, Some(Size { total: 64 * GIB, used: None }));
        let hidden = parse(Driver::I915, &answer(16, &[(1, 16 * GIB, 16 * GIB)])).unwrap();
        assert_eq!(hidden.card, Some(Size { total: 16 * GIB, used: None }));
        let integrated = parse(Driver::I915, &answer(16, &[(0, 64 * GIB, 64 * GIB)])).unwrap();
        assert_eq!(integrated.card, None);
    }

    #[test]
    fn xe_adds_its_tiles() {
        let sizes =
            parse(Driver::Xe, &answer(8, &[(0, 9, 4), (1, 16 * GIB, GIB), (1, 16 * GIB, 2 * GIB)])).unwrap();
        assert_eq!(sizes.card, Some(Size { total: 32 * GIB, used: Some(3 * GIB) }));
        assert_eq!(sizes.system, Some(Size { total: 9, used: Some(4) }));
        let hidden = parse(Driver::Xe, &answer(8, &[(1, 16 * GIB, 0), (1, 16 * GIB, 2 * GIB)])).unwrap();
        assert_eq!(hidden.card, Some(Size { total: 32 * GIB, used: None }));
    }

    #[test]
    fn a_short_answer_is_none() {
        let whole = answer(8, &[(1, 5, 3)]);
        for length in 0..whole.len() {
            assert_eq!(parse(Driver::Xe, &whole[..length]), Err(Unavailable::LayoutUnknown), "{length}");
        }
        assert_eq!(parse(Driver::I915, &[0xff; 100]), Err(Unavailable::LayoutUnknown));
    }

    #[test]
    fn the_structs_are_as_long_as_the_kernels() {
        assert_eq!((size_of::<I915Query>(), size_of::<I915Item>(), size_of::<XeQuery>()), (16, 24, 40));
    }

    #[test]
    fn a_node_that_is_another_device_is_not_asked() {
        let tree = tempfile::tempdir().unwrap();
        let node = |path: &str, number| DeviceNode { path: path.into(), number };
        std::fs::write(tree.path().join("renderD128"), "").unwrap();
        let ask = |nodes: &[DeviceNode]| regions(Driver::Xe, tree.path(), nodes);
        assert!(matches!(
            ask(&[node("renderD128", Some((226, 128)))]),
            Err(Unavailable::DriverBroken { .. })
        ));
        assert_eq!(ask(&[node("card0", Some((226, 0)))]), Err(Unavailable::NotProvided));
        assert_eq!(ask(&[]), Err(Unavailable::NotProvided));
    }
}
