//! A strategy at play, in a program of its own, so that it shares neither threads nor an event loop
//! with the instrument, and its processor time is its own. `heat.rs` starts it and reads what it
//! prints; nothing is judged here.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{Frame, Instant};
use flamingo_runtime_std::Clock;
use serde::{Deserialize, Serialize};
use smol::{Timer, block_on};

use super::load::{Asked, Load, Moved, POLL, Played, TIMEOUT};
use super::processors;
use super::strategies::Kind;
use super::strategy::{Events, Scene};

/// How long what was sent last may take to its handler.
const DRAIN: Duration = Duration::from_millis(200);

/// What a player is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    /// The strategy's name.
    pub(super) strategy: String,
    pub(super) load: Load,
    pub(super) instrument: SocketAddr,
    /// The processors to stay on; empty: wherever it is put.
    pub(super) processors: Vec<usize>,
}

/// What it tells, in µs of its own clock.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Diary {
    /// What the calendar said when that clock was at 0: µs since 1970.
    pub(super) origin: u64,
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) cpu: Option<Duration>,
    /// When each was asked and answered.
    pub(super) asked: Vec<(u64, u64, FrameBytes, Option<FrameBytes>)>,
    pub(super) moved: Vec<(u64, bool, u64, Option<u64>)>,
    pub(super) handled: Vec<(u64, FrameBytes)>,
}

/// The 128 bytes of a frame.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FrameBytes(Vec<u8>);

impl From<&Frame> for FrameBytes {
    fn from(frame: &Frame) -> Self {
        Self(frame.encode().to_vec())
    }
}

impl FrameBytes {
    pub(super) fn frame(&self) -> Option<Frame> {
        Frame::decode(&self.0).ok()
    }
}

/// What the calendar said when this clock was at 0, in µs.
pub(super) fn origin(clock: Clock) -> u64 {
    let read = || {
        let before = clock.now().as_micros();
        let wall = Clock::wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let after = clock.now().as_micros();
        let wall = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
        (after - before, wall.saturating_sub(before.midpoint(after)))
    };
    // Of several, the one in which least came in between.
    (0..20).map(|_| read()).min().map_or(0, |(_, origin)| origin)
}

/// Plays, and prints the diary.
pub(super) fn play(part: &Part) -> Result<(), String> {
    let diary = serde_json::to_string(&perform(part)?).map_err(|error| error.to_string())?;
    std::io::stdout().lock().write_all(diary.as_bytes()).map_err(|error| error.to_string())
}

fn perform(part: &Part) -> Result<Diary, String> {
    processors::stay_on(&part.processors);
    let kind = Kind::named(&part.strategy)
        .ok_or_else(|| format!("unknown strategy {:?}", part.strategy))?;
    let between = Between::start(kind, part.instrument)?;
    let clock = Clock::start();
    let (to, handled) = mpsc::channel();
    let bridge = between.0.as_ref();
    let scene = Scene {
        control: bridge.map_or(part.instrument, Bridge::control),
        callback: bridge.and_then(Bridge::callback),
        timeout: TIMEOUT,
        poll: POLL,
        events: Events::new(clock, to),
    };
    let mut strategy = kind.start(&scene).map_err(|error| error.to_string())?;
    between.until_subscribed();

    let (begin, before) = (clock.now(), processors::spent());
    let played = part.load.play(&mut *strategy, clock);
    let (end, after) = (clock.now(), processors::spent());
    block_on(Timer::after(DRAIN));
    strategy.close();
    let handled: Vec<_> = handled.try_iter().collect();
    between.stop();
    let mut diary = diary(&played, &handled);
    diary.origin = origin(clock);
    (diary.begin, diary.end) = (begin.as_micros(), end.as_micros());
    diary.cpu = before.zip(after).and_then(|(before, after)| after.checked_sub(before));
    Ok(diary)
}

fn diary(played: &Played, handled: &[(Instant, Frame)]) -> Diary {
    let asked = |asked: &Asked| {
        let answer = asked.answer.as_ref().map(FrameBytes::from);
        (asked.at.as_micros(), asked.returned.as_micros(), FrameBytes::from(&asked.command), answer)
    };
    let moved = |moved: &Moved| {
        let noticed = moved.noticed.map(Instant::as_micros);
        (moved.begun.as_micros(), moved.waited, moved.asked.as_micros(), noticed)
    };
    Diary {
        asked: played.asked.iter().map(asked).collect(),
        moved: played.moved.iter().map(moved).collect(),
        handled: handled
            .iter()
            .map(|(at, frame)| (at.as_micros(), FrameBytes::from(frame)))
            .collect(),
        ..Diary::default()
    }
}

