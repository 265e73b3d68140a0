//! Every way of talking to the instrument that the race compares, one file each. What they have
//! in common is in `race/strategy.rs` and `race/wire.rs`.

mod synchronous;

use super::strategy::{Scene, Strategy};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Option 5: no listener; send, then the next 128 bytes are the answer.
    Synchronous,
}

impl Kind {
    /// In the order of the table.
    pub(super) const ALL: [Self; 1] = [Self::Synchronous];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Synchronous => "synchronous",
        }
    }

    /// Connects and starts whatever it needs.
    pub(super) fn start(self, scene: &Scene) -> std::io::Result<Box<dyn Strategy>> {
        Ok(match self {
            Self::Synchronous => Box::new(synchronous::Synchronous::start(scene)?),
        })
    }
}
