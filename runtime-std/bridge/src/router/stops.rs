//! Stops go before every other command, and cancel the commands that must not run after them: HALT and
//! laser-off, which any client may send, and the stops of a workflow and of live images, for which a
//! client needs permission (`permissions.rs`). The rate of the stops of one client is in
//! `stop_rate.rs`; stops without a connection are in `unsent_stops.rs`.

use bytes::Bytes;
use flamingo_protocol_core::{
    CommandCode, Frame, Ticket,
    connection::is_cancelled_by,
    time::Instant,
    wire::{Effect, Selector},
};

use super::client::{Client, Command};
use super::halt_all::SENT_NOT_ANSWERED;
use super::permissions::{LASERS, STAGE, expects_answer, is_emergency, is_unknown_in};
use super::recipient::{Recipient, Recipients};
use super::{ClientId, ForwardedCommand, Router};

/// Why a command is not sent that must not run after a stop.
pub(super) const CANCELLED: &str = "cancelled by a stop before it was sent";
/// How many commands of one client may wait for answers before its stops get none. They are sent all the
/// same.
const MAX_AWAITING: usize = 1024;

/// How many HALTs of one axis may be without an answer, each with an answer of its own: of all clients,
/// and of one client. The answer to the last of them serves the others. The core has 16 places for the
/// four axes.
const MAX_UNANSWERED: usize = 3;
const MAX_UNANSWERED_OF_ONE: usize = 2;

/// The axes, or the laser lines.
const NUMBERS: std::ops::RangeInclusive<i32> = 1..=4;

/// What the instrument receives for a client's stop: frames that contain only the code, and the
/// axis or the laser. Whatever else the client has sent could make the instrument refuse the stop. A
/// HALT of no single axis halts each; the laser-off of no laser switches all lasers off.
pub(super) fn frames_of_stop(stop: &Frame) -> Vec<Frame> {
    let clean = Frame::command(stop.code);
    let number = Some(stop.selector()).filter(|number| NUMBERS.contains(number));
    let selects = stop.code.row().is_some_and(|row| row.selector != Selector::None);
    match number {
        Some(number) if selects => vec![clean.with_selector(number)],
        None if stop.code == CommandCode::STAGE_HALT => {
            NUMBERS.map(|axis| clean.with_selector(axis)).collect()
        }
        None if stop.code == CommandCode::LASER_DISABLE => {
            vec![Frame::command(CommandCode::LASER_DISABLE_ALL)]
        }
        _ => vec![clean],
    }
}

/// Whether a command that waits must not run after this stop. What a code does that is not in the table
/// is not known: such a code of the stage may move it, and such a code of the lasers may light one.
pub(super) fn must_not_follow(waiting: &Frame, stop: &Frame) -> bool {
    let unknown = match stop.code.row().map(|row| row.effect) {
        Some(Effect::StopsMotion) => is_unknown_in(waiting, STAGE),
        Some(Effect::StopsLight) => is_unknown_in(waiting, LASERS),
        _ => false,
    };
    unknown || is_cancelled_by(waiting, stop)
}

/// Adds a client to those that an equal stop answers, if there is room. A laser-off, which has no
/// answer, is one for each client. Returns whether it was added.
pub(super) fn join(
    recipients: &mut Recipients,
    to: &Recipient,
    stop: &Frame,
    client: &mut Client,
) -> bool {
    let is_asked = expects_answer(stop);
    let joins = if is_asked {
        client.in_flight < MAX_AWAITING
    } else {
        recipients.iter().all(|other| other.id != to.id)
    };
    if joins {
        recipients.push(*to);
    } else if is_asked && to.awaits {
        client.counters.unanswered += 1;
    }
    joins
}

impl Router {
    /// Sends a stop before everything else. It cancels commands of all clients that must not run after
    /// it. `id`: `None` if the bridge itself stops. `arrived`: when the stop was requested. Without a
    /// connection, the stop waits for one.
    pub(super) fn send_stop(
        &mut self,
        now: Instant,
        id: Option<ClientId>,
        stop: &Frame,
        arrived: Instant,
    ) {
        let frames = frames_of_stop(stop);
        let mut to = id.map(|id| Recipient::of_stop(id, stop));
        if let Some(to) = to.as_mut().filter(|to| to.awaits && frames.len() > 1) {
            self.await_each_axis(to, stop, frames.len());
        }
        for frame in frames {
            self.cancel_waiting(now, &frame);
            match to {
                Some(to) => self.send_stop_of_client(now, to, &frame, arrived),
                None => self.send_stop_part(now, Recipients::NONE, &frame, arrived),
            }
        }
    }

