//! Properties of the sent bytes, for any sizes of the writes: frames and payloads are whole, a stop
//! goes before everything that has not begun, and nothing that it cancels runs behind it.

use std::collections::HashMap;

use crate::common::*;
use flamingo_protocol_core::{CommandCode, Frame, Incoming, Responder, Ticket, Transmit};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask {
        moves: bool,
        axis: i32,
    },
    Upload {
        workflow: bool,
        len: u32,
    },
    Halt {
        axis: i32,
    },
    Cancel(usize),
    Pass(u64),
    Write(usize),
    /// The peer answers the commands that it has read so far, in order.
    Answer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 1..5).prop_map(|(moves, axis)| Step::Ask { moves, axis }),
        2 => (any::<bool>(), 1..300_u32).prop_map(|(workflow, len)| Step::Upload { workflow, len }),
        1 => (1..5).prop_map(|axis| Step::Halt { axis }),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => (0..1500_u64).prop_map(Step::Pass),
        10 => prop_oneof![1..10_usize, 100..300_usize].prop_map(Step::Write),
        3 => Just(Step::Answer),
    ]
}

/// A frame that the caller queued.
struct Asked {
    /// The number of bytes that were sent before.
    out: usize,
    frame: Frame,
}

struct Talk {
    client: Client,
    device: Responder<4>,
    out: Vec<u8>,
    /// The number of bytes that the device has read.
    read: usize,
    /// Indexed by the mark in hardwareID.
    asked: Vec<Asked>,
    marks: HashMap<Ticket, u8>,
    /// The commands that the device has read: the position of each in the stream, the frame, and
    /// the number of payload bytes that came.
    commands: Vec<(usize, Frame, u32)>,
    answered: usize,
}

impl Talk {
    fn new() -> Self {
        Self {
            client: Client::new(),
            device: Responder::default(),
            out: Vec::new(),
            read: 0,
            asked: Vec::new(),
            marks: HashMap::new(),
            commands: Vec::new(),
            answered: 0,
        }
    }

    fn ask(&mut self, mut frame: Frame) {
        let mark = self.asked.len() as i32 + 1;
        frame.hardware_id = mark;
        let client = &mut self.client;
        let asked = if frame.code == CommandCode::CAMERA_WORK_FLOW_START {
            client.core.send(client.now, &frame)
        } else {
            client.queue(&frame, ms(2000))
        };
        if let Ok(ticket) = asked {
            self.marks.insert(ticket, mark as u8);
            self.asked.push(Asked { out: self.out.len(), frame });
        }
    }

    /// Writes at most `most` bytes. Each payload byte is the mark of its frame.
    fn write(&mut self, most: usize) -> bool {
        let client = &mut self.client;
        let written = match client.core.poll_transmit(client.now) {
            None => return false,
            Some(Transmit::Bytes(bytes)) => {
                let len = bytes.len().min(most);
                self.out.extend_from_slice(&bytes[..len]);
                len
            }
            Some(Transmit::Payload { ticket, remaining, .. }) => {
                let len = most.min(remaining as usize);
                self.out.extend(std::iter::repeat_n(self.marks[&ticket], len));
                len
            }
        };
        client.core.transmitted(client.now, written);
        true
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask { moves: true, axis } => self.ask(go(axis, 1.0)),
            Step::Ask { moves: false, axis } => self.ask(position(axis)),
            Step::Upload { workflow: true, len } => {
                self.ask(ask(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(len));
            }
            Step::Upload { workflow: false, len } => {
                self.ask(ask(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len));
            }
            Step::Halt { axis } => self.ask(halt(axis)),
            Step::Cancel(which) => {
                let open = self.asked.iter().filter(|asked| asked.frame.code != halt(1).code);
                let marks: Vec<_> = open.map(|asked| asked.frame.hardware_id as u8).collect();
                let mark = marks.get(which % marks.len().max(1));
                let of = |(ticket, of): (&Ticket, &u8)| (Some(of) == mark).then_some(*ticket);
                if let Some(ticket) = self.marks.iter().find_map(of) {
                    self.client.core.cancel(self.client.now, ticket);
                }
            }
            Step::Pass(millis) => {
                self.client.now = self.client.now + ms(millis);
                self.client.core.handle_timeout(self.client.now);
                self.take_events();
            }
            Step::Write(most) => {
                self.write(most);
            }
            Step::Answer => self.answer(),
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.client.core.poll_event() {
            self.client.events.push(event);
        }
    }

    fn read(&mut self) {
        while self.read < self.out.len() {
            let (consumed, incoming) = self.device.handle_input(&self.out[self.read..]);
            self.read += consumed;
            match incoming {
                Some(Incoming::Command { frame, skipped }) => {
                    assert_eq!(skipped, 0, "noise went out");
                    self.commands.push((self.read - 128, frame, 0));
                }
                Some(Incoming::Payload { bytes, .. }) => {
                    let (_, frame, received) = self.commands.last_mut().unwrap();
                    assert!(bytes.iter().all(|byte| *byte == frame.hardware_id as u8));
                    *received += bytes.len() as u32;
                }
                None => {}
            }
        }
    }

    fn answer(&mut self) {
        self.read();
        while let Some((_, frame, received)) = self.commands.get(self.answered) {
            if *received < frame.payload_len {
                break;
            }
            if frame.code != CommandCode::CAMERA_WORK_FLOW_START {
                let reply = answer(frame, 1.0).with_payload_len(0).encode();
                let _ = self.client.core.handle_input(self.client.now, &reply);
                self.take_events();
            }
            self.answered += 1;
        }
    }

    fn check(&mut self) {
        while self.write(usize::MAX) {}
        self.read();
        assert_eq!(self.device.noise_bytes(), 0);
        assert_eq!(self.device.unfinished(), (0, 0), "all went out whole");
        let stops = |frame: &Frame| frame.code == CommandCode::STAGE_HALT;
        let moves = |frame: &Frame| frame.code.row().is_some_and(|row| row.effect.moves());
        for (mark, halt) in self.asked.iter().enumerate().filter(|(_, asked)| stops(&asked.frame)) {
            let of = |frame: &Frame| frame.hardware_id == mark as i32 + 1;
            // The request may have timed out before it could be sent.
            let Some((begins, ..)) = self.commands.iter().find(|(_, frame, _)| of(frame)) else {
                continue;
            };
            for (at, frame, _) in self.commands.iter().filter(|(at, ..)| *at >= halt.out) {
                assert!(at >= begins || stops(frame), "{frame} went before the halt");
                let queued_before = frame.hardware_id > 0 && frame.hardware_id <= mark as i32;
                assert!(!(moves(frame) && queued_before), "{frame} ran behind the halt");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_wire_is_whole_and_a_halt_is_first_however_it_is_written(
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let mut talk = Talk::new();
        for step in steps {
            talk.step(step);
        }
        talk.check();
    }
}
