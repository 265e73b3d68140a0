//! The camera: exposure, region, live view, snapshots, and the check of a workflow. Images are rendered in
//! `images.rs`.

use flamingo_protocol_core::{CommandCode as Code, Frame, time::Instant};

use super::workflow_plan::WorkflowPlan;
use super::{Command, Event, Instrument, Reply, seconds, with_text};
use crate::images::{ImageOrder, StreamName};
use crate::scenario::Scenario;

/// The pitch of the sensor in µm, which the answer to CAMERA_IMAGE_SIZE_GET carries.
const SENSOR_PITCH_UM: f64 = 6.5;

pub(super) struct Camera {
    exposure_us: i32,
    /// The 1-based left and top edge of a symmetric region.
    left: i32,
    top: i32,
    sensor: [u32; 2],
    /// The number of the running live view, from 1.
    live: Option<u64>,
    views: u64,
    images: i32,
    snapshots: u32,
}

impl Camera {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            exposure_us: i32::try_from(scenario.camera.exposure_us).unwrap_or(i32::MAX),
            left: 1,
            top: 1,
            sensor: [scenario.images.width, scenario.images.height],
            live: None,
            views: 0,
            images: 0,
            snapshots: 0,
        }
    }

    /// The state of the system, as far as the camera determines it.
    pub(super) fn state(&self) -> Code {
        if self.snapshots > 0 {
            Code::SYSTEM_STATE_SNAP_SHOT
        } else if self.live.is_some() {
            Code::SYSTEM_STATE_LIVE_VIEW
        } else {
            Code::SYSTEM_STATE_IDLE
        }
    }

    /// Stops the live view. False: none ran.
    pub(super) fn stop_live(&mut self) -> bool {
        self.live.take().is_some()
    }

    /// Width and height of the next image in pixels: the sensor without its two equal borders.
    pub(super) fn size(&self) -> [u32; 2] {
        let [width, height] = self.sensor;
        [cropped(width, self.left), cropped(height, self.top)]
    }

    /// Orders the next image of a stream.
    pub(super) fn order(&mut self, stream: StreamName) -> ImageOrder {
        let index = self.images;
        self.images = index.wrapping_add(1).max(0);
        let [width, height] = self.size();
        ImageOrder { stream, index, width, height }
    }
}

fn cropped(side: u32, edge: i32) -> u32 {
    side.saturating_sub(2 * u32::try_from(edge - 1).unwrap_or(0))
}

/// Whether a symmetric region that begins at `edge` has at least 16 pixels.
fn is_edge(side: u32, edge: i32) -> bool {
    edge >= 1 && cropped(side, edge) >= 16
}

impl Instrument {
    pub(super) fn camera_command(
        &mut self,
        now: Instant,
        command: &Command,
        payload: &[u8],
    ) -> Option<Reply> {
        let [data0, ..] = command.frame.int32_data;
        let camera = &mut self.camera;
        let mut reply = Reply::done(command);
        match command.frame.code {
            Code::CAMERA_EXPOSURE_GET => reply.frame.int32_data[0] = camera.exposure_us,
            Code::CAMERA_ROI_LEFT_GET => reply.frame.int32_data[0] = camera.left,
            Code::CAMERA_ROI_TOP_GET => reply.frame.int32_data[0] = camera.top,
            Code::CAMERA_EXPOSURE_SET => {
                let valid = (1..=10_000_000).contains(&data0);
                return Some(self.set(command, valid, Code::CAMERA_EXPOSURE_GET, |camera| {
                    camera.exposure_us = data0;
                }));
            }
            Code::CAMERA_ROI_LEFT_SET => {
                let valid = is_edge(camera.sensor[0], data0);
                return Some(self.set(command, valid, Code::CAMERA_ROI_LEFT_GET, |camera| {
                    camera.left = data0;
                }));
            }
            Code::CAMERA_ROI_TOP_SET => {
                let valid = is_edge(camera.sensor[1], data0);
                return Some(self.set(command, valid, Code::CAMERA_ROI_TOP_GET, |camera| {
                    camera.top = data0;
                }));
            }
            Code::CAMERA_ALL_SETTINGS_GET => {
                reply.frame.int32_data = [camera.exposure_us, camera.left, camera.top];
            }
            Code::CAMERA_IMAGE_SIZE_GET => {
                let size = if camera.live.is_some() { camera.size() } else { [0, 0] };
                let [width, height] = size.map(|side| side as i32);
                reply.frame.int32_data[0] = width;
                reply.frame.int32_data[1] = height;
                reply.frame.value = SENSOR_PITCH_UM;
            }
            Code::CAMERA_PIXEL_FIELD_OF_VIEW_GET => {
                reply.frame.value = self.scenario.camera.pixel_size_mm;
            }
            Code::CAMERA_SNAPSHOT_GET => return Some(self.snapshot(now, command)),
            Code::CAMERA_LIVE_VIEW_START => return Some(self.start_live(now, command)),
            Code::CAMERA_LIVE_VIEW_STOP => {
                if !camera.stop_live() {
                    reply.frame.status = command.frame.status;
                    reply.frame = with_text(reply.frame, "no live view to stop");
                }
            }
            Code::CAMERA_WORK_FLOW_START => return self.start_workflow(now, command, payload),
            Code::CAMERA_WORK_FLOW_STOP => self.stop_workflow(now),
            Code::CAMERA_CHECK_STACK | Code::CAMERA_CHECK_STACK_UPDATES => {
                return Some(reply.with_payload(self.check_stack(payload).into_bytes()));
            }
            _ => return None,
        }
        Some(reply)
    }

