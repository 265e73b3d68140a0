//! The async client in firmware (`protocol-core/examples/embassy-client`), in QEMU. It supervises a
//! stage; the tests play the stage, on its UART.

use std::collections::VecDeque;
use std::net::TcpStream;

use crate::emulator::{Emulator, program};
use flamingo_protocol_core::{CommandCode as Code, Frame, Incoming, Responder};
use flamingo_runtime_testkit::peer::{answer_to, motion_stopped, position_push, soon};
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};

const X: i32 = 1;
/// Positions within the board's limit and beyond it.
const WITHIN: f64 = 8.0;
const BEYOND: f64 = 10.5;

/// The stage's end of the wire. The first bytes may be the rest of a command that began before the
/// cable was plugged in.
struct Stage {
    stream: Async<TcpStream>,
    responder: Responder,
    commands: VecDeque<Frame>,
}

impl Stage {
    async fn command(&mut self) -> Frame {
        loop {
            if let Some(command) = self.commands.pop_front() {
                return command;
            }
            let mut bytes = [0; 512];
            let read = soon("a command", self.stream.read(&mut bytes)).await.expect("plugged in");
            let mut rest = &bytes[..read];
            while let (consumed, Some(incoming)) = self.responder.handle_input(rest) {
                let Incoming::Command { frame, .. } = incoming else { panic!("{incoming:?}") };
                self.commands.push_back(frame);
                rest = &rest[consumed..];
            }
        }
    }

    async fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&frame.encode()).await.expect("plugged in");
    }

    /// The next query for the position of X. Queries for other axes are fences of the board; they are
    /// answered here.
    async fn query_for_x(&mut self) -> Frame {
        loop {
            let command = self.command().await;
            assert_eq!(command.code, Code::STAGE_POSITION_GET, "{command}");
            if command.selector() == X {
                return command;
            }
            self.send(&answer_to(&command, 0.0)).await;
        }
    }

    async fn report_within(&mut self, times: usize) {
        for _ in 0..times {
            let query = self.query_for_x().await;
            self.send(&answer_to(&query, WITHIN)).await;
        }
    }
}

fn with_board<F: Future<Output = ()>>(body: impl FnOnce(Stage) -> F) {
    let Some(program) = program("embassy-client") else { return };
    let board = Emulator::start(&program, "mps2-an386", 1);
    smol::block_on(async {
        let stream = Async::new(board.plug(0)).expect("a socket");
        body(Stage { stream, responder: Responder::default(), commands: VecDeque::new() }).await;
    });
}

#[test]
fn the_board_acts_on_answers_and_takes_no_push_for_one() {
    with_board(async |mut stage| {
        for _ in 0..20 {
            let query = stage.query_for_x().await;
            // If the board took it for the answer, it would stop the stage.
            stage.send(&position_push(X, BEYOND)).await;
            stage.send(&answer_to(&query, WITHIN)).await;
            stage.send(&position_push(X, BEYOND)).await;
        }
        let halt = loop {
            let command = stage.command().await;
            if command.code != Code::STAGE_POSITION_GET {
                break command;
            }
            // The board asks again if the answer was too late.
            stage.send(&answer_to(&command, BEYOND)).await;
        };
        assert_eq!((halt.code, halt.selector()), (Code::STAGE_HALT, X), "{halt}");
        stage.send(&Frame { value: BEYOND, ..motion_stopped(X, 0) }).await;
        stage.send(&answer_to(&halt, 0.0)).await;
        let mut back = stage.command().await;
        while back.code == Code::STAGE_POSITION_GET {
            stage.send(&answer_to(&back, WITHIN)).await;
            back = stage.command().await;
        }
        assert_eq!((back.code, back.selector()), (Code::STAGE_POSITION_SET, X), "{back}");
        assert_eq!(back.value.to_bits(), 7.5_f64.to_bits());
        stage.send(&answer_to(&back, back.value)).await;
        stage.report_within(5).await;
    });
}

#[test]
fn a_late_answer_is_not_taken_for_the_next_one() {
    with_board(async |mut stage| {
        stage.report_within(3).await;
        let unanswered = stage.query_for_x().await;
        // After a second the board asks again. Before that it sends a fence: a query for another axis.
        let fence = stage.command().await;
        assert_eq!(fence.code, Code::STAGE_POSITION_GET);
        assert_ne!(fence.selector(), X);
        stage.send(&answer_to(&unanswered, BEYOND)).await;
        stage.send(&answer_to(&fence, 0.0)).await;
        stage.report_within(5).await;
    });
}
