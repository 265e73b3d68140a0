//! The scope settings stored at the instrument: loading and overwriting them.
//!
//! What the settings contain is in `files/scope_settings.rs`.

use std::sync::Arc;

use flamingo_protocol_core::{CommandCode, Frame};

use crate::answers::{in_range, succeeded, text_of};
use crate::files::scope_settings::ScopeSettings;
use crate::{Error, Microscope, Reading};
use flamingo_runtime_std::Answer;

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

/// The acknowledgement of settings that were saved and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// Its status: 1 is success. Some handlers set no status: then it is 0, the status of the command.
    pub status: i32,
    /// Its text; often empty.
    pub text: String,
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
    /// Each line is read on its own: [`ScopeSettings::findings`] names the lines that cannot be read.
    ///
    /// # Errors
    /// [`Error::Settings`]: the text is UTF-16. [`Error::Implausible`]: the payload is empty.
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn load(&self) -> Result<Reading<Arc<ScopeSettings>>, Error> {
        self.load_for("scope settings").await
    }

    async fn load_for(&self, what: &str) -> Result<Reading<Arc<ScopeSettings>>, Error> {
        let answer = self.ask(what).await?;
        let settings = Arc::new(ScopeSettings::parse(&answer.payload)?);
        *self.microscope.kept_settings() = Some(Arc::clone(&settings));
        Ok(Reading { value: settings, answer })
    }

    /// Loads the text of the settings, and does not read it.
    ///
    /// # Errors
    /// As [`Self::load`], without [`Error::Settings`].
    pub async fn load_text(&self) -> Result<Vec<u8>, Error> {
        Ok(self.ask("scope settings").await?.payload.to_vec())
    }

    /// Asks for the settings. An answer with a text is an answer, whatever its status.
    async fn ask(&self, what: &str) -> Result<Answer, Error> {
        let frame = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
        let answer = self.microscope.client().request(frame).await;
        let answer = answer.map_err(|error| Error::of(what, error))?;
        if !answer.payload.is_empty() {
            return Ok(answer);
        }
        succeeded(what, answer)?;
        Err(Error::Implausible {
            what: what.to_owned(),
            expected: "text in the payload".to_owned(),
            found: "none".to_owned(),
        })
    }

    /// Overwrites the settings of the instrument, COMMON_SCOPE_SETTINGS_SAVE (0x1008), and reads them
    /// back. `Ok` means that the acknowledgement had both markers and this code, and that the
    /// instrument has these settings now. The status of the acknowledgement decides nothing: its
    /// handler may leave it at 0. Load the old settings with [`Self::load_text`] first, and keep them.
    ///
    /// # Errors
    /// [`Error::Settings`]: a line cannot be read. [`Error::OutOfRange`]: the text is empty or longer
    /// than 32 MiB. In both cases nothing was sent. [`Error::NotSaved`]: the instrument has other
    /// settings. [`Error::Implausible`], [`Error::Timeout`], [`Error::ConnectionLost`]: the
    /// instrument may have saved them nevertheless.
    pub async fn save(&self, text: &[u8]) -> Result<Saved, Error> {
        let what = "saving the scope settings";
        ScopeSettings::parse_whole(text)?;
        let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let most = i32::try_from(flamingo_protocol_core::wire::MAX_PAYLOAD).unwrap_or(i32::MAX);
        in_range("length of the settings in bytes", bytes, 1..=most)?;
        let client = self.microscope.client();
        let code = CommandCode::COMMON_SCOPE_SETTINGS_SAVE;
        // From now on the settings that were loaded before may be old.
        *self.microscope.kept_settings() = None;
        let answer = client.upload(Frame::command(code), text, client.timeout()).await;
        // The client accepts only frames with both markers.
        let answer = answer.map_err(|error| Error::of(what, error))?;
        if answer.frame.code != code {
            return Err(Error::Implausible {
                what: what.to_owned(),
                expected: code.to_string(),
                found: answer.frame.code.to_string(),
            });
        }
        let saved = Saved { status: answer.frame.status, text: text_of(&answer).trim().to_owned() };
        let now = self.load_for("reading back the scope settings that were saved").await?;
        match difference(text, &now.answer.payload) {
            None => Ok(saved),
            Some(difference) => {
                let Saved { status, text: reason } = saved;
                Err(Error::NotSaved { status, reason, difference })
            }
        }
    }
}

/// The first line where two texts differ. Line ends, and NULs and empty lines at the end, may differ.
fn difference(sent: &[u8], now: &[u8]) -> Option<String> {
    let lines = |text: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(text).into_owned();
        let text = text.trim_end_matches(|c: char| c == '\0' || c.is_whitespace());
        text.lines().map(str::to_owned).collect()
    };
    let (sent, now) = (lines(sent), lines(now));
    let at = (0..sent.len().max(now.len())).find(|at| sent.get(*at) != now.get(*at))?;
    let line = |lines: &[String]| {
        lines.get(at).map_or("no line".to_owned(), |line| format!("{:?}", line.trim()))
    };
    Some(format!("line {}: expected {}, found {}", at + 1, line(&sent), line(&now)))
}
