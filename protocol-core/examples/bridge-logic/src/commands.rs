//! What the bridge must know about a command, and its texts for the host. How the commands are routed is in
//! `application.rs`.

use flamingo_protocol_core::{
    Flags, Frame,
    error::{CommandError, Full},
    responder::is_answered,
    wire::{Effect, Kind, Timing},
};

/// Why a command was not sent.
pub(crate) const INSTRUMENT_LOST: &str = "instrument connection lost";

/// Whether the host expects an answer to a command. For an unknown code the callback flag decides.
pub(crate) fn expects_answer(frame: &Frame) -> bool {
    match frame.code.row() {
        Some(_) => is_answered(frame),
        None => frame.flags.contains(Flags::TRIGGER_CALL_BACK),
    }
}

/// Whether a command stops something, and so goes before all others.
pub(crate) fn is_stop(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.effect.stops())
}

/// Why the connection did not take a command, as a text for the host.
pub(crate) fn reason_of(error: CommandError) -> &'static str {
    match error {
        CommandError::NotFinite => "value: expected a finite number",
        CommandError::UnknownAxis { .. } => "axis: expected 1 (X), 2 (Y), 3 (Z) or 4 (R)",
        CommandError::ReservedFlag { .. } => "a flag reserved to the server is set",
        CommandError::PayloadTooLong { .. } => "payload: too long",
        CommandError::NeverAnswered => "this command is never answered",
        CommandError::Full { what: Full::StopLane } => "too many stops wait",
        CommandError::Full { .. } => "too many commands wait: read the answers first",
        CommandError::Closed => INSTRUMENT_LOST,
        _ => "this command cannot be sent",
    }
}

/// Whether the answer to a command tells something about the instrument: data, or the end of a motion. Of
/// an unknown code, this is not known.
pub(crate) fn tells(frame: &Frame) -> bool {
    let Some(row) = frame.code.row() else { return true };
    let waits = row.timing == Timing::AtEnd && row.effect == Effect::None;
    row.kind == Kind::Query || row.kind == Kind::Event || waits
}
