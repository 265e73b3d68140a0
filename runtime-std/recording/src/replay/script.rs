//! Reads a recording: the commands that a client should send and the bytes that it gets, in order.
//! When they are sent is `player.rs`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use flamingo_protocol_core::Frame;
use flamingo_runtime_std::Message;

use super::super::capture::{Capture, CaptureError, EventKind, Unreadable};
use super::super::conversation::{Conversation, FrameClass};
use super::super::{Port, Side};

/// A step of a control connection. Steps are played in order.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // nearly every step has a frame
pub(super) enum Step {
    /// The client sends this command. `answer` is the step that answers it.
    Expect { at: Duration, command: Frame, answer: Option<usize> },
    /// The instrument sends a frame with its payload, after bytes that are no frame.
    Send {
        at: Duration,
        bytes: Vec<u8>,
        /// The index in `bytes` at which the frame begins.
        frame_at: usize,
        frame: Frame,
        /// The step of the command that the frame answers.
        answers: Option<usize>,
    },
    /// The instrument sends bytes that are no frame.
    Raw { at: Duration, bytes: Vec<u8> },
    /// The instrument ends the connection.
    End { at: Duration },
}

impl Step {
    pub(super) const fn at(&self) -> Duration {
        match self {
            Self::Expect { at, .. }
            | Self::Send { at, .. }
            | Self::Raw { at, .. }
            | Self::End { at } => *at,
        }
    }
}

/// All connections of a recording.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) control: Vec<Vec<Step>>,
    /// The numbers of the connections in the capture.
    live: Vec<u64>,
    stack: Vec<u64>,
    pub(super) holes: u64,
    /// The file ends in the middle of a packet.
    pub(super) is_cut: bool,
    pub(super) unreadable: Unreadable,
}

impl Script {
    pub(super) fn read(file: &Path) -> Result<Self, CaptureError> {
        let mut script = Self::default();
        let mut builders: BTreeMap<u64, ScriptBuilder> = BTreeMap::new();
        let mut capture = Capture::open(file)?;
        for event in capture.by_ref() {
            let event = match event {
                // The events before the end are played.
                Err(CaptureError::Cut) => {
                    script.is_cut = true;
                    break;
                }
                event => event?,
            };
            let connection = event.connection;
            match (&event.kind, connection.port) {
                (EventKind::Hole { bytes }, _) => script.holes += bytes,
                (EventKind::Opened, Port::Live) => script.live.push(connection.number),
                (EventKind::Opened, Port::Stack) => script.stack.push(connection.number),
                _ => {}
            }
            // A callback port has no commands: a client would wait in vain.
            if connection.port == Port::Control && !connection.callback {
                let builder = builders.entry(connection.number).or_default();
                builder.take(event.at, event.from, event.kind);
            }
        }
        script.unreadable = capture.unreadable();
        script.control = builders.into_values().map(|builder| builder.steps).collect();
        Ok(script)
    }

    pub(super) fn is_empty(&self) -> bool {
        Port::ALL.into_iter().all(|port| self.count(port) == 0)
    }

    pub(super) fn count(&self, port: Port) -> usize {
        if port == Port::Control { self.control.len() } else { self.images(port).len() }
    }

    pub(super) fn images(&self, port: Port) -> &[u64] {
        if port == Port::Live { &self.live } else { &self.stack }
    }
}

/// Builds the steps of one connection.
#[derive(Default)]
struct ScriptBuilder {
    steps: Vec<Step>,
    conversation: Conversation,
    /// The step of each command, by the number of the command.
    commands: HashMap<u64, usize>,
    /// The recorded client, or the recorder, closed the connection. Then the next client decides how long it
    /// lasts.
    left: bool,
}

impl ScriptBuilder {
    fn take(&mut self, at: Duration, from: Side, kind: EventKind) {
        match (kind, from) {
            (EventKind::Message { message, .. }, Side::Client) => {
                let command = message.frame;
                if let Some(number) = self.conversation.client_sent(at, &command) {
                    self.commands.insert(number, self.steps.len());
                }
                self.steps.push(Step::Expect { at, command, answer: None });
            }
            (EventKind::Message { message, noise, declared }, Side::Instrument) => {
                let Message { frame, payload } = message;
                let class = self.conversation.instrument_sent(at, &frame);
                let answers = match class {
                    FrameClass::Unsolicited { .. } => None,
                    answer => answer.answers().and_then(|(to, _)| self.commands.remove(&to)),
                };
                let step = self.steps.len();
                if let Some(Step::Expect { answer, .. }) =
                    answers.and_then(|command| self.steps.get_mut(command))
                {
                    *answer = Some(step);
                }
                let frame_at = noise.len();
                let mut bytes = noise;
                bytes.extend(frame.with_payload_len(declared).encode());
                bytes.extend(payload);
                self.steps.push(Step::Send { at, bytes, frame_at, frame, answers });
                while self.conversation.next_unanswered(at).is_some() {}
            }
            (EventKind::Rest { bytes } | EventKind::Noise { bytes }, Side::Instrument) => {
                self.steps.push(Step::Raw { at, bytes });
            }
            // A part of a frame before a hole would swallow the bytes after the hole.
            (EventKind::Hole { .. }, Side::Instrument) => {
                self.steps.pop_if(|last| matches!(last, Step::Raw { .. }));
                self.conversation.bytes_missing();
            }
            // The instrument has not ended the connection either.
            (EventKind::Note { by_recorder: true, .. }, _)
            | (EventKind::Finished | EventKind::Reset, Side::Client) => self.left = true,
            (EventKind::Finished | EventKind::Reset, Side::Instrument) if !self.left => {
                self.steps.push(Step::End { at });
            }
            _ => {}
        }
    }
}
