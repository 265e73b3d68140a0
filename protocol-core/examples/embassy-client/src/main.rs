//! A board that supervises a stage. It queries the position of X ten times a second. Beyond a limit it
//! stops X, and then it moves X back.
//!
//! This file has the two tasks that decide this. `link.rs` has the task that owns the UART and the
//! connection.
#![no_std]
#![no_main]

mod board;
mod link;

use embassy_executor::Spawner;
use embassy_sync::pubsub::WaitResult;
use embassy_time::{Duration, Ticker};
use flamingo_protocol_core::{CommandCode, Frame};
use link::{EVENTS, ReplySlot, ask};

const X: i32 = 1;
/// The upper limit of X, in mm.
const LIMIT: f64 = 10.0;
/// The target of the move back, in mm.
const HOME: f64 = 7.5;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let Some(port) = board::start() else { return };
    // Each task is spawned once, so it has room.
    if let (Ok(link), Ok(watch), Ok(bring_back)) = (link::run(port), watch(), bring_back()) {
        spawner.spawn(link);
        spawner.spawn(bring_back);
        spawner.spawn(watch);
    }
}

/// A command for X.
fn command_x(code: CommandCode) -> Frame {
    Frame::command(code).with_selector(X)
}

/// Queries the position of X, and stops X beyond the limit.
#[embassy_executor::task]
async fn watch() {
    static REPLY: ReplySlot = ReplySlot::new();
    let mut ticker = Ticker::every(Duration::from_hz(10));
    loop {
        ticker.next().await;
        let answer = ask(&REPLY, command_x(CommandCode::STAGE_POSITION_GET)).await;
        if answer.is_ok_and(|answer| answer.status == 1 && answer.value > LIMIT) {
            // If it has no answer, the next tick queries and stops again.
            let _ = ask(&REPLY, command_x(CommandCode::STAGE_HALT)).await;
        }
    }
}

/// Moves X back when a motion of X ended beyond the limit.
#[embassy_executor::task]
async fn bring_back() {
    static REPLY: ReplySlot = ReplySlot::new();
    let Ok(mut events) = EVENTS.subscriber() else { return };
    loop {
        // If this task was too slow and lost the event, the stage stays where it stopped.
        let WaitResult::Message(event) = events.next_message().await else { continue };
        let stopped = event.code == CommandCode::STAGE_MOTION_STOPPED && event.selector() == X;
        if stopped && event.value > LIMIT {
            let back = command_x(CommandCode::STAGE_POSITION_SET).with_value(HOME);
            let _ = ask(&REPLY, back).await;
        }
    }
}
