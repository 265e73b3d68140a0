//! A control frame as values: how it is built, checked, written and shown.
//!
//! Where the fields are is `layout.rs`, how they are read `parse.rs`, what a code means `command.rs`.

use core::fmt;

use crate::error::{CommandError, DecodeError, TextError};
use crate::wire::command::{CallbackFlag, CommandCode};
use crate::wire::facts::CommandFacts;
use crate::wire::layout::{
    BUFFER, BUFFER_LEN, CLIENT_ID, CMD_END, CMD_START, CODE, END_MARKER, FLAGS, FRAME_LEN,
    HARDWARE_ID, INT32_DATA_0, INT32_DATA_1, INT32_DATA_2, PAYLOAD_LEN, START_MARKER, STATUS,
    SUBSYSTEM_ID, VALUE, call_copy_buffer, copy_buffer, put, put_word,
};
use crate::wire::status::{Status, StatusRule, declines};

/// The bits of `cmdDataBits0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flags(pub u32);

impl Flags {
    /// On a command: the server answers it.
    pub const TRIGGER_CALL_BACK: Self = Self(0x8000_0000);
    /// Time remaining of an experiment.
    pub const EXPERIMENT_TIME_REMAINING: Self = Self(0x0000_0001);
    /// Set by the server on the position updates that it pushes during motion.
    pub const STAGE_POSITIONS_IN_BUFFER: Self = Self(0x0000_0002);
    /// Maximum projection.
    pub const MAX_PROJECTION: Self = Self(0x0000_0004);
    /// Save to disk.
    pub const SAVE_TO_DISK: Self = Self(0x0000_0008);
    /// Asks the server to push no position updates.
    pub const STAGE_NOT_UPDATE_CLIENT: Self = Self(0x0000_0010);
    /// Z sweep.
    pub const STAGE_ZSWEEP: Self = Self(0x0000_0020);
    /// Proposed, set by no known firmware: 1 = answer to a query, 0 = unsolicited.
    pub const ANSWER_TAG: Self = Self(0x4000_0000);

