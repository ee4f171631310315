//! The difference of two snapshots, as numbers and as text. All `mb` are MiB (1,048,576 bytes), and the texts
//! say MiB.
//!
//! ```
//! use highwater::{MemoryReport, Snapshot};
//!
//! let before = Snapshot::now(0)?;
//! let table: Vec<u64> = (0..1_000_000).collect();
//! let report = MemoryReport::new(before, Snapshot::now(0)?);
//! report.print_delta("table"); //   table: RAM +8 MiB  |  VRAM unknown: no GPU was found
//! # drop(table);
//! # Ok::<(), highwater::Error>(())
//! ```

use std::io::{self, Write};

use crate::{
    GpuDeviceInfo, Snapshot,
    gpu::{Pool, Reading},
};

/// Two snapshots of this process and their difference.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MemoryReport {
    /// The earlier snapshot.
    pub before: Snapshot,
    /// The later snapshot.
    pub after: Snapshot,
}

impl Snapshot {
    /// Returns [`ram_bytes`](Self::ram_bytes) in MiB.
    #[must_use]
    pub fn ram_mb(&self) -> f64 {
        mib(self.ram_bytes)
    }

    /// Returns this process's memory on the device in MiB; `None` if it is unknown, as in [`gpu`](Self::gpu).
    #[must_use]
    pub fn vram_mb(&self) -> Option<f64> {
        self.gpu.as_ref().map(|gpu| mib(gpu.used_bytes))
    }

    /// Returns why there is no plain number of GPU memory.
    fn why_no_vram(&self) -> String {
        match self.usage.as_ref().map(|usage| &usage.vram.reading) {
            Some(Reading::Unknown(why)) => return why.to_string(),
            Some(bounds) => {
                let end =
                    |bytes: Option<u64>| bytes.map_or_else(|| "unknown".into(), |bytes| amount(mib(bytes)));
                return format!("only bounds are known, {} to {}", end(bounds.lower()), end(bounds.upper()));
            }
            None => {}
        }
        match (self.gaps.first(), &self.device) {
            (Some(gap), _) => format!("{}: {}", gap.what, gap.why),
            (None, Some(device)) => format!("{} reports no memory of this process", device.label()),
            (None, None) => "no GPU was found".into(),
        }
    }

    /// Returns the name of the figure: on a device without memory of its own it counts system RAM.
    fn vram_label(&self) -> &'static str {
        let pool = self.usage.as_ref().map(|usage| usage.vram.pool);
        if pool == Some(Pool::Unified) { "RAM for the GPU" } else { "VRAM" }
    }
}

impl MemoryReport {
    /// Makes a report of two snapshots, the earlier first.
    #[must_use]
    pub const fn new(before: Snapshot, after: Snapshot) -> Self {
        Self { before, after }
    }

    /// Returns the growth of RAM in MiB; negative if it shrank.
    #[must_use]
    pub fn ram_delta_mb(&self) -> f64 {
        self.after.ram_mb() - self.before.ram_mb()
    }

    /// Returns the growth of this process's memory on the device, in MiB. `None` unless both snapshots know
    /// it, for the same device and from the same source; [`format_delta`](Self::format_delta) says what is
    /// missing.
    #[must_use]
    pub fn vram_delta_mb(&self) -> Option<f64> {
        self.vram_delta().ok()
    }

    /// Returns one line with a line end, such as `  load: RAM +50 MiB  |  VRAM +512 MiB [per-process]`. If
    /// the GPU's part is unknown it says why.
    #[must_use]
    pub fn format_delta(&self, label: &str) -> String {
        let ram = change(self.ram_delta_mb());
        let name = self.after.vram_label();
        match self.vram_delta() {
            Ok(delta) => format!("  {label}: RAM {ram}  |  {name} {} [per-process]\n", change(delta)),
            Err(why) => format!("  {label}: RAM {ram}  |  {name} unknown: {why}\n"),
        }
    }

