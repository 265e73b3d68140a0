//! `flamingo live --preview`: the last image as text or as an 8-bit PNG.

use std::io::IsTerminal;
use std::path::Path;

use flamingo_microscope::image_file::write_png_8;
use flamingo_microscope::live::LiveImage;
use flamingo_microscope::preview::stretched;

use crate::failure::{CommandResult, Failure};
use crate::output::Out;
use crate::terminal_picture::TerminalPicture;

/// The value of `--preview` and `--thumbnail` without a file.
pub(super) const TERMINAL: &str = "-";

/// Checks, before any image is received, that the picture of an option can be shown.
/// Without a file it is text, which does not fit into the JSON of a script.
pub(super) fn check(option: &str, file: Option<&Path>, json: bool) -> CommandResult {
    let Some(file) = file else { return Ok(()) };
    if file != Path::new(TERMINAL) && file.exists() {
        return Err(Failure::usage(format!("{option}: {} exists already", file.display())));
    }
    if file == Path::new(TERMINAL) && json && !std::io::stdout().is_terminal() {
        let message =
            format!("{option}: stdout has JSON and is no terminal; name a file: {option}=FILE.png");
        return Err(Failure::usage(message));
    }
    Ok(())
}

/// Shows an image with its contrast stretched.
pub(super) fn show(image: &LiveImage, file: &Path, out: &mut Out) -> CommandResult {
    let grey = stretched(image.pixels());
    let (width, height) = (image.header.width, image.header.height);
    if file != Path::new(TERMINAL) {
        let written = write_png_8(file, width, height, &grey);
        return written.map_err(|error| Failure::new(1, error.to_string()));
    }
    out.bytes(TerminalPicture { width: width as usize, grey: &grey }.fitted().as_bytes())
}
