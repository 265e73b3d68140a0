//! What a way of talking to the instrument has to be able to do, what it is told about where it
//! plays, and what it reports. The ways themselves are in `strategies/`.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

use flamingo_protocol_core::{Frame, Instant};
use flamingo_runtime_std::Clock;

/// A way of talking to the instrument, with one caller: the program that asks, moves and waits.
/// Whatever threads it needs are its own.
pub(super) trait Strategy: Send {
    /// Sends a command and gives what it takes for the answer. `None`: none came in time, or the
    /// connection is lost.
    fn query(&mut self, command: &Frame) -> Option<Frame>;

    /// Waits until it believes that the motion has ended, which was begun by a query before.
    /// `false`: it gave up.
    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool;

    /// Ends all of its threads and connections.
    fn close(self: Box<Self>);
}

/// A motion that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Motion {
    /// 1 to 4.
    pub(super) axis: i32,
    /// Where it ends, in mm.
    pub(super) target: f64,
    /// How long one may wait for its end.
    pub(super) patience: Duration,
}

/// Where a strategy plays, and by which rules. All times are scaled already.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// The control port of the instrument, or of the bridge.
    pub(super) control: SocketAddr,
    /// The callback port of the bridge, where there is one.
    pub(super) callback: Option<SocketAddr>,
    /// How long an answer may take: 3 s, scaled.
    pub(super) timeout: Duration,
    /// How often a program asks that has to ask again and again: every 100 ms, scaled.
    pub(super) poll: Duration,
    /// Where events are reported.
    pub(super) events: Events,
}

/// Where a strategy hands over each frame that it takes for an event, as soon as a handler of the
/// program could see it.
#[derive(Debug, Clone)]
pub(super) struct Events {
    clock: Clock,
    to: Sender<(Instant, Frame)>,
}

impl Events {
    /// `clock` is that of the ground truth.
    pub(super) fn new(clock: Clock, to: Sender<(Instant, Frame)>) -> Self {
        Self { clock, to }
    }

    /// The program's handler is called with this frame, now.
    pub(super) fn deliver(&self, frame: &Frame) {
        // Nobody counts any more when the run has ended.
        let _ = self.to.send((self.clock.now(), *frame));
    }
}