    /// The answer to a HALT of all axes waits for each part, if there is room for the answers to all.
    fn await_each_axis(&mut self, to: &mut Recipient, stop: &Frame, parts: usize) {
        let Some(client) = self.clients.get_mut(&to.id) else { return };
        if client.in_flight + parts <= MAX_AWAITING {
            to.halt_all = Some(self.open_halts.begin(to.id, *stop, parts));
        } else {
            to.awaits = false;
            client.counters.unanswered += 1;
        }
    }

    fn send_stop_of_client(&mut self, now: Instant, to: Recipient, stop: &Frame, arrived: Instant) {
        self.send_delayed_stops_of(now, to.id);
        let sends_a_frame = self.core.is_some() && self.unwritten_equal(stop).is_none();
        let counts = sends_a_frame && is_emergency(stop);
        if !counts || self.is_within_stop_rate(now, to, stop, arrived) {
            self.send_stop_part(now, Recipients::one(to), stop, arrived);
        }
    }

    /// Sends a stop that is clean and has cancelled what waits.
    pub(super) fn send_stop_part(
        &mut self,
        now: Instant,
        mut recipients: Recipients,
        stop: &Frame,
        arrived: Instant,
    ) {
        if self.core.is_none() {
            return self.hold_stop(&recipients, stop, arrived);
        }
        match self.unwritten_equal(stop) {
            // It stops for all of them, and occupies no further place of the core.
            Some(equal) => {
                self.withdraw_what_follows(now, stop);
                let mut is_asked = false;
                if let Some(forwarded) = self.forwarded.get_mut(&equal) {
                    forwarded.command.arrived = arrived;
                    is_asked = forwarded.expects_answer;
                }
                if is_asked || !expects_answer(stop) {
                    self.share_answer(equal, &recipients);
                } else {
                    self.answer_otherwise(&mut recipients, stop);
                }
            }
            None => self.give_stop_to_core(now, recipients, stop, arrived),
        }
        self.take_events(now, None);
    }

    pub(super) fn give_stop_to_core(
        &mut self,
        now: Instant,
        mut recipients: Recipients,
        stop: &Frame,
        arrived: Instant,
    ) {
        let asks = expects_answer(stop) && self.has_room_for_answer(&recipients, stop);
        let deadline = now + self.options.request_timeout;
        let Some(core) = self.core.as_mut() else { return };
        let asked = asks.then(|| core.request(now, stop, deadline)).and_then(Result::ok);
        let sent = match asked {
            Some(ticket) => Ok(ticket),
            // The stop is sent all the same; the answer to an equal one serves it as well.
            None => core.send(now, stop),
        };
        match sent {
            Ok(ticket) => {
                if asked.is_none() && expects_answer(stop) {
                    self.answer_otherwise(&mut recipients, stop);
                }
                let command = Command { frame: *stop, payload: Bytes::new(), arrived };
                self.remember_forwarded(ticket, recipients, command, asked.is_some());
            }
            Err(error) => self.refuse_stop(now, &recipients, stop, &error.to_string()),
        }
    }

    /// Whether one more stop like this may have an answer of its own. The places of the core are for
    /// all clients and axes.
    fn has_room_for_answer(&self, recipients: &Recipients, stop: &Frame) -> bool {
        let (mut all, mut own) = (0, 0);
        for (_, unanswered) in self.unanswered_equals(stop) {
            all += 1;
            let sender = unanswered.recipients.first();
            own += usize::from(
                sender.is_some_and(|sender| recipients.iter().any(|to| to.id == sender.id)),
            );
        }
        !is_emergency(stop) || (all < MAX_UNANSWERED && own < MAX_UNANSWERED_OF_ONE)
    }

    fn unanswered_equals(&self, stop: &Frame) -> impl Iterator<Item = (Ticket, &ForwardedCommand)> {
        let each = self.forwarded.iter().map(|(ticket, forwarded)| (*ticket, forwarded));
        each.filter(|(_, forwarded)| {
            forwarded.expects_answer && !forwarded.ended && forwarded.command.frame == *stop
        })
    }

    /// The stop has no answer of its own: the newest equal stop without an answer answers it.
    fn answer_otherwise(&mut self, recipients: &mut Recipients, stop: &Frame) {
        let newest = self.unanswered_equals(stop).map(|(ticket, _)| ticket).last();
        match newest {
            Some(equal) => self.share_answer(equal, recipients),
            None => {
                for number in recipients.iter().filter_map(|to| to.halt_all) {
                    self.axis_not_halted(number, stop.selector(), SENT_NOT_ANSWERED);
                }
            }
        }
        for to in recipients.iter_mut() {
            to.awaits = false;
        }
    }

    /// The stop that equals this one and is not written completely.
    fn unwritten_equal(&self, stop: &Frame) -> Option<Ticket> {
        let mut open =
            self.forwarded.iter().filter(|(_, forwarded)| !forwarded.written && !forwarded.ended);
        open.find(|(_, forwarded)| forwarded.command.frame == *stop).map(|(ticket, _)| *ticket)
    }

