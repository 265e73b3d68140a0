//! Unsolicited traffic without a cause, at an exact rate.

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Frame,
    time::{Duration, Instant},
};

use super::{Event, Instrument, as_seconds, seconds, with_text};
use crate::scenario::Scenario;
use crate::trigger::random_stream;

/// Frames are sent in ticks of at least this length, so that a high rate does not need a wake-up per frame.
const TICK: Duration = Duration::from_millis(1);
/// After a pause of the host, frames of at most this time are sent late.
const CATCH_UP: Duration = Duration::from_millis(1000);

pub(super) struct Background {
    rng: Rng,
    /// The number of the last frame.
    number: i32,
    /// The start of the rate, and how many frames were sent since.
    since: Instant,
    sent: u64,
}

impl Background {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let rng = random_stream(scenario.seed, 2, 0);
        Self { rng, number: 0, since: Instant::default(), sent: 0 }
    }
}

impl Instrument {
    pub(super) fn start_background(&mut self, now: Instant) {
        let rate = self.scenario.background.frames_per_s;
        if rate > 0.0 {
            self.background.since = now;
            self.background.sent = 0;
            self.schedule.add(now + seconds(1.0 / rate).max(TICK), Event::Background);
        }
    }

    /// Sends the frames that are due by now. Without clients the traffic ends; the next client starts it again.
    pub(super) fn background_tick(&mut self, now: Instant) {
        if self.clients.is_empty() {
            return;
        }
        let rate = self.scenario.background.frames_per_s;
        let elapsed = as_seconds(now.since(self.background.since));
        #[allow(clippy::cast_possible_truncation)] // positive and far below 2^64
        let due = (elapsed * rate + 1e-6) as u64;
        #[allow(clippy::cast_possible_truncation)]
        let most = (as_seconds(CATCH_UP) * rate) as u64 + 1;
        for _ in 0..due.saturating_sub(self.background.sent).min(most) {
            let (frame, payload) = self.background_frame();
            self.push(frame, &payload);
        }
        self.background.sent = due;
        #[allow(clippy::cast_precision_loss)] // exact below 2^53
        let next = self.background.since + seconds((due + 1) as f64 / rate);
        self.schedule.add(next.max(now + TICK), Event::Background);
    }

    fn background_frame(&mut self) -> (Frame, Vec<u8>) {
        let state = self.state();
        let background = &mut self.background;
        background.number = background.number.wrapping_add(1);
        let number = background.number;
        let codes = &self.scenario.background.codes;
        let mix = [
            CommandCode::UI_SET_GAUGE_VALUE,
            CommandCode::UI_SET_GAUGE_SIZE,
            CommandCode::LASER_LEVEL_GET,
            CommandCode::LED_PREVIEW_DISABLE,
            state,
        ];
        let code = match background.rng.choice(codes) {
            Some(code) => code.0,
            None => background.rng.choice(mix).unwrap_or(state),
        };
        let mut frame = Frame { status: 1, ..Frame::new(code) };
        frame.int32_data[2] = number;
        match code {
            CommandCode::UI_SET_GAUGE_VALUE => {
                frame.int32_data[0] = number.rem_euclid(100);
                frame.int32_data[1] = 100;
            }
            CommandCode::UI_SET_GAUGE_SIZE => frame.int32_data[1] = 100,
            CommandCode::LASER_LEVEL_GET => {
                let laser = background.rng.i32(1..=4);
                frame.int32_data[0] = laser;
                frame = with_text(frame, &self.light.level_text(laser));
            }
            CommandCode::STAGE_POSITION_GET => {
                frame.int32_data[0] = background.rng.i32(1..=4);
            }
            _ => {}
        }
        (frame, self.push_payload(code))
    }
}
