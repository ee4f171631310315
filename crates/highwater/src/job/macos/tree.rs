//! One job as the system has it; see `linux/tree.rs` for what each function means.

use std::{convert::Infallible, time::Duration};

use super::Wake;
use crate::{
    Error,
    job::{
        Job, Start,
        events::{MemberId, Reading, Timed},
        ledger::{Kept, Origin, PssPass},
        news::Look,
        used::UsedBy,
    },
    record::{Downgrade, Exit},
};

#[derive(Debug)]
pub(crate) struct Tree(Infallible);

impl Tree {
    pub(crate) fn start(_: &Job) -> Result<(Self, Start), Error> {
        Err(Error::Unsupported { what: "running a job" })
    }

    pub(crate) fn root(&self) -> u32 {
        match self.0 {}
    }

    pub(crate) fn origin(&self) -> Origin {
        match self.0 {}
    }

    pub(crate) fn root_lives(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn pids_and_ids(&self) -> std::iter::Empty<(u32, MemberId)> {
        match self.0 {}
    }

    pub(crate) fn look(&mut self, _: Duration, _: bool) -> Look {
        match self.0 {}
    }

    pub(crate) fn awaits_news(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn last_look(&mut self, _: Duration) {
        match self.0 {}
    }

    pub(crate) fn news(&mut self) -> std::iter::Empty<Timed> {
        match self.0 {}
    }

    pub(crate) fn readings(&self) -> &[Reading] {
        match self.0 {}
    }

    pub(crate) fn uses(&self) -> &[UsedBy] {
        match self.0 {}
    }

    pub(crate) fn told_until(&self, _: Duration) -> Duration {
        match self.0 {}
    }

    pub(crate) fn pss_is_due(&mut self, _: Duration, _: u64) -> bool {
        match self.0 {}
    }

    pub(crate) fn pss(&mut self, _: Duration) -> Option<PssPass> {
        match self.0 {}
    }

    pub(crate) fn pss_of_all(&mut self, _: Duration) -> Option<PssPass> {
        match self.0 {}
    }

    pub(crate) fn pss_counted(&mut self, _: u64) {
        match self.0 {}
    }

    pub(crate) fn wait(&mut self, _: Duration, _: &Wake) -> bool {
        match self.0 {}
    }

    pub(crate) fn signal(&mut self, _: i32) {
        match self.0 {}
    }

    pub(crate) fn terminate(&mut self) {
        match self.0 {}
    }

    pub(crate) fn kill(&mut self) {
        match self.0 {}
    }

    pub(crate) fn kernel_enforced(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn exit(&self, _: bool, _: bool) -> Option<Exit> {
        match self.0 {}
    }

    pub(crate) fn downgrades(&self) -> Vec<Downgrade> {
        match self.0 {}
    }

    pub(crate) fn lost(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn all_told(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn end(&mut self) -> Kept {
        match self.0 {}
    }
}
