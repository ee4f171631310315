//! Warnings while the job runs, written by a thread of their own.
//!
//! A terminal that another process has stopped (termios(3), `TCOOFF`), or a full pipe, takes no more output. The thread that
//! judges limits must not wait for it.

use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use crate::output::warn;

/// Time for which the report waits for warnings that were not written yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes warnings without waiting for them.
#[derive(Debug, Default)]
pub(super) struct Notices {
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    queue: Sender<String>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
}

impl Notices {
    /// Writes a warning soon. Where no thread can be started, it is written here.
    pub(super) fn warn(&mut self, text: String) {
        if self.writer.is_none() {
            self.writer = Writer::start().ok();
        }
        match &self.writer {
            Some(writer) => {
                if let Err(unsent) = writer.queue.send(text) {
                    warn(unsent.0);
                }
            }
            None => warn(text),
        }
    }

    /// Waits until all are written, but not for ever: the thread is left behind then.
    pub(super) fn finish(&mut self) {
        if let Some(Writer { queue, ended }) = self.writer.take() {
            drop(queue);
            let _ = ended.recv_timeout(PATIENCE);
        }
    }
}

impl Writer {
    fn start() -> io::Result<Self> {
        let (queue, texts) = channel::<String>();
        let (alive, ended) = channel();
        thread::Builder::new().name("notices".into()).spawn(move || {
            let _alive = alive;
            texts.into_iter().for_each(warn);
        })?;
        Ok(Self { queue, ended })
    }
}
