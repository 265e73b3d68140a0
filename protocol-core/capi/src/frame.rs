//! Frames without a connection: building, encoding and reading them, and what is known about a command.

use core::ffi::c_char;

use flamingo_protocol_core::connection::is_cancelled_by;
use flamingo_protocol_core::wire::{Kind, Selector, Status};
use flamingo_protocol_core::{CommandCode, Frame};

use crate::memory::{Area, Out, bytes, copy_to, value};
use crate::result::{flamingo_result, run};
use crate::values::flamingo_frame;

/// Writes a command to the instrument: all fields are 0, but the flag that asks for an answer is set
/// where the command needs it.
///
/// Errors: NULL, MISALIGNED. A code that is not known is no error.
///
/// # Safety
/// `frame` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_frame_command(
    code: u32,
    frame: *mut flamingo_frame,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let frame = unsafe { Out::new(frame, Area::NONE)? };
        frame.write((&Frame::command(CommandCode(code))).into());
        Ok(())
    })
}

/// Puts a text or other bytes into the buffer of a frame and pads them with NUL.
///
/// Errors: NULL (`text` may be NULL if `len` is 0), MISALIGNED, LENGTH; TEXT_TOO_LONG: more than 72
/// bytes. After an error the frame does not change.
///
/// # Safety
/// `frame` is NULL or can be read and written. `text` is NULL or points to `len` bytes that can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_frame_set_buffer(
    frame: *mut flamingo_frame,
    text: *const c_char,
    len: usize,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (mut changed, to, text) = unsafe {
            let to = Out::new(frame, Area::NONE)?;
            (Frame::from(&value(frame, Area::NONE)?), to, bytes(text.cast(), len, Area::NONE)?)
        };
        changed.set_buffer(text)?;
        to.write((&changed).into());
        Ok(())
    })
}

/// Writes the number of bytes in the buffer of a frame before the first NUL: 0 to 72.
///
/// Errors: NULL, MISALIGNED.
///
/// # Safety
/// `frame` is NULL or can be read, `len` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_frame_text_len(
    frame: *const flamingo_frame,
    len: *mut usize,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (frame, len) = unsafe { (value(frame, Area::NONE)?, Out::new(len, Area::NONE)?) };
        len.write(Frame::from(&frame).buffer_bytes().len());
        Ok(())
    })
}

/// Writes the 128 bytes of a frame. `room` is the number of bytes at `bytes`.
///
/// Errors: NULL, MISALIGNED; LENGTH: there is room for less than 128 bytes.
///
/// # Safety
/// `frame` is NULL or can be read. `bytes` is NULL or points to `room` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_frame_encode(
    frame: *const flamingo_frame,
    bytes: *mut u8,
    room: usize,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let frame = Frame::from(&unsafe { value(frame, Area::NONE)? });
        // SAFETY: as the caller promises.
        unsafe { copy_to(&frame.encode(), bytes, room) }
    })
}

/// Reads the 128 bytes of a frame. The length of its payload is not checked.
///
/// Errors: NULL, MISALIGNED; LENGTH: not 128 bytes; MARKER.
///
/// # Safety
/// `input` is NULL or points to `len` bytes that can be read. `frame` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_frame_decode(
    input: *const u8,
    len: usize,
    frame: *mut flamingo_frame,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (input, frame) =
            unsafe { (bytes(input, len, Area::NONE)?, Out::new(frame, Area::NONE)?) };
        let read: flamingo_frame = (&Frame::decode(input)?).into();
        frame.write(read);
        Ok(())
    })
}

/// What the status of an answer says.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_outcome {
    /// Done; of a motion: completed.
    Success = 0,
    /// Not done; of a motion: not completed.
    Failure = 1,
    /// The instrument may not set this status: a presumed success.
    Unset = 2,
}

