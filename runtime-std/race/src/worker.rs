//! The process that plays one run. It shares neither threads nor an event loop with the instrument, and its processor time
//! can be measured. `run.rs` starts it and reads its output; nothing is evaluated here.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{Frame, time::Instant};
use flamingo_runtime_std::Clock;
use serde::{Deserialize, Serialize};
use smol::{Timer, block_on};

use super::load::{Asked, Load, Moved, POLL, Played, TIMEOUT};
use super::processors;
use super::strategies::Kind;
use super::strategy::{Environment, Events};

/// The time for the last events to reach their handler.
const DRAIN: Duration = Duration::from_millis(200);

/// The input of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    /// The strategy's name.
    pub(super) strategy: String,
    pub(super) load: Load,
    pub(super) instrument: SocketAddr,
    /// The processors to run on; empty = any.
    pub(super) processors: Vec<usize>,
}

/// The output of the process. Times are in µs of its own clock.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct JobReport {
    /// The wall-clock time at 0 of that clock, in µs since 1970.
    pub(super) origin: u64,
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) cpu: Option<Duration>,
    /// Each query: when it was sent, when it returned, command and answer.
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

/// The wall-clock time at 0 of a clock, in µs since 1970.
pub(super) fn origin(clock: Clock) -> u64 {
    let read = || {
        let before = clock.now().as_micros();
        let wall = Clock::wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let after = clock.now().as_micros();
        let wall = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
        (after - before, wall.saturating_sub(before.midpoint(after)))
    };
    // Of several readings, the one with the least delay between the two clocks.
    (0..20).map(|_| read()).min().map_or(0, |(_, origin)| origin)
}

/// Plays the job and prints its report.
pub(super) fn work(job: &Job) -> Result<(), String> {
    let report = serde_json::to_string(&perform(job)?).map_err(|error| error.to_string())?;
    std::io::stdout().lock().write_all(report.as_bytes()).map_err(|error| error.to_string())
}

fn perform(job: &Job) -> Result<JobReport, String> {
    processors::stay_on(&job.processors);
    let kind =
        Kind::named(&job.strategy).ok_or_else(|| format!("unknown strategy {:?}", job.strategy))?;
    let own_bridge = OwnBridge::start(kind, job.instrument)?;
    let clock = Clock::start();
    let (to, handled) = mpsc::channel();
    let bridge = own_bridge.0.as_ref();
    let environment = Environment {
        control: bridge.map_or(job.instrument, Bridge::control),
        callback: bridge.and_then(Bridge::callback),
        timeout: TIMEOUT,
        poll: POLL,
        events: Events::new(clock, to),
    };
    let mut strategy = kind.start(&environment).map_err(|error| error.to_string())?;
    own_bridge.until_subscribed();

    let (begin, before) = (clock.now(), processors::spent());
    let played = job.load.play(&mut *strategy, clock);
    let (end, after) = (clock.now(), processors::spent());
    block_on(Timer::after(DRAIN));
    strategy.close();
    let handled: Vec<_> = handled.try_iter().collect();
    own_bridge.stop();
    let mut report = report(&played, &handled);
    report.origin = origin(clock);
    (report.begin, report.end) = (begin.as_micros(), end.as_micros());
    report.cpu = before.zip(after).and_then(|(before, after)| after.checked_sub(before));
    Ok(report)
}

fn report(played: &Played, handled: &[(Instant, Frame)]) -> JobReport {
    let asked = |asked: &Asked| {
        let answer = asked.answer.as_ref().map(FrameBytes::from);
        (asked.at.as_micros(), asked.returned.as_micros(), FrameBytes::from(&asked.command), answer)
    };
    let moved = |moved: &Moved| {
        let noticed = moved.noticed.map(Instant::as_micros);
        (moved.begun.as_micros(), moved.waited, moved.asked.as_micros(), noticed)
    };
    JobReport {
        asked: played.asked.iter().map(asked).collect(),
        moved: played.moved.iter().map(moved).collect(),
        handled: handled
            .iter()
            .map(|(at, frame)| (at.as_micros(), FrameBytes::from(frame)))
            .collect(),
        ..JobReport::default()
    }
}

/// The bridge, if a strategy needs one.
struct OwnBridge(Option<Bridge>);

impl OwnBridge {
    fn start(kind: Kind, instrument: SocketAddr) -> Result<Self, String> {
        if !kind.needs_bridge() {
            return Ok(Self(None));
        }
        let mut settings = BridgeSettings::default();
        settings.upstream.address = instrument.to_string();
        // It gives up before its client does, so that it passes no late answer on.
        settings.upstream.request_timeout_ms =
            u64::try_from(TIMEOUT.as_millis() * 4 / 5).map_err(|error| error.to_string())?;
        settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.limits.commands_per_s = 1_000_000_000;
        // There is only one client, so its actions are not shown to others.
        settings.events.echo_actions = false;
        let bridge = block_on(Bridge::start(&settings)).map_err(|error| error.to_string())?;
        block_on(bridge.until_connected());
        Ok(Self(Some(bridge)))
    }

    /// Waits until the bridge has accepted the subscriber of the callback port.
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
    fn a_frame_survives_the_way_through_its_bytes() {
        assert_eq!(FrameBytes::from(&frame()).frame(), Some(frame()));
    }

    #[test]
    fn bytes_without_a_frame_give_none() {
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
    fn a_report_survives_the_way_through_json() {
        let at = Instant::from_micros;
        let asked = |answer| Asked { command: frame(), at: at(1), answer, returned: at(2) };
        let moved = |noticed| Moved { begun: at(3), waited: true, asked: at(4), noticed };
        let played = Played {
            asked: vec![asked(None), asked(Some(frame()))],
            moved: vec![moved(None), moved(Some(at(5)))],
        };
        let mut report = report(&played, &[(at(6), frame())]);
        (report.origin, report.begin, report.end) = (u64::MAX, 7, 8);
        report.cpu = Some(Duration::from_micros(9));
        let json = serde_json::to_string(&report).unwrap();
        let back: JobReport = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert_eq!((back.origin, back.begin, back.end, back.cpu), (u64::MAX, 7, 8, report.cpu));
        let (begun, returned, command, answer) = &back.asked[1];
        assert_eq!((*begun, *returned, command.frame()), (1, 2, Some(frame())));
        assert_eq!(answer.as_ref().and_then(FrameBytes::frame), Some(frame()));
        assert_eq!(back.moved, [(3, true, 4, None), (3, true, 4, Some(5))]);
        assert_eq!((back.handled[0].0, back.handled[0].1.frame()), (6, Some(frame())));
    }

    #[test]
    fn a_job_without_strategy_or_instrument_fails() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        let load = Load { queries: 4, rate: 0.0, seed: 1 };
        let job = |strategy: &str| Job {
            strategy: strategy.into(),
            load,
            instrument: nobody,
            processors: Vec::new(),
        };
        assert_eq!(perform(&job("magic")).unwrap_err(), "unknown strategy \"magic\"");
        assert!(perform(&job("two-readers")).is_err());
    }
}
