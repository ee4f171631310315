//! The performance counters of GPU memory (Windows 10 1709), by their English names in any language of the
//! system.

use std::{
    collections::BTreeMap, ffi::OsString, mem::ManuallyDrop, os::windows::ffi::OsStringExt, ptr::null_mut,
};

use libloading::os::windows::{LOAD_LIBRARY_SEARCH_SYSTEM32, Library};
use windows_sys::{
    Win32::System::Performance::{
        PDH_CSTATUS_NEW_DATA, PDH_CSTATUS_NO_COUNTER, PDH_CSTATUS_NO_OBJECT, PDH_CSTATUS_VALID_DATA,
        PDH_FMT_COUNTERVALUE_ITEM_W, PDH_FMT_LARGE, PDH_HCOUNTER, PDH_HQUERY, PDH_MORE_DATA, PDH_NO_DATA,
    },
    core::{PCWSTR, w},
};

use super::counters::{CounterAmounts, CounterPool, Holder, add, holder, luid};
use crate::Unavailable;

type OpenQuery = unsafe extern "system" fn(PCWSTR, usize, *mut PDH_HQUERY) -> u32;
type AddEnglishCounter = unsafe extern "system" fn(PDH_HQUERY, PCWSTR, usize, *mut PDH_HCOUNTER) -> u32;
type Collect = unsafe extern "system" fn(PDH_HQUERY) -> u32;
type Values =
    unsafe extern "system" fn(PDH_HCOUNTER, u32, *mut u32, *mut u32, *mut PDH_FMT_COUNTERVALUE_ITEM_W) -> u32;

/// Both pools, by process and by adapter.
const PATHS: [(PCWSTR, CounterSubject, CounterPool); 4] = [
    (w!("\\GPU Process Memory(*)\\Dedicated Usage"), CounterSubject::Processes, CounterPool::Dedicated),
    (w!("\\GPU Process Memory(*)\\Shared Usage"), CounterSubject::Processes, CounterPool::Shared),
    (w!("\\GPU Adapter Memory(*)\\Dedicated Usage"), CounterSubject::Adapters, CounterPool::Dedicated),
    (w!("\\GPU Adapter Memory(*)\\Shared Usage"), CounterSubject::Adapters, CounterPool::Shared),
];

/// Instances may appear between the two calls; the pair is repeated up to this many times.
const MAX_COUNTER_READS: u32 = 5;

/// Longer than any instance's name (`PDH_MAX_INSTANCE_NAME`).
const MAX_INSTANCE_NAME_UNITS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CounterSubject {
    Processes,
    Adapters,
}

/// A query with the counters, open until this process ends: closing it would need a library that may be
/// unloaded by then.
#[derive(Debug)]
pub(super) struct GpuCounters {
    /// The library is never unloaded: other code in this process may use it.
    _library: ManuallyDrop<Library>,
    collect: Collect,
    values: Values,
    query: PDH_HQUERY,
    added: Vec<(PDH_HCOUNTER, CounterSubject, CounterPool)>,
}

// SAFETY: PDH's queries belong to the process, not to a thread; one value owns this one.
unsafe impl Send for GpuCounters {}

impl GpuCounters {
    /// # Errors
    /// [`Unavailable::NoBackend`] if the system has no such counters.
    pub(super) fn open() -> Result<Self, Unavailable> {
        // SAFETY: the library is the system's, from its own directory alone.
        let library = unsafe { Library::load_with_flags("pdh.dll", LOAD_LIBRARY_SEARCH_SYSTEM32) };
        let library = library.map_err(|error| Unavailable::NoBackend(format!("pdh.dll: {error}")))?;
        // SAFETY: each name is that of a function of pdh.h with the signature of its type.
        let (open, add, collect, values) = unsafe {
            (
                *library.get::<OpenQuery>(b"PdhOpenQueryW").map_err(missing)?,
                *library.get::<AddEnglishCounter>(b"PdhAddEnglishCounterW").map_err(missing)?,
                *library.get::<Collect>(b"PdhCollectQueryData").map_err(missing)?,
                *library.get::<Values>(b"PdhGetFormattedCounterArrayW").map_err(missing)?,
            )
        };
        let mut query = null_mut();
        // SAFETY: no data source means live data; `query` is a local value.
        check(unsafe { open(null_mut(), 0, &raw mut query) })?;
        let mut added = Vec::new();
        let mut refused = None;
        for (path, whose, pool) in PATHS {
            let mut counter = null_mut();
            // SAFETY: the query is open, the text ends with 0, and `counter` is a local value.
            match check(unsafe { add(query, path, 0, &raw mut counter) }) {
                Ok(()) => added.push((counter, whose, pool)),
                Err(why) => refused = Some(why),
            }
        }
        match refused {
            Some(why) if added.is_empty() => Err(why),
            _ => Ok(Self { _library: ManuallyDrop::new(library), collect, values, query, added }),
        }
    }

