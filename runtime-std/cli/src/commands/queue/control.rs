//! What is wanted from a queue that runs: Ctrl-C, and the requests of other processes.

use std::time::Duration;

use smol::Timer;
use smol::future::or;

use super::state::{Files, Request};
use crate::interrupt::Interrupt;

/// How often another process can ask for something.
const REQUESTS: Duration = Duration::from_millis(200);

/// What the user and other processes want.
pub(super) struct Control<'a> {
    interrupt: &'a Interrupt,
    files: Files,
    pub(super) paused: bool,
    /// Begin no other workflow.
    pub(super) ending: bool,
    /// Ctrl-C was pressed.
    pub(super) interrupted: bool,
}

impl<'a> Control<'a> {
    pub(super) const fn new(interrupt: &'a Interrupt, files: Files) -> Self {
        Self { interrupt, files, paused: false, ending: false, interrupted: false }
    }

    /// Waits for the next request; returns whether the workflow that runs is to be stopped, too.
    pub(super) async fn next_request(&mut self) -> bool {
        let interrupt = self.interrupt;
        let pressed = async {
            interrupt.pressed().await;
            true
        };
        let tick = async {
            Timer::after(REQUESTS).await;
            false
        };
        self.interrupted |= or(pressed, tick).await;
        let request = self.files.take_request();
        match request {
            Some(Request::Pause) => self.paused = true,
            Some(Request::Resume) => self.paused = false,
            Some(Request::Stop | Request::StopNow) => self.ending = true,
            None => {}
        }
        self.ending |= self.interrupted;
        self.interrupted || request == Some(Request::StopNow)
    }

    /// Completes when the workflow that runs is to be stopped.
    pub(super) async fn until_stop_now(&mut self) {
        while !self.next_request().await {}
    }

    /// Waits for this time. It ends early if the queue is to end.
    pub(super) async fn wait(&mut self, time: Duration) {
        if self.ending {
            return;
        }
        let asked = async {
            while !self.ending {
                self.next_request().await;
            }
        };
        let over = async {
            Timer::after(time).await;
        };
        or(over, asked).await;
    }
}
