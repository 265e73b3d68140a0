//! Positions, and the ends of stacks and of a workflow, from a port that sends without being asked.
//! Nothing is sent to it.

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
/// Reports that wait for the next image, at most.
const MOST_REPORTS: usize = 1024;

/// The report that a stack is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Completed {
    /// When it came.
    pub(super) at: SystemTime,
    /// How many images the stack has; 0 if that is not known, or if its beginning was not seen.
    pub(super) acquired: u64,
}

/// What the frames have told.
#[derive(Debug, Default)]
struct Told {
    pose: PushedPose,
    /// The stacks that are complete, since they were last taken.
    completed: Vec<Completed>,
    /// Whether a workflow is known to run.
    runs: bool,
    /// Whether the beginning of the next stack that completes was seen.
    saw_beginning: bool,
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

    /// The stacks that were reported complete since the last call.
    pub(super) fn take_completed(&self) -> Vec<Completed> {
        std::mem::take(&mut lock(&self.told).completed)
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
            CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING => {
                self.saw_beginning |= !self.runs;
                self.runs = true;
            }
            // They are taken with the next image. A program that takes no images keeps a few.
            CommandCode::CAMERA_STACK_COMPLETE if self.completed.len() < MOST_REPORTS => {
                let acquired = u64::try_from(frame.int32_data[0]).ok();
                let acquired = acquired.filter(|_| self.saw_beginning).unwrap_or(0);
                self.completed.push(Completed { at, acquired });
                self.saw_beginning = true;
            }
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

    #[test]
    fn the_images_of_a_stack_are_known_if_its_beginning_was_seen() {
        let acquired = |before: &[CommandCode], images: bool| {
            let (ending, _ended) = async_channel::bounded(1);
            let mut told = Told { runs: images, ..Told::default() };
            let mut complete = Frame::new(CommandCode::CAMERA_STACK_COMPLETE);
            complete.int32_data[0] = 10;
            for frame in before.iter().map(|code| Frame::new(*code)).chain([complete, complete]) {
                told.take(&frame, SystemTime::UNIX_EPOCH, &ending);
            }
            told.completed.iter().map(|report| report.acquired).collect::<Vec<_>>()
        };
        assert_eq!(acquired(&[], false), [0, 10], "the program came in the middle");
        assert_eq!(acquired(&[CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING], false), [10, 10]);
        assert_eq!(acquired(&[CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING], true), [0, 10]);
    }
}
