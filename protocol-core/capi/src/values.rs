//! Frames, outputs and bytes to write as structs of C, and how they follow from the types of the core.
//! Events and times are in `events.rs`, the settings in `settings.rs`.

use core::ptr;

use flamingo_protocol_core::wire::FRAME_LEN;
use flamingo_protocol_core::{
    Class, CommandCode, Flags, Frame, Incoming, Output, Ticket, Transmit,
};

/// The number of bytes of a frame on the wire.
pub const FLAMINGO_FRAME_LEN: usize = 128;
/// The number of bytes of the buffer in a frame.
pub const FLAMINGO_BUFFER_LEN: usize = 72;
/// The most requests that one frame can be ambiguous between.
pub const FLAMINGO_MAX_OWNERS: usize = 8;
/// A time that never comes: no timer runs, or a request without a deadline.
pub const FLAMINGO_NEVER: u64 = u64::MAX;
/// This bit is set in the ticket of a query that the connection itself sent (a fence). Ignore its answer.
///
/// cbindgen:ignore
pub const FLAMINGO_TICKET_FENCE: u32 = 0x8000_0000;
/// On a command: the instrument answers it.
///
/// cbindgen:ignore
pub const FLAMINGO_FLAG_TRIGGER_CALL_BACK: u32 = 0x8000_0000;
/// The frame is a position update that the instrument pushes during a motion.
///
/// cbindgen:ignore
pub const FLAMINGO_FLAG_STAGE_POSITIONS_IN_BUFFER: u32 = 0x0000_0002;
/// Proposed, set by no known firmware: the frame is an answer.
///
/// cbindgen:ignore
pub const FLAMINGO_FLAG_ANSWER_TAG: u32 = 0x4000_0000;

const _: () = assert!(FLAMINGO_FLAG_TRIGGER_CALL_BACK == Flags::TRIGGER_CALL_BACK.0);
const _: () =
    assert!(FLAMINGO_FLAG_STAGE_POSITIONS_IN_BUFFER == Flags::STAGE_POSITIONS_IN_BUFFER.0);
const _: () = assert!(FLAMINGO_FLAG_ANSWER_TAG == Flags::ANSWER_TAG.0);
const _: () = assert!(FLAMINGO_FRAME_LEN == FRAME_LEN);
const _: () = assert!(FLAMINGO_BUFFER_LEN == flamingo_protocol_core::wire::BUFFER_LEN);
const _: () = assert!(FLAMINGO_MAX_OWNERS == flamingo_protocol_core::connection::MAX_OWNERS);

/// A control frame: every field but the two markers. Every content is valid.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_frame {
    /// doubleData: mm (degrees on R), microseconds, mm per pixel.
    pub value: f64,
    /// cmd: one of the constants FLAMINGO_CODE_...
    pub code: u32,
    /// status, set by the instrument: see flamingo_frame_outcome.
    pub status: i32,
    /// hardwareID: the instance of a device.
    pub hardware_id: i32,
    /// subsystemID.
    pub subsystem_id: i32,
    /// clientID. It may mean something to the instrument: leave it 0.
    pub client_id: i32,
    /// int32Data0 (the selector, or a result), int32Data1, int32Data2.
    pub int32_data: [i32; 3],
    /// cmdDataBits0: bits FLAMINGO_FLAG_...
    pub flags: u32,
    /// additionalDataBytes: the number of bytes of the payload that follows at once.
    pub payload_len: u32,
    /// buffer: text or binary, padded with NUL. A text of 72 bytes has no NUL at its end.
    pub buffer: [u8; FLAMINGO_BUFFER_LEN],
}

impl flamingo_frame {
    pub(crate) const ZERO: Self = Self {
        value: 0.0,
        code: 0,
        status: 0,
        hardware_id: 0,
        subsystem_id: 0,
        client_id: 0,
        int32_data: [0; 3],
        flags: 0,
        payload_len: 0,
        buffer: [0; FLAMINGO_BUFFER_LEN],
    };
}

