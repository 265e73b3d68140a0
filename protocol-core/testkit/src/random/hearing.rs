//! Checks the frames that the client receives: each frame of the device comes out once, in order,
//! unchanged, and in the right class.

use flamingo_protocol_core::{Class, Received, Ticket};

use super::client::Heard;
use super::conversation::Conversation;
use super::instrument::{Origin, Sent};
use super::ledger::{End, is_stop};
use super::plan::{Caller, Peer};
use super::promise::Promise;

impl Conversation {
    /// Reads from the line: everything if the caller is prompt, otherwise perhaps a part.
    pub(super) fn read(&mut self) {
        let there = self.device.line.len();
        if there == 0 || self.closed {
            return;
        }
        let whole = self.plan.caller == Caller::Prompt && self.rng.u32(0..8) > 0;
        let all = std::mem::take(&mut self.must_read) || self.recovering();
        let len = if whole || all { there } else { self.rng.usize(1..=there) };
        let input: Vec<u8> = self.device.line.drain(..len).collect();
        self.fed += len as u64;
        for heard in self.client.input(self.now, &input, self.plan.read) {
            match heard {
                Heard::Frame(received) => self.frame(&received),
                Heard::Payload(bytes, remaining) => self.payload(&bytes, remaining),
            }
        }
        let complete =
            self.device.sent.iter().skip(self.heard).take_while(|sent| sent.end <= self.fed);
        let missing = complete.count();
        self.check(Promise::NoFrameLost, missing == 0, || {
            format!("{missing} whole frames did not come out")
        });
        self.check_counters();
    }

    fn check_counters(&mut self) {
        let counters = self.client.counters();
        let held = self.client.held() as u64;
        let frames = counters.frames_received();
        let bytes = 128 * frames + counters.payload_bytes + counters.noise_bytes + held;
        let holds = frames == self.heard as u64 && bytes == self.fed;
        let (heard, fed) = (self.heard, self.fed);
        self.check(Promise::Counters, holds, || {
            format!("{heard} frames, {fed} bytes: {counters:?}")
        });
    }

    fn frame(&mut self, received: &Received) {
        let number = self.heard;
        self.heard += 1;
        self.payload.clear();
        let Some(sent) = self.device.sent.get(number).cloned() else {
            return self.check(Promise::NoFrameLost, false, || {
                format!("frame {number} was not sent: {received:?}")
            });
        };
        self.note(|_| format!("heard {:?}: {}", received.class, received.frame));
        self.compare(received, &sent);
        self.check(Promise::NoFrameLost, received.skipped == sent.skipped, || {
            format!("{} bytes skipped, in truth {}", received.skipped, sent.skipped)
        });
        let truth = match sent.origin {
            Origin::Answer { command, .. } => Some(self.device.commands[command].ticket),
            _ => None,
        };
        self.check_miss(received, &sent, truth);
        if super::client::owner(&received.class).is_some()
            && !self.plan.config.pushable(received.frame.code)
        {
            self.settled();
        }
        match &received.class {
            Class::Solicited { ticket, proven } => {
                self.survey.count(if *proven {
                    "solicited, proven"
                } else {
                    "solicited, presumed"
                });
                self.check_proof(*ticket, *proven, truth, &received.class);
                self.solicited(*ticket, *proven, received);
                if truth == Some(*ticket) {
                    self.check_clear(*ticket, *proven, received);
                }
            }
            Class::Late { ticket, proven } => {
                self.survey.count(if *proven { "late, proven" } else { "late, presumed" });
                self.check_proof(*ticket, *proven, truth, &received.class);
                self.late(*ticket, *proven);
            }
            Class::Ambiguous { owners } => {
                self.survey.count("ambiguous");
                for ticket in owners.tickets() {
                    self.ledger.get(*ticket).into_iter().for_each(|life| life.ambiguous = true);
                }
                let stop = is_stop(received.frame.code);
                let holds = stop && self.plan.config.tokens.is_none() && owners.tickets().len() > 1;
                self.check(Promise::OnlyStopsAreAmbiguous, holds, || format!("{received:?}"));
            }
            Class::Unsolicited { ours } => {
                self.survey.count(if *ours { "unsolicited, ours" } else { "unsolicited" });
            }
        }
    }

    /// Compares a received frame with the sent one. Only the token, and the length in the echo of an
    /// upload, may differ.
    fn compare(&mut self, received: &Received, sent: &Sent) {
        let mut expected = sent.frame;
        let owner = super::client::owner(&received.class).map(|(ticket, _)| ticket);
        if let (Some(field), Some(ticket)) = (self.plan.config.tokens, owner)
            && let Some(life) = self.ledger.get(ticket)
        {
            field.replace(&mut expected, field.get(&life.frame));
        }
        // The length in the echo of an upload is none of a payload that follows.
        expected.payload_len = sent.payload.len() as u32;
        self.check(Promise::NoFrameLost, expected == received.frame, || {
            format!("{} came out as {:?} {}", sent.frame, received.class, received.frame)
        });
    }