    /// Returns two lines, for RAM and for the GPU, each with the figures before and after, and a line end.
    ///
    /// ```text
    ///   load: RAM 3 MiB → 53 MiB (+50 MiB)
    ///   load: VRAM 256 MiB → 768 MiB (+512 MiB) [per-process]
    /// ```
    #[must_use]
    pub fn format_before_after(&self, label: &str) -> String {
        let Self { before, after } = self;
        let (first, second) = (amount(before.ram_mb()), amount(after.ram_mb()));
        let ram = format!("  {label}: RAM {first} → {second} ({})\n", change(self.ram_delta_mb()));
        let known = |snapshot: &Snapshot| snapshot.vram_mb().map_or_else(|| "unknown".into(), amount);
        let (first, second, name) = (known(before), known(after), after.vram_label());
        let what = match self.vram_delta() {
            Ok(delta) => format!("({}) [per-process]", change(delta)),
            Err(why) => format!("({why})"),
        };
        format!("{ram}  {label}: {name} {first} → {second} {what}\n")
    }

    /// Prints [`format_delta`](Self::format_delta) to stdout. Write errors are ignored.
    pub fn print_delta(&self, label: &str) {
        print(&self.format_delta(label));
    }

    /// Prints [`format_before_after`](Self::format_before_after) to stdout. Write errors are ignored.
    pub fn print_before_after(&self, label: &str) {
        print(&self.format_before_after(label));
    }

    /// Returns the growth in MiB, or why there is none.
    fn vram_delta(&self) -> Result<f64, String> {
        let Self { before, after } = self;
        let (Some(first), Some(second)) = (&before.gpu, &after.gpu) else {
            let (first, second) = (before.why_no_vram(), after.why_no_vram());
            return Err(match (&before.gpu, &after.gpu) {
                (None, Some(_)) => format!("before: {first}"),
                (Some(_), None) => format!("after: {second}"),
                _ if first == second => first,
                _ => format!("before: {first}; after: {second}"),
            });
        };
        if let (Some(one), Some(other)) = (&before.device, &after.device)
            && one.id != other.id
        {
            return Err(format!("not the same device: {} before, {} after", one.label(), other.label()));
        }
        if first.source != second.source {
            return Err(format!("not the same source: {:?} before, {:?} after", first.source, second.source));
        }
        Ok(mib(second.used_bytes) - mib(first.used_bytes))
    }
}

impl GpuDeviceInfo {
    /// Returns one line with a line end, such as `  GPU 0: free 13284 MiB / 16384 MiB [NVIDIA GeForce RTX
    /// 5060 Ti]`.
    #[must_use]
    pub fn format_free(&self) -> String {
        self.line(&format!("free {} / {}", amount(mib(self.free_bytes)), amount(mib(self.total_bytes))))
    }

    /// Prints [`format_free`](Self::format_free) to stdout. Write errors are ignored.
    pub fn print_free(&self) {
        print(&self.format_free());
    }

    /// As [`format_free`](Self::format_free), for all its memory.
    #[must_use]
    pub fn format_total(&self) -> String {
        self.line(&format!("total {}", amount(mib(self.total_bytes))))
    }

    /// As [`format_free`](Self::format_free), for the memory in use by all processes.
    #[must_use]
    pub fn format_used(&self) -> String {
        self.line(&format!("used {} / {}", amount(mib(self.used_bytes)), amount(mib(self.total_bytes))))
    }

    fn line(&self, what: &str) -> String {
        let name = self.name.as_ref().map_or_else(String::new, |name| format!(" [{name}]"));
        format!("  GPU {}: {what}{name}\n", self.index)
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn amount(mib: f64) -> String {
    format!("{mib:.0} MiB")
}

/// Formats a change with its sign; zero is never `-0`.
fn change(mib: f64) -> String {
    format!("{:+.0} MiB", mib.round() + 0.0)
}

/// Prints without the panic of `print!` on a closed pipe.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests;
