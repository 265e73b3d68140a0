//! A board that watches over a stage: it asks ten times a second where X is. Beyond a line it stops
//! it; once it has stopped there, it sends it back.
//!
//! Two tasks decide that here. A third one owns the UART and the connection: `link.rs`.
#![no_std]
#![no_main]

mod board;
mod link;

use embassy_executor::Spawner;
use embassy_sync::pubsub::WaitResult;
use embassy_time::{Duration, Ticker};
use flamingo_protocol_core::{CommandCode, Frame};
use link::{Desk, EVENTS, ask};

const X: i32 = 1;
/// X shall stay below it, in mm.
const LINE: f64 = 10.0;
/// Where it is sent when it was stopped, in mm.
const HOME: f64 = 7.5;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let Some(port) = board::start() else { return };
    // Each task is spawned once, so there is room for it.
    if let (Ok(link), Ok(watch), Ok(bring_back)) = (link::run(port), watch(), bring_back()) {
        spawner.spawn(link);
        spawner.spawn(bring_back);
        spawner.spawn(watch);
    }
}

fn of_x(code: CommandCode) -> Frame {
    Frame::command(code).with_selector(X)
}

/// Asks where X is, and stops it beyond the line.
#[embassy_executor::task]
async fn watch() {
    static DESK: Desk = Desk::new();
    let mut ticker = Ticker::every(Duration::from_hz(10));
    loop {
        ticker.next().await;
        let answer = ask(&DESK, of_x(CommandCode::STAGE_POSITION_GET)).await;
        if answer.is_ok_and(|answer| answer.status == 1 && answer.value > LINE) {
            // Without an answer it is asked, and stopped, again.
            let _ = ask(&DESK, of_x(CommandCode::STAGE_HALT)).await;
        }
    }
}

/// Sends X back when a motion of it ended where it should not.
#[embassy_executor::task]
async fn bring_back() {
    static DESK: Desk = Desk::new();
    let Ok(mut events) = EVENTS.subscriber() else { return };
    loop {
        // If its end was missed, since this was too slow, the stage stays where it was stopped.
        let WaitResult::Message(event) = events.next_message().await else { continue };
        let stopped = event.code == CommandCode::STAGE_MOTION_STOPPED && event.selector() == X;
        if stopped && event.value > LINE {
            let back = of_x(CommandCode::STAGE_POSITION_SET).with_value(HOME);
            let _ = ask(&DESK, back).await;
        }
    }
}
