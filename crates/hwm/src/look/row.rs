//! One process on one device, or one that holds no GPU memory.

use highwater::{
    Unavailable,
    gpu::{Device, DeviceId, Figure, PidSpace, Usage},
    process::ProcessFacts,
};

use super::{
    Cpu, Load,
    unread::{Kind, Unread},
};
use crate::users::Users;

/// Which device a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceRef {
    /// `None`: not in the list of devices.
    pub(crate) index: Option<u32>,
    pub(crate) id: DeviceId,
    pub(crate) name: Option<String>,
    pub(crate) unified: Option<bool>,
}

impl DeviceRef {
    pub(crate) fn of(device: &Device) -> Self {
        Self {
            index: Some(device.index),
            id: device.id.clone(),
            name: device.name.clone(),
            unified: device.unified,
        }
    }

    pub(super) fn only(id: &DeviceId) -> Self {
        Self { index: None, id: id.clone(), name: None, unified: None }
    }
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) pid: u32,
    /// The pid is the host's, and nothing in our procfs is about this process.
    pub(crate) is_host_pid: bool,
    /// As it is shown, but for control characters; else why it is not known.
    pub(crate) name: Result<String, String>,
    pub(crate) user: Option<String>,
    /// Why that is not known, where the system said it.
    pub(crate) why_no_user: Option<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) state: Option<char>,
    pub(crate) start_ticks: Option<u64>,
    /// `None`: no GPU memory of it was found.
    pub(crate) device: Option<DeviceRef>,
    pub(crate) vram: Option<Figure>,
    pub(crate) gtt: Option<Figure>,
    pub(crate) peak: Option<Figure>,
    pub(crate) rss: Result<u64, Unavailable>,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) engines: Vec<Load>,
    pub(crate) shared_with: Vec<u32>,
    pub(crate) work: Vec<&'static str>,
    pub(crate) client_names: Vec<String>,
    /// We may not see whether it holds any.
    pub(crate) is_refused: bool,
}

impl Row {
    pub(super) fn of_usage(usage: &Usage, device: DeviceRef) -> Self {
        let mut row = Self::without_usage(usage.pid, false);
        row.is_host_pid = usage.pid_space == PidSpace::Host;
        if row.is_host_pid {
            row.name = Err(HOST_PID.to_owned());
            row.rss = Err(Unavailable::PidNamespace);
        }
        row.device = Some(device);
        row.vram = Some(usage.vram.clone());
        row.gtt = Some(usage.system.clone());
        row.peak.clone_from(&usage.peak);
        row.shared_with.clone_from(&usage.shared_with);
        let work =
            [(usage.work.compute, "compute"), (usage.work.graphics, "graphics"), (usage.work.mps, "mps")];
        row.work = work.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        row.client_names.clone_from(&usage.client_names);
        row
    }

    pub(crate) fn without_usage(pid: u32, is_refused: bool) -> Self {
        Self {
            pid,
            is_host_pid: false,
            name: Err("nothing was read of it".to_owned()),
            user: None,
            why_no_user: None,
            uid: None,
            state: None,
            start_ticks: None,
            device: None,
            vram: None,
            gtt: None,
            peak: None,
            rss: Err(Unavailable::Vanished),
            cpu: None,
            engines: Vec::new(),
            shared_with: Vec::new(),
            work: Vec::new(),
            client_names: Vec::new(),
            is_refused,
        }
    }

    /// With what the system says.
    pub(super) fn fill(&mut self, facts: &ProcessFacts, users: &mut Users) {
        self.name = match &facts.name {
            Ok(name) if facts.is_kernel_thread => Ok(format!("[{name}]")),
            Ok(name) => Ok(name.clone()),
            Err(why) => Err(why.to_string()),
        };
        self.uid = facts.uid;
        (self.user, self.why_no_user) = match (facts.uid, &facts.account) {
            (Some(uid), _) => (Some(users.name(uid)), None),
            (None, Ok(account)) => (Some(account.clone()), None),
            (None, Err(Unavailable::NotProvided)) => (None, None),
            (None, Err(why)) => (None, Some(why.to_string())),
        };
        self.state = Some(facts.state);
        self.start_ticks = Some(facts.id.start_ticks);
        self.rss.clone_from(&facts.rss_bytes);
    }

    /// With why nothing could be read.
    pub(super) fn leave_unread(&mut self, why: &Unread, is_windows: bool) {
        // Nobody may open the process of Windows' kernel, and everybody knows its pid.
        self.name = if is_windows && self.pid == 4 && why.kind == Kind::Protected {
            Ok("[kernel]".to_owned())
        } else {
            Err(why.text.clone())
        };
        self.why_no_user = (is_windows && why.kind == Kind::Protected).then(|| why.text.clone());
        self.rss = Err(match why.kind {
            Kind::Protected => Unavailable::PermissionDenied,
            Kind::Gone => Unavailable::Vanished,
            Kind::Failed => Unavailable::Failed(why.text.clone()),
        });
    }
}

/// Why nothing but the pid is known, and what would help.
pub(crate) const HOST_PID: &str = "host pid; run with --pid=host, or with the host's /proc and --procfs";