    /// Every bit with a name, highest first.
    pub const NAMED: [(Self, &'static str); 8] = [
        (Self::TRIGGER_CALL_BACK, "TRIGGER_CALL_BACK"),
        (Self::ANSWER_TAG, "ANSWER_TAG"),
        (Self::STAGE_ZSWEEP, "STAGE_ZSWEEP"),
        (Self::STAGE_NOT_UPDATE_CLIENT, "STAGE_NOT_UPDATE_CLIENT"),
        (Self::SAVE_TO_DISK, "SAVE_TO_DISK"),
        (Self::MAX_PROJECTION, "MAX_PROJECTION"),
        (Self::STAGE_POSITIONS_IN_BUFFER, "STAGE_POSITIONS_IN_BUFFER"),
        (Self::EXPERIMENT_TIME_REMAINING, "EXPERIMENT_TIME_REMAINING"),
    ];

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other` set too.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// With the bits of `other` clear.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A control frame: every field but the two markers, which stand in every encoded frame.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame};
/// let mut query = Frame::command(CommandCode::STAGE_POSITION_GET);
/// query.int32_data[0] = 1; // X
/// let bytes = query.encode();
/// assert_eq!(Frame::decode(&bytes), Ok(query));
/// ```
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Frame {
    /// `doubleData`: mm (degrees on R), µs, mm/pixel …
    pub value: f64,
    /// `cmd`.
    pub code: CommandCode,
    /// `status`, server → client: 1 = success, 0 = failure; other values are seen.
    pub status: i32,
    /// `hardwareID`: device instance.
    pub hardware_id: i32,
    /// `subsystemID`.
    pub subsystem_id: i32,
    /// `clientID`: chosen by the client. It may mean something to the instrument: leave it 0.
    pub client_id: i32,
    /// `int32Data0` (the selector, or a result), `int32Data1`, `int32Data2`.
    pub int32_data: [i32; 3],
    /// `cmdDataBits0`.
    pub flags: Flags,
    /// `additionalDataBytes`: length of the payload that follows at once.
    pub payload_len: u32,
    /// `buffer`: NUL-padded text or binary.
    pub buffer: [u8; BUFFER_LEN],
}

impl PartialEq for Frame {
    /// Bit by bit, as on the wire: a NaN equals the same NaN.
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

impl Eq for Frame {}

impl Frame {
    /// An empty frame of a code, without any flag.
    #[must_use]
    pub const fn new(code: CommandCode) -> Self {
        Self {
            code,
            status: 0,
            hardware_id: 0,
            subsystem_id: 0,
            client_id: 0,
            int32_data: [0; 3],
            flags: Flags(0),
            value: 0.0,
            payload_len: 0,
            buffer: [0; BUFFER_LEN],
        }
    }

    /// A command to the server: TRIGGER_CALL_BACK is set, but for the commands that are sent
    /// without it ([`CallbackFlag::Omitted`]).
    #[must_use]
    pub fn command(code: CommandCode) -> Self {
        let mut frame = Self::new(code);
        if CommandFacts::of(code).callback != CallbackFlag::Omitted {
            frame.flags = Flags::TRIGGER_CALL_BACK;
        }
        frame
    }

    /// The same with int32Data0, the selector, set.
    #[must_use]
    pub fn with_selector(mut self, selector: i32) -> Self {
        self.int32_data[0] = selector;
        self
    }

    /// The same with doubleData set.
    #[must_use]
    pub fn with_value(mut self, value: f64) -> Self {
        self.value = value;
        self
    }

    /// The same with the length of the payload that will follow.
    #[must_use]
    pub fn with_payload_len(mut self, bytes: u32) -> Self {
        self.payload_len = bytes;
        self
    }

    /// The selector: int32Data0.
    #[must_use]
    pub const fn selector(&self) -> i32 {
        let [selector, _, _] = self.int32_data;
        selector
    }

    /// What the status says, by the rule of the code in the table of commands.
    ///
    /// ```
    /// use flamingo_protocol_core::{CommandCode, Frame, wire::Status};
    /// let mut answer = Frame::command(CommandCode::STAGE_POSITION_GET).with_value(7.5);
    /// assert_eq!(answer.outcome(), Status::Unset);
    /// answer.status = 1;
    /// assert_eq!(answer.outcome(), Status::Success);
    /// ```
    #[must_use]
    pub fn outcome(&self) -> Status {
        self.outcome_by(self.code.row().map_or(StatusRule::Unknown, |row| row.status))
    }

    /// What the status says, by this rule. A text that declines is a failure. An answer whose data is
    /// what was asked for is none: then the instrument sets no status.
    #[must_use]
    pub fn outcome_by(&self, rule: StatusRule) -> Status {
        match Status::of(self.status, rule) {
            Status::Success => Status::Success,
            _ if declines(self.buffer_bytes()) => Status::Failure,
            Status::Failure if self.has_asked_data() => Status::Unset,
            status => status,
        }
    }

    /// Whether this is the answer to a query, with data that only an answer has.
    fn has_asked_data(&self) -> bool {
        let [first, second, _] = self.int32_data;
        match self.code {
            CommandCode::SYSTEM_STATE_GET => (0xA001..=0xA005).contains(&first),
            CommandCode::CAMERA_IMAGE_SIZE_GET => first > 0 && second > 0,
            _ => false,
        }
    }

    /// The text in the buffer, up to the first NUL.
    ///
    /// # Errors
    /// [`core::str::Utf8Error`] when it is not text; [`Self::buffer_bytes`] gives it anyway.
    pub fn text(&self) -> Result<&str, core::str::Utf8Error> {
        core::str::from_utf8(self.buffer_bytes())
    }

    /// The bytes in the buffer, up to the first NUL.
    pub fn buffer_bytes(&self) -> &[u8] {
        self.buffer.split(|byte| *byte == 0).next().unwrap_or(&[])
    }

    /// Puts text into the buffer and pads it with NUL.
    ///
    /// # Errors
    /// [`TextError`] when it does not fit or holds a NUL. Then the frame does not change.
    pub fn set_text(&mut self, text: &str) -> Result<(), TextError> {
        if text.bytes().any(|byte| byte == 0) {
            return Err(TextError::Nul);
        }
        self.set_buffer(text.as_bytes())
    }

    /// Puts bytes into the buffer and pads them with NUL.
    ///
    /// # Errors
    /// [`TextError::TooLong`] when there are more than 72. Then the frame does not change.
    pub fn set_buffer(&mut self, bytes: &[u8]) -> Result<(), TextError> {
        if bytes.len() > BUFFER_LEN {
            return Err(TextError::TooLong { limit: BUFFER_LEN, found: bytes.len() });
        }
        self.buffer = [0; BUFFER_LEN];
        for (to, from) in self.buffer.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(())
    }

    /// The 128 bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_LEN] {
        let mut bytes = [0; FRAME_LEN];
        self.put_words(&mut bytes);
        if let Some(buffer) = buffer_of(&mut bytes) {
            copy_buffer(buffer, &self.buffer);
        }
        bytes
    }

    pub(crate) fn encode_to(&self, bytes: &mut [u8; FRAME_LEN]) {
        self.put_words(bytes);
        if let Some(buffer) = buffer_of(bytes) {
            call_copy_buffer(buffer, &self.buffer);
        }
    }

    /// All fields but the buffer.
    fn put_words(&self, bytes: &mut [u8; FRAME_LEN]) {
        let [data0, data1, data2] = self.int32_data;
        put_word(bytes, CMD_START, START_MARKER);
        put_word(bytes, CODE, self.code.0);
        put_word(bytes, STATUS, self.status as u32);
        put_word(bytes, HARDWARE_ID, self.hardware_id as u32);
        put_word(bytes, SUBSYSTEM_ID, self.subsystem_id as u32);
        put_word(bytes, CLIENT_ID, self.client_id as u32);
        put_word(bytes, INT32_DATA_0, data0 as u32);
        put_word(bytes, INT32_DATA_1, data1 as u32);
        put_word(bytes, INT32_DATA_2, data2 as u32);
        put_word(bytes, FLAGS, self.flags.0);
        put(bytes, VALUE, self.value.to_le_bytes());
        put_word(bytes, PAYLOAD_LEN, self.payload_len);
        put_word(bytes, CMD_END, END_MARKER);
    }

    /// Whether the declared payload is within `limit` bytes.
    ///
    /// # Errors
    /// [`DecodeError::PayloadTooLong`] otherwise.
    pub const fn check_payload(&self, limit: u32) -> Result<(), DecodeError> {
        if self.payload_len > limit {
            return Err(DecodeError::PayloadTooLong { limit, found: self.payload_len });
        }
        Ok(())
    }

    /// Whether this may go to the instrument as a command.
    ///
    /// # Errors
    /// [`CommandError`]: a value that is no number, a stage action for no known axis, a flag
    /// that only the server sets, a payload above `limit`, any payload on a stop: it would delay it.
    pub fn check_command(&self, limit: u32) -> Result<(), CommandError> {
        if !self.value.is_finite() {
            return Err(CommandError::NotFinite);
        }
        let facts = CommandFacts::of(self.code);
        if facts.acts_on_axis() && !(1..=4).contains(&self.selector()) {
            return Err(CommandError::UnknownAxis { found: self.selector() });
        }
        let reserved = Flags::STAGE_POSITIONS_IN_BUFFER.with(Flags::ANSWER_TAG);
        if self.flags.0 & reserved.0 != 0 {
            return Err(CommandError::ReservedFlag { found: self.flags.0 & reserved.0 });
        }
        let limit = if facts.effect.stops() { 0 } else { limit };
        if self.payload_len > limit {
            return Err(CommandError::PayloadTooLong { limit, found: self.payload_len });
        }
        Ok(())
    }
}

fn buffer_of(bytes: &mut [u8; FRAME_LEN]) -> Option<&mut [u8; BUFFER_LEN]> {
    bytes.get_mut(BUFFER.offset..)?.first_chunk_mut()
}

/// Writes a query that needs nothing but a selector.
pub(crate) fn encode_query(bytes: &mut [u8; FRAME_LEN], code: CommandCode, selector: i32) {
    let (words, _) = bytes.as_chunks_mut();
    for (at, word) in (0..).step_by(4).zip(words) {
        let value = match at {
            at if at == CMD_START.offset => START_MARKER,
            at if at == CODE.offset => code.0,
            at if at == INT32_DATA_0.offset => selector as u32,
            at if at == FLAGS.offset => Flags::TRIGGER_CALL_BACK.0,
            at if at == CMD_END.offset => END_MARKER,
            _ => 0,
        };
        *word = value.to_le_bytes();
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [data0, data1, data2] = self.int32_data;
        write!(
            f,
            "{} status {} data {data0} {data1} {data2} flags 0x{:08X} value {}",
            self.code, self.status, self.flags.0, self.value
        )?;
        if self.payload_len > 0 {
            write!(f, " payload {} bytes", self.payload_len)?;
        }
        match self.text() {
            Ok("") | Err(_) => Ok(()),
            Ok(text) => write!(f, " text {text:?}"),
        }
    }
}
