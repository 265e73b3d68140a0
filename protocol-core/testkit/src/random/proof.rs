//! Proof where it is due: an answer of which nothing can be in doubt is proven, and the next request of a key waits
//! while the answer to an older one may come.

use flamingo_protocol_core::{
    CommandCode, Ended, Received, Ticket,
    connection::{Key, OrderingDomain},
    wire::Timing,
};

use super::conversation::Conversation;
use super::ledger::{End, Life, Out};
use super::plan::Peer;
use super::promise::Promise;

/// The fences of the documents: the positions, the field of view, the size of an image, the state.
const FENCES: [(u32, i32); 7] =
    [(0x6008, 1), (0x6008, 2), (0x6008, 3), (0x6008, 4), (0x3037, 0), (0x3027, 0), (0xA007, 0)];

impl Conversation {
    /// The domain in which the answer to that code keeps its order, if any.
    pub(super) fn domain(&self, code: CommandCode) -> Option<u32> {
        let at_end = code.row().is_some_and(|row| row.timing == Timing::AtEnd);
        match self.plan.config.ordering {
            _ if at_end => None,
            OrderingDomain::Connection => Some(u32::MAX),
            OrderingDomain::Subsystem if code.0 < 0xF_F000 => Some(code.subsystem()),
            _ => None,
        }
    }

    /// The true answer to a request came, and nobody can doubt it: then it is proven.
    pub(super) fn check_clear(&mut self, ticket: Ticket, proven: bool, received: &Received) {
        let tokens = self.plan.config.tokens.is_some();
        let Some(life) = self.ledger.get(ticket).cloned() else { return };
        let faithful = self.plan.peer == Peer::Faithful;
        let roomy = self.plan.capacity.requests >= 16;
        let clear = faithful
            && roomy
            && !self.plan.config.pushable(received.frame.code)
            && self.untroubled(&life);
        self.check(Promise::ProofWhenClear, proven || !(clear || tokens), || {
            format!("{received:?}")
        });
        if clear {
            self.survey.count("answer of which nothing is in doubt");
        }
    }

    /// Each older frame of its key was answered for certain, or never began.
    fn untroubled(&self, life: &Life) -> bool {
        let key = life.key;
        let trouble = |other: &Life| {
            let itself = other.ticket == life.ticket;
            let certain = other.end == Some(End::Answered) && other.answer == Some(true);
            other.key == key && !itself && other.out != Out::Nothing && !certain
        };
        !self.ledger.lives.iter().any(trouble) && !self.fences.iter().any(|fence| fence.key == key)
    }

    /// Whether there is a fence that proves something about that key; with `clean`, one that is in no doubt.
    pub(super) fn has_fence(&self, key: Key, clean: bool) -> bool {
        let domain = self.domain(key.code);
        let serves = |(code, selector): &(u32, i32)| {
            let fence = Key { code: CommandCode(*code), selector: *selector };
            let lives = &self.ledger.lives;
            let used = lives.iter().any(|life| life.key == fence && life.out != Out::Nothing);
            let asked = self.fences.iter().any(|sent| sent.key == fence && !sent.answered);
            let certain = !self.plan.config.pushable(fence.code);
            let fits = fence != key && certain && self.domain(fence.code) == domain;
            fits && !(clean && (used || asked))
        };
        domain.is_some() && FENCES.iter().any(serves)
    }

    /// An older request of this key that must hold it: its answer may still come, and nothing has settled it.
    pub(super) fn must_hold(&self, life: &Life) -> Option<&Life> {
        if self.plan.config.tokens.is_some() || life.stops() || !life.asked {
            return None;
        }
        let (grace, presumed) = (self.plan.config.grace, self.plan.config.presumed_grace);
        self.ledger.recent().iter().find(|other| {
            if other.key != life.key || !other.asked || other.out == Out::Nothing || other.settled {
                return false;
            }
            let (from, lasts) = match (other.end, other.answer) {
                (Some(End::Answered), Some(false)) => (other.ended_at, presumed.min(grace)),
                (Some(End::Cancelled), None) => (other.ended_at, grace),
                (Some(End::Event(Ended::TimedOut { sent: true })), _) => {
                    (other.begun_at + other.answer_time(), grace)
                }
                _ => return false,
            };
            self.now < from + lasts
        })
    }
}
