//! One strategy on one load: starts the instrument, and the bridge where one is needed, plays, and
//! has it judged. What is played is `load.rs`.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use flamingo_runtime_std::bridge::{Bridge, settings::Settings};
use flamingo_runtime_std::simulator::{FaultKind, Simulator, SimulatorOptions};
use smol::{Timer, block_on};

use super::cpu;
use super::judge::{Evidence, Judgement, judge};
use super::load::{FIRST, Load, POLL, TIMEOUT};
use super::strategies::Kind;
use super::strategy::{Events, Scene};

/// How long what was sent last may take to its handler.
const DRAIN: Duration = Duration::from_millis(60);

/// What one run came to.
#[derive(Debug, Clone)]
pub(super) struct Heat {
    pub(super) kind: Kind,
    pub(super) load: Load,
    pub(super) judgement: Judgement,
    /// Commands that the instrument got besides those of the load.
    pub(super) extra_commands: usize,
    /// Of one processor, in per cent.
    pub(super) cpu_percent: Option<f64>,
    pub(super) time: Duration,
    /// The instrument dropped the client, which did not read.
    pub(super) dropped: bool,
}

/// The bridge, where a strategy needs one.
struct Between(Option<Bridge>);

impl Between {
    fn start(kind: Kind, instrument: SocketAddr) -> Result<Self, String> {
        if !kind.needs_bridge() {
            return Ok(Self(None));
        }
        let mut settings = Settings::default();
        settings.upstream.address = instrument.to_string();
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

/// Runs it.
pub(super) fn run(kind: Kind, load: Load) -> Result<Heat, String> {
    let options =
        SimulatorOptions { scenario: load.scenario(kind.tags()), ..SimulatorOptions::default() };
    let simulator = block_on(Simulator::start(options)).map_err(|error| error.to_string())?;
    let between = Between::start(kind, simulator.control())?;
    let (to, handled) = mpsc::channel();
    let truth = simulator.truth();
    let clock = truth.clock();
    let bridge = between.0.as_ref();
    let scene = Scene {
        control: bridge.map_or(simulator.control(), Bridge::control),
        callback: bridge.and_then(Bridge::callback),
        timeout: TIMEOUT,
        poll: POLL,
        events: Events::new(clock, to),
    };
    let mut strategy = kind.start(&scene).map_err(|error| format!("{}: {error}", kind.name()))?;
    between.until_subscribed();

    let (begin, cpu) = (clock.now(), cpu::spent());
    let done = load.play(&mut *strategy, clock);
    let (end, spent) = (clock.now(), cpu::spent());
    block_on(Timer::after(DRAIN));
    strategy.close();

    let handled: Vec<_> = handled.try_iter().collect();
    let time = Duration::from(end.since(begin));
    let sent = truth.sent();
    let evidence = Evidence { done: &done, handled: &handled, sent: &sent, span: (begin, end) };
    let judgement = judge(&evidence);
    let received = truth.received();
    let faults = truth.faults();
    between.stop();
    block_on(simulator.stop());
    let cpu = cpu.zip(spent).and_then(|(before, after)| after.checked_sub(before));
    Ok(Heat {
        kind,
        load,
        judgement,
        extra_commands: received.iter().filter(|record| record.frame.hardware_id < FIRST).count(),
        cpu_percent: cpu.map(|cpu| 100.0 * cpu.as_secs_f64() / time.as_secs_f64()),
        time,
        dropped: faults.iter().any(|fault| fault.kind == FaultKind::NotDraining),
    })
}
