//! The drives that the instrument can save images to.

use flamingo_protocol_core::{CommandCode, Frame};

use crate::answers::text_of;
use crate::{Error, Microscope, Reading};

/// The drives of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let drives = microscope.storage().drives().await?.value;
/// assert_eq!(drives, ["/media/data/ssd1", "/media/data/ssd2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Storage {
    microscope: Microscope,
}

impl Storage {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// The paths of the drives that images can be saved to: STORAGE_PATH_SET (0x1013) with
    /// int32Data0 = 0, which sets nothing. The list is in the payload or in the buffer.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn drives(&self) -> Result<Reading<Vec<String>>, Error> {
        let frame = Frame::command(CommandCode::STORAGE_PATH_SET);
        self.microscope
            .read("drives", frame, |answer| {
                let payload = String::from_utf8_lossy(&answer.payload).into_owned();
                let text = if payload.is_empty() { text_of(answer) } else { payload };
                Ok(lines(&text))
            })
            .await
    }
}

/// Reads the lines of a text without empty ones.
fn lines(text: &str) -> Vec<String> {
    let lines = text.split(['\n', '\0']).map(str::trim);
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_are_listed_without_empty_lines() {
        assert_eq!(lines("/media/a\n/media/b\n\n\0\0"), ["/media/a", "/media/b"]);
        assert!(lines("").is_empty());
    }
}