    /// The answer to a forwarded stop is also the answer to equal stops.
    fn share_answer(&mut self, equal: Ticket, recipients: &Recipients) {
        let Some(forwarded) = self.forwarded.get_mut(&equal) else { return };
        forwarded.abandoned &= recipients.is_empty();
        for to in recipients {
            let Some(client) = self.clients.get_mut(&to.id) else { continue };
            let ForwardedCommand { recipients, command, .. } = forwarded;
            if join(recipients, to, &command.frame, client) {
                client.in_flight += usize::from(forwarded.expects_answer);
            }
        }
    }

    /// A stop that is not written yet also serves a later, equal one. What was given to the core after
    /// the first must not run after the second.
    fn withdraw_what_follows(&mut self, now: Instant, stop: &Frame) {
        let mut open = self
            .forwarded
            .values()
            .filter(|forwarded| !forwarded.written && !forwarded.ended)
            .map(|forwarded| &forwarded.command.frame);
        if open.any(|frame| is_cancelled_by(frame, stop))
            && let Some(core) = self.core.as_mut()
            && let Ok(second) = core.send(now, stop)
        {
            // The core has cancelled them. Of the equal stops, this one is the last, and has not begun.
            core.cancel(now, second);
        }
    }

    pub(super) fn refuse_stop(
        &mut self,
        now: Instant,
        recipients: &Recipients,
        stop: &Frame,
        reason: &str,
    ) {
        if recipients.is_empty() {
            self.log(format!("a stop failed: {}: {reason}", stop.code));
        }
        for to in recipients {
            self.refuse_recipient(now, *to, stop, reason);
        }
    }

    /// A client that waits for the answer to a stop stays connected, even if it sends nothing more.
    pub(super) fn count_awaited(&mut self, recipients: &Recipients, stop: &Frame, change: isize) {
        for to in recipients.iter().filter(|_| expects_answer(stop)) {
            if let Some(client) = self.clients.get_mut(&to.id) {
                client.in_flight = client.in_flight.saturating_add_signed(change);
            }
        }
    }

    /// Cancels the commands that are not sent and must not run after this stop. The core itself cancels
    /// those that it knows.
    fn cancel_waiting(&mut self, now: Instant, stop: &Frame) {
        if self.last_cancels.contains(&(*stop, self.accepted_actions)) {
            return; // nothing has come since
        }
        self.last_cancels.retain(|(last, _)| last != stop);
        self.last_cancels.push((*stop, self.accepted_actions));
        let mut cancelled = Vec::new();
        for (id, client) in self.clients.iter_mut() {
            // Of an upload that is arriving, the client learns it when the rest has come.
            if client.upload.as_ref().is_some_and(|upload| must_not_follow(upload.frame(), stop)) {
                client.refuse_upload(CANCELLED);
            }
            let taken = client.waiting.take_if(|command| must_not_follow(&command.frame, stop));
            cancelled.extend(taken.into_iter().map(|command| (*id, command.frame)));
        }
        for (id, frame) in cancelled {
            self.report_superseded(id, &frame);
        }
        let unknown = self.forwarded.iter().filter(|(_, forwarded)| {
            let frame = &forwarded.command.frame;
            let is_open = !forwarded.written && !forwarded.ended;
            is_open && !is_cancelled_by(frame, stop) && must_not_follow(frame, stop)
        });
        let unknown: Vec<_> =
            unknown.map(|(ticket, forwarded)| (*ticket, forwarded.command.frame)).collect();
        for (ticket, frame) in unknown {
            for to in self.withdraw(now, ticket) {
                self.report_superseded(to.id, &to.own(&frame));
            }
        }
    }

    /// Tells a client that a stop cancelled its command.
    pub(super) fn report_superseded(&mut self, id: ClientId, frame: &Frame) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.counters.superseded += 1;
        }
        self.answer_failure(id, frame, CANCELLED);
    }

    /// The dead man's switch: halts all axes, switches all lasers off, and stops a workflow that runs.
    pub(super) fn stop_everything(&mut self, now: Instant, holder: &str) {
        // Otherwise it would go on with its next plane.
        let workflow = self.workflow.is_active(now);
        let workflow = workflow.then_some(Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP));
        self.log(format!("{holder} held the lease and is lost: the bridge stops everything"));
        let halts = (1..=4).map(|axis| Frame::command(CommandCode::STAGE_HALT).with_selector(axis));
        let lasers_off = Frame::command(CommandCode::LASER_DISABLE_ALL);
        for stop in halts.chain([lasers_off]).chain(workflow) {
            self.send_stop(now, None, &stop, now);
        }
    }
}
