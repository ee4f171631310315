//! Windows' right to open processes of all users: an elevated console has it, but switched off (`SeDebugPrivilege`;
//! Microsoft, "Changing Privileges in a Token").

use crate::args::Verb;

/// Returns whether this verb looks into processes that it did not start. Verbs that run commands are left out. A child
/// inherits the privilege in its present state (`CreateProcess`), and a job must find it as without hwm.
pub(crate) fn is_wanted(verb: &Verb) -> bool {
    matches!(verb, Verb::Ps(_) | Verb::Watch(_) | Verb::Attach(_) | Verb::Doctor(_))
}

#[cfg(windows)]
pub(crate) use self::os::enable;

#[cfg(windows)]
mod os {
    use std::{
        os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
        ptr::{null, null_mut},
    };

    use windows_sys::Win32::{
        Foundation::{ERROR_SUCCESS, GetLastError, LUID},
        Security::{
            AdjustTokenPrivileges, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_DEBUG_NAME,
            SE_PRIVILEGE_ENABLED, TOKEN_ACCESS_MASK, TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES,
        },
        System::Threading::{GetCurrentProcess, OpenProcessToken},
    };

    /// Enables the privilege for this process; returns whether that worked. If not, nothing changes.
    pub(crate) fn enable() -> bool {
        let (Some(token), Some(right)) = (own_token(TOKEN_ADJUST_PRIVILEGES), right()) else { return false };
        let wanted = TOKEN_PRIVILEGES {
            PrivilegeCount: 1,
            Privileges: [LUID_AND_ATTRIBUTES { Luid: right, Attributes: SE_PRIVILEGE_ENABLED }],
        };
        // A token without the right is no failure of the call, but ERROR_NOT_ALL_ASSIGNED (AdjustTokenPrivileges).
        // SAFETY: the handle is live and has the access that is needed. The structure holds its own length. No
        // previous state is asked for.
        unsafe {
            AdjustTokenPrivileges(token.as_raw_handle(), 0, &raw const wanted, 0, null_mut(), null_mut()) != 0
                && GetLastError() == ERROR_SUCCESS
        }
    }

    fn own_token(access: TOKEN_ACCESS_MASK) -> Option<OwnedHandle> {
        let mut token = null_mut();
        // SAFETY: the first handle stands for this process. The second is written if the call works, and nothing else
        // owns it.
        unsafe {
            (OpenProcessToken(GetCurrentProcess(), access, &raw mut token) != 0)
                .then(|| OwnedHandle::from_raw_handle(token))
        }
    }

    fn right() -> Option<LUID> {
        let mut right = LUID::default();
        // SAFETY: a constant that ends in 0, and a live local.
        (unsafe { LookupPrivilegeValueW(null(), SE_DEBUG_NAME, &raw mut right) } != 0).then_some(right)
    }

    #[cfg(test)]
    mod tests {
        use windows_sys::Win32::{
            Security::{PRIVILEGE_SET, PrivilegeCheck, TOKEN_QUERY},
            System::SystemServices::PRIVILEGE_SET_ALL_NECESSARY,
        };

        use super::*;
        use crate::output::terminal::privilege::is_root;

        fn is_enabled() -> bool {
            let (token, right) = (own_token(TOKEN_QUERY).unwrap(), right().unwrap());
            let mut asked = PRIVILEGE_SET {
                PrivilegeCount: 1,
                Control: PRIVILEGE_SET_ALL_NECESSARY,
                Privilege: [LUID_AND_ATTRIBUTES { Luid: right, Attributes: 0 }],
            };
            let mut answer = 0;
            // SAFETY: a live handle and two live locals.
            assert_ne!(unsafe { PrivilegeCheck(token.as_raw_handle(), &raw mut asked, &raw mut answer) }, 0);
            answer != 0
        }

        #[test]
        fn is_had_where_the_token_has_it() {
            println!("elevated: {}, on before: {}", is_root(), is_enabled());
            assert_eq!(enable(), is_enabled());
            assert!(is_enabled() || !is_root(), "an elevated token has it");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn no_job_gets_it() {
        let wants = |line: &[&str]| {
            let verb = Cli::try_parse_from([&["hwm"], line].concat()).expect("valid").verb;
            is_wanted(&verb.expect("a verb"))
        };
        assert!(wants(&["ps"]) && wants(&["watch"]) && wants(&["attach", "42"]) && wants(&["doctor"]));
        assert!(!wants(&["run", "--gpu", "true"]));
        assert!(!wants(&["ci-check", "--baseline=base.json", "--", "true"]));
    }
}