    fn check_proof(&mut self, ticket: Ticket, proven: bool, truth: Option<Ticket>, class: &Class) {
        let right = truth == Some(ticket);
        if proven {
            let holds = right || !self.plan.proof_holds();
            self.check(Promise::ProvenIsRight, holds, || format!("{class:?}, in truth {truth:?}"));
            self.survey.count(if right {
                "proof that is right"
            } else {
                "proof outside the assumptions"
            });
        } else if ticket_is_asked(ticket) {
            self.survey.count(if right {
                "presumption that is right"
            } else {
                "presumption that is wrong"
            });
        }
        let tokens = self.plan.config.tokens.is_some();
        self.check(Promise::TokensDecide, !tokens || right, || {
            format!("{class:?}, in truth {truth:?}")
        });
    }

    /// The first answer to a request that waits: with tokens it must find it, and without it must find somebody.
    fn check_miss(&mut self, received: &Received, sent: &Sent, truth: Option<Ticket>) {
        let first = matches!(sent.origin, Origin::Answer { again: false, .. });
        let Some(ticket) = truth.filter(|_| first) else { return };
        let Some(life) = self.ledger.get(ticket) else { return };
        let (waits, code) = (life.waits_at(self.handled), life.frame.code);
        if !waits || self.closed {
            return;
        }
        let solicited =
            matches!(received.class, Class::Solicited { ticket: of, .. } if of == ticket);
        let unsolicited = matches!(received.class, Class::Unsolicited { .. });
        let tokens = self.plan.config.tokens.is_some();
        let class = &received.class;
        self.check(Promise::TokensDecide, !tokens || solicited, || {
            format!("{ticket:?} waits: {class:?}")
        });
        let holds = !unsolicited || self.plan.peer != Peer::Faithful;
        self.check(Promise::AnswerIsSolicited, holds, || {
            format!("{code} {ticket:?} waits: {class:?}")
        });
    }

    fn solicited(&mut self, ticket: Ticket, proven: bool, received: &Received) {
        if proven {
            self.fence_answered(ticket);
        }
        let now = self.now;
        let Some(life) = self.ledger.get(ticket) else {
            return self
                .check(Promise::OneOutcome, ticket.is_fence(), || format!("nobody: {received:?}"));
        };
        let before = life.clone();
        life.answer = Some(proven);
        if received.frame.payload_len == 0 {
            life.end = Some(End::Answered);
        }
        life.ended_at = now;
        self.check(Promise::OneOutcome, before.waits(), || format!("an answer to {before:?}"));
    }

    fn late(&mut self, ticket: Ticket, proven: bool) {
        if proven {
            self.fence_answered(ticket);
        }
        let tokens = self.plan.config.tokens.is_some();
        let Some(life) = self.ledger.get(ticket) else {
            return self
                .check(Promise::OneOutcome, ticket.is_fence(), || format!("late: {ticket:?}"));
        };
        life.late = true;
        let before = life.clone();
        // The event that tells its end may not have been taken. With tokens a frame may come twice.
        let over = !before.waits_at(self.handled) || !tokens;
        self.check(Promise::OneOutcome, over, || format!("late for {before:?}"));
    }

    fn fence_answered(&mut self, ticket: Ticket) {
        for fence in &mut self.fences {
            fence.answered |= fence.ticket == Some(ticket);
        }
    }

    /// A proof came, or one frame more of a key in doubt: what was sent earlier may be settled by it.
    fn settled(&mut self) {
        for life in self.ledger.recent_mut() {
            life.settled = true;
        }
    }

    fn payload(&mut self, bytes: &[u8], remaining: u32) {
        self.payload.extend_from_slice(bytes);
        if remaining > 0 {
            return;
        }
        let Some(number) = self.heard.checked_sub(1) else { return };
        let Some(sent) = self.device.sent.get(number).cloned() else { return };
        self.survey.count("payload received");
        let same = self.payload == sent.payload;
        self.check(Promise::NoFrameLost, same, || {
            format!("another payload than that of {}", sent.frame)
        });
        let now = self.now;
        for life in self.ledger.recent_mut() {
            if life.answer.is_some() && life.end.is_none() {
                (life.end, life.ended_at) = (Some(End::Answered), now);
            }
        }
    }
}

fn ticket_is_asked(ticket: Ticket) -> bool {
    !ticket.is_fence()
}
