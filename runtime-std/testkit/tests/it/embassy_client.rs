//! The async client in firmware (`protocol-core/examples/embassy-client`), in QEMU: it watches over a
//! stage that is played here, on its UART.

use std::collections::VecDeque;
use std::net::TcpStream;

use crate::firmware::Firmware;
use flamingo_protocol_core::{CommandCode as Code, Frame, Incoming, Responder};
use flamingo_runtime_testkit::peer::{answer_to, motion_stopped, position_push, soon};
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};

const X: i32 = 1;
/// On this side of the board's line, and beyond it.
const HERE: f64 = 8.0;
const BEYOND: f64 = 10.5;

/// The stage's end of the wire. The first bytes may be the rest of a command that began before it
/// was plugged in.
struct Stage {
    stream: Async<TcpStream>,
    responder: Responder,
    came: VecDeque<Frame>,
}

impl Stage {
    async fn command(&mut self) -> Frame {
        loop {
            if let Some(command) = self.came.pop_front() {
                return command;
            }
            let mut bytes = [0; 512];
            let read = soon("a command", self.stream.read(&mut bytes)).await.expect("plugged in");
            let mut rest = &bytes[..read];
            while let (consumed, Some(incoming)) = self.responder.handle_input(rest) {
                let Incoming::Command { frame, .. } = incoming else { panic!("{incoming:?}") };
                self.came.push_back(frame);
                rest = &rest[consumed..];
            }
        }
    }

    async fn say(&mut self, frame: &Frame) {
        self.stream.write_all(&frame.encode()).await.expect("plugged in");
    }

    /// The next question where X is. Those for other axes, by which the board finds out that no
    /// answer is owed to it any more, are answered.
    async fn asked_for_x(&mut self) -> Frame {
        loop {
            let command = self.command().await;
            assert_eq!(command.code, Code::STAGE_POSITION_GET, "{command}");
            if command.selector() == X {
                return command;
            }
            self.say(&answer_to(&command, 0.0)).await;
        }
    }

    async fn says_it_is_here(&mut self, times: usize) {
        for _ in 0..times {
            let query = self.asked_for_x().await;
            self.say(&answer_to(&query, HERE)).await;
        }
    }
}

fn with_the_board<F: Future<Output = ()>>(body: impl FnOnce(Stage) -> F) {
    let Some(program) = Firmware::build("embassy-client") else { return };
    let board = Firmware::run(&program, "mps2-an386", 1);
    smol::block_on(async {
        let stream = Async::new(board.plug(0)).expect("a socket");
        body(Stage { stream, responder: Responder::default(), came: VecDeque::new() }).await;
    });
}

#[test]
fn the_board_acts_on_answers_and_events_and_takes_no_push_for_an_answer() {
    with_the_board(async |mut stage| {
        for _ in 0..20 {
            let query = stage.asked_for_x().await;
            // Taken for the answer, it would have the board stop the stage.
            stage.say(&position_push(X, BEYOND)).await;
            stage.say(&answer_to(&query, HERE)).await;
            stage.say(&position_push(X, BEYOND)).await;
        }
        let halt = loop {
            let command = stage.command().await;
            if command.code != Code::STAGE_POSITION_GET {
                break command;
            }
            // It asks again if it did not get the answer in time.
            stage.say(&answer_to(&command, BEYOND)).await;
        };
        assert_eq!((halt.code, halt.selector()), (Code::STAGE_HALT, X), "{halt}");
        stage.say(&Frame { value: BEYOND, ..motion_stopped(X, 0) }).await;
        stage.say(&answer_to(&halt, 0.0)).await;
        let mut back = stage.command().await;
        while back.code == Code::STAGE_POSITION_GET {
            stage.say(&answer_to(&back, HERE)).await;
            back = stage.command().await;
        }
        assert_eq!((back.code, back.selector()), (Code::STAGE_POSITION_SET, X), "{back}");
        assert_eq!(back.value.to_bits(), 7.5_f64.to_bits());
        stage.say(&answer_to(&back, back.value)).await;
        stage.says_it_is_here(5).await;
    });
}

#[test]
fn an_answer_that_comes_late_is_not_taken_for_the_next_one() {
    with_the_board(async |mut stage| {
        stage.says_it_is_here(3).await;
        let unanswered = stage.asked_for_x().await;
        // A second later the board asks again, behind a question for another axis.
        let fence = stage.command().await;
        assert_eq!(fence.code, Code::STAGE_POSITION_GET);
        assert_ne!(fence.selector(), X);
        stage.say(&answer_to(&unanswered, BEYOND)).await;
        stage.say(&answer_to(&fence, 0.0)).await;
        stage.says_it_is_here(5).await;
    });
}
