//! Records the truth about each frame of a conversation, and checks the output of the client against it.
//! `harness.rs` runs the conversation.

use std::collections::HashMap;

use flamingo_protocol_core::{
    Class, Config, Ended, Frame, Received, Ticket,
    connection::{Cancelled, Counters},
    wire::Payload,
};

/// What a frame of the device truly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// The answer to the n-th command that the device read, from 0.
    Answer(usize),
    /// Unsolicited.
    Push,
}

/// A frame that the device sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The frame on the wire.
    pub frame: Frame,
    /// Its payload.
    pub payload: Vec<u8>,
    /// What it is.
    pub truth: Truth,
}

/// What the client reported about one request.
#[derive(Debug, Clone, Default)]
struct Reported {
    answers: usize,
    /// The answer and its payload are complete.
    complete: bool,
    ended: Vec<Ended>,
    cancelled: bool,
}

/// Checks the output of the client against the truth.
#[derive(Debug)]
pub struct Oracle {
    config: Config,
    /// All frames of the device, in wire order.
    pub sent: Vec<Sent>,
    /// Bytes on the wire that are not part of a frame, from the device or an earlier conversation.
    pub noise_sent: u64,
    /// The client's frames in the order in which they were written.
    pub commands: Vec<Ticket>,
    /// The frames that the client reported, with their payloads.
    pub received: Vec<(Received, Vec<u8>)>,
    /// The number of bytes given to the client.
    pub bytes_fed: u64,
    requests: HashMap<Ticket, Reported>,
    /// Whether the device has kept the assumptions of the protocol.
    pub assumptions_kept: bool,
}

