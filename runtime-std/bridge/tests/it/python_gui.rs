//! A whole session of a graphical client as it is known in the field, directly at the instrument and
//! through the bridge with the preset `python-gui`. The client matches answers by their code alone, has
//! one pending request for each code, reads live images at its control port + 1, loads the settings
//! without TRIGGER_CALL_BACK, and asks for the state 2 s after the upload of a workflow. Here its pauses
//! and the workflows are half as long.

use std::net::{SocketAddr, TcpStream};
use std::thread::spawn;
use std::time::Duration;

use flamingo_bridge::Bridge;
use flamingo_bridge::settings::Preset;
use flamingo_protocol_core::{CommandCode as Code, Frame};
use flamingo_runtime_std::Clock;
use flamingo_runtime_testkit::raw_client::{
    RawClient, ReceivedMessage, command, image, move_to, query, simulator, socket, workflow,
};
use flamingo_simulator::Simulator;

/// How long the client waits for an answer.
const ANSWER: Duration = Duration::from_secs(3);
/// When the client asks for the state first, after an upload.
const FIRST_POLL: Duration = Duration::from_secs(1);
/// When the client asks again.
const NEXT_POLL: Duration = Duration::from_millis(250);

/// Fast axes, and every push that the instrument may send.
const SCENARIO: &str = "[stage]\nspeed_factor = 2.0\n[workflow]\nstale_idle = true\n\
    [images]\nwidth = 64\nheight = 64\n";

/// How something ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// No answer, or no end of the motion, came in time.
    TimedOut,
    /// The workflow did not run as far as the client can tell.
    NeverStarted,
    /// The state is SYSTEM_STATE_DISCONNECTED, or the connection was closed.
    Disconnected,
}

/// The client.
struct Gui {
    connection: RawClient,
    control: SocketAddr,
    /// What came in and answers no pending request.
    events: Vec<Frame>,
    /// Answers about another axis than the one that was asked for.
    wrong: usize,
    closed: bool,
}

impl Gui {
    fn connect(control: SocketAddr) -> Self {
        let connection = RawClient::to(control);
        Self { connection, control, events: Vec::new(), wrong: 0, closed: false }
    }

