//! The lasers: their levels, preview, on and off.
//!
//! The instrument never acknowledges the commands that switch a laser. Laser-off is sent before
//! everything that is queued.

use flamingo_protocol_core::wire::LaserLevel;
use flamingo_protocol_core::{CommandCode, Frame};

use crate::answers::text_of;
use crate::units::Percent;
use crate::{Error, Microscope, Reading};

/// The lasers of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::Laser;
/// use flamingo_microscope::units::Percent;
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let lasers = microscope.lasers();
/// let [_, blue, ..] = Laser::ALL;
/// lasers.set_level(blue, Percent(11.49)).await?;
/// // Setting is never acknowledged, so ask for the level.
/// let level = lasers.level(blue).await?;
/// assert_eq!(level.value, Percent(11.49));
/// assert!(!level.answer.proven, "the instrument also pushes levels, and a push looks the same");
/// lasers.disable_all().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lasers {
    microscope: Microscope,
}

/// A laser, by its number from 1 to 4.
///
/// ```
/// use flamingo_microscope::Laser;
/// assert_eq!(Laser::new(3).map(|laser| laser.number()), Some(3));
/// assert_eq!(Laser::new(5), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Laser(i32);

impl Laser {
    /// All four lasers, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self(1), Self(2), Self(3), Self(4)];

    /// The laser with this number; `None` unless it is 1 to 4.
    #[must_use]
    pub const fn new(number: i32) -> Option<Self> {
        match number {
            1..=4 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number in int32Data0: 1 to 4.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl Lasers {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// The level of a laser in percent: LASER_LEVEL_GET (0x2002). During workflows the instrument
    /// also pushes levels, so the answer may be only presumed: see [`Answer::proven`].
    ///
    /// # Errors
    /// [`Error::Refused`]: the laser declined with the text `getLevel error`.
    /// [`Error::Implausible`]: the text is no number. [`Error::Timeout`],
    /// [`Error::ConnectionLost`].
    ///
    /// [`Answer::proven`]: flamingo_runtime_std::Answer::proven
    pub async fn level(&self, laser: Laser) -> Result<Reading<Percent>, Error> {
        let what = format!("level of laser {}", laser.0);
        let frame = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(laser.0);
        let answer = self.microscope.client().request(frame).await;
        let answer = answer.map_err(|error| Error::of(&what, error))?;
        let text = text_of(&answer);
        // Declining counts whatever the status is.
        let status = answer.frame.status;
        let level = LaserLevel::parse(&text);
        if let Some(LaserLevel::Declined(reason)) = level {
            let (code, reason) = (answer.frame.code, reason.to_owned());
            return Err(Error::Refused { what, code, status, reason });
        }
        let answer = crate::answers::succeeded(&what, answer)?;
        let Some(LaserLevel::Percent(level)) = level else {
            let expected = "a percentage as text in the buffer".to_owned();
            return Err(Error::Implausible { what, expected, found: format!("{text:?}") });
        };
        Ok(Reading { value: Percent(level), answer })
    }

    /// Sets the level of a laser, 0 to 100 %: LASER_LEVEL_SET (0x2001), sent as text with two
    /// decimals. Never acknowledged: the future ends when the command is sent. Ask with
    /// [`Self::level`] for the result.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the level is not within 0 to 100 %, nothing was sent.
    /// [`Error::ConnectionLost`].
    pub async fn set_level(&self, laser: Laser, level: Percent) -> Result<(), Error> {
        let what = format!("level of laser {}", laser.0);
        if !(0.0..=100.0).contains(&level.0) {
            let expected = "0 to 100 %".to_owned();
            return Err(Error::OutOfRange { what, expected, found: level.to_string() });
        }
        let mut frame = Frame::command(CommandCode::LASER_LEVEL_SET).with_selector(laser.0);
        // At most six digits.
        let _ = frame.set_text(&format!("{:.2}", level.0));
        self.microscope.send(&what, frame).await
    }

    /// Switches a laser on for the live view, and all others off: LASER_ENABLE_PREVIEW (0x2004).
    /// Never acknowledged.
    ///
    /// # Errors
    /// [`Error::Superseded`]: a laser-off cancelled the command before it was sent.
    /// [`Error::ConnectionLost`].
    pub async fn enable_preview(&self, laser: Laser) -> Result<(), Error> {
        self.switch("preview", CommandCode::LASER_ENABLE_PREVIEW, laser).await
    }

    /// Switches a laser on: LASER_ENABLE (0x2003). Never acknowledged.
    ///
    /// # Errors
    /// As [`Self::enable_preview`].
    pub async fn enable(&self, laser: Laser) -> Result<(), Error> {
        self.switch("enabling", CommandCode::LASER_ENABLE, laser).await
    }

    /// Switches the line of a laser on: LASER_ENABLE_LINE (0x2005). Never acknowledged.
    ///
    /// # Errors
    /// As [`Self::enable_preview`].
    pub async fn enable_line(&self, laser: Laser) -> Result<(), Error> {
        self.switch("enabling the line", CommandCode::LASER_ENABLE_LINE, laser).await
    }

    /// Switches a laser off: LASER_DISABLE (0x2006). It is sent before everything that is queued.
    /// Never acknowledged.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`]: the laser may still be on.
    pub async fn disable(&self, laser: Laser) -> Result<(), Error> {
        self.switch("switching off", CommandCode::LASER_DISABLE, laser).await
    }

    /// Switches all lasers off: LASER_DISABLE_ALL (0x2007), once for each laser, as the
    /// instrument's own program does. They are sent before everything that is queued. All four are
    /// sent, even if one fails.
    ///
    /// # Errors
    /// As [`Self::disable`], for the first one that fails.
    pub async fn disable_all(&self) -> Result<(), Error> {
        let mut failed = Ok(());
        for laser in Laser::ALL {
            let code = CommandCode::LASER_DISABLE_ALL;
            failed = failed.and(self.switch("switching all off", code, laser).await);
        }
        failed
    }

    async fn switch(&self, what: &str, code: CommandCode, laser: Laser) -> Result<(), Error> {
        let frame = Frame::command(code).with_selector(laser.0);
        self.microscope.send(&format!("{what}: laser {}", laser.0), frame).await
    }
}
