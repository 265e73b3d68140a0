//! The scope settings stored at the instrument: loading and overwriting them.
//!
//! What the settings contain is in `files/scope_settings.rs`.

use std::sync::Arc;

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{CommandCode, Frame};

use crate::answers::in_range;
use crate::files::scope_settings::ScopeSettings;
use crate::{Error, Microscope, Reading};

/// The scope settings that the instrument of a [`Microscope`] stores.
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
/// // A text that cannot be read is refused with its line before anything is sent.
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

    /// The settings that were loaded or saved last. If there are none yet, they are loaded now.
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

    /// Loads the settings: COMMON_SCOPE_SETTINGS_LOAD (0x1009). The answer may have the code 0x1007.
    /// Its payload is the text of the settings.
    ///
    /// # Errors
    /// [`Error::Settings`]: the text cannot be read; the error has the line.
    /// [`Error::Implausible`]: the payload is empty. [`Error::Timeout`], [`Error::Refused`],
    /// [`Error::ConnectionLost`].
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

    /// Overwrites the settings of the instrument: COMMON_SCOPE_SETTINGS_SAVE (0x1008). `Ok` means
    /// that the acknowledgement had both markers, this code, and status 1. Load the old settings
    /// with [`Self::load`] first, and keep them.
    ///
    /// # Errors
    /// [`Error::Settings`]: the text cannot be read, with the line. [`Error::OutOfRange`]: the text
    /// is empty or longer than 32 MiB. In both cases nothing was sent.
    /// [`Error::Refused`], [`Error::Implausible`], [`Error::Timeout`], [`Error::ConnectionLost`]:
    /// the instrument may have saved them nevertheless.
    pub async fn save(&self, text: &[u8]) -> Result<(), Error> {
        let what = "saving the scope settings";
        let settings = ScopeSettings::parse(text)?;
        let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let most = i32::try_from(flamingo_protocol_core::wire::MAX_PAYLOAD).unwrap_or(i32::MAX);
        in_range("length of the settings in bytes", bytes, 1..=most)?;
        let client = self.microscope.client();
        let code = CommandCode::COMMON_SCOPE_SETTINGS_SAVE;
        let answer = client.upload(Frame::command(code), text, client.timeout()).await;
        // The client accepts only frames with both markers.
        let answer =
            crate::answers::succeeded(what, answer.map_err(|error| Error::of(what, error))?)?;
        if answer.frame.code != code || answer.frame.outcome() != Status::Succeeded {
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