    /// Returns the memory of each process.
    pub(super) fn processes(&self) -> Result<BTreeMap<Holder, CounterAmounts>, Unavailable> {
        self.sums(CounterSubject::Processes, holder)
    }

    /// Returns the memory in use on each adapter.
    pub(super) fn adapters(&self) -> Result<BTreeMap<u64, CounterAmounts>, Unavailable> {
        self.sums(CounterSubject::Adapters, luid)
    }

    fn sums<K: Ord>(
        &self,
        whose: CounterSubject,
        key: impl Fn(&str) -> Option<K>,
    ) -> Result<BTreeMap<K, CounterAmounts>, Unavailable> {
        // SAFETY: the query is open.
        let collected = unsafe { (self.collect)(self.query) };
        let mut sums = BTreeMap::new();
        if collected == PDH_NO_DATA {
            // There is no instance.
            return Ok(sums);
        }
        check(collected)?;
        for &(counter, _, pool) in self.added.iter().filter(|(_, of, _)| *of == whose) {
            for (instance, value) in self.values_of(counter)? {
                if let Some(key) = key(&instance) {
                    add(&mut sums, key, pool, value);
                }
            }
        }
        Ok(sums)
    }

    fn values_of(&self, counter: PDH_HCOUNTER) -> Result<Vec<(String, i64)>, Unavailable> {
        let mut buffer: Vec<PDH_FMT_COUNTERVALUE_ITEM_W> = Vec::new();
        for _ in 0..MAX_COUNTER_READS {
            let mut size =
                u32::try_from(buffer.len() * size_of::<PDH_FMT_COUNTERVALUE_ITEM_W>()).unwrap_or(u32::MAX);
            let mut count = 0;
            let place = if buffer.is_empty() { null_mut() } else { buffer.as_mut_ptr() };
            // SAFETY: `buffer` has `size` bytes, aligned for the items at its start; names follow them inside
            // it.
            let status =
                unsafe { (self.values)(counter, PDH_FMT_LARGE, &raw mut size, &raw mut count, place) };
            match status {
                PDH_MORE_DATA => {
                    // New instances may need more room than was reported.
                    let items = (size as usize).div_ceil(size_of::<PDH_FMT_COUNTERVALUE_ITEM_W>()) + 16;
                    buffer.clear();
                    buffer.resize(items, PDH_FMT_COUNTERVALUE_ITEM_W::default());
                }
                PDH_NO_DATA => return Ok(Vec::new()),
                _ => {
                    check(status)?;
                    let items = buffer.get(..count as usize).unwrap_or_default();
                    return Ok(items.iter().filter_map(value_of).collect());
                }
            }
        }
        Err(Unavailable::Failed("the counters grew at each query".to_owned()))
    }
}

/// Returns name and value of an instance that has a value.
fn value_of(item: &PDH_FMT_COUNTERVALUE_ITEM_W) -> Option<(String, i64)> {
    if !matches!(item.FmtValue.CStatus, PDH_CSTATUS_VALID_DATA | PDH_CSTATUS_NEW_DATA)
        || item.szName.is_null()
    {
        return None;
    }
    // SAFETY: the name is a text inside the buffer that ends with 0.
    let name = unsafe {
        let length = (0..MAX_INSTANCE_NAME_UNITS).take_while(|&at| *item.szName.add(at) != 0).count();
        OsString::from_wide(std::slice::from_raw_parts(item.szName, length))
    };
    // SAFETY: this is the format that was asked for.
    Some((name.into_string().ok()?, unsafe { item.FmtValue.Anonymous.largeValue }))
}

fn check(status: u32) -> Result<(), Unavailable> {
    match status {
        0 => Ok(()),
        PDH_CSTATUS_NO_OBJECT | PDH_CSTATUS_NO_COUNTER => {
            Err(Unavailable::NoBackend("this system counts no GPU memory of processes".to_owned()))
        }
        _ => Err(Unavailable::DriverBroken {
            code: status.into(),
            text: format!("the performance counters failed with {status:#010x}"),
        }),
    }
}

#[allow(clippy::needless_pass_by_value)] // map_err passes values.
fn missing(error: libloading::Error) -> Unavailable {
    Unavailable::NoBackend(format!("pdh.dll: {error}"))
}
