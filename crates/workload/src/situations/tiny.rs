//! A program smaller than any compiler makes: without libc and loader, so that its size is what it touches.

use std::{fs, os::unix::fs::PermissionsExt};

use super::usage;

const CODE_ADDRESS: u32 = 0x40_0000;
const DATA_ADDRESS: u32 = 0x60_0000;
/// The headers: one ELF header and two program headers.
const HEADER_BYTES: u32 = 64 + 2 * 56;

/// Writes an ELF program to `path` that touches `kib`, sleeps `ms` milliseconds and exits with 0.
pub(crate) fn write(path: &str, kib: usize, ms: usize) {
    if !cfg!(target_arch = "x86_64") {
        usage("tiny speaks x86_64 only");
    }
    let pages = u32::try_from(kib / 4).unwrap_or_else(|_| usage("too many KiB"));
    let file = program(pages, ms as u64);
    let written =
        fs::write(path, file).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)));
    if let Err(error) = written {
        eprintln!("workload: {path}: {error}");
        std::process::exit(1);
    }
}

/// Builds a program: elf(5); `x86_64` machine code, system calls nanosleep (35) and `exit_group` (231).
fn program(pages: u32, ms: u64) -> Vec<u8> {
    let time_at = CODE_ADDRESS + HEADER_BYTES + 46;
    let mut code = Vec::new();
    code.extend([0xbb]); // mov ebx, DATA
    code.extend(DATA_ADDRESS.to_le_bytes());
    code.extend([0xb9]); // mov ecx, pages
    code.extend(pages.to_le_bytes());
    code.extend([0xc6, 0x03, 0x01]); // touch: mov byte [rbx], 1
    code.extend([0x81, 0xc3, 0x00, 0x10, 0x00, 0x00]); // add ebx, 4096
    code.extend([0xff, 0xc9, 0x75, 0xf3]); // dec ecx; jnz touch
    code.extend([0xb8, 35, 0, 0, 0, 0xbf]); // mov eax, 35; mov edi, time
    code.extend(time_at.to_le_bytes());
    code.extend([0x31, 0xf6, 0x0f, 0x05]); // xor esi, esi; syscall
    code.extend([0xb8, 231, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]); // mov eax, 231; xor edi, edi; syscall
    assert_eq!(code.len(), 46, "time_at counts these bytes");
    code.extend((ms / 1000).to_le_bytes());
    code.extend((ms % 1000 * 1_000_000).to_le_bytes());

    let length = u64::from(HEADER_BYTES) + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 62] {
        file.extend(half.to_le_bytes()); // executable, x86_64
    }
    file.extend(1_u32.to_le_bytes());
    for long in [u64::from(CODE_ADDRESS + HEADER_BYTES), 64, 0] {
        file.extend(long.to_le_bytes()); // entry, program headers, no sections
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 2, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut segment = |flags: u32, address: u32, in_file: u64, in_memory: u64| {
        file.extend(1_u32.to_le_bytes()); // PT_LOAD
        file.extend(flags.to_le_bytes());
        for long in [0, u64::from(address), u64::from(address), in_file, in_memory, 4096] {
            file.extend(long.to_le_bytes());
        }
    };
    segment(5, CODE_ADDRESS, length, length); // read and execute
    segment(6, DATA_ADDRESS, 0, u64::from(pages) * 4096); // read and write, all zero
    file.extend(code);
    file
}
