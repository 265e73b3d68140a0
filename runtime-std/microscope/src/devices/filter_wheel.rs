//! The filter wheel: its position.

use flamingo_protocol_core::{CommandCode, Frame};

use crate::answers::in_range;
use crate::{Error, Microscope, Reading};

/// The number of positions if the scope settings describe no filter.
const POSITIONS: i32 = 8;

/// The filter wheel of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// microscope.filter_wheel().set_position(3).await?;
/// assert_eq!(microscope.filter_wheel().position().await?.value, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FilterWheel {
    microscope: Microscope,
}

impl FilterWheel {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// The position, in the instrument's count: FILTER_WHEEL_POSITION_GET (0x5002).
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn position(&self) -> Result<Reading<i32>, Error> {
        let frame = Frame::command(CommandCode::FILTER_WHEEL_POSITION_GET);
        let read = |answer: &flamingo_runtime_std::Answer| Ok(answer.frame.int32_data[0]);
        self.microscope.read("position of the filter wheel", frame, read).await
    }

    /// Turns the wheel to a position: FILTER_WHEEL_POSITION_SET (0x5001). Accepted are 0 up to the
    /// number of filters that the scope settings describe, or up to 8 if they describe none. It is
    /// not known whether the first position is 0 or 1, so the instrument decides about both ends.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the position is out of that range, nothing was sent.
    /// [`Error::Refused`], [`Error::Timeout`], [`Error::ConnectionLost`], and the errors of
    /// [`crate::SettingsStore::load`] if the settings were not loaded before.
    pub async fn set_position(&self, position: i32) -> Result<(), Error> {
        let what = "position of the filter wheel";
        let settings = self.microscope.settings().get().await?;
        let known = i32::try_from(settings.filters().len()).unwrap_or(POSITIONS);
        let last = if known == 0 { POSITIONS } else { known };
        let position = in_range(what, position.into(), 0..=last)?;
        let frame = Frame::command(CommandCode::FILTER_WHEEL_POSITION_SET).with_selector(position);
        self.microscope.ask(what, frame).await.map(|_| ())
    }
}