impl From<&Frame> for flamingo_frame {
    fn from(frame: &Frame) -> Self {
        Self {
            value: frame.value,
            code: frame.code.0,
            status: frame.status,
            hardware_id: frame.hardware_id,
            subsystem_id: frame.subsystem_id,
            client_id: frame.client_id,
            int32_data: frame.int32_data,
            flags: frame.flags.0,
            payload_len: frame.payload_len,
            buffer: frame.buffer,
        }
    }
}

impl From<&flamingo_frame> for Frame {
    fn from(frame: &flamingo_frame) -> Self {
        Self {
            value: frame.value,
            code: CommandCode(frame.code),
            status: frame.status,
            hardware_id: frame.hardware_id,
            subsystem_id: frame.subsystem_id,
            client_id: frame.client_id,
            int32_data: frame.int32_data,
            flags: Flags(frame.flags),
            payload_len: frame.payload_len,
            buffer: frame.buffer,
        }
    }
}

/// What a call of a handle_input function found.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_output_kind {
    /// Nothing yet: all bytes are consumed, more are needed.
    None = 0,
    /// A frame.
    Frame = 1,
    /// A part of the payload of the last frame.
    Payload = 2,
}

/// Who gets a frame.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_class {
    /// The answer to the request `ticket`, which waits for it.
    Solicited = 0,
    /// The answer to the request `ticket`, which has ended.
    Late = 1,
    /// It may answer any of the requests `owners`; nobody can tell which one.
    Ambiguous = 2,
    /// Nobody asked for it: an event.
    Unsolicited = 3,
}

/// A frame or a part of a payload that a connection received.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_output {
    /// Which of the fields below have a meaning; the others are 0.
    pub kind: flamingo_output_kind,
    /// FRAME: who gets it. The fields `ticket`, `proven`, `ours`, `owners` follow from it.
    pub frame_class: flamingo_class,
    /// SOLICITED and LATE: the request.
    pub ticket: u32,
    /// SOLICITED and LATE: no other sender is possible. If false, the answer is only presumed.
    pub proven: bool,
    /// UNSOLICITED: perhaps the echo of a frame that this program sent without asking.
    pub ours: bool,
    /// AMBIGUOUS: the number of `owners`.
    pub owner_count: u32,
    /// AMBIGUOUS: the requests that it may answer, oldest first.
    pub owners: [u32; FLAMINGO_MAX_OWNERS],
    /// FRAME: the noise bytes that were skipped before this frame.
    pub skipped: u32,
    /// PAYLOAD: how many bytes of the payload are still to come. 0 marks its end.
    pub remaining: u32,
    /// FRAME: the frame. If its payload_len is not 0, the payload comes in the next outputs.
    pub frame: flamingo_frame,
    /// PAYLOAD: the bytes, inside the input of this call. NULL otherwise.
    pub payload: *const u8,
    /// PAYLOAD: the number of bytes.
    pub payload_len: usize,
}

impl flamingo_output {
    const NONE: Self = Self {
        kind: flamingo_output_kind::None,
        frame_class: flamingo_class::Solicited,
        ticket: 0,
        proven: false,
        ours: false,
        owner_count: 0,
        owners: [0; FLAMINGO_MAX_OWNERS],
        skipped: 0,
        remaining: 0,
        frame: flamingo_frame::ZERO,
        payload: ptr::null(),
        payload_len: 0,
    };

    fn payload(bytes: &[u8], remaining: u32) -> Self {
        let kind = flamingo_output_kind::Payload;
        Self { kind, remaining, payload: bytes.as_ptr(), payload_len: bytes.len(), ..Self::NONE }
    }

    fn classified(self, class: &Class) -> Self {
        use flamingo_class as To;
        match class {
            Class::Solicited { ticket, proven } => Self {
                frame_class: To::Solicited,
                ticket: number(*ticket),
                proven: *proven,
                ..self
            },
            Class::Late { ticket, proven } => {
                Self { frame_class: To::Late, ticket: number(*ticket), proven: *proven, ..self }
            }
            Class::Ambiguous { owners: found } => {
                let (mut owners, mut owner_count) = ([0; FLAMINGO_MAX_OWNERS], 0);
                for (to, ticket) in owners.iter_mut().zip(found.tickets()) {
                    *to = number(*ticket);
                    owner_count += 1;
                }
                Self { frame_class: To::Ambiguous, owners, owner_count, ..self }
            }
            Class::Unsolicited { ours } => {
                Self { frame_class: To::Unsolicited, ours: *ours, ..self }
            }
        }
    }
}

