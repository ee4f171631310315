//! Starts the program, with a timeout.

use std::{
    io::{self, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{Unavailable, helper};

/// Waking a driver takes seconds; a broken one never answers.
const NVIDIA_SMI_TIMEOUT: Duration = Duration::from_secs(10);

/// More than it prints on any machine.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;

/// The variable that names the program's path, if it is an unusual one.
const PATH_VARIABLE: &str = "HWM_NVIDIA_SMI";

/// Returns the output of `nvidia-smi` for `arguments`.
pub(super) fn nvidia_smi(arguments: &[&str]) -> Result<String, Unavailable> {
    let program = helper::find("nvidia-smi", PATH_VARIABLE).map_err(|error| not_started(&error))?;
    output(Command::new(program).args(arguments), NVIDIA_SMI_TIMEOUT)
}

fn not_started(error: &io::Error) -> Unavailable {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Unavailable::PermissionDenied,
        io::ErrorKind::NotFound => Unavailable::NoBackend("no program nvidia-smi".into()),
        _ => Unavailable::Failed(format!("nvidia-smi: {error}")),
    }
}

/// Returns the output of a program; an error with exit code and first line if the code is not 0.
fn output(program: &mut Command, patience: Duration) -> Result<String, Unavailable> {
    let command = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| not_started(&error))?;
    let text = read(&mut child, patience);
    if text.is_none() {
        // It may have exited already.
        let _ = child.kill();
    }
    let status = child.wait();
    let text =
        text.ok_or_else(|| Unavailable::Failed(format!("nvidia-smi did not answer in {patience:?}")))?;
    let status = status.map_err(|error| Unavailable::Failed(format!("nvidia-smi: {error}")))?;
    if status.success() {
        return Ok(text);
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // This text and code mean a machine without a device.
    if first.starts_with("No devices were found") {
        return Ok(String::new());
    }
    let Some(code) = status.code() else {
        return Err(Unavailable::Failed(format!("nvidia-smi: {status}")));
    };
    let text = format!("nvidia-smi printed: {}", first.trim().chars().take(200).collect::<String>());
    Err(Unavailable::DriverBroken { code: code.into(), text })
}

/// Returns the whole output; `None` if it takes too long.
fn read(child: &mut Child, patience: Duration) -> Option<String> {
    let output = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    let reader = thread::Builder::new().name("nvidia-smi".into()).spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes);
        // After the timeout no receiver is left.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    reader.ok()?;
    receiver.recv_timeout(patience).ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Result<String, Unavailable> {
        output(Command::new("sh").args(["-c", script]), patience)
    }

    #[test]
    fn what_it_says() {
        let patience = Duration::from_secs(30);
        assert_eq!(shell("echo GPU-1, 5, 6", patience), Ok("GPU-1, 5, 6\n".into()));
        assert_eq!(shell("echo No devices were found; exit 6", patience), Ok(String::new()));
        let text = "nvidia-smi printed: Failed to initialize NVML".into();
        assert_eq!(
            shell("echo Failed to initialize NVML; exit 18", patience),
            Err(Unavailable::DriverBroken { code: 18, text })
        );
        assert!(matches!(shell("kill -9 $$", patience), Err(Unavailable::Failed(_))));
        let absent = output(&mut Command::new("/nonexistent/nvidia-smi"), patience);
        assert!(matches!(absent, Err(Unavailable::NoBackend(_))));
    }

    #[test]
    fn one_that_hangs_is_not_waited_for() {
        let answer = shell("exec sleep 100", Duration::from_millis(50));
        assert!(matches!(answer, Err(Unavailable::Failed(text)) if text.contains("did not answer")));
    }
}
