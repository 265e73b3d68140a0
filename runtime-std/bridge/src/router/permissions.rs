//! What a client may send: the rules for one command, by role, state and lease. How much it may send
//! is in `client_quota.rs`; who may connect is in `access/`.

use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    responder::is_answered,
    time::Instant,
    wire::{Kind, Timing},
};

use super::client_quota::TOO_MANY_WAITING;
use super::instrument::may_wait_for_next_link;
use super::{ClientId, Router};
use crate::settings::Role;

/// Why a live view does not begin.
pub(super) const WORKFLOW_RUNS: &str = "a workflow is running: live view cannot start";

/// Why a waiting command of a client is refused whose role was changed.
pub(super) const NOT_ALLOWED_NOW: &str = "not sent: the role of this client is read-only now";

/// The subsystem of the stage: the codes 0x6000 to 0x6FFF.
pub(super) const STAGE: u32 = 0x6;

/// The subsystem of the lasers: the codes 0x2000 to 0x2FFF.
pub(super) const LASERS: u32 = 0x2;

/// Whether this code of a subsystem is not in the table, so that it may do anything there.
pub(super) fn is_unknown_in(frame: &Frame, subsystem: u32) -> bool {
    frame.code.subsystem() == subsystem && frame.code.row().is_none()
}

/// Whether the instrument is expected to answer this command.
pub(super) fn expects_answer(frame: &Frame) -> bool {
    match frame.code.row() {
        Some(_) => is_answered(frame),
        None => frame.flags.contains(Flags::TRIGGER_CALL_BACK),
    }
}

/// Whether the instrument answers at the end of the motion.
pub(super) fn is_answered_at_end(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.timing == Timing::AtEnd)
}

/// Whether this command is a HALT or a laser-off: any client may send it at any time.
pub(super) fn is_emergency(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.effect.is_emergency())
}

/// Whether this command is a stop: HALT, laser-off, or the stop of a workflow or of live images. Once
/// accepted, it waits behind no other command, and is not withdrawn.
pub(super) fn is_stop(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.effect.stops())
}

pub(super) fn is_query(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.kind == Kind::Query)
}

/// Whether this command changes nothing. The table lists STORAGE_PATH_SET as a query, but only the
/// selector 0 asks; any other chooses a drive.
pub(super) fn is_read_only(frame: &Frame) -> bool {
    let chooses_drive = frame.code == CommandCode::STORAGE_PATH_SET && frame.selector() != 0;
    is_query(frame) && !chooses_drive
}

/// Whether this command needs the motion lease: motion and lasers, and codes that are not in the table
/// and may do the same.
fn needs_lease(frame: &Frame) -> bool {
    let acts = frame.code.row().is_some_and(|row| row.effect.moves() || row.effect.lights());
    let may_act = is_unknown_in(frame, STAGE) || is_unknown_in(frame, LASERS);
    let sets = [CommandCode::LASER_LEVEL_SET, CommandCode::STAGE_VELOCITY_SET];
    acts || may_act || sets.contains(&frame.code)
}

impl Router {
    /// Checks whether this client may send this command now. The error is the reason why not.
    pub(super) fn check_permission(
        &mut self,
        now: Instant,
        id: ClientId,
        frame: &Frame,
    ) -> Result<(), String> {
        let Some(client) = self.clients.get(&id) else { return Ok(()) };
        let waits = is_stop(frame) || self.given_up && may_wait_for_next_link(frame);
        if self.core.is_none() && !waits {
            return Err("the instrument is not connected".into());
        }
        if self.stopping && !is_stop(frame) {
            return Err("the bridge is stopping".into());
        }
        if client.role != Role::Control && !is_read_only(frame) {
            return Err(format!("the role of this client is {}", client.role));
        }
        // A stop does not wait with the others.
        if client.waiting.len() >= self.options.limits.queue_frames && !is_stop(frame) {
            if let Some(client) = self.clients.get_mut(&id) {
                client.quota.count_overflow(now);
            }
            return Err(TOO_MANY_WAITING.into());
        }
        // Of a stop, nothing is sent that could be wrong.
        if !is_stop(frame) {
            let limit = self.options.core.payload_limit;
            frame.check_command(limit).map_err(|error| error.to_string())?;
        }
        if self.is_blocked_by_workflow(now, frame) {
            return Err(WORKFLOW_RUNS.into());
        }
        if needs_lease(frame) && self.options.dead_man && client.ending {
            return Err("the client has closed its connection: the dead man's switch acts".into());
        }
        if needs_lease(frame) {
            self.lease.take(now, id).map_err(|holder| {
                let holder = self.clients.get(&holder);
                let holder = holder.map_or("another client", |client| client.address.as_str());
                format!("{holder} holds the lease for motion and lasers")
            })?;
        }
        Ok(())
    }

    /// Whether this command would begin a live view while a workflow runs or is about to be sent.
    pub(super) fn is_blocked_by_workflow(&self, now: Instant, frame: &Frame) -> bool {
        let start = CommandCode::CAMERA_WORK_FLOW_START;
        let is_being_sent = || {
            self.forwarded
                .values()
                .any(|forwarded| !forwarded.written && forwarded.command.frame.code == start)
        };
        frame.code == CommandCode::CAMERA_LIVE_VIEW_START
            && (self.workflow.is_active(now) || is_being_sent())
    }
}
