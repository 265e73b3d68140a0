//! A driver's engine without a socket or a timer: every byte and every moment comes from the test.

use std::time::{Duration, SystemTime};

use flamingo_protocol_core::{CommandCode, Frame, time::Instant, wire::FRAME_LEN};
use flamingo_runtime_std::driver::{Action, Engine, Opening};
use flamingo_runtime_std::{Client, Clock, Error, Options, Reconnect};
use flamingo_runtime_testkit::peer::answer_to;
use smol::future::{block_on, poll_once};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// An engine, and the time that it is told.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new(tune: impl FnOnce(&mut Options)) -> (Self, Opening) {
        let mut options = Options::new("instrument:53717");
        tune(&mut options);
        let clock = Clock::start();
        let (engine, opening) = Engine::new(options, clock);
        // Later than every call of the test, which are called by the real clock.
        (Self { engine, now: Instant::from_micros(1) }, opening)
    }

    /// With the handshake done.
    pub(crate) fn open(tune: impl FnOnce(&mut Options)) -> (Self, Client) {
        let (mut bench, opening) = Self::new(tune);
        assert_eq!(bench.engine.poll_action(), Some(Action::Connect));
        bench.shake_hands();
        let client = block_on(poll_once(&mut Box::pin(opening.client())));
        (bench, client.expect("the handshake is done").expect("it succeeded"))
    }

    pub(crate) fn shake_hands(&mut self) {
        self.engine.connected(self.now);
        self.pass(Duration::from_millis(50));
        let query = self.sent();
        assert_eq!(query.len(), 1);
        assert_eq!(query[0].code, CommandCode::SYSTEM_STATE_GET);
        self.receive(&answer_to(&query[0], 0.0));
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time.into();
        self.engine.handle_timeout(self.now);
    }

    pub(crate) fn receive(&mut self, frame: &Frame) {
        self.engine.handle_input(self.now, SystemTime::UNIX_EPOCH, &frame.encode());
    }

    /// The frames that are written, without payloads.
    pub(crate) fn sent(&mut self) -> Vec<Frame> {
        self.engine.take_calls(self.now);
        let mut bytes = Vec::new();
        while let Some(next) = self.engine.poll_transmit(self.now) {
            bytes.extend_from_slice(next);
            let written = next.len();
            self.engine.transmitted(self.now, written);
        }
        bytes.chunks(FRAME_LEN).map(|frame| Frame::decode(frame).expect("a frame")).collect()
    }

    pub(crate) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.poll_action()).collect()
    }

    /// An upload of which the socket takes half a frame, and no more.
    pub(crate) fn half_an_upload(
        &mut self,
        client: &Client,
    ) -> impl Future<Output = Result<(), Error>> + Unpin + use<> {
        let client = client.clone();
        let frame = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        let mut upload =
            Box::pin(async move { client.send_with_payload(frame, vec![7; 1000]).await });
        assert!(poll(&mut upload).is_none());
        self.engine.take_calls(self.now);
        assert!(self.engine.poll_transmit(self.now).is_some());
        self.engine.transmitted(self.now, 64);
        upload
    }

    /// The codes and selectors of the frames that are written.
    pub(crate) fn sent_codes(&mut self) -> Vec<(CommandCode, i32)> {
        self.sent().iter().map(|frame| (frame.code, frame.selector())).collect()
    }
}

/// Polls a call, which hands it over.
pub(crate) fn poll<T>(call: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    block_on(poll_once(call))
}

pub(crate) fn every_2_s(options: &mut Options) {
    options.reconnect = Some(Reconnect::default().delay(2 * SECOND).jitter(0.0));
}