    fn set(
        &mut self,
        command: &Command,
        valid: bool,
        get: Code,
        apply: impl FnOnce(&mut Camera),
    ) -> Reply {
        if !valid {
            return Reply::refused(command);
        }
        apply(&mut self.camera);
        let get = Frame { status: 1, ..Frame::new(get) }.with_selector(command.frame.selector());
        self.push_get_after_set(get);
        Reply::done(command)
    }

    /// Refused while a workflow runs: on the instrument it would crash the server.
    fn start_live(&mut self, now: Instant, command: &Command) -> Reply {
        if self.workflow.is_busy() {
            return Reply::refused(command);
        }
        if self.camera.live.is_none() {
            self.camera.views += 1;
            let view = self.camera.views;
            self.camera.live = Some(view);
            self.schedule.add(now + self.live_period(), Event::LiveImage { view });
            self.push_settings();
        }
        Reply::done(command)
    }

    fn live_period(&self) -> flamingo_protocol_core::time::Duration {
        seconds(1.0 / self.scenario.images.frames_per_s)
    }

    pub(super) fn live_image(&mut self, at: Instant, view: u64) {
        if self.camera.live == Some(view) {
            let order = self.camera.order(StreamName::Live);
            self.actions.push(super::Action::Image(order));
            self.schedule.add(at + self.live_period(), Event::LiveImage { view });
        }
    }

    fn snapshot(&mut self, now: Instant, command: &Command) -> Reply {
        if self.workflow.is_busy() {
            return Reply::refused(command);
        }
        self.camera.snapshots += 1;
        let exposure = seconds(f64::from(self.camera.exposure_us) / 1e6);
        self.schedule.add(now + exposure, Event::SnapshotTaken);
        Reply::done(command)
    }

    pub(super) fn snapshot_taken(&mut self) {
        self.camera.snapshots = self.camera.snapshots.saturating_sub(1);
        let order = self.camera.order(StreamName::Live);
        self.actions.push(super::Action::Image(order));
    }

    /// The report of the instrument about a workflow before it runs.
    fn check_stack(&self, workflow: &[u8]) -> String {
        match self.parse_plan(workflow).and_then(|plan| self.check_plan(&plan)) {
            Ok(()) => "Stack settings are valid\n".to_owned(),
            Err(reason) => format!("{reason}\n"),
        }
    }

    /// Reads a workflow file. The field of view, in mm, decides the number of tiles.
    pub(super) fn parse_plan(&self, workflow: &[u8]) -> Result<WorkflowPlan, String> {
        let pixel = self.scenario.camera.pixel_size_mm;
        WorkflowPlan::parse(workflow, self.camera.size().map(|side| f64::from(side) * pixel))
    }

    /// Pushes why a workflow does not run: to the client that uploaded it, or as a message for people.
    pub(super) fn decline_workflow(&mut self, command: &Command, reason: &str) {
        if self.scenario.messages.explain_rejections {
            self.push_message(reason);
            return;
        }
        let frame = Frame { status: 0, ..command.frame };
        self.push_to(command.from, with_text(frame, reason));
    }

    /// Pushes a text for people to all clients.
    pub(super) fn push_message(&mut self, text: &str) {
        let messages = &self.scenario.messages;
        let frame = Frame::new(messages.code.0);
        if messages.in_payload {
            self.push(frame, text.as_bytes());
        } else {
            self.push(with_text(frame, text), &[]);
        }
    }
}
