//! How long the typed layer waits where the protocol promises no message, and how close to its
//! target an axis has arrived. Timeouts of single answers are the client's options.

use std::time::Duration;

use crate::units::{Degrees, Mm};

/// The waits and tolerances of motions and workflows. The defaults fit the instrument; tests make
/// them shorter.
///
/// ```
/// use std::time::Duration;
/// use flamingo_microscope::Patience;
/// use flamingo_microscope::units::Mm;
/// let patience = Patience::default()
///     .arrival_mm(Mm(0.0005))
///     .motion_silence(Duration::from_secs(5));
/// assert_eq!(patience.workflow_start, Duration::from_secs(10));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Patience {
    /// After a STAGE_MOTION_STOPPED with a status other than 1, a better one may follow within this
    /// time. Then the position decides. Default: 250 ms.
    pub stop_grace: Duration,
    /// After this time without a message about a motion, the position is asked for. Default: 2 s.
    pub motion_silence: Duration,
    /// X, Y and Z have arrived when they are at most this far from their target, in mm. Default:
    /// 0.001 mm.
    pub arrival_mm: Mm,
    /// R has arrived when it is at most this far from its target, in degrees. Default: 0.01
    /// degrees.
    pub arrival_degrees: Degrees,
    /// A workflow that was uploaded must begin within this time. Default: 10 s.
    pub workflow_start: Duration,
    /// After this time without a message about a workflow, the system state is asked for. Default:
    /// 10 s.
    pub workflow_silence: Duration,
    /// How often the system state is asked for before a workflow begins, and while it runs if its
    /// messages do not arrive. Default: 1 s.
    pub workflow_poll: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            stop_grace: Duration::from_millis(250),
            motion_silence: Duration::from_secs(2),
            arrival_mm: Mm(0.001),
            arrival_degrees: Degrees(0.01),
            workflow_start: Duration::from_secs(10),
            workflow_silence: Duration::from_secs(10),
            workflow_poll: Duration::from_secs(1),
        }
    }
}

impl Patience {
    /// Sets [`Self::stop_grace`].
    #[must_use]
    pub const fn stop_grace(mut self, time: Duration) -> Self {
        self.stop_grace = time;
        self
    }

    /// Sets [`Self::motion_silence`].
    #[must_use]
    pub const fn motion_silence(mut self, time: Duration) -> Self {
        self.motion_silence = time;
        self
    }

    /// Sets [`Self::arrival_mm`].
    #[must_use]
    pub const fn arrival_mm(mut self, distance: Mm) -> Self {
        self.arrival_mm = distance;
        self
    }

    /// Sets [`Self::arrival_degrees`].
    #[must_use]
    pub const fn arrival_degrees(mut self, distance: Degrees) -> Self {
        self.arrival_degrees = distance;
        self
    }

    /// Sets [`Self::workflow_start`].
    #[must_use]
    pub const fn workflow_start(mut self, time: Duration) -> Self {
        self.workflow_start = time;
        self
    }

    /// Sets [`Self::workflow_silence`].
    #[must_use]
    pub const fn workflow_silence(mut self, time: Duration) -> Self {
        self.workflow_silence = time;
        self
    }

    /// Sets [`Self::workflow_poll`].
    #[must_use]
    pub const fn workflow_poll(mut self, time: Duration) -> Self {
        self.workflow_poll = time;
        self
    }
}
