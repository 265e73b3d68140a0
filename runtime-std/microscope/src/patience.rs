//! How long the typed layer waits where the protocol gives no time, and how near counts as arrived.

use std::time::Duration;

use crate::units::{Degrees, Mm};

/// How patient the typed layer is where the protocol is silent.
///
/// ```
/// use flamingo_microscope::Patience;
/// use flamingo_microscope::units::Mm;
/// let patience = Patience { arrived_mm: Mm(0.0005), ..Patience::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// How long, after a STAGE_MOTION_STOPPED with another status than 1, a better one may still
    /// come: 250 ms.
    pub grace: Duration,
    /// How long nothing may be heard of a motion before the position is asked for: 2 s.
    pub quiet: Duration,
    /// How near to its target X, Y or Z has arrived: 0.002 mm.
    pub arrived_mm: Mm,
    /// The same for R: 0.01 degrees.
    pub arrived_deg: Degrees,
    /// How long a workflow may take to begin: 10 s.
    pub start: Duration,
    /// How long nothing may be heard of a workflow before the state is asked for: 10 s.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_millis(250),
            quiet: Duration::from_secs(2),
            arrived_mm: Mm(0.002),
            arrived_deg: Degrees(0.01),
            start: Duration::from_secs(10),
            silence: Duration::from_secs(10),
        }
    }
}