    /// Waits until `wanted` finds something in what comes in, up to `limit`.
    fn wait<T>(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&ReceivedMessage) -> Option<T>,
    ) -> Option<T> {
        let clock = Clock::start();
        let begin = clock.now();
        loop {
            let mut found = None;
            for message in self.connection.waiting() {
                match wanted(&message).filter(|_| found.is_none()) {
                    Some(value) => found = Some(value),
                    None => self.events.push(message.frame),
                }
            }
            let left = limit.saturating_sub(clock.now().since(begin).into());
            if found.is_some() || left.is_zero() || self.closed {
                return found;
            }
            self.connection.socket.set_read_timeout(Some(left)).expect("a socket");
            // An error is the end of the time, or a reset, which the next call reports again.
            match self.connection.socket.peek(&mut [0]) {
                Ok(0) => self.closed = true,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    self.closed = true;
                }
                _ => {}
            }
        }
    }

    /// Sends a command and takes the next frame of its code as its answer.
    fn ask(&mut self, frame: &Frame) -> Option<ReceivedMessage> {
        if std::io::Write::write_all(&mut self.connection.socket, &frame.encode()).is_err() {
            self.closed = true;
            return None;
        }
        let code = frame.code;
        self.wait(ANSWER, |message| (message.frame.code == code).then(|| message.clone()))
    }

    fn acknowledged(&mut self, frame: &Frame) -> End {
        if self.ask(frame).is_some() { End::Done } else { End::TimedOut }
    }

    fn position(&mut self, axis: i32) -> Option<f64> {
        let frame = self.ask(&query(axis))?.frame;
        self.wrong += usize::from(frame.selector() != axis);
        Some(frame.value)
    }

    fn state(&mut self) -> Option<Code> {
        let frame = self.ask(&command(Code::SYSTEM_STATE_GET))?.frame;
        Some(Code(u32::try_from(frame.selector()).unwrap_or(0)))
    }

    /// Moves an axis and waits for the end of the motion, and reads another axis meanwhile.
    fn move_and_wait(&mut self, axis: i32, target: f64) -> End {
        self.events.clear();
        if self.ask(&move_to(axis, target)).is_none() {
            return End::TimedOut;
        }
        let is_end = |frame: &Frame| frame.code == Code::STAGE_MOTION_STOPPED;
        let clock = Clock::start();
        let begin = clock.now();
        while Duration::from(clock.now().since(begin)) < Duration::from_secs(10) {
            if self.events.iter().any(is_end) {
                let at = self.position(axis);
                return at
                    .filter(|at| (at - target).abs() < 0.001)
                    .map_or(End::TimedOut, |_| End::Done);
            }
            self.position(axis % 4 + 1);
        }
        End::TimedOut
    }

    /// Moves an axis by a step, from where it stands.
    fn jog(&mut self, axis: i32, step: f64) -> End {
        match self.position(axis) {
            Some(from) => self.move_and_wait(axis, from + step),
            None => End::TimedOut,
        }
    }

    fn live(&self) -> TcpStream {
        socket(SocketAddr::new(self.control.ip(), self.control.port() + 1))
    }

    /// The states of which the client knows since the last upload.
    fn has_run(&self) -> bool {
        self.events.iter().any(|frame| frame.code == Code::SYSTEM_STATE_WORK_FLOW_RUNNING)
    }

    fn start_workflow(&mut self, planes: u32) {
        self.events.clear();
        let file = workflow(planes, "ZStack", 20.0);
        self.connection.upload(&command(Code::CAMERA_WORK_FLOW_START), file.as_bytes());
    }

    /// Follows a workflow by asking for the state.
    fn follow_workflow(&mut self) -> End {
        let mut started = false;
        let mut pause = FIRST_POLL;
        for _ in 0..80 {
            self.wait(pause, |_| None::<()>);
            pause = NEXT_POLL;
            let state = self.state();
            started |= self.has_run() || state == Some(Code::SYSTEM_STATE_WORK_FLOW_RUNNING);
            match state {
                Some(Code::SYSTEM_STATE_IDLE) if started => return End::Done,
                Some(Code::SYSTEM_STATE_IDLE) => return End::NeverStarted,
                Some(Code::SYSTEM_STATE_DISCONNECTED) => return End::Disconnected,
                None if self.closed => return End::Disconnected,
                _ => {}
            }
        }
        End::TimedOut
    }

    fn run_workflow(&mut self, planes: u32) -> End {
        self.start_workflow(planes);
        self.follow_workflow()
    }
}

/// Everything but the death of the instrument. Returns how each step ended, and how long it took.
fn session(gui: &mut Gui) -> Vec<(&'static str, End, Duration)> {
    let (mut steps, clock) = (Vec::new(), Clock::start());
    let mut step = |gui: &mut Gui, name, run: &dyn Fn(&mut Gui) -> End| {
        let begin = clock.now();
        let end = run(gui);
        steps.push((name, end, clock.now().since(begin).into()));
    };
    step(gui, "connect", &|gui| match gui.state() {
        Some(Code::SYSTEM_STATE_IDLE) => End::Done,
        _ => End::TimedOut,
    });
    step(gui, "settings without the flag", &|gui| {
        let answer = gui.ask(&Frame::new(Code::COMMON_SCOPE_SETTINGS_LOAD));
        let text = answer.map(|answer| String::from_utf8_lossy(&answer.payload).into_owned());
        text.filter(|text| text.contains("limit")).map_or(End::TimedOut, |_| End::Done)
    });
    step(gui, "jog", &|gui| gui.jog(1, 0.5));
    step(gui, "move and wait", &|gui| gui.move_and_wait(3, 20.0));
    step(gui, "turn", &|gui| gui.move_and_wait(4, 10.0));
    for (name, code) in [
        ("LED", Code::LED_SET),
        ("LED on", Code::LED_PREVIEW_ENABLE),
        ("LED off", Code::LED_PREVIEW_DISABLE),
        ("illumination", Code::ILLUMINATION_LEFT_ENABLE),
    ] {
        step(gui, name, &|gui| gui.acknowledged(&command(code)));
    }
    step(gui, "live", &|gui| {
        let mut viewer = gui.live();
        let started = gui.acknowledged(&command(Code::CAMERA_LIVE_VIEW_START));
        let shown = image(&mut viewer);
        assert_eq!(shown.header.width, 64);
        let stopped = gui.acknowledged(&command(Code::CAMERA_LIVE_VIEW_STOP));
        if stopped == End::Done { started } else { stopped }
    });
    step(gui, "snapshot", &|gui| {
        let mut viewer = gui.live();
        // Until the port has accepted the viewer, an image is not sent to it.
        let mut end = End::TimedOut;
        for _ in 0..20 {
            end = gui.acknowledged(&command(Code::CAMERA_SNAPSHOT_GET));
            viewer.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
            if viewer.peek(&mut [0]).is_ok() {
                break;
            }
        }
        viewer.set_read_timeout(Some(ANSWER)).expect("a socket");
        assert_eq!(image(&mut viewer).header.width, 64);
        end
    });
    // One has ended when the state is asked for, the other has not.
    step(gui, "a workflow of 0.5 s", &|gui| gui.run_workflow(200));
    step(gui, "a workflow of 2.5 s", &|gui| gui.run_workflow(1000));
    step(gui, "the first of two workflows", &|gui| gui.run_workflow(100));
    step(gui, "the second of two workflows", &|gui| gui.run_workflow(100));
    steps
}

