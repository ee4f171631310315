//! One line on the memory that the job held on a device.

use highwater::record::{GpuFigure, GpuPeak, GpuScope};

use super::lines::with_certainty;
use crate::text;

/// Returns the peak, its scope, and the unknown parts.
pub(super) fn sentence(device: &GpuPeak) -> String {
    let mut parts = Vec::new();
    match &device.vram {
        Some(vram) => parts.push(peak(vram, device.other_users)),
        None if device.processes == 0 => parts.push("no use by the job was seen".to_owned()),
        None => parts.push("unknown".to_owned()),
    }
    if let Some(gtt) = device.gtt.filter(|gtt| gtt.bytes > 0) {
        parts.push(format!("{} of system RAM mapped for it", peak(&gtt, device.other_users)));
    }
    if device.processes_unknown > 0 {
        parts.push(format!(
            "unknown for {} processes: the driver does not report them",
            device.processes_unknown
        ));
    }
    if device.other_users > 0 {
        let processes = if device.other_users == 1 { "process" } else { "processes" };
        parts.push(format!("{} {processes} of others used it when the job began", device.other_users));
    }
    let total = device.total_bytes.map(|bytes| format!(" of {}", text::size(bytes))).unwrap_or_default();
    let name = device.name.as_deref().unwrap_or(&device.id);
    format!("{} ({}{total})", parts.join("; "), text::printable(name))
}

fn peak(figure: &GpuFigure, others: u64) -> String {
    let size = with_certainty(figure.bytes, figure.certainty);
    let size = if figure.lower_bytes < figure.bytes && figure.scope == GpuScope::Job {
        format!("{size} (at least {}, as processes share some)", text::size(figure.lower_bytes))
    } else {
        size
    };
    match figure.scope {
        GpuScope::Device if others > 0 => format!(
            "{size} (the device's rise, if others gave nothing back: its driver does not report the job's part)"
        ),
        GpuScope::Device => format!("{size} (the device's rise: its driver does not report the job's part)"),
        _ => size,
    }
}

#[cfg(test)]
mod tests {
    use highwater::record::Certainty;

    use super::*;

    fn device(vram: Option<GpuFigure>) -> GpuPeak {
        let mut device = serde_json::json!({
            "index": 0, "name": "H200", "id": "0000:01:00.0", "total_bytes": 8_u64 << 30, "vram": null, "gtt": null,
            "processes": 2, "processes_unknown": 0, "other_users": 0, "source": "nvml",
        });
        device["vram"] = serde_json::to_value(vram).unwrap();
        serde_json::from_value(device).unwrap()
    }

    fn figure(bytes: u64, lower: u64, certainty: Certainty, scope: &str) -> GpuFigure {
        serde_json::from_value(serde_json::json!({
            "bytes": bytes, "lower_bytes": lower, "certainty": certainty, "scope": scope, "at_seconds": 1.0,
        }))
        .unwrap()
    }

    #[test]
    fn sentences() {
        let sampled = figure(1 << 30, 1 << 30, Certainty::Sampled, "job");
        assert_eq!(sentence(&device(Some(sampled))), "1.00 GiB (H200 of 8.00 GiB)");
        let shared = figure(2 << 30, 1 << 30, Certainty::Sampled, "job");
        let text = sentence(&device(Some(shared)));
        assert!(text.starts_with("2.00 GiB (at least 1.00 GiB, as processes share some)"), "{text}");
        let rise = figure(1 << 30, 0, Certainty::AtMost, "device");
        let mut shared_card = device(Some(rise));
        shared_card.other_users = 3;
        let text = sentence(&shared_card);
        assert!(text.starts_with("≤ 1.00 GiB (the device's rise"), "{text}");
        assert!(text.contains("3 processes of others used it"), "{text}");
        assert!(sentence(&device(None)).starts_with("unknown"));
        let mut unused = device(None);
        unused.processes = 0;
        assert!(sentence(&unused).starts_with("no use by the job was seen"));
    }
}
