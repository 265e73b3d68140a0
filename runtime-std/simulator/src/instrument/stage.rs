//! The stage: motion commands, position pushes, the end of a motion. The position of an axis at any time is in
//! `axis.rs`.

use flamingo_protocol_core::{
    CommandCode as Code, Flags, Frame,
    time::{Duration, Instant},
};

use super::axis::{Axis, Motion};
use super::{Command, ConnectionId, Event, Instrument, Reply, millis, seconds, with_text};
use crate::scenario;

pub(super) struct Stage {
    axes: [Axis; 4],
}

/// An event of a motion. It has no effect if that motion has ended before.
#[derive(Debug, Clone, Copy)]
pub(super) enum StageEvent {
    Push { axis: i32, motion: u64 },
    End { axis: i32, motion: u64 },
}

const ALL_AXES: i32 = 255;

impl Stage {
    pub(super) fn new(scenario: &scenario::StageModel) -> Self {
        Self { axes: [scenario.x, scenario.y, scenario.z, scenario.r].map(Axis::new) }
    }

    pub(super) fn axis(&self, number: i32) -> Option<&Axis> {
        usize::try_from(number - 1).ok().and_then(|at| self.axes.get(at))
    }

    fn axis_mut(&mut self, number: i32) -> Option<&mut Axis> {
        usize::try_from(number - 1).ok().and_then(|at| self.axes.get_mut(at))
    }

    pub(super) fn position(&self, now: Instant, number: i32) -> f64 {
        self.axis(number).map_or(0.0, |axis| axis.position(now))
    }

    pub(super) fn is_moving(&self) -> bool {
        self.axes.iter().any(Axis::is_moving)
    }

    /// The axes that a command selects: one, or all.
    fn selected(&self, selector: i32) -> Vec<i32> {
        if selector == ALL_AXES {
            return (1..=4).collect();
        }
        self.axis(selector).map(|_| selector).into_iter().collect()
    }
}

impl Instrument {
    pub(super) fn start_continuous_axes(&mut self, now: Instant) {
        let axes = self.scenario.stage.continuous_axes.clone();
        let factor = self.scenario.stage.speed_factor;
        for axis in axes.into_iter().map(|name| name as i32 + 1) {
            let started =
                self.stage.axis_mut(axis).map(|state| state.start_oscillation(now, factor));
            if let Some(motion) = started {
                self.plan_push(now, axis, motion);
            }
        }
    }

    pub(super) fn stage_command(&mut self, now: Instant, command: &Command) -> Option<Reply> {
        let axis = command.frame.selector();
        match command.frame.code {
            Code::STAGE_POSITION_GET => {
                let state = self.stage.axis(axis)?;
                let linear = axis <= 3;
                let hidden = self.scenario.stage.zero_while_moving && linear && state.is_moving();
                let mut reply = Reply::done(command);
                reply.frame.value = if hidden { 0.0 } else { state.position(now) };
                Some(reply)
            }
            Code::STAGE_POSITION_SET
            | Code::STAGE_POSITION_SET_SLIDER
            | Code::STAGE_POSITION_SET_TEXT => Some(self.move_command(now, command)),
            Code::STAGE_HOME | Code::STAGE_FIND_REFERENCE => self.home_command(now, command),
            Code::STAGE_HALT => {
                let axes = self.stage.selected(axis);
                for axis in &axes {
                    self.halt(now, *axis);
                }
                Some(Reply::done_if(command, !axes.is_empty()))
            }
            Code::STAGE_VELOCITY_SET => {
                let velocity = command.frame.value;
                let valid = velocity.is_finite() && velocity > 0.0;
                let state = self.stage.axis_mut(axis).filter(|_| valid);
                let set = state.map(|state| state.velocity = velocity).is_some();
                Some(Reply::done_if(command, set))
            }
            Code::STAGE_WAIT_FOR_MOTION_TO_STOP => self.wait_command(command),
            Code::STAGE_MOTION_STOPPED => {
                let axes = self.stage.selected(axis);
                let moving = |axis: &i32| self.stage.axis(*axis).is_some_and(Axis::is_moving);
                let stopped = !axes.is_empty() && !axes.iter().any(moving);
                Some(Reply::done_if(command, stopped))
            }
            _ => None,
        }
    }

    fn move_command(&mut self, now: Instant, command: &Command) -> Reply {
        let (axis, target) = (command.frame.selector(), command.frame.value);
        let quiet =
            command.frame.flags.contains(Flags::STAGE_NOT_UPDATE_CLIENT).then_some(command.from);
        let moved = self.move_axis(now, axis, target, None, quiet);
        let mut reply = Reply::done_if(command, moved);
        reply.latency = self.scenario.latency.move_ack_ms.map(millis);
        reply
    }