fn instrument_and_bridge(preset: Preset) -> (Simulator, Bridge) {
    let instrument = simulator(SCENARIO);
    let bridge = crate::harness::bridge(instrument.control(), |settings| {
        settings.events.use_preset(preset);
    });
    (instrument, bridge)
}

#[test]
fn a_session_of_a_python_gui_ends_as_directly_or_better() {
    let direct = simulator(SCENARIO);
    let control = direct.control();
    let directly = spawn(move || session(&mut Gui::connect(control)));
    let (instrument, bridge) = instrument_and_bridge(Preset::PythonGui);
    let mut gui = Gui::connect(bridge.control());
    let bridged = session(&mut gui);
    let directly = directly.join().expect("the session ends");
    for ((name, direct, direct_time), (_, end, time)) in directly.iter().zip(&bridged) {
        println!(
            "{name}: directly {direct:?} {direct_time:?}, through the bridge {end:?} {time:?}"
        );
        assert_eq!(*end, End::Done, "{name}, directly {direct:?}");
    }
    // The motions took as long as directly: their ends came between the answers.
    let moved: Vec<_> = bridged.iter().filter(|(name, ..)| *name == "jog").collect();
    assert!(moved.iter().all(|(_, _, time)| *time < Duration::from_secs(2)), "{moved:?}");
    assert_eq!(gui.wrong, 0, "no pushed position was taken for an answer");
    assert_eq!(directly.len(), bridged.len());
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
    smol::block_on(direct.stop());
}

#[test]
fn a_workflow_of_an_instrument_that_dies_is_not_completed() {
    let (instrument, bridge) = instrument_and_bridge(Preset::PythonGui);
    let mut gui = Gui::connect(bridge.control());
    assert_eq!(gui.state(), Some(Code::SYSTEM_STATE_IDLE));
    let before = gui.position(4);
    gui.start_workflow(4000);
    let is_running =
        |message: &ReceivedMessage| (message.frame.code == Code::UI_SET_GAUGE_VALUE).then_some(());
    assert_eq!(gui.wait(Duration::from_secs(10), is_running), Some(()));
    smol::block_on(instrument.stop());
    assert_eq!(gui.follow_workflow(), End::Disconnected);
    assert!(gui.events.iter().any(|frame| frame.code == Code::SYSTEM_STATE_DISCONNECTED));
    // A position that is not known is not 0: there is no answer at all.
    assert_eq!(gui.position(4), None, "it was {before:?}");
    smol::block_on(bridge.stop());
}

#[test]
fn the_preset_keeps_pushed_positions_from_a_gui() {
    let wrong = |preset| {
        let (instrument, bridge) = instrument_and_bridge(preset);
        let mut gui = Gui::connect(bridge.control());
        for target in [5.0, 7.0, 5.0] {
            // With every push inline, the client may take a push for its last answer.
            let _ = gui.move_and_wait(1, target);
        }
        smol::block_on(bridge.stop());
        smol::block_on(instrument.stop());
        gui.wrong
    };
    assert_eq!(wrong(Preset::PythonGui), 0);
    assert!(wrong(Preset::CppGui) > 0, "this client matches by the code alone");
}
