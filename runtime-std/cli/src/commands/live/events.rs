//! Positions and the end of a workflow from a port that sends without being asked. Nothing is sent to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, Sender};
use flamingo_microscope::PushedPose;
use flamingo_microscope::units::Pose;
use flamingo_protocol_core::wire::{Assembler, Piece};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Clock, socket};
use smol::Task;
use smol::io::AsyncReadExt;

use crate::failure::{CommandResult, note};

const CONNECT: Duration = Duration::from_secs(2);

/// What the frames have told.
#[derive(Debug, Default)]
struct Told {
    pose: PushedPose,
    /// Whether a workflow is known to run.
    runs: bool,
    /// Whether the port was closed. The positions are not known any more.
    is_lost: bool,
}

/// The port, which a task reads.
#[derive(Debug)]
pub(super) struct Events {
    told: Arc<Mutex<Told>>,
    /// Closed when the workflow has ended.
    ended: Receiver<()>,
    _task: Task<()>,
}

impl Events {
    pub(super) async fn connect(address: &str) -> CommandResult<Self> {
        let mut stream = socket::connect(address, CONNECT).await?;
        let told = Arc::new(Mutex::new(Told::default()));
        let (ending, ended) = async_channel::bounded(1);
        let (own, address) = (Arc::clone(&told), address.to_owned());
        let task = smol::spawn(async move {
            let mut assembler = Assembler::for_answers(u32::MAX);
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                let at = Clock::wall();
                let mut rest = &buffer[..count];
                while !rest.is_empty() {
                    let (taken, piece) = assembler.push(rest);
                    rest = &rest[taken..];
                    if let Some(Piece::Frame { frame, .. }) = piece {
                        lock(&own).take(&frame, at, &ending);
                    }
                }
            }
            lock(&own).is_lost = true;
            note(&format!(
                "warning: {address} was closed: positions and the end of the workflow are not known \
                 any more"
            ));
            // A port that was closed says nothing about the workflow.
            std::future::pending::<()>().await;
        });
        Ok(Self { told, ended, _task: task })
    }

    /// The pose at the arrival of an image.
    pub(super) fn pose_at(&self, time: SystemTime) -> Option<Pose> {
        let told = lock(&self.told);
        if told.is_lost { None } else { told.pose.at(time) }
    }

    /// An image of the stack port has come, so a workflow runs.
    pub(super) fn workflow_runs(&self) {
        lock(&self.told).runs = true;
    }

    /// Completes when the workflow has ended: at an IDLE after it ran. An IDLE before that is an old one.
    pub(super) async fn workflow_ended(&self) {
        // Nothing is sent on it; it is closed.
        let _ = self.ended.recv().await;
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    fn take(&mut self, frame: &Frame, at: SystemTime, ending: &Sender<()>) {
        self.pose.take(frame, at);
        match frame.code {
            CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING => self.runs = true,
            CommandCode::SYSTEM_STATE_IDLE if self.runs => {
                ending.close();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_idle_after_the_workflow_ran_ends_it() {
        let (ending, ended) = async_channel::bounded(1);
        let mut told = Told::default();
        let mut take = |code| told.take(&Frame::new(code), SystemTime::UNIX_EPOCH, &ending);
        take(CommandCode::SYSTEM_STATE_IDLE);
        assert!(!ended.is_closed(), "an old one");
        take(CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING);
        take(CommandCode::CAMERA_STACK_COMPLETE);
        assert!(!ended.is_closed());
        take(CommandCode::SYSTEM_STATE_IDLE);
        assert!(ended.is_closed());
    }
}
