//! How a client asks a bridge for the events on its own connection. A bridge marks its answers to
//! SYSTEM_STATE_GET with [`MARK`] if it keeps events from the control port of that client. Only then
//! the client sends [`REQUEST`]: an instrument, which sends no mark, never receives it.

use flamingo_protocol_core::{CommandCode, Frame};

/// The text in the buffer of an answer to SYSTEM_STATE_GET, if events do not come between the answers.
pub const MARK: &str = "bridge: events on request";

/// The command with which a client asks for the events between the answers. It has no answer. It is
/// no command of the instrument, and the bridge does not forward it.
pub const REQUEST: CommandCode = CommandCode(0x000B_F001);

/// Whether the peer that sent this answer to SYSTEM_STATE_GET sends events on request.
#[must_use]
pub fn is_offered(state: &Frame) -> bool {
    state.code == CommandCode::SYSTEM_STATE_GET && state.buffer_bytes() == MARK.as_bytes()
}

/// Offers events on request in this answer to SYSTEM_STATE_GET, unless it has a text already.
pub fn offer(state: &mut Frame) {
    if state.code == CommandCode::SYSTEM_STATE_GET && state.buffer_bytes().is_empty() {
        // The text fits and has no NUL, so that setting it cannot fail.
        let _ = state.set_text(MARK);
    }
}

/// The frame that asks for the events.
#[must_use]
pub fn request() -> Frame {
    Frame::new(REQUEST)
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::Flags;

    use super::*;

    #[test]
    fn only_an_unmarked_answer_about_the_state_gets_the_mark() {
        let mut state = Frame::new(CommandCode::SYSTEM_STATE_GET);
        assert!(!is_offered(&state));
        offer(&mut state);
        assert!(is_offered(&state));
        let mut other = Frame::new(CommandCode::STAGE_POSITION_GET);
        offer(&mut other);
        assert_eq!(other, Frame::new(CommandCode::STAGE_POSITION_GET));
        let mut text = Frame::new(CommandCode::SYSTEM_STATE_GET);
        text.set_text("busy").unwrap();
        offer(&mut text);
        assert_eq!(text.text(), Ok("busy"));
    }

    #[test]
    fn the_request_is_no_command_of_the_instrument() {
        assert!(request().code.row().is_none());
        assert_eq!(request().flags, Flags::default(), "it asks for no answer");
    }
}
