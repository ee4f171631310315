use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Returns a writer whose output takes one item for each message to the gate, and the items that it took.
fn gated() -> (BackgroundWriter<u32>, Sender<()>, Receiver<u32>) {
    let ((gate, opened), (sender, written)) = (channel(), channel());
    let writer = BackgroundWriter::start("test", move |item| {
        opened.recv().map_err(io::Error::other)?;
        sender.send(item).map_err(io::Error::other)
    });
    (writer.unwrap(), gate, written)
}

#[test]
fn items_are_written_in_order() {
    let (writer, gate, written) = gated();
    writer.change(|queue| queue.extend([0, 1, 2]));
    gate.send(()).unwrap();
    assert_eq!(written.recv(), Ok(0));
    assert!(!writer.is_idle());
    // The thread may hold 1 by now, and cannot hold 2.
    writer.change(|queue| queue.retain(|&item| item != 2));
    gate.send(()).unwrap();
    assert_eq!(writer.finish(None), Finish::Done);
    assert_eq!(written.iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_failure_is_reported_once() {
    let (writer, gate, _written) = gated();
    drop(gate);
    writer.change(|queue| queue.extend([1, 2]));
    assert_eq!(writer.finish(None), Finish::Done);
    assert!(writer.take_failure().is_some());
    assert!(writer.take_failure().is_none());
}

#[test]
fn a_blocked_output_is_given_up_and_a_slow_one_is_not() {
    let (writer, gate, written) = gated();
    writer.change(|queue| queue.extend([1, 2]));
    assert_eq!(writer.finish(Some(Duration::from_millis(1))), Finish::GivenUp);
    gate.send(()).unwrap();
    gate.send(()).unwrap();
    assert_eq!(writer.finish(Some(Duration::from_secs(60))), Finish::Done);
    assert_eq!(written.iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_the_thread_has_open_is_closed_before_the_end() {
    let (writer, gate, written) = gated();
    drop(gate);
    assert_eq!(writer.finish(None), Finish::Done);
    assert!(written.try_recv().is_err_and(|error| error == std::sync::mpsc::TryRecvError::Disconnected));
}

#[test]
fn a_thread_that_panics_is_not_waited_for() {
    let writer = BackgroundWriter::start("test", |()| panic!("on purpose")).unwrap();
    writer.change(|queue| queue.push_back(()));
    assert_eq!(writer.finish(None), Finish::Done);
}
