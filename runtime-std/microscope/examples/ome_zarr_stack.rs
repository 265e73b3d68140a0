//! Writes a small stack of two cameras as OME-Zarr, with its pyramid. `scripts/check-ome-zarr` opens it in Python:
//! `cargo run -p flamingo-microscope --features ome-zarr --example ome_zarr_stack -- FOLDER`

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flamingo_microscope::image_file::{ImageFacts, OmeZarr, Picture, Sequence, write_pyramid};
use flamingo_microscope::units::{Degrees, Micros, Mm, MmPerPixel, Pose};

const PLANES: u16 = 7;
const CAMERAS: [&str; 2] = ["green", "red"];
const SIDES: (u32, u32) = (640, 480);

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let folder = std::env::args().nth(1).ok_or("expected the name of a folder")?;
    run(Path::new(&folder))
}

pub(crate) fn run(folder: &Path) -> Result<(), Error> {
    let mut stack = OmeZarr::create(folder, Sequence::Depth { step: Mm(0.0025) })?;
    for (camera, name) in (0..).zip(CAMERAS) {
        stack.name_camera(camera, name);
    }
    for (plane, camera) in (0..PLANES).flat_map(|plane| [(plane, 0), (plane, 1)]) {
        // The value of each pixel encodes its camera, its plane and its place.
        let first = (camera * PLANES + plane) * 4096;
        let pixels = (0..SIDES.0 * SIDES.1).map(|at| u16::try_from(at % 4096));
        let pixels: Vec<u16> = pixels.map(|at| Ok(first + at?)).collect::<Result<_, Error>>()?;
        let picture = Picture::new(SIDES.0, SIDES.1, &pixels).ok_or("another size")?;
        let z = Mm(19.0 + 0.0025 * f64::from(plane));
        let taken_at = SystemTime::UNIX_EPOCH + Duration::from_millis(25 * u64::from(plane));
        stack.add(
            &picture,
            &ImageFacts::at(taken_at)
                .number(1 + u64::from(plane))
                .camera(u32::from(camera))
                .pixel_size(MmPerPixel(0.000_253))
                .exposure(Micros(9_002))
                .pose(Pose { x: Mm(7.5), y: Mm(15.0), z, r: Degrees(-45.0) }),
        )?;
    }
    stack.finish()?;
    write_pyramid(folder, &mut |_, _| ControlFlow::Continue(()))?;
    Ok(())
}
