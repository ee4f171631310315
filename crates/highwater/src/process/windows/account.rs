//! The user of a process, from its token.

use std::{
    collections::HashMap,
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr::{null, null_mut},
    sync::Mutex,
    time::{Duration, Instant},
};

use windows_sys::Win32::{
    Security::{
        GetLengthSid, GetTokenInformation, LookupAccountSidW, PSID, SID_NAME_USE, TOKEN_QUERY, TOKEN_USER,
        TokenUser,
    },
    System::Threading::OpenProcessToken,
};

use super::{Opened, open::last};
use crate::{Error, Unavailable, process::opening::not_read};

/// The size of the buffer: a SID has at most 68 bytes (`SECURITY_MAX_SID_SIZE`), after the structure that
/// points to it.
const TOKEN_USER_BYTES: usize = 256;
/// Longer than any name of an account or a domain (UNLEN, DNLEN).
const MAX_ACCOUNT_NAME_UNITS: u32 = 512;

/// Known accounts by SID: a look-up may ask another machine, and take seconds to fail.
static KNOWN_ACCOUNTS: Mutex<Option<HashMap<Vec<u8>, AccountAnswer>>> = Mutex::new(None);
/// The age of a failure after which the look-up is repeated. A name stays valid.
const FAILURE_LIFETIME: Duration = Duration::from_secs(300);

/// The result of looking a SID up, and its time.
#[derive(Debug, Clone)]
struct AccountAnswer {
    at: Instant,
    name: Result<String, Unavailable>,
}

/// Returns the account as `DOMAIN\user`.
pub(super) fn of(process: &Opened) -> Result<String, Unavailable> {
    let mut buffer = [0_u64; TOKEN_USER_BYTES / size_of::<u64>()];
    let sid = sid_of(process, &mut buffer).map_err(|error| not_read(&error))?;
    // SAFETY: the system has written a SID into `buffer`, which is borrowed here.
    let bytes = unsafe {
        let length = GetLengthSid(sid) as usize;
        std::slice::from_raw_parts(sid.cast::<u8>(), length).to_vec()
    };
    known(bytes, Instant::now(), || look_up(sid))
}

/// Returns the earlier result for this SID, else that of `look_up`.
fn known(
    sid: Vec<u8>,
    now: Instant,
    look_up: impl FnOnce() -> Result<String, Unavailable>,
) -> Result<String, Unavailable> {
    let lock = || KNOWN_ACCOUNTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(AccountAnswer { at, name }) = lock().as_ref().and_then(|known| known.get(&sid))
        && (name.is_ok() || now.duration_since(*at) < FAILURE_LIFETIME)
    {
        return name.clone();
    }
    // The lock is not held during the look-up.
    let name = look_up();
    lock().get_or_insert_default().insert(sid, AccountAnswer { at: now, name: name.clone() });
    name
}

fn sid_of(process: &Opened, buffer: &mut [u64]) -> Result<PSID, Error> {
    let mut token = null_mut();
    // SAFETY: the handle is live and may be queried; the new one is owned here.
    if unsafe { OpenProcessToken(process.raw(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(last("opening the token of a process"));
    }
    // SAFETY: as above.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let size = u32::try_from(size_of_val(buffer)).unwrap_or(0);
    let mut length = 0;
    // SAFETY: `buffer` has the size that is given, and is aligned for what is written.
    let succeeded = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            size,
            &raw mut length,
        )
    };
    if succeeded == 0 {
        return Err(last("asking for the user of a process"));
    }
    // SAFETY: a `TOKEN_USER` has been written there.
    Ok(unsafe { (*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid })
}

fn look_up(sid: PSID) -> Result<String, Unavailable> {
    let (mut name, mut domain) =
        ([0_u16; MAX_ACCOUNT_NAME_UNITS as usize], [0_u16; MAX_ACCOUNT_NAME_UNITS as usize]);
    let (mut name_length, mut domain_length) = (MAX_ACCOUNT_NAME_UNITS, MAX_ACCOUNT_NAME_UNITS);
    let mut kind: SID_NAME_USE = 0;
    // SAFETY: the SID is live; both buffers have the lengths that are given.
    let succeeded = unsafe {
        LookupAccountSidW(
            null(),
            sid,
            name.as_mut_ptr(),
            &raw mut name_length,
            domain.as_mut_ptr(),
            &raw mut domain_length,
            &raw mut kind,
        )
    };
    if succeeded == 0 {
        let error = io::Error::last_os_error();
        return Err(Unavailable::Failed(format!("its user has no name on this machine: {error}")));
    }
    let text = |units: &[u16], length: u32| {
        String::from_utf16_lossy(units.get(..length as usize).unwrap_or_default())
    };
    let (name, domain) = (text(&name, name_length), text(&domain, domain_length));
    Ok(if domain.is_empty() { name } else { format!("{domain}\\{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_account_is_looked_up_once_and_again_later() {
        // No SID begins like this: its first byte is a version (1).
        let (sid, start) = (vec![255, 1], Instant::now());
        let failed = || Err(Unavailable::Failed("failed".to_owned()));
        assert_eq!(known(sid.clone(), start, failed), failed());
        assert_eq!(known(sid.clone(), start, || panic!("asked again")), failed());
        assert_eq!(
            known(sid.clone(), start + FAILURE_LIFETIME, || Ok("late".to_owned())),
            Ok("late".to_owned())
        );
        assert_eq!(known(sid, start + 2 * FAILURE_LIFETIME, failed), Ok("late".to_owned()));
    }

    #[test]
    fn our_own() {
        let own = Opened::of(std::process::id()).unwrap();
        let name = of(&own).unwrap();
        let user = std::env::var("USERNAME").unwrap();
        assert_eq!(name.rsplit('\\').next().map(str::to_lowercase), Some(user.to_lowercase()), "{name}");
        assert_eq!(of(&own), Ok(name), "the same when it is known already");
    }
}
