//! Prints the memory of this process, in RAM and on the first GPU: `cargo run --example snapshot`.

use highwater::Snapshot;

const GIB: f64 = (1_u64 << 30) as f64;

fn main() -> Result<(), highwater::Error> {
    let snapshot = Snapshot::now(0)?;
    println!("RAM: {} bytes resident", snapshot.ram_bytes);

    if let Some(dev) = snapshot.gpu_device {
        let (used, total) = (dev.used_bytes as f64 / GIB, dev.total_bytes as f64 / GIB);
        println!("GPU 0 [{}]: {used:.1} of {total:.1} GiB in use", dev.name.as_deref().unwrap_or("no name"));
    } else {
        println!("GPU 0: no figures");
    }

    if let Some(proc_gpu) = snapshot.gpu {
        assert!(proc_gpu.is_per_process, "a device's figure never stands for a process");
        println!("of that by this process: {:.0} MiB", proc_gpu.used_bytes as f64 / f64::from(1 << 20));
    }

    // The gaps say why something is missing.
    for gap in snapshot.gaps {
        println!("{}: {}", gap.what, gap.why);
    }
    Ok(())
}
