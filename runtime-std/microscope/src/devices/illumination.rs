//! The left and the right illumination path. The instrument never acknowledges their commands.

use flamingo_protocol_core::{CommandCode, Frame};

use crate::{Error, Microscope};

/// The illumination paths of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// microscope.illumination().set_left(true).await?;
/// microscope.illumination().set_right(false).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Illumination {
    microscope: Microscope,
}

impl Illumination {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// Opens (`true`) or closes the left path: ILLUMINATION_LEFT_ENABLE (0x7004) or
    /// ILLUMINATION_LEFT_DISABLE (0x7005). Never acknowledged: the future ends when it is sent.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`].
    pub async fn set_left(&self, on: bool) -> Result<(), Error> {
        let (enable, disable) =
            (CommandCode::ILLUMINATION_LEFT_ENABLE, CommandCode::ILLUMINATION_LEFT_DISABLE);
        self.set("left illumination path", if on { enable } else { disable }).await
    }

    /// Opens (`true`) or closes the right path: ILLUMINATION_RIGHT_ENABLE (0x7006) or
    /// ILLUMINATION_RIGHT_DISABLE (0x7007). Never acknowledged, like [`Self::set_left`].
    ///
    /// # Errors
    /// [`Error::ConnectionLost`].
    pub async fn set_right(&self, on: bool) -> Result<(), Error> {
        let (enable, disable) =
            (CommandCode::ILLUMINATION_RIGHT_ENABLE, CommandCode::ILLUMINATION_RIGHT_DISABLE);
        self.set("right illumination path", if on { enable } else { disable }).await
    }

    async fn set(&self, what: &str, code: CommandCode) -> Result<(), Error> {
        self.microscope.send(what, Frame::command(code)).await
    }
}
