//! A running workflow, from the upload to SYSTEM_STATE_IDLE. Its file is read in `workflow_plan.rs`.

use flamingo_protocol_core::{
    CommandCode as Code, Flags, Frame,
    time::{Duration, Instant},
};

use super::workflow_plan::WorkflowPlan;
use super::{
    Action, Command, Event, Instrument, Reply, as_seconds, millis, seconds, state_frame, with_text,
};
use crate::images::StreamName;

/// How often a run checks whether the stage has arrived.
const ARRIVAL_POLL: Duration = Duration::from_millis(2);
const Z: i32 = 3;

#[derive(Default)]
pub(super) struct Workflow {
    run: Option<Run>,
    runs: u64,
}

struct Run {
    number: u64,
    plan: WorkflowPlan,
    /// The time between two planes.
    period: Duration,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Uploaded, not running yet.
    Uploaded,
    /// The stage moves to the start of this stack.
    Approach { stack: i32 },
    /// So many planes of this stack were taken.
    Sweep { stack: i32, planes: i32, began: Instant },
}

impl Workflow {
    /// A workflow was uploaded and has not ended.
    pub(super) fn is_busy(&self) -> bool {
        self.run.is_some()
    }

    /// The workflow runs, as the state of the system shows.
    pub(super) fn is_running(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !matches!(run.phase, Phase::Uploaded))
    }
}

impl Instrument {
    /// Starts an uploaded workflow. A workflow that cannot run is declined with a reason.
    pub(super) fn start_workflow(
        &mut self,
        now: Instant,
        command: &Command,
        payload: &[u8],
    ) -> Option<Reply> {
        let flagged = command.frame.flags.contains(Flags::TRIGGER_CALL_BACK);
        let bytes = if flagged { payload } else { &[] };
        let checked = if self.workflow.is_busy() {
            Err("a work flow is running".to_owned())
        } else {
            self.parse_plan(bytes).and_then(|plan| self.check_plan(&plan).map(|()| plan))
        };
        match checked {
            Ok(plan) => {
                self.begin_run(now, plan);
                Some(Reply::done(command))
            }
            Err(reason) => {
                self.decline_workflow(command, &reason);
                None
            }
        }
    }

    /// Whether every position of a plan is within the limits.
    pub(super) fn check_plan(&self, plan: &WorkflowPlan) -> Result<(), String> {
        let starts = (1..).zip(plan.start);
        // The tiles between the corner tiles are within the limits if the corner tiles are.
        let last = (1..).zip(plan.tiles.last);
        for (number, position) in starts.chain(last).chain([(Z, plan.end_z)]) {
            if !self.stage.axis(number).is_some_and(|axis| axis.allows(position)) {
                let name = ["X", "Y", "Z", "R"][number as usize - 1];
                return Err(format!("{name} {position:.3} is beyond its hard limit"));
            }
        }
        Ok(())
    }

    fn begin_run(&mut self, now: Instant, plan: WorkflowPlan) {
        let rate = plan.frame_rate.unwrap_or(40.0) * self.scenario.workflow.speed_factor;
        let period = seconds(1.0 / rate).max(Duration::from_micros(50));
        self.workflow.runs += 1;
        let number = self.workflow.runs;
        self.workflow.run = Some(Run { number, plan, period, phase: Phase::Uploaded });
        if self.scenario.workflow.stale_idle {
            self.push(state_frame(Code::SYSTEM_STATE_IDLE), &[]);
        }
        let delay = millis(self.scenario.workflow.start_delay_ms);
        self.schedule.add(now + delay, Event::Workflow { run: number });
    }

    /// Ends a run early. The stage stops at its current position.
    pub(super) fn stop_workflow(&mut self, now: Instant) {
        let announced = self.workflow.is_running();
        if self.workflow.run.take().is_none() {
            return;
        }
        for axis in 1..=4 {
            self.halt(now, axis);
        }
        self.light_off();
        if !announced {
            // No client has seen it run, but the client that uploaded it waits for its end.
            self.push(state_frame(Code::SYSTEM_STATE_IDLE), &[]);
        }
    }

