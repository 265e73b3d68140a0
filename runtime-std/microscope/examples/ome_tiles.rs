//! Writes two tiles with a stack each, from two cameras, as one OME-TIFF: the positions of the stage say
//! which tile and which plane an image is. `scripts/check-ome-tiff` reads it with other decoders:
//! `cargo run -p flamingo-microscope --features image-files --example ome_tiles -- FILE`

use std::path::Path;
use std::time::{Duration, SystemTime};

use flamingo_microscope::image_file::{ImageFacts, OmeTiff, Picture, Sequence};
use flamingo_microscope::units::{Degrees, Mm, MmPerPixel, Pose};

/// X of each tile, in mm.
const TILES: [f64; 2] = [7.0, 7.4];
/// Z of each plane, in mm. The stage steps by 2.5 µm, and jitters by less than 0.2 µm.
const PLANES: [f64; 3] = [19.000_1, 19.002_4, 19.005_1];
const CAMERAS: u32 = 2;
const SIDES: (u32, u32) = (48, 32);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("expected the name of a file")?;
    run(Path::new(&file))
}

pub(crate) fn run(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut set = OmeTiff::create(file, Sequence::Positions)?;
    // The value of each pixel is the number of its image.
    let mut number = 0;
    for x in TILES {
        for z in PLANES {
            for camera in 0..CAMERAS {
                let pixels = [number; 48 * 32];
                let picture = Picture::new(SIDES.0, SIDES.1, &pixels).ok_or("another size")?;
                let taken_at = SystemTime::UNIX_EPOCH + Duration::from_millis(25) * number.into();
                let facts = ImageFacts::at(taken_at)
                    .pixel_size(MmPerPixel(0.000_253))
                    .camera(camera)
                    .pose(Pose { x: Mm(x), y: Mm(15.0), z: Mm(z), r: Degrees(0.0) });
                set.add(&picture, &facts)?;
                number += 1;
            }
        }
    }
    set.name_camera(1, "PCO Panda");
    set.finish()?;
    Ok(())
}
