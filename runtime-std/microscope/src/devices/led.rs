//! The LED and its four colours: brightness, selection, preview.

use flamingo_protocol_core::{CommandCode, Frame};

use crate::{Error, Microscope};

/// The LED of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::LedColour;
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// microscope.led().set(LedColour::Green, 42_000).await?;
/// microscope.led().enable_preview().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Led {
    microscope: Microscope,
}

/// A colour of the LED. On the wire it is a number from 0 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedColour {
    /// Number 0.
    Red,
    /// Number 1.
    Green,
    /// Number 2.
    Blue,
    /// Number 3.
    White,
}

impl LedColour {
    /// All four colours, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Red, Self::Green, Self::Blue, Self::White];

    const fn number(self) -> i32 {
        self as i32
    }
}

impl Led {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// Sets the brightness of a colour, 0 to 65 535: LED_SET (0x4001). On one instrument, values
    /// below 32 000 gave no useful light. Never acknowledged: the future ends when it is sent.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`].
    pub async fn set(&self, colour: LedColour, brightness: u16) -> Result<(), Error> {
        let mut frame = Frame::command(CommandCode::LED_SET).with_selector(colour.number());
        frame.int32_data[1] = brightness.into();
        self.microscope.send(&format!("brightness of the {colour:?} LED"), frame).await
    }

    /// Selects the colour: LED_SELECTION_CHANGE (0x4006).
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn select(&self, colour: LedColour) -> Result<(), Error> {
        let frame = Frame::command(CommandCode::LED_SELECTION_CHANGE);
        let frame = frame.with_selector(colour.number());
        self.microscope.ask(&format!("selection of the {colour:?} LED"), frame).await.map(|_| ())
    }

    /// Switches the LED on for the live view: LED_PREVIEW_ENABLE (0x4002). Never acknowledged.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`].
    pub async fn enable_preview(&self) -> Result<(), Error> {
        let frame = Frame::command(CommandCode::LED_PREVIEW_ENABLE);
        self.microscope.send("preview with the LED", frame).await
    }

    /// Switches the LED off: LED_PREVIEW_DISABLE (0x4003). Never acknowledged. The instrument pushes
    /// the same code when something else switches the LED off.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`].
    pub async fn disable_preview(&self) -> Result<(), Error> {
        let frame = Frame::command(CommandCode::LED_PREVIEW_DISABLE);
        self.microscope.send("end of the preview with the LED", frame).await
    }
}