impl Oracle {
    /// Creates an oracle for a conversation that has not begun.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            sent: Vec::new(),
            noise_sent: 0,
            commands: Vec::new(),
            received: Vec::new(),
            bytes_fed: 0,
            requests: HashMap::new(),
            assumptions_kept: true,
        }
    }

    /// The client sent a request.
    pub fn asked(&mut self, ticket: Ticket) {
        assert!(
            self.requests.insert(ticket, Reported::default()).is_none(),
            "{ticket:?} used twice"
        );
    }

    /// The client cancelled a request.
    pub fn cancelled(&mut self, ticket: Ticket, how: Cancelled) {
        let reported = self.requests.get_mut(&ticket).expect("a request was cancelled");
        let over = reported.complete || !reported.ended.is_empty() || reported.cancelled;
        assert_eq!(how == Cancelled::Unknown, over, "{ticket:?}: {how:?} after {reported:?}");
        reported.cancelled |= !over;
    }

    /// The client reported the end of a request.
    pub fn ended(&mut self, ticket: Ticket, ended: Ended) {
        assert!(!ticket.is_fence(), "the end of a fence was reported");
        // The ticket belongs to a request, or to a frame that was sent without one.
        self.requests.entry(ticket).or_default().ended.push(ended);
    }

    /// The client reported a frame.
    pub fn frame(&mut self, received: Received) {
        if let Class::Solicited { ticket, .. } = received.class
            && !ticket.is_fence()
        {
            let reported = self.requests.get_mut(&ticket).expect("an answer to a request");
            assert!(
                reported.ended.is_empty() && !reported.cancelled,
                "answered after its end: {reported:?}"
            );
            reported.answers += 1;
            reported.complete = received.frame.payload_len == 0;
        }
        self.received.push((received, Vec::new()));
        self.compare_last();
    }

    /// The client reported payload bytes.
    pub fn payload(&mut self, bytes: &[u8], remaining: u32) {
        let number = self.received.len() - 1;
        let (received, payload) = self.received.last_mut().expect("a frame precedes its payload");
        payload.extend_from_slice(bytes);
        assert_eq!(payload.len() as u32 + remaining, received.frame.payload_len);
        if remaining > 0 {
            return;
        }
        assert_eq!(*payload, self.sent[number].payload, "payload bytes");
        if let Class::Solicited { ticket, .. } = received.class
            && let Some(reported) = self.requests.get_mut(&ticket)
        {
            reported.complete = reported.ended.is_empty() && !reported.cancelled;
        }
    }

    /// Checks that the n-th reported frame is the n-th that was sent, and that its class is true.
    fn compare_last(&self) {
        let number = self.received.len() - 1;
        let received = &self.received[number].0;
        let sent = self.sent.get(number).expect("a frame was reported that was not sent");
        assert_eq!(
            self.without_changes(&received.frame),
            self.without_changes(&sent.frame),
            "frame {number}"
        );
        let by_token = self.config.tokens.is_some();
        match &received.class {
            Class::Solicited { ticket, proven: true } | Class::Late { ticket, proven: true }
                if self.assumptions_kept || by_token =>
            {
                let Truth::Answer(command) = sent.truth else {
                    panic!("a push was classified as a proven answer: {received:?}");
                };
                // A command is recorded when it is completely written. The device reads no incomplete one.
                assert_eq!(self.commands.get(command), Some(ticket), "wrong proof: {received:?}");
            }
            Class::Ambiguous { owners } => {
                assert!(!by_token, "tokens leave nothing ambiguous: {received:?}");
                assert!(owners.tickets().len() > 1, "several owners: {received:?}");
            }
            _ => {}
        }
    }

    /// The frame without the fields that the client may change: its token, and the length of an upload's echo.
    fn without_changes(&self, frame: &Frame) -> Frame {
        let mut frame = *frame;
        if let Some(field) = self.config.tokens {
            field.replace(&mut frame, 0);
        }
        let uploads = frame.code.row().is_some_and(|row| row.payload == Payload::Up);
        if uploads && !self.config.upload_echo_has_payload {
            frame.payload_len = 0;
        }
        frame
    }

    /// The number of answers to a request, and its end if it ended without an answer.
    pub fn outcome(&self, ticket: Ticket) -> (usize, Option<Ended>) {
        let reported = self.requests.get(&ticket);
        reported.map_or((0, None), |reported| (reported.answers, reported.ended.first().copied()))
    }

    /// The final checks. `whole` is true if the client read all that the device sent.
    pub fn check(&self, counters: &Counters, held: usize, whole: bool) {
        for (ticket, reported) in &self.requests {
            let outcomes = usize::from(reported.complete)
                + reported.ended.len()
                + usize::from(reported.cancelled);
            let sent_only = reported.answers == 0 && reported.ended.len() == 1;
            assert!(outcomes == 1 || sent_only, "{ticket:?} has {outcomes} outcomes: {reported:?}");
            assert!(reported.answers <= 1, "{ticket:?} was answered twice: {reported:?}");
        }
        if whole {
            assert_eq!(self.received.len(), self.sent.len(), "a frame was lost");
            assert_eq!(counters.noise_bytes + held as u64, self.noise_sent);
        }
        self.check_counters(counters, held);
    }

    fn check_counters(&self, counters: &Counters, held: usize) {
        let frames = counters.frames_received();
        let payloads: usize = self.received.iter().map(|(_, payload)| payload.len()).sum();
        assert_eq!(frames, self.received.len() as u64);
        assert_eq!(counters.payload_bytes, payloads as u64);
        let bytes = 128 * frames + counters.payload_bytes + counters.noise_bytes + held as u64;
        assert_eq!(bytes, self.bytes_fed, "the counters add up to the bytes fed");
        let ended = self.requests.values().flat_map(|reported| &reported.ended);
        let timed_out = ended.filter(|ended| matches!(ended, Ended::TimedOut { .. })).count();
        assert_eq!(counters.timed_out, timed_out as u64);
        let of = |class: fn(&Class) -> bool| {
            self.received.iter().filter(|(received, _)| class(&received.class)).count() as u64
        };
        assert_eq!(counters.solicited, of(|class| matches!(class, Class::Solicited { .. })));
        assert_eq!(counters.late, of(|class| matches!(class, Class::Late { .. })));
        assert_eq!(counters.ambiguous, of(|class| matches!(class, Class::Ambiguous { .. })));
        let presumed = of(|class| matches!(class, Class::Solicited { proven: false, .. }));
        assert_eq!(counters.presumed, presumed);
    }
}
