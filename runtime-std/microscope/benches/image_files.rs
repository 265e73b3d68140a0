//! How long the end of an OME-TIFF takes: 100 000 images of 64 x 64 while R turns, so that each image has a
//! rotation of its own. Ctrl-C waits for this end.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use flamingo_microscope::image_file::{ImageFacts, OmeTiff, Picture, Sequence};
use flamingo_microscope::units::{Degrees, Micros, Mm, MmPerPixel, Pose};
use flamingo_runtime_testkit::bench::{Figure, Stopwatch, Target, run};
use flamingo_runtime_testkit::folder::Folder;

const IMAGES: usize = 100_000;
const SIDE: u32 = 64;
const MOST_S: f64 = 2.0;

fn main() -> ExitCode {
    run("image_files", |report| {
        let images = u32::try_from(report.repetitions(IMAGES)).expect("a few");
        for (name, sequence) in
            [("a movie", Sequence::Time), ("tiles and stacks", Sequence::Positions)]
        {
            let seconds = end(sequence, images);
            let name = format!("the end of {name}, {images} images, R turns");
            report.line(&name, Figure::new(seconds, "s"), Target::ValueAtMost(MOST_S));
        }
    })
}

/// Writes images of many tiles and stacks, and measures the end of the file in seconds.
fn end(sequence: Sequence, images: u32) -> f64 {
    let folder = Folder::new("bench-image-files");
    let mut file = OmeTiff::create(&folder.0.join("a.ome.tif"), sequence).expect("a new file");
    let pixels = vec![7; (SIDE * SIDE) as usize];
    let picture = Picture::new(SIDE, SIDE, &pixels).expect("its size");
    for at in 0..images {
        let (stack, plane) = (at / 100, at % 100);
        let pose = Pose {
            x: Mm(7.0 + 0.4 * f64::from(stack % 10)),
            y: Mm(15.0),
            z: Mm(19.0 + 0.0025 * f64::from(plane)),
            r: Degrees(0.001 * f64::from(at)),
        };
        let taken_at = SystemTime::UNIX_EPOCH + Duration::from_millis(25 * u64::from(at));
        let facts = ImageFacts::at(taken_at)
            .pixel_size(MmPerPixel(0.000_253))
            .exposure(Micros(9_002))
            .camera(0)
            .number(u64::from(at) + 1)
            .stack(u64::from(stack))
            .pose(pose);
        file.add(&picture, &facts).expect("the disk takes it");
    }
    Stopwatch::time(|| file.finish().expect("the disk takes it")) / 1e9
}