/// Writes what the status and the text of an answer say, by the rule of its code.
///
/// Errors: NULL, MISALIGNED.
///
/// # Safety
/// `frame` is NULL or can be read, `outcome` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_frame_outcome(
    frame: *const flamingo_frame,
    outcome: *mut flamingo_outcome,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (frame, outcome) =
            unsafe { (value(frame, Area::NONE)?, Out::new(outcome, Area::NONE)?) };
        outcome.write(match Frame::from(&frame).outcome() {
            Status::Success => flamingo_outcome::Success,
            Status::Failure => flamingo_outcome::Failure,
            Status::Unset => flamingo_outcome::Unset,
        });
        Ok(())
    })
}

/// Writes whether the stop `stop` cancels the command `queued` if that was not sent yet.
///
/// Errors: NULL, MISALIGNED.
///
/// # Safety
/// `queued` and `stop` are NULL or can be read, `cancelled` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_is_cancelled_by(
    queued: *const flamingo_frame,
    stop: *const flamingo_frame,
    cancelled: *mut bool,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (queued, stop, cancelled) = unsafe {
            let none = Area::NONE;
            (value(queued, none)?, value(stop, none)?, Out::new(cancelled, none)?)
        };
        cancelled.write(is_cancelled_by(&Frame::from(&queued), &Frame::from(&stop)));
        Ok(())
    })
}

/// How a command is answered.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_kind {
    /// It only asks.
    Query = 0,
    /// It changes something, and is answered.
    Action = 1,
    /// It is never answered: use flamingo_connection_send.
    FireAndForget = 2,
    /// Only the instrument sends it.
    Event = 3,
}

/// What is known about a command.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_command {
    /// How it is answered.
    pub kind: flamingo_kind,
    /// Whether int32_data[0] selects something, such as an axis.
    pub selects: bool,
    /// Whether it starts a motion.
    pub moves: bool,
    /// Whether it may switch a laser on.
    pub lights: bool,
    /// Whether it is a stop: it overtakes everything that is queued.
    pub stops: bool,
    /// Whether the instrument also sends this code unasked.
    pub also_pushed: bool,
    /// The name, with a NUL at its end.
    pub name: [c_char; FLAMINGO_NAME_LEN],
}

/// The number of bytes of a flamingo_command's name.
pub const FLAMINGO_NAME_LEN: usize = 64;

/// Writes what is known about a command.
///
/// Errors: NULL, MISALIGNED; UNKNOWN_COMMAND: there is no command with this code.
///
/// # Safety
/// `command` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_command_info(
    code: u32,
    command: *mut flamingo_command,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let command = unsafe { Out::new(command, Area::NONE)? };
        let row = CommandCode(code).row().ok_or(flamingo_result::UnknownCommand)?;
        let mut name = [0; FLAMINGO_NAME_LEN];
        for (to, from) in name.iter_mut().take(FLAMINGO_NAME_LEN - 1).zip(row.name().bytes()) {
            *to = c_char::from_ne_bytes([from]);
        }
        command.write(flamingo_command {
            kind: match row.kind {
                Kind::Query => flamingo_kind::Query,
                Kind::Action => flamingo_kind::Action,
                Kind::FireAndForget => flamingo_kind::FireAndForget,
                Kind::Event => flamingo_kind::Event,
            },
            selects: row.selector != Selector::None,
            moves: row.effect.moves(),
            lights: row.effect.lights(),
            stops: row.effect.stops(),
            also_pushed: row.also_pushed(),
            name,
        });
        Ok(())
    })
}

/// Writes the code of the command with this name, in upper or lower case: "STAGE_HALT".
///
/// Errors: NULL, MISALIGNED, LENGTH; UNKNOWN_COMMAND: there is no command with this name.
///
/// # Safety
/// `name` is NULL or points to `len` bytes that can be read. `code` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_command_from_name(
    name: *const c_char,
    len: usize,
    code: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (name, code) =
            unsafe { (bytes(name.cast(), len, Area::NONE)?, Out::new(code, Area::NONE)?) };
        let name = core::str::from_utf8(name).map_err(|_| flamingo_result::UnknownCommand)?;
        code.write(CommandCode::from_name(name).ok_or(flamingo_result::UnknownCommand)?.0);
        Ok(())
    })
}
