//! The program to exec, prepared before the fork: no memory may be allocated after it.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
    ptr,
};

use crate::Error;

#[derive(Debug)]
pub(crate) struct PreparedProgram {
    /// Paths of the program, in the order in which they are tried.
    candidates: Vec<CString>,
    argv: Vec<CString>,
    envp: Vec<CString>,
    dir: Option<CString>,
}

/// Pointers to the program's strings in the form of execve(2), each array ended by a null pointer.
#[derive(Debug)]
pub(crate) struct Arrays {
    argv: Vec<*const libc::c_char>,
    /// Arguments to run a file that the kernel cannot execute as a shell script, as execvp(3) does.
    script: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
}

impl PreparedProgram {
    /// # Errors
    /// [`Error::EmptyCommand`]; [`Error::NulByte`].
    pub(crate) fn new(
        program: &OsStr,
        arguments: &[OsString],
        env: &[(OsString, Option<OsString>)],
        dir: Option<&PathBuf>,
    ) -> Result<Self, Error> {
        if program.is_empty() {
            return Err(Error::EmptyCommand);
        }
        let mut argv = vec![c_string(program, "the command")?];
        for argument in arguments {
            argv.push(c_string(argument, "an argument")?);
        }
        let env = environment(env);
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
        let candidates = candidates(program, path)?;
        let envp = env
            .iter()
            .map(|(name, value)| {
                let mut entry = name.clone();
                entry.push("=");
                entry.push(value);
                c_string(&entry, "an environment variable")
            })
            .collect::<Result<_, _>>()?;
        let dir = dir.map(|dir| c_string(dir.as_os_str(), "the directory")).transpose()?;
        Ok(Self { candidates, argv, envp, dir })
    }

    pub(crate) fn arrays(&self) -> Arrays {
        let argv = pointers(&self.argv);
        let mut script: Vec<*const libc::c_char> = vec![c"/bin/sh".as_ptr(), ptr::null()];
        script.extend(&argv[1..]);
        Arrays { argv, script, envp: pointers(&self.envp) }
    }

    /// Changes to the job's directory; returns the error number if that fails.
    ///
    /// # Safety
    /// Only in a child right after fork.
    pub(crate) unsafe fn enter_directory(&self) -> Result<(), i32> {
        let Some(dir) = &self.dir else { return Ok(()) };
        // SAFETY: a system call on a C string that lives until exec or _exit.
        if unsafe { libc::chdir(dir.as_ptr()) } < 0 { Err(errno()) } else { Ok(()) }
    }

    /// Tries the candidates as execvp(3) does; returns the error number to report.
    ///
    /// # Safety
    /// Only in a child right after fork; `arrays` are those of this program.
    pub(crate) unsafe fn exec(&self, arrays: &mut Arrays) -> i32 {
        let Arrays { argv, script, envp } = arrays;
        let mut result = libc::ENOENT;
        for candidate in &self.candidates {
            // SAFETY: null-terminated arrays of C strings; the second entry of `script` is free for the script's path.
            let error = unsafe {
                libc::execve(candidate.as_ptr(), argv.as_ptr(), envp.as_ptr());
                if errno() == libc::ENOEXEC {
                    script[1] = candidate.as_ptr();
                    libc::execve(c"/bin/sh".as_ptr(), script.as_ptr(), envp.as_ptr());
                }
                errno()
            };
            match error {
                // The search goes on, and the refusal is reported if no other candidate runs.
                libc::EACCES => result = error,
                libc::ENOENT | libc::ENOTDIR => {}
                _ => return error,
            }
        }
        result
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn c_string(bytes: &OsStr, what: &str) -> Result<CString, Error> {
    CString::new(bytes.as_bytes()).map_err(|_| Error::NulByte { what: what.to_owned() })
}

/// Returns the number of the last error of a system call in this thread.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// Returns the environment of this process with the job's changes.
fn environment(changes: &[(OsString, Option<OsString>)]) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for (name, value) in changes {
        env.retain(|(known, _)| known != name);
        if let Some(value) = value {
            env.push((name.clone(), value.clone()));
        }
    }
    env
}

/// Returns the paths to try: the program itself if it holds a slash, else one in each directory of `PATH`.
fn candidates(program: &OsStr, path: Option<&OsStr>) -> Result<Vec<CString>, Error> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program, "the command")?]);
    }
    // confstr(_CS_PATH), as execvp(3) takes it when PATH is not set.
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    path.as_bytes()
        .split(|&byte| byte == b':')
        .map(|dir| {
            let mut candidate = if dir.is_empty() { Vec::new() } else { [dir, b"/"].concat() };
            candidate.extend_from_slice(program.as_bytes());
            c_string(&OsString::from_vec(candidate), "the command")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(program: &str, path: Option<&str>) -> Vec<String> {
        let found = candidates(OsStr::new(program), path.map(OsStr::new)).unwrap();
        found.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn searches_path_as_execvp_does() {
        assert_eq!(names("cargo", Some("/a:/b/")), ["/a/cargo", "/b//cargo"]);
        assert_eq!(names("./x", Some("/a")), ["./x"]);
        assert_eq!(names("x", Some(":/a")), ["x", "/a/x"]);
        assert_eq!(names("x", None), ["/bin/x", "/usr/bin/x"]);
    }

    #[test]
    fn a_nul_byte_is_an_error_before_anything_starts() {
        assert!(matches!(candidates(OsStr::new("a\0b"), None), Err(Error::NulByte { .. })));
    }
}
