//! The names of the cameras in the control settings (`ControlSettings.txt`), a text of sections.

use super::sections::{SectionError, SectionText};

const DEVICES: &str = "Attached devices";
/// The numbers of cameras in an image header end at 3.
const CAMERAS: u32 = 4;

/// The cameras that are attached, with their names: `Attached camera 1 = 1` and
/// `Name camera 1 = PCO Panda` name the camera with the index 0 in the image headers.
///
/// ```
/// use flamingo_microscope::control_settings::camera_names;
/// let text = "<Attached devices>\nAttached camera 1 = 1\nName camera 1 = PCO Panda\n\
///     Attached camera 2 = 0\nName camera 2 = 0\n</Attached devices>\n";
/// assert_eq!(camera_names(text.as_bytes())?, [(0, "PCO Panda".to_owned())]);
/// # Ok::<(), flamingo_microscope::sections::SectionError>(())
/// ```
///
/// # Errors
/// [`SectionError`]: the text is UTF-16 or UTF-32, or has more than 1000 errors.
pub fn camera_names(bytes: &[u8]) -> Result<Vec<(u32, String)>, SectionError> {
    let text = SectionText::read(bytes)?;
    let value = |name: String| text.get(DEVICES, &name).map(|entry| entry.value.trim().to_owned());
    let camera = |index: u32| {
        let number = index + 1;
        let attached = value(format!("Attached camera {number}"))?;
        let name = value(format!("Name camera {number}"))?;
        (attached == "1" && !name.is_empty()).then_some((index, name))
    };
    Ok((0..CAMERAS).filter_map(camera).collect())
}
