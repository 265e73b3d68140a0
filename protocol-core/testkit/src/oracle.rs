//! What is true of a conversation, kept outside the wire, and the comparison with what the client
//! said. Who talks is `harness.rs`.

use std::collections::HashMap;

use flamingo_protocol_core::{
    Class, Config, Ended, Frame, Received, Ticket,
    connection::{Cancelled, Counters},
    wire::Payload,
};

/// Whose a frame of the device truly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// The answer to the n-th command that the device read, from 0.
    Answer(usize),
    /// Nobody's.
    Push,
}

/// A frame that the device sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// As it stood on the wire.
    pub frame: Frame,
    /// What followed it.
    pub payload: Vec<u8>,
    /// Whose it is.
    pub truth: Truth,
}

/// What the client was told of one request.
#[derive(Debug, Clone, Default)]
struct Told {
    answers: usize,
    /// The answer and its payload came whole.
    complete: bool,
    ended: Vec<Ended>,
    cancelled: bool,
}

/// Compares what was told with what is true.
#[derive(Debug)]
pub struct Oracle {
    config: Config,
    /// All frames of the device, in wire order.
    pub sent: Vec<Sent>,
    /// Bytes that are no frame, which the device, or an earlier conversation, put on the wire.
    pub noise_sent: u64,
    /// The client's frames in the order in which they were written.
    pub commands: Vec<Ticket>,
    /// What the client was told, with the payloads.
    pub received: Vec<(Received, Vec<u8>)>,
    /// Bytes given to the client.
    pub fed: u64,
    requests: HashMap<Ticket, Told>,
    /// The device kept the stated assumptions.
    pub kept: bool,
}

impl Oracle {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            sent: Vec::new(),
            noise_sent: 0,
            commands: Vec::new(),
            received: Vec::new(),
            fed: 0,
            requests: HashMap::new(),
            kept: true,
        }
    }

    /// The client asks.
    pub fn asked(&mut self, ticket: Ticket) {
        assert!(self.requests.insert(ticket, Told::default()).is_none(), "{ticket:?} used twice");
    }

    /// The client takes a request back.
    pub fn cancelled(&mut self, ticket: Ticket, how: Cancelled) {
        let told = self.requests.get_mut(&ticket).expect("a request was cancelled");
        let over = told.complete || !told.ended.is_empty() || told.cancelled;
        assert_eq!(how == Cancelled::Unknown, over, "{ticket:?}: {how:?} after {told:?}");
        told.cancelled |= !over;
    }

    /// The client is told of an end.
    pub fn ended(&mut self, ticket: Ticket, ended: Ended) {
        assert!(!ticket.is_fence(), "a fence has nobody to tell");
        // A frame that was only sent, or one that was asked.
        self.requests.entry(ticket).or_default().ended.push(ended);
    }

    /// The client is told of a frame.
    pub fn frame(&mut self, received: Received) {
        if let Class::Solicited { ticket, .. } = received.class
            && !ticket.is_fence()
        {
            let told = self.requests.get_mut(&ticket).expect("an answer to a request");
            assert!(told.ended.is_empty() && !told.cancelled, "answered after its end: {told:?}");
            told.answers += 1;
            told.complete = received.frame.payload_len == 0;
        }
        self.received.push((received, Vec::new()));
        self.compare_last();
    }

    /// The client is told of payload bytes.
    pub fn payload(&mut self, bytes: &[u8], remaining: u32) {
        let number = self.received.len() - 1;
        let (received, payload) = self.received.last_mut().expect("a frame came before");
        payload.extend_from_slice(bytes);
        assert_eq!(payload.len() as u32 + remaining, received.frame.payload_len);
        if remaining > 0 {
            return;
        }
        assert_eq!(*payload, self.sent[number].payload, "payload bytes");
        if let Class::Solicited { ticket, .. } = received.class
            && let Some(told) = self.requests.get_mut(&ticket)
        {
            told.complete = told.ended.is_empty() && !told.cancelled;
        }
    }

    /// The n-th frame that comes out is the n-th that went in, once, and its class is true.
    fn compare_last(&self) {
        let number = self.received.len() - 1;
        let received = &self.received[number].0;
        let sent = self.sent.get(number).expect("no frame comes out that did not go in");
        assert_eq!(self.plain(&received.frame), self.plain(&sent.frame), "frame {number}");
        let by_token = self.config.tokens.is_some();
        match &received.class {
            Class::Solicited { ticket, proven: true } | Class::Late { ticket, proven: true }
                if self.kept || by_token =>
            {
                let Truth::Answer(command) = sent.truth else {
                    panic!("a push was proven an answer: {received:?}");
                };
                // Not yet noted: it is half out, and cannot have been read whole.
                assert_eq!(self.commands.get(command), Some(ticket), "wrong proof: {received:?}");
            }
            Class::Ambiguous { owners } => {
                assert!(!by_token, "tokens leave nothing ambiguous: {received:?}");
                assert!(owners.tickets().len() > 1, "several owners: {received:?}");
            }
            _ => {}
        }
    }

    /// Without what the client rightly changes: its own token, the length of an upload's echo.
    fn plain(&self, frame: &Frame) -> Frame {
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

    /// How often a request was answered, and how it ended otherwise.
    pub fn outcome(&self, ticket: Ticket) -> (usize, Option<Ended>) {
        let told = self.requests.get(&ticket);
        told.map_or((0, None), |told| (told.answers, told.ended.first().copied()))
    }

    /// The last word: `whole` if all that the device sent was also read.
    pub fn check(&self, counters: &Counters, held: usize, whole: bool) {
        for (ticket, told) in &self.requests {
            let outcomes =
                usize::from(told.complete) + told.ended.len() + usize::from(told.cancelled);
            let sent_only = told.answers == 0 && told.ended.len() == 1;
            assert!(outcomes == 1 || sent_only, "{ticket:?} has {outcomes} outcomes: {told:?}");
            assert!(told.answers <= 1, "{ticket:?} was answered twice: {told:?}");
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
        assert_eq!(bytes, self.fed, "the counters add up to the bytes fed");
        let ended = self.requests.values().flat_map(|told| &told.ended);
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