impl From<Option<Output<'_>>> for flamingo_output {
    fn from(output: Option<Output<'_>>) -> Self {
        match output {
            None => Self::NONE,
            Some(Output::Payload { bytes, remaining }) => Self::payload(bytes, remaining),
            Some(Output::Frame(received)) => {
                let (kind, frame) = (flamingo_output_kind::Frame, (&received.frame).into());
                Self { kind, frame, skipped: received.skipped, ..Self::NONE }
                    .classified(&received.class)
            }
        }
    }
}

/// A command or a part of a payload that a responder received.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_incoming {
    /// Which of the fields below have a meaning; the others are 0.
    pub kind: flamingo_output_kind,
    /// FRAME: the noise bytes that were skipped before this command.
    pub skipped: u32,
    /// FRAME: the command. If its payload_len is not 0, the payload comes in the next outputs.
    pub frame: flamingo_frame,
    /// PAYLOAD: the bytes, inside the input of this call. NULL otherwise.
    pub payload: *const u8,
    /// PAYLOAD: the number of bytes.
    pub payload_len: usize,
    /// PAYLOAD: how many bytes of the payload are still to come. 0 marks its end.
    pub remaining: u32,
}

impl From<Option<Incoming<'_>>> for flamingo_incoming {
    fn from(incoming: Option<Incoming<'_>>) -> Self {
        let none = Self {
            kind: flamingo_output_kind::None,
            skipped: 0,
            frame: flamingo_frame::ZERO,
            payload: ptr::null(),
            payload_len: 0,
            remaining: 0,
        };
        match incoming {
            None => none,
            Some(Incoming::Command { frame, skipped }) => {
                Self { kind: flamingo_output_kind::Frame, skipped, frame: (&frame).into(), ..none }
            }
            Some(Incoming::Payload { bytes, remaining }) => {
                let (payload, payload_len) = (bytes.as_ptr(), bytes.len());
                Self {
                    kind: flamingo_output_kind::Payload,
                    payload,
                    payload_len,
                    remaining,
                    ..none
                }
            }
        }
    }
}

/// What to write.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_transmit_kind {
    /// Nothing.
    None = 0,
    /// The bytes at `bytes`.
    Bytes = 1,
    /// Bytes of the payload that this program has for the frame `ticket`.
    Payload = 2,
}

/// What to write next.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_transmit {
    /// Which of the fields below have a meaning; the others are 0.
    pub kind: flamingo_transmit_kind,
    /// PAYLOAD: the frame to which the payload belongs.
    pub ticket: u32,
    /// BYTES: the bytes, inside the memory of the connection. They are valid until the next call with it.
    pub bytes: *const u8,
    /// BYTES: their number.
    pub len: usize,
    /// PAYLOAD: write from this byte of the payload on.
    pub offset: u32,
    /// PAYLOAD: the number of bytes that were not written.
    pub remaining: u32,
}

impl flamingo_transmit {
    /// What to write, and how many bytes of it there are.
    pub(crate) fn of(transmit: Option<Transmit<'_>>) -> (Self, usize) {
        let (kind, bytes) = (flamingo_transmit_kind::None, ptr::null());
        let none = Self { kind, ticket: 0, bytes, len: 0, offset: 0, remaining: 0 };
        match transmit {
            None => (none, 0),
            Some(Transmit::Bytes(bytes)) => {
                let (kind, len) = (flamingo_transmit_kind::Bytes, bytes.len());
                (Self { kind, bytes: bytes.as_ptr(), len, ..none }, len)
            }
            Some(Transmit::Payload { ticket, offset, remaining }) => {
                let (kind, ticket) = (flamingo_transmit_kind::Payload, number(ticket));
                let offered = usize::try_from(remaining).unwrap_or(usize::MAX);
                (Self { kind, ticket, offset, remaining, ..none }, offered)
            }
        }
    }
}

/// The number of a ticket, with the bit of a fence.
pub(crate) fn number(ticket: Ticket) -> u32 {
    ticket.number() | if ticket.is_fence() { FLAMINGO_TICKET_FENCE } else { 0 }
}
