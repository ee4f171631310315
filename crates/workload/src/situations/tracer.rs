//! A tracer that asks for stops by a seccomp filter, as `strace --seccomp-bpf` does (ptrace(2), `PTRACE_O_TRACESECCOMP`).

use std::{ffi::CString, ptr::null_mut};

use super::process::{exit_now, raw_fork};

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Runs `program` with a filter on its exec. The exit code is the number of stops at the exec.
pub(crate) fn trace(program: &str) -> ! {
    let program = CString::new(program).expect("no zero byte in a path");
    let pid = raw_fork();
    if pid == 0 {
        run_traced(&program);
    }
    let mut stops = 0;
    let mut status = 0;
    // SAFETY: `status` lives; the other arguments are numbers, and the child is one of this process.
    unsafe {
        libc::waitpid(pid, &raw mut status, 0);
        assert!(libc::WIFSTOPPED(status), "the child stops itself: {status:#x}");
        let options = libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;
        assert!(libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) == 0, "PTRACE_SETOPTIONS");
        loop {
            libc::ptrace(libc::PTRACE_CONT, pid, 0, 0);
            if libc::waitpid(pid, &raw mut status, 0) < 0 || !libc::WIFSTOPPED(status) {
                break;
            }
            stops += i32::from(status >> 8 == libc::SIGTRAP | libc::PTRACE_EVENT_SECCOMP << 8);
        }
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the program ended with {status:#x}");
    exit_now(stops)
}

/// Asks for a stop at the exec of this process, and execs `program`.
fn run_traced(program: &CString) -> ! {
    let one = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let exec = u32::try_from(libc::SYS_execve).expect("a call number");
    let mut filter = [
        one(LOAD, 0, 0), // the number of the call
        one(JUMP_IF_EQUAL, 1, exec),
        one(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        one(RETURN, 0, libc::SECCOMP_RET_TRACE),
    ];
    let filter = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    let arguments = [program.as_ptr(), std::ptr::null()];
    // SAFETY: the filter and the arguments live, and this process has one thread.
    unsafe {
        libc::ptrace(libc::PTRACE_TRACEME, 0, null_mut::<u8>(), null_mut::<u8>());
        libc::raise(libc::SIGSTOP);
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let refused = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter);
        if refused == 0 {
            libc::execv(program.as_ptr(), arguments.as_ptr());
        }
    }
    exit_now(126)
}
