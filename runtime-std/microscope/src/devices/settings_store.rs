//! The scope settings at the instrument: loading them, and overwriting them.
//!
//! What stands in them is `scope_settings.rs`.

use std::sync::Arc;

use flamingo_protocol_core::{CommandCode, Frame};

use crate::answers::in_range;
use crate::files::scope_settings::ScopeSettings;
use crate::{Error, Microscope, Reading};

/// The settings of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::Axis;
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let before = microscope.settings().load().await?;
/// assert!(before.value.limits(Axis::Z).is_complete());
/// // What is saved can be read, or it is refused with the line before anything is sent.
/// let broken = b"<Stage limits>\nSoft limit max x-axis = far\n</Stage limits>\n";
/// let refused = microscope.settings().save(broken).await.unwrap_err();
/// assert!(refused.to_string().contains("line 2"));
/// microscope.settings().save(&before.answer.payload).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SettingsStore {
    microscope: Microscope,
}

impl SettingsStore {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// The settings as they were loaded or saved last; loaded now if they never were.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn get(&self) -> Result<Arc<ScopeSettings>, Error> {
        let kept = self.microscope.kept_settings().clone();
        match kept {
            Some(settings) => Ok(settings),
            None => Ok(self.load().await?.value),
        }
    }

    /// Loads them: COMMON_SCOPE_SETTINGS_LOAD (0x1009), whose answer may come under 0x1007. The
    /// bytes are the payload of the answer.
    ///
    /// # Errors
    /// [`Error::Settings`] with the line, [`Error::Implausible`]: no text came;
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn load(&self) -> Result<Reading<Arc<ScopeSettings>>, Error> {
        let what = "scope settings";
        let frame = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
        let reading = self
            .microscope
            .read(what, frame, |answer| {
                if answer.payload.is_empty() {
                    return Err(Error::Implausible {
                        what: what.to_owned(),
                        expected: "text in the payload".to_owned(),
                        found: "none".to_owned(),
                    });
                }
                Ok(Arc::new(ScopeSettings::parse(&answer.payload)?))
            })
            .await?;
        *self.microscope.kept_settings() = Some(Arc::clone(&reading.value));
        Ok(reading)
    }

    /// Overwrites the settings of the instrument: COMMON_SCOPE_SETTINGS_SAVE (0x1008). They are
    /// saved only if this says so: the acknowledgement has both markers, this very code, and
    /// status 1. Keep what was there before: [`Self::load`].
    ///
    /// # Errors
    /// [`Error::Settings`] with the line, [`Error::OutOfRange`] above 32 MiB: nothing was sent.
    /// [`Error::Refused`], [`Error::Implausible`], [`Error::Timeout`]: they may or may not be saved.
    pub async fn save(&self, text: &[u8]) -> Result<(), Error> {
        let what = "saving the scope settings";
        let settings = ScopeSettings::parse(text)?;
        let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let most = i32::try_from(flamingo_protocol_core::MAX_PAYLOAD).unwrap_or(i32::MAX);
        in_range("length of the settings in bytes", bytes, 1..=most)?;
        let client = self.microscope.client();
        let code = CommandCode::COMMON_SCOPE_SETTINGS_SAVE;
        let answer = client.upload(Frame::command(code), text, client.timeout()).await;
        // A frame without both markers is none, and never gets here.
        let answer =
            crate::answers::succeeded(what, answer.map_err(|error| Error::of(what, error))?)?;
        if answer.frame.code != code || answer.frame.status != 1 {
            return Err(Error::Implausible {
                what: what.to_owned(),
                expected: format!("{code} with status 1"),
                found: format!("{} with status {}", answer.frame.code, answer.frame.status),
            });
        }
        *self.microscope.kept_settings() = Some(Arc::new(settings));
        Ok(())
    }
}