/// The bridge, where a strategy needs one.
struct Between(Option<Bridge>);

impl Between {
    fn start(kind: Kind, instrument: SocketAddr) -> Result<Self, String> {
        if !kind.needs_bridge() {
            return Ok(Self(None));
        }
        let mut settings = BridgeSettings::default();
        settings.upstream.address = instrument.to_string();
        // It gives up before its clients do: what comes later is not passed on to them.
        settings.upstream.request_timeout_ms =
            u64::try_from(TIMEOUT.as_millis() * 4 / 5).map_err(|error| error.to_string())?;
        settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.limits.commands_per_s = u32::MAX;
        // There is one client: nobody is to be shown what it does.
        settings.events.echo_actions = false;
        let bridge = block_on(Bridge::start(&settings)).map_err(|error| error.to_string())?;
        block_on(bridge.until_connected());
        Ok(Self(Some(bridge)))
    }

    /// Until who listens on the callback port has been accepted.
    fn until_subscribed(&self) {
        let Some(bridge) = &self.0 else { return };
        let subscribers = || block_on(bridge.status()).map(|status| status.callback.subscribers);
        while subscribers() == Some(0) {
            block_on(Timer::after(Duration::from_millis(1)));
        }
    }

    fn stop(self) {
        if let Some(bridge) = self.0 {
            block_on(bridge.stop());
        }
    }
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::CommandCode;

    use super::*;

    fn frame() -> Frame {
        let frame = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(-1);
        Frame { hardware_id: i32::MAX, ..frame.with_value(-7.5) }
    }

    #[test]
    fn a_frame_comes_back_from_its_bytes() {
        assert_eq!(FrameBytes::from(&frame()).frame(), Some(frame()));
    }

    #[test]
    fn bytes_that_are_no_frame_give_none() {
        let good = FrameBytes::from(&frame()).0;
        let short = good[..good.len() - 1].to_owned();
        let (mut long, mut broken) = (good.clone(), good.clone());
        long.push(0);
        broken[0] = 0;
        for bytes in [Vec::new(), short, long, broken] {
            assert_eq!(FrameBytes(bytes.clone()).frame(), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_diary_comes_back_from_its_json() {
        let at = Instant::from_micros;
        let asked = |answer| Asked { command: frame(), at: at(1), answer, returned: at(2) };
        let moved = |noticed| Moved { begun: at(3), waited: true, asked: at(4), noticed };
        let played = Played {
            asked: vec![asked(None), asked(Some(frame()))],
            moved: vec![moved(None), moved(Some(at(5)))],
        };
        let mut diary = diary(&played, &[(at(6), frame())]);
        (diary.origin, diary.begin, diary.end) = (u64::MAX, 7, 8);
        diary.cpu = Some(Duration::from_micros(9));
        let json = serde_json::to_string(&diary).unwrap();
        let back: Diary = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert_eq!((back.origin, back.begin, back.end, back.cpu), (u64::MAX, 7, 8, diary.cpu));
        let (begun, returned, command, answer) = &back.asked[1];
        assert_eq!((*begun, *returned, command.frame()), (1, 2, Some(frame())));
        assert_eq!(answer.as_ref().and_then(FrameBytes::frame), Some(frame()));
        assert_eq!(back.moved, [(3, true, 4, None), (3, true, 4, Some(5))]);
        assert_eq!((back.handled[0].0, back.handled[0].1.frame()), (6, Some(frame())));
    }

    #[test]
    fn a_part_of_an_unknown_strategy_or_without_an_instrument_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        let load = Load { queries: 4, rate: 0.0, seed: 1 };
        let part = |strategy: &str| Part {
            strategy: strategy.into(),
            load,
            instrument: nobody,
            processors: Vec::new(),
        };
        assert_eq!(perform(&part("magic")).unwrap_err(), "unknown strategy \"magic\"");
        assert!(perform(&part("two-readers")).is_err());
    }
}
