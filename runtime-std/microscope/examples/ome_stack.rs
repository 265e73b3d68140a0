//! Writes a small stack as OME-TIFF. `scripts/check-ome-tiff` reads it with other decoders:
//! `cargo run -p flamingo-microscope --features image-files --example ome_stack -- FILE`

use std::path::Path;
use std::time::{Duration, SystemTime};

use flamingo_microscope::image_file::{ImageFacts, OmeTiff, Picture, Sequence};
use flamingo_microscope::units::{Degrees, Micros, Mm, MmPerPixel, Pose};

const PLANES: u16 = 7;
const SIDES: (u32, u32) = (48, 32);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("expected the name of a file")?;
    run(Path::new(&file))
}

pub(crate) fn run(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut stack = OmeTiff::create(file, Sequence::Depth { step: Mm(0.0025) })?;
    for plane in 0..PLANES {
        // The value of each pixel encodes its plane and its place.
        let pixels: Vec<u16> = (0..1536).map(|at| plane * 4096 + at).collect();
        let picture = Picture::new(SIDES.0, SIDES.1, &pixels).ok_or("another size")?;
        let z = Mm(19.0 + 0.0025 * f64::from(plane));
        let taken_at = SystemTime::UNIX_EPOCH + Duration::from_millis(25 * u64::from(plane));
        stack.add(
            &picture,
            &ImageFacts::at(taken_at)
                .pixel_size(MmPerPixel(0.000_253))
                .exposure(Micros(9_002))
                .pose(Pose { x: Mm(7.5), y: Mm(15.0), z, r: Degrees(-45.0) }),
        )?;
    }
    stack.finish()?;
    Ok(())
}