    fn home_command(&mut self, now: Instant, command: &Command) -> Option<Reply> {
        let axis = command.frame.selector();
        let Some(state) = self.stage.axis(axis) else { return Some(Reply::refused(command)) };
        let stage = &self.scenario.stage;
        let at_end = stage.home_answers_at_end;
        // Finding the reference ends at home too, but takes the same time from every position.
        let search = command.frame.code == Code::STAGE_FIND_REFERENCE;
        let time = search.then(|| millis(stage.find_reference_ms / stage.speed_factor));
        let home = state.home();
        self.move_axis(now, axis, home, time, None);
        if at_end {
            return self.wait_command(command);
        }
        Some(Reply::done(command))
    }

    /// Answers at once if the axes are at rest, otherwise when the motion ends.
    fn wait_command(&mut self, command: &Command) -> Option<Reply> {
        let axes = self.stage.selected(command.frame.selector());
        let Some(last) = axes.last().copied() else { return Some(Reply::refused(command)) };
        let moving =
            axes.into_iter().find(|axis| self.stage.axis(*axis).is_some_and(Axis::is_moving));
        let motion =
            self.stage.axis_mut(moving.unwrap_or(last)).and_then(|axis| axis.motion.as_mut());
        match motion {
            Some(motion) => {
                motion.waiters.push(command.clone());
                None
            }
            None => Some(Reply::done(command)),
        }
    }

    /// Starts a motion, which replaces the current one. False: the target is refused.
    pub(super) fn move_axis(
        &mut self,
        now: Instant,
        axis: i32,
        target: f64,
        time: Option<Duration>,
        quiet: Option<ConnectionId>,
    ) -> bool {
        let stage = &self.scenario.stage;
        let (factor, settle) = (stage.speed_factor, millis(stage.settle_ms));
        let Some(state) = self.stage.axis_mut(axis) else { return false };
        let target = state.clamped(target);
        if !state.allows(target) {
            return false;
        }
        let distance = (target - state.position(now)).abs();
        let time = time.unwrap_or_else(|| seconds(distance / (state.velocity * factor)));
        let end = now + time.max(settle);
        let motion = state.start_move(now, target, end, quiet);
        self.schedule.add(end, Event::Stage(StageEvent::End { axis, motion }));
        self.plan_push(now, axis, motion);
        true
    }

    fn plan_push(&mut self, now: Instant, axis: i32, motion: u64) {
        let rate = self.scenario.pushes.position_hz;
        if rate > 0.0 {
            let due = now + seconds(1.0 / rate);
            self.schedule.add(due, Event::Stage(StageEvent::Push { axis, motion }));
        }
    }

    /// Stops an axis at its current position.
    pub(super) fn halt(&mut self, now: Instant, axis: i32) {
        let halted = self.stage.axis_mut(axis).and_then(|state| state.halt(now));
        if let Some(motion) = halted {
            self.push_stopped(now, axis, motion, false);
        }
    }

    pub(super) fn stage_event(&mut self, at: Instant, event: StageEvent) {
        match event {
            StageEvent::Push { axis, motion } => {
                let quiet = match self.stage.axis(axis).and_then(|axis| axis.motion.as_ref()) {
                    Some(current) if current.id == motion => current.quiet,
                    _ => return,
                };
                self.push_position(at, axis, quiet);
                self.plan_push(at, axis, motion);
            }
            StageEvent::End { axis, motion } => {
                let ended = self.stage.axis_mut(axis).and_then(|state| state.finish(at, motion));
                if let Some(motion) = ended {
                    self.push_stopped(at, axis, motion, true);
                }
            }
        }
    }

    fn push_position(&mut self, at: Instant, axis: i32, quiet: Option<ConnectionId>) {
        let pushes = &self.scenario.pushes;
        let mut frame = Frame { status: 1, ..Frame::new(Code::STAGE_POSITION_GET) };
        frame.int32_data[0] = axis;
        frame.value = self.stage.position(at, axis);
        if pushes.flagged {
            frame.flags = frame.flags.with(Flags::STAGE_POSITIONS_IN_BUFFER);
        }
        if pushes.callback_flag {
            frame.flags = frame.flags.with(Flags::TRIGGER_CALL_BACK);
        }
        if pushes.position_text {
            let [x, y, z] = [1, 2, 3].map(|axis| self.stage.position(at, axis));
            frame = with_text(frame, &format!("1={x:.6}\n2={y:.6}\n3={z:.6}\n"));
        }
        let all: Vec<_> = self.clients.keys().copied().filter(|id| Some(*id) != quiet).collect();
        for to in all {
            self.push_to(to, frame);
        }
    }

    fn push_stopped(&mut self, at: Instant, axis: i32, motion: Motion, completed: bool) {
        let mut frame = Frame::new(Code::STAGE_MOTION_STOPPED);
        frame.status = i32::from(completed);
        frame.int32_data[0] = axis;
        frame.value = self.stage.position(at, axis);
        self.push(frame, &[]);
        for command in motion.waiters {
            // A command for all axes continues to wait while another axis moves.
            if let Some(reply) = self.wait_command(&command) {
                self.answer(at, &command, reply);
            }
        }
    }
}