    pub(super) fn workflow_step(&mut self, at: Instant, number: u64) {
        let Some(run) = self.workflow.run.as_ref().filter(|run| run.number == number) else {
            return;
        };
        let (plan, period) = (run.plan.clone(), run.period);
        let next = match run.phase {
            Phase::Uploaded => Some(self.begin_running(at, &plan)),
            Phase::Approach { .. } if self.stage.is_moving() => {
                Some((at + ARRIVAL_POLL, run.phase))
            }
            Phase::Approach { stack } => {
                let sweep = seconds(as_seconds(period) * f64::from(plan.planes));
                self.move_axis(at, Z, plan.end_z, Some(sweep), None);
                Some((at + period, Phase::Sweep { stack, planes: 0, began: at }))
            }
            Phase::Sweep { stack, planes, began } => {
                self.take_plane(at, &plan, period, (stack, planes + 1, began))
            }
        };
        if let Some((due, phase)) = next {
            if let Some(run) = &mut self.workflow.run {
                run.phase = phase;
            }
            self.schedule.add(due, Event::Workflow { run: number });
        } else {
            self.light_off();
            if self.scenario.workflow.images_saved {
                let saved = Code::UI_IMAGES_SAVED_TO_STORAGE;
                self.push(Frame { status: 1, ..Frame::new(saved) }, &[]);
            }
            self.workflow.run = None;
        }
    }

    fn begin_running(&mut self, at: Instant, plan: &WorkflowPlan) -> (Instant, Phase) {
        self.camera.stop_live();
        let phase = Phase::Approach { stack: 0 };
        if let Some(run) = &mut self.workflow.run {
            run.phase = phase;
        }
        self.announce_state();
        self.push_gauge(Code::UI_SET_GAUGE_SIZE, 0, plan.total_planes());
        self.push_light(Code::LED_PREVIEW_DISABLE, 0);
        let message = self.scenario.messages.at_workflow_start.clone();
        if !message.is_empty() {
            self.push_message(&message);
        }
        for (laser, percent, on) in &plan.lasers {
            self.light.use_laser(*laser, *percent, *on);
            self.push_light(Code::LASER_LEVEL_GET, *laser);
        }
        for (axis, target) in (1..).zip(plan.start) {
            self.move_axis(at, axis, target, None, None);
        }
        (at + ARRIVAL_POLL, phase)
    }

    /// Takes one plane. Gives the next phase; `None` after the last plane.
    fn take_plane(
        &mut self,
        at: Instant,
        plan: &WorkflowPlan,
        period: Duration,
        (stack, planes, began): (i32, i32, Instant),
    ) -> Option<(Instant, Phase)> {
        let done = stack.saturating_mul(plan.planes).saturating_add(planes);
        self.push_gauge(Code::UI_SET_GAUGE_VALUE, done, plan.total_planes());
        let order = self.camera.order(StreamName::Stack);
        self.actions.push(Action::Image(order));
        if planes < plan.planes {
            return Some((at + period, Phase::Sweep { stack, planes, began }));
        }
        if self.scenario.workflow.stack_complete {
            let mut complete = Frame { status: 1, ..Frame::new(Code::CAMERA_STACK_COMPLETE) };
            complete.int32_data = [planes, plan.planes, 0];
            complete.value = as_seconds(at.since(began)) * 1e6;
            self.push(complete, &[]);
        }
        if stack + 1 >= plan.stacks() {
            return None;
        }
        let [x, y] = plan.place_of(stack + 1);
        for (axis, target) in (1..).zip([x, y, plan.start[2]]) {
            if (self.stage.position(at, axis) - target).abs() > 1e-9 {
                self.move_axis(at, axis, target, None, None);
            }
        }
        Some((at + ARRIVAL_POLL, Phase::Approach { stack: stack + 1 }))
    }

    fn push_gauge(&mut self, code: Code, done: i32, total: i32) {
        let mut frame = Frame { status: 1, ..Frame::new(code) };
        frame.int32_data[0] = done;
        frame.int32_data[1] = total;
        self.push(frame, &[]);
    }

    fn push_light(&mut self, code: Code, selector: i32) {
        let mut frame = Frame { status: 1, ..Frame::new(code) }.with_selector(selector);
        if code == Code::LASER_LEVEL_GET {
            frame = with_text(frame, &self.light.level_text(selector));
        }
        let payload = self.push_payload(code);
        self.push(frame, &payload);
    }

    fn light_off(&mut self) {
        for laser in self.light.lasers_off() {
            self.push_light(Code::LASER_DISABLE, laser);
        }
    }
}
