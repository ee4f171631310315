//! Raises a capability that is permitted to this thread but not in effect, for the one call that needs it
//! (capabilities(7)).
//!
//! A program that has capabilities from its file keeps them out of the effective set, so that no file is
//! opened with them.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A capability in effect in this thread until the value is dropped.
///
/// Nothing changes if the capability is in effect already, as for root, or is not permitted. No thread may be
/// started while the value lives, since it would keep the capability.
#[must_use]
pub(crate) struct Raised(Option<CapabilitySets>);

impl Raised {
    /// Puts `capability` into effect, if that is permitted.
    pub(crate) fn new(capability: CapabilitySet) -> Self {
        let before = capabilities(None)
            .ok()
            .filter(|sets| sets.permitted.contains(capability) && !sets.effective.contains(capability));
        Self(before.filter(|&sets| {
            let raised = CapabilitySets { effective: sets.effective | capability, ..sets };
            set_capabilities(None, raised).is_ok()
        }))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            // Dropping effective capabilities is never refused (capset(2)).
            let _ = set_capabilities(None, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective() -> CapabilitySet {
        capabilities(None).unwrap().effective
    }

    /// This runs in a thread of its own, since capabilities belong to threads.
    #[test]
    fn is_in_effect_until_dropped() {
        std::thread::spawn(|| {
            let permitted = capabilities(None).unwrap().permitted;
            let lowered = CapabilitySets {
                effective: CapabilitySet::empty(),
                permitted,
                inheritable: CapabilitySet::empty(),
            };
            set_capabilities(None, lowered).unwrap();
            let raised = Raised::new(CapabilitySet::NET_ADMIN);
            assert_eq!(
                effective(),
                permitted & CapabilitySet::NET_ADMIN,
                "where it is permitted, and no other"
            );
            drop(raised);
            assert_eq!(effective(), CapabilitySet::empty());
            set_capabilities(None, CapabilitySets { permitted: CapabilitySet::empty(), ..lowered }).unwrap();
            drop(Raised::new(CapabilitySet::NET_ADMIN));
            assert_eq!(capabilities(None).unwrap().permitted, CapabilitySet::empty());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_in_effect_already_stays_so() {
        let before = effective();
        drop(Raised::new(CapabilitySet::NET_ADMIN));
        assert_eq!(effective(), before);
    }
}
