//! What the status of a frame says. Every decision about a status asks [`Status::of`].

/// What the status of an answer, or of STAGE_MOTION_STOPPED, says.
///
/// ```
/// use flamingo_protocol_core::wire::Status;
/// assert_eq!(Status::of(1), Status::Succeeded);
/// assert_eq!(Status::of(0), Status::Failed);
/// assert_eq!(Status::of(-1), Status::Other);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// 1: done; of a motion: completed.
    Succeeded,
    /// 0: not done; of a motion: not completed. Commands are sent with this status, too.
    Failed,
    /// Any other number. Its meaning is not known.
    Other,
}

impl Status {
    /// The meaning of a frame's `status`.
    #[must_use]
    pub const fn of(status: i32) -> Self {
        match status {
            1 => Self::Succeeded,
            0 => Self::Failed,
            _ => Self::Other,
        }
    }
}
