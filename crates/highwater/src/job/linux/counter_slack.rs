//! The amount by which counters that the kernel keeps by processor may read low.

/// Returns the bytes by which the counters of a process's RSS and mark may read low. Since Linux 6.2 they are batched
/// per CPU (`mm_counter`, `percpu_counter_batch` in `lib/percpu_counter.c`): three kinds of pages, up to a batch on
/// each CPU.
pub(super) fn counter_slack() -> Option<u64> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u64>().ok());
    let version = (numbers.next()?, numbers.next()?);
    let cpus = online_processors()?;
    let batch = (2 * cpus).max(32);
    (version >= (6, 2)).then(|| 3 * cpus * batch * rustix::param::page_size() as u64)
}

/// Returns the number of processors of the machine that are online, whichever of them this process may use.
pub(super) fn online_processors() -> Option<u64> {
    // SAFETY: sysconf takes a name and returns a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).ok()
}
