//! Lower bound of a job's PSS from one pass, during which processes may have started, exec'ed and exited.
//!
//! PSS counts a page as 1/n in each of the n processes that map it. Let k members map a page during the whole pass. Then
//! n >= k at each reading, so these members' shares of the page sum up to at most 1. Other processes that come and go
//! raise n and can only lower the sum. What a member did not map during the whole pass is subtracted from its PSS: it may
//! have come from another member that was read before.

use crate::job::identity::MemberId;

/// Readings of one member around a pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberPss {
    pub(super) id: MemberId,
    /// Number of the image that was read ([`ProcessImage::number`](super::image::ProcessImage::number)).
    pub(super) image: u32,
    /// RSS in the poll before the pass.
    pub(super) rss_before: u64,
    /// RSS and PSS in the pass, of the same moment.
    pub(super) rss: u64,
    pub(super) pss: u64,
}

/// Returns the PSS that the whole job held at least at one moment. `rss_after`: RSS of a member in the poll after the
/// pass, unless it has exited or runs another image.
pub(super) fn pss_lower_bound(
    members: &[MemberPss],
    rss_after: impl Fn(MemberId, u32) -> Option<u64>,
) -> u64 {
    let (mut sum, mut largest) = (0, 0);
    for member in members {
        let Some(rss_after) = rss_after(member.id, member.image) else { continue };
        let held_throughout = member.rss_before.min(rss_after);
        sum += member.pss.saturating_sub(member.rss.saturating_sub(held_throughout));
        // The job holds at least what one member holds, whatever it does next.
        largest = largest.max(member.pss);
    }
    sum.max(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bound of members, each with its RSS before, its RSS and PSS in the pass, and its RSS after; no RSS after
    /// stands for an exit or an exec.
    fn bound(members: &[(u64, (u64, u64), Option<u64>)]) -> u64 {
        let ids = || (0..).map(MemberId);
        let read = ids().zip(members).map(|(id, &(rss_before, (rss, pss), _))| MemberPss {
            id,
            image: 7,
            rss_before,
            rss,
            pss,
        });
        pss_lower_bound(&read.collect::<Vec<_>>(), |id, image| {
            assert_eq!(image, 7);
            ids().zip(members).find(|&(other, _)| other == id)?.1.2
        })
    }

    #[test]
    fn members_that_stay_count_whatever_the_others_do() {
        let stays = |pss| (100, (100, pss), Some(100));
        assert_eq!(bound(&[stays(100), stays(50), (100, (100, 50), None)]), 150);
    }

    #[test]
    fn memory_that_changes_hands_counts_once() {
        assert_eq!(bound(&[(100, (100, 100), Some(0)), (0, (100, 100), Some(100))]), 100);
        // It changed hands twice, so that the polls before and after show the same.
        assert_eq!(bound(&[(100, (100, 100), Some(100)), (0, (100, 100), Some(0))]), 100);
    }

    #[test]
    fn pages_that_members_begin_to_share_during_the_pass_count_once() {
        // Each touched the same 100 right before it was read: 100 + 100/2 + 100/3.
        let shared = [(0, (100, 100), Some(100)), (0, (100, 50), Some(100)), (0, (100, 33), Some(100))];
        assert_eq!(bound(&shared), 100);
    }

    #[test]
    fn a_process_that_grows_counts_as_it_was_read() {
        assert_eq!(bound(&[(100, (120, 120), Some(130))]), 120);
        assert_eq!(bound(&[(100, (120, 120), Some(130)), (50, (50, 50), Some(50))]), 150);
        assert_eq!(bound(&[]), 0);
    }
}
