//! Programs that find every signal as a terminal would give it to them.

use std::{os::unix::process::CommandExt, process::Command};

/// Returns the command with default signals. The test itself may run under nohup or in the background of a script, and
/// an ignored signal is inherited.
pub(crate) fn with_default_signals(command: &mut Command) -> &mut Command {
    let default_signals = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: signal(2) with a default is async-signal-safe and runs no code of this program.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: the closure only calls signal(2), which signal-safety(7) allows between fork and exec.
    unsafe { command.pre_exec(default_signals) }
}
