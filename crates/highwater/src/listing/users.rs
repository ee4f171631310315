//! Names of users.

use std::{collections::HashMap, path::Path};

use crate::Roots;

/// Names of users, each looked up once.
#[derive(Debug)]
pub(super) struct UserNames {
    /// True if user ids are those of this machine. A recorded tree, or the host's procfs seen from a container, has others.
    are_local: bool,
    known: HashMap<u32, String>,
}

impl UserNames {
    pub(super) fn of(roots: &Roots) -> Self {
        Self { are_local: roots.proc == Path::new("/proc"), known: HashMap::new() }
    }

    /// The user's name, or the number where there is none.
    pub(super) fn name(&mut self, uid: u32) -> String {
        let are_local = self.are_local;
        let name = || if are_local { look_up(uid) } else { None }.unwrap_or_else(|| uid.to_string());
        self.known.entry(uid).or_insert_with(name).clone()
    }
}

/// Asks the C library, which knows directory services too (LDAP, SSSD): clusters have their users there.
#[cfg(unix)]
fn look_up(uid: u32) -> Option<String> {
    use std::{ffi::CStr, mem::MaybeUninit, ptr};
    /// More than any entry needs; `_SC_GETPW_R_SIZE_MAX` is 1 KiB as a rule.
    const MAX_ENTRY_BYTES: usize = 1 << 20;
    let mut buffer = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: `entry`, `buffer` (of the given length) and `found` are live locals (getpwuid_r(3)).
        let status = unsafe {
            libc::getpwuid_r(uid, entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found)
        };
        if status == libc::ERANGE && buffer.len() < MAX_ENTRY_BYTES {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if status != 0 || found.is_null() {
            return None;
        }
        // SAFETY: `found` points to `entry`, which is filled in; its name is a C string inside `buffer`.
        let name = unsafe { CStr::from_ptr((*found).pw_name) };
        return name.to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned);
    }
}

#[cfg(not(unix))]
fn look_up(_uid: u32) -> Option<String> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let mut users = UserNames::of(&Roots::default());
        assert_eq!(users.name(0), "root");
        assert_eq!(users.name(3_999_999_999), "3999999999");
        let mut others = UserNames::of(&Roots { proc: "/host/proc".into(), ..Roots::default() });
        assert_eq!(others.name(0), "0", "the host's root may have any name");
    }
}
