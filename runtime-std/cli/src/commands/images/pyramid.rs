//! `flamingo images pyramid`: writes the smaller levels of an OME-Zarr image.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use flamingo_microscope::image_file::{Pyramid, write_pyramid};
use indicatif::ProgressBar;
use serde::Serialize;
use smol::future::or;

use crate::failure::{CommandResult, Failure, INTERRUPTED};
use crate::interrupt::Interrupt;
use crate::output::{Out, counted};

/// Write the smaller levels of an OME-Zarr image, with which viewers zoom
///
/// Each level has half the height and half the width of the one before, until no side is longer than 256
/// pixels. Levels that are there stay. If the command is cut off, run it again: it goes on where it ended.
#[derive(Debug, Args)]
pub(crate) struct PyramidArgs {
    /// Folder of the image, such as live-TIME.ome.zarr
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// The JSON of a pyramid.
#[derive(Serialize)]
struct PyramidJson {
    file: String,
    /// With the level of full size.
    levels: usize,
}

pub(crate) async fn run(args: PyramidArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let folder = args.folder;
    if !folder.join("zarr.json").is_file() {
        let folder = folder.display();
        let message =
            format!("{folder}: expected the folder of an OME-Zarr image, with a zarr.json");
        return Err(Failure::usage(message));
    }
    let levels = write(&folder, interrupt).await?;
    let file = folder.display().to_string();
    let text = format!("{file}: {}", counted(levels, "level"));
    out.either(&PyramidJson { file, levels }, || text)
}

/// Writes the smaller levels; returns the number of all levels. Ctrl-C ends it after the plane that is
/// being written.
async fn write(folder: &Path, interrupt: &Interrupt) -> CommandResult<usize> {
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, own) = (Arc::clone(&stop), folder.to_owned());
    // Hidden if stderr is no terminal.
    let bar = ProgressBar::new(0);
    let work = smol::unblock(move || {
        let written = write_pyramid(&own, &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
            if stopped.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        bar.finish_and_clear();
        written
    });
    let pressed = async {
        interrupt.pressed().await;
        stop.store(true, Ordering::Relaxed);
        smol::future::pending().await
    };
    let again = format!("`flamingo images pyramid {}` goes on", folder.display());
    match or(pressed, work).await {
        Ok(Pyramid { levels, complete: true, .. }) => Ok(levels),
        Ok(Pyramid { levels, .. }) => {
            let message =
                format!("interrupted: the image is complete with {levels} of its levels; {again}");
            Err(Failure::new(INTERRUPTED, message))
        }
        Err(error) => Err(Failure::new(1, format!("smaller levels: {error}; {again}"))),
    }
}
