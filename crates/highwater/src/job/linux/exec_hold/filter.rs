//! The seccomp filter: it holds a task at its exec and at the exit of its process, and lets all other calls pass.
//!
//! seccomp(2); instructions of `include/uapi/linux/bpf_common.h`; numbers of `arch/*/entry/syscalls`. Plain `exit` ends
//! one thread only and is not held: holding it doubled the cost of a thread.

use libc::sock_filter;

/// One architecture that programs of this machine may use.
struct Arch {
    /// `AUDIT_ARCH_*`, include/uapi/linux/audit.h.
    audit: u32,
    /// Bits of the call number that count: x32 programs set one more.
    mask: u32,
    execs: &'static [u32],
    exit_group: u32,
}

const ARCHS: [Arch; 4] = [
    // x32 has numbers of its own for execve and execveat.
    Arch { audit: 0xc000_003e, mask: !0x4000_0000, execs: &[59, 322, 520, 545], exit_group: 231 },
    Arch { audit: 0x4000_0003, mask: !0, execs: &[11, 358], exit_group: 252 }, // i386
    Arch { audit: 0xc000_00b7, mask: !0, execs: &[221, 281], exit_group: 94 }, // aarch64
    Arch { audit: 0x4000_0028, mask: !0, execs: &[11, 387], exit_group: 248 }, // arm
];

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
/// Offsets of the call's number and the architecture in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// Returns the filter's instructions.
pub(super) fn instructions() -> Vec<sock_filter> {
    let one = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let mut filter = vec![one(LOAD, ARCH)];
    for arch in &ARCHS {
        let calls: Vec<u32> = arch.execs.iter().copied().chain([arch.exit_group]).collect();
        // After the comparison: load, and, one comparison a call, allow, notify.
        let block = u8::try_from(calls.len() + 4).unwrap_or(u8::MAX);
        filter.push(sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: block, k: arch.audit });
        filter.push(one(LOAD, NUMBER));
        filter.push(one(AND, arch.mask));
        for (index, &call) in calls.iter().enumerate() {
            let to_notify = u8::try_from(calls.len() - index).unwrap_or(u8::MAX);
            filter.push(sock_filter { code: JUMP_IF_EQUAL, jt: to_notify, jf: 0, k: call });
        }
        filter.push(one(RETURN, libc::SECCOMP_RET_ALLOW));
        filter.push(one(RETURN, libc::SECCOMP_RET_USER_NOTIF));
    }
    filter.push(one(RETURN, libc::SECCOMP_RET_ALLOW));
    filter
}

/// Returns a filter that lets everything pass, to test whether filters are allowed.
pub(super) fn holding_nothing() -> [sock_filter; 1] {
    [sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }]
}

/// Returns whether a call of that architecture and number ends a process; otherwise it is an exec.
pub(super) fn is_exit(audit: u32, number: u32) -> bool {
    ARCHS.iter().any(|arch| arch.audit == audit && number & arch.mask == arch.exit_group)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets these four kinds of instructions as the kernel does.
    fn run(audit: u32, number: u32) -> u32 {
        let filter = instructions();
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &filter[at];
            at += 1;
            match step.code {
                LOAD => value = if step.k == ARCH { audit } else { number },
                AND => value &= step.k,
                JUMP_IF_EQUAL => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                RETURN => return step.k,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn only_execs_and_exits_are_held() {
        const X86_64: u32 = 0xc000_003e;
        const I386: u32 = 0x4000_0003;
        const AARCH64: u32 = 0xc000_00b7;
        let calls: [(u32, &[u32]); 4] = [
            (X86_64, &[59, 322, 231, 0x4000_0000 + 520, 0x4000_0000 + 231]),
            (I386, &[11, 358, 252]),
            (AARCH64, &[221, 281, 94]),
            (0x4000_0028, &[11, 387, 248]),
        ];
        for (audit, numbers) in calls {
            for &number in numbers {
                assert_eq!(run(audit, number), libc::SECCOMP_RET_USER_NOTIF, "{audit:#x} {number}");
            }
            let passed = (0..600).filter(|number| run(audit, *number) == libc::SECCOMP_RET_ALLOW).count();
            assert!(passed >= 600 - 5, "{audit:#x} {passed}");
        }
        for (audit, exit) in [(X86_64, 60), (I386, 1), (AARCH64, 93)] {
            assert_eq!(run(audit, exit), libc::SECCOMP_RET_ALLOW, "the exit of one thread");
        }
        assert_eq!(run(0xdead, 59), libc::SECCOMP_RET_ALLOW, "an unknown architecture");
        assert!(is_exit(X86_64, 231) && is_exit(X86_64, 0x4000_0000 + 231) && !is_exit(X86_64, 59));
        assert!(is_exit(AARCH64, 94) && !is_exit(AARCH64, 231));
    }
}
