//! What the status of a frame says. The rule of each code is in the table of `command.rs`; every
//! decision about a status asks [`Status::of`] or [`Frame::outcome`](crate::Frame::outcome).

/// What the status of an answer, or of STAGE_MOTION_STOPPED, says.
///
/// The server hands the command that it received back as its answer. A handler that sets no status
/// therefore answers 0, the status of every command, and that says nothing.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame, wire::{Status, StatusRule}};
/// assert_eq!(Status::of(1, StatusRule::Unknown), Status::Success);
/// assert_eq!(Status::of(0, StatusRule::Unknown), Status::Unset);
/// assert_eq!(Status::of(0, StatusRule::Set), Status::Failure);
/// assert_eq!(Status::of(-1, StatusRule::Unknown), Status::Failure);
/// let started = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START);
/// assert_eq!(started.outcome(), Status::Failure);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// 1: done; of a motion: completed.
    Success,
    /// Not done; of a motion: not completed.
    Failure,
    /// The status is 0, the status of every command: the handler may not set it. Such an answer is a
    /// presumed success.
    Unset,
}

/// What a status of 0 says about the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StatusRule {
    /// Nothing: the handler may leave the status of the command in the answer.
    #[default]
    Unknown,
    /// Failure: the handler sets the status.
    Set,
    /// There was nothing to stop, which is no failure.
    NothingToStop,
}

impl Status {
    /// The meaning of a frame's `status`, for a command with this rule. Another number than 0 and 1 was
    /// set by a handler, and is no success.
    #[must_use]
    pub const fn of(status: i32, rule: StatusRule) -> Self {
        match (status, rule) {
            (1, _) | (0, StatusRule::NothingToStop) => Self::Success,
            (0, StatusRule::Unknown) => Self::Unset,
            _ => Self::Failure,
        }
    }
}

/// Words with which a server declines. Capitals make no difference.
const DECLINING: [&[u8]; 17] = [
    b"error",
    b"fail",
    b"refuse",
    b"reject",
    b"declin",
    b"denied",
    b"cannot",
    b"can't",
    b"unable",
    b"invalid",
    b"busy",
    b"empty",
    b"exceed",
    b"out of",
    b"disk full",
    b"not ",
    b"hard limit",
];
/// Words before them that turn them round: `no errors`.
const TURNING: [&[u8]; 2] = [b"no ", b"without "];

/// Whether the text of an answer declines the command, such as `getLevel error`.
pub(crate) fn declines(text: &[u8]) -> bool {
    let begins_with = |at: usize, word: &[u8]| {
        let begin = text.get(at..).and_then(|rest| rest.get(..word.len()));
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    };
    let is_turned = |at: usize| {
        let is_before =
            |word: &&[u8]| at.checked_sub(word.len()).is_some_and(|from| begins_with(from, word));
        TURNING.iter().any(is_before)
    };
    let declines_at =
        |at: usize| DECLINING.iter().any(|word| begins_with(at, word)) && !is_turned(at);
    (0..text.len()).any(declines_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_0_is_a_status_that_may_not_be_set() {
        let rules = [StatusRule::Unknown, StatusRule::Set, StatusRule::NothingToStop];
        for rule in rules {
            assert_eq!(Status::of(1, rule), Status::Success);
            for status in [-1, 2, i32::MIN, i32::MAX] {
                assert_eq!(Status::of(status, rule), Status::Failure, "{status} {rule:?}");
            }
        }
        let of_0 = rules.map(|rule| Status::of(0, rule));
        assert_eq!(of_0, [Status::Unset, Status::Failure, Status::Success]);
    }

    #[test]
    fn a_text_declines_in_the_words_of_servers() {
        for text in [
            "getLevel error",
            "Work Flow Empty",
            "cannot move: axis is busy",
            "hard limit x-axis",
            "not homed",
            "10 errors",
            "no errors, but the disk full",
        ] {
            assert!(declines(text.as_bytes()), "{text}");
        }
        for text in ["", "done", "done, no errors", "without error", "11.49", "LEDON"] {
            assert!(!declines(text.as_bytes()), "{text}");
        }
    }
}
