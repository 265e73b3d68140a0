//! Files are read again with other decoders: pixels, sizes, facts.

use std::io::BufReader;
use std::time::Duration;

use super::ome_xml::{Channel, Movie, Plane};
use super::*;
use crate::units::{Degrees, Mm};

/// A folder that is removed after the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("flamingo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn pixels(seed: u16) -> Vec<u16> {
    (0..37 * 23).map(|at: u16| at.wrapping_mul(1999).wrapping_add(seed)).collect()
}

pub(super) fn picture(pixels: &[u16]) -> Picture<'_> {
    Picture::new(37, 23, pixels).unwrap()
}

pub(super) fn facts(seconds: u64) -> ImageFacts {
    let pose = Pose { x: Mm(7.5), y: Mm(15.25), z: Mm(19.001), r: Degrees(-45.5) };
    ImageFacts {
        taken_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000 + seconds),
        pixel_size: Some(MmPerPixel(0.000_253)),
        exposure: Some(Micros(9_002)),
        pose: Some(pose),
        camera: None,
        number: None,
        stack: None,
        clock_step: None,
    }
}

#[test]
fn a_png_has_every_bit_of_every_pixel_and_the_facts() {
    let folder = Folder::new("png");
    let (path, pixels) = (folder.0.join("a.png"), pixels(5));
    write_png(&path, &picture(&pixels), &facts(0)).unwrap();
    let decoder = ::png::Decoder::new(BufReader::new(File::open(&path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut bytes).unwrap();
    let read: Vec<u16> =
        bytes.chunks_exact(2).map(|pixel| u16::from_be_bytes([pixel[0], pixel[1]])).collect();
    assert_eq!(read, pixels);
    let info = reader.info();
    assert_eq!((info.width, info.height, info.bit_depth), (37, 23, ::png::BitDepth::Sixteen));
    assert_eq!(info.pixel_dims.unwrap().xppu, 3_952_569);
    let texts: Vec<_> = info.uncompressed_latin1_text.iter().map(|t| t.text.as_str()).collect();
    assert!(texts.contains(&"9002") && texts.contains(&"-45.5"), "{texts:?}");
}

fn read_tiff(path: &Path) -> (Vec<Vec<u16>>, String) {
    let mut decoder = ::tiff::decoder::Decoder::new(File::open(path).unwrap()).unwrap();
    let description = decoder.get_tag_ascii_string(::tiff::tags::Tag::ImageDescription);
    let mut pages = Vec::new();
    loop {
        assert_eq!(decoder.dimensions().unwrap(), (37, 23));
        let ::tiff::decoder::DecodingResult::U16(page) = decoder.read_image().unwrap() else {
            panic!("expected 16 bits")
        };
        pages.push(page);
        if !decoder.more_images() {
            return (pages, description.unwrap_or_default());
        }
        decoder.next_image().unwrap();
    }
}

#[test]
fn a_tiff_has_every_bit_of_every_pixel() {
    let folder = Folder::new("tiff");
    let (path, pixels) = (folder.0.join("a.tif"), pixels(6));
    write_tiff(&path, &picture(&pixels), &facts(0)).unwrap();
    assert_eq!(read_tiff(&path).0, [pixels]);
}

#[test]
fn an_ome_tiff_has_all_pages_and_their_description() {
    let folder = Folder::new("ome");
    let path = folder.0.join("a.ome.tif");
    let mut movie = OmeTiff::create(&path, Sequence::Time).unwrap();
    for page in 0..5 {
        movie.add(&picture(&pixels(page)), &facts(2 * u64::from(page))).unwrap();
    }
    movie.finish().unwrap();
    let (pages, xml) = read_tiff(&path);
    assert_eq!(pages, (0..5).map(pixels).collect::<Vec<_>>());
    for expected in [
        "SizeX=\"37\" SizeY=\"23\" SizeZ=\"1\" SizeC=\"1\" SizeT=\"5\"",
        "PhysicalSizeX=\"0.253\" PhysicalSizeXUnit=\"µm\"",
        "TimeIncrement=\"2\" TimeIncrementUnit=\"s\"",
        "TheZ=\"0\" TheT=\"4\" TheC=\"0\" DeltaT=\"8\"",
        "ExposureTime=\"9002\" ExposureTimeUnit=\"µs\"",
        "PositionZ=\"19.001\" PositionZUnit=\"mm\"",
        "<Value>-45.5</Value>",
        "</OME>",
    ] {
        assert!(xml.contains(expected), "{expected} in {xml}");
    }
}

fn finished(folder: &Folder, all: &[ImageFacts], names: &[(u32, &str)]) -> String {
    let path = folder.0.join("a.ome.tif");
    let mut movie = OmeTiff::create(&path, Sequence::Time).unwrap();
    for facts in all {
        movie.add(&picture(&pixels(0)), facts).unwrap();
    }
    for (camera, name) in names {
        movie.name_camera(*camera, name);
    }
    movie.finish().unwrap();
    read_tiff(&path).1
}

#[test]
fn two_cameras_are_two_channels() {
    let folder = Folder::new("cameras");
    // An image of camera 1 was dropped.
    let all = [0, 1, 0, 0, 1].map(|camera| facts(0).camera(camera));
    let xml = finished(&folder, &all, &[(1, "PCO Panda"), (3, "not there")]);
    for expected in [
        "SizeZ=\"1\" SizeC=\"2\" SizeT=\"3\"",
        "ID=\"Channel:0:0\" Name=\"camera 0\"",
        "ID=\"Channel:0:1\" Name=\"PCO Panda (camera 1)\"",
        "<TiffData IFD=\"3\" FirstZ=\"0\" FirstT=\"2\" FirstC=\"0\" PlaneCount=\"1\"/>",
        "<TiffData IFD=\"4\" FirstZ=\"0\" FirstT=\"1\" FirstC=\"1\" PlaneCount=\"1\"/>",
        "TheT=\"1\" TheC=\"1\"",
    ] {
        assert!(xml.contains(expected), "{expected} in {xml}");
    }
    assert!(!xml.contains("not there"), "{xml}");
}

#[test]
fn a_step_of_the_hosts_clock_is_noted_in_every_format() {
    let folder = Folder::new("step");
    let back = ClockStep::Back(Duration::from_secs(3_600));
    let stepped = facts(1).clock_step(back);
    // The reading of two clocks is never exact.
    let again = stepped.clock_step(ClockStep::Back(Duration::from_millis(3_600_001)));
    let xml = finished(&folder, &[facts(0), stepped, again], &[]);
    let note = "the host's clock was set back by 3600.000 s";
    assert_eq!(xml.replace("&apos;", "'").matches(note).count(), 1, "once: {xml}");
    assert!(xml.contains("before page 1: "), "{xml}");
    let (png, tiff) = (folder.0.join("a.png"), folder.0.join("a.tif"));
    write_png(&png, &picture(&pixels(0)), &stepped).unwrap();
    write_tiff(&tiff, &picture(&pixels(0)), &stepped).unwrap();
    for file in [png, tiff] {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(note.len()).any(|bytes| bytes == note.as_bytes());
        assert!(found, "{}", file.display());
    }
}

#[test]
fn a_stack_has_the_axis_z() {
    let folder = Folder::new("stack");
    let path = folder.0.join("a<&>.ome.tif");
    let mut stack = OmeTiff::create(&path, Sequence::Depth { step: Mm(0.0025) }).unwrap();
    for page in 0..3 {
        stack.add(&picture(&pixels(page)), &ImageFacts::at(SystemTime::UNIX_EPOCH)).unwrap();
    }
    stack.finish().unwrap();
    let xml = read_tiff(&path).1;
    assert!(xml.contains("SizeZ=\"3\" SizeC=\"1\" SizeT=\"1\""), "{xml}");
    assert!(xml.contains("PhysicalSizeZ=\"2.5\""), "{xml}");
    assert!(xml.contains("a&lt;&amp;&gt;.ome.tif"), "{xml}");
}

#[test]
fn the_description_of_many_turning_images_is_linear() {
    let planes: Vec<_> = (0..100_000_u32)
        .map(|at| {
            let pose = Pose { r: Degrees(f64::from(at) * 0.001), ..facts(0).pose.unwrap() };
            let facts = facts(u64::from(at)).pose(pose);
            Plane { facts, channel: 0 }
        })
        .collect();
    let channels = [Channel { camera: Some(0), name: None }];
    let (name, sequence) = (String::new(), Sequence::Time);
    let movie =
        Movie { name, width: 64, height: 64, sequence, channels: &channels, planes: &planes };
    // With time that grows with the square this would take minutes.
    let xml = movie.xml().unwrap();
    assert_eq!(xml.matches("<Plane ").count(), 100_000);
    assert_eq!(xml.matches("<DoubleAnnotation ").count(), 100_000);
}

/// The XML of a set of tiles and stacks: the images of a mosaic of two tiles, two planes each.
#[test]
fn tiles_are_images_of_one_file_with_their_planes() {
    let folder = Folder::new("tiles");
    let path = folder.0.join("a.ome.tif");
    let mut set = OmeTiff::create(&path, Sequence::Positions).unwrap();
    let at = |x, z| Pose { x: Mm(x), y: Mm(15.0), z: Mm(z), r: Degrees(f64::NAN) };
    // The image with the number 3 was dropped.
    let poses =
        [(1, at(7.0, 19.0)), (2, at(7.0, 19.005)), (4, at(7.5, 19.005)), (5, at(7.5, 19.0))];
    for (number, pose) in poses {
        set.add(&picture(&pixels(0)), &facts(number).pose(pose).number(number)).unwrap();
    }
    set.finish().unwrap();
    let xml = read_tiff(&path).1;
    assert_eq!(xml.matches("<Image ").count(), 2, "{xml}");
    assert_eq!(xml.matches("SizeZ=\"2\" SizeC=\"1\" SizeT=\"1\"").count(), 2, "{xml}");
    assert_eq!(xml.matches("PhysicalSizeZ=\"5\"").count(), 2, "{xml}");
    for expected in [
        "<StageLabel Name=\"tile 1\" X=\"7.5\" XUnit=\"mm\" Y=\"15\" YUnit=\"mm\"",
        "<TiffData IFD=\"2\" FirstZ=\"1\" FirstT=\"0\" FirstC=\"0\" PlaneCount=\"1\"/>",
        "<TiffData IFD=\"3\" FirstZ=\"0\" FirstT=\"0\" FirstC=\"0\" PlaneCount=\"1\"/>",
        "<Value>1-2</Value>",
        "<Value>4-5</Value>",
    ] {
        assert!(xml.contains(expected), "{expected} in {xml}");
    }
    assert!(!xml.contains("NaN"), "{xml}");
}

#[test]
fn an_ome_tiff_says_which_images_were_dropped() {
    let folder = Folder::new("numbers");
    let all = [3, 4, 5, 9, 11, 12].map(|number| facts(number).number(number));
    let xml = finished(&folder, &all, &[]);
    assert!(xml.contains("<Value>3-5 9 11-12</Value>"), "{xml}");
    assert!(!finished_again(&folder, &[facts(0)]).contains("CommentAnnotation"));
}

fn finished_again(folder: &Folder, all: &[ImageFacts]) -> String {
    std::fs::remove_file(folder.0.join("a.ome.tif")).unwrap();
    finished(folder, all, &[])
}

#[test]
fn a_file_that_was_not_finished_has_its_pages() {
    let folder = Folder::new("cut");
    let path = folder.0.join("a.ome.tif");
    let mut movie = OmeTiff::create(&path, Sequence::Time).unwrap();
    for page in 0..3 {
        movie.add(&picture(&pixels(page)), &facts(0)).unwrap();
    }
    // The program ends here.
    std::mem::forget(movie);
    let (pages, description) = read_tiff(&path);
    assert_eq!(pages.len(), 3);
    assert!(description.contains("not finished"), "{description}");
}

#[test]
fn an_image_of_another_size_is_refused() {
    let folder = Folder::new("size");
    let path = folder.0.join("a.ome.tif");
    let mut movie = OmeTiff::create(&path, Sequence::Time).unwrap();
    movie.add(&picture(&pixels(1)), &facts(0)).unwrap();
    let error = movie.add(&Picture::new(2, 1, &[1, 2]).unwrap(), &facts(1)).unwrap_err();
    assert!(error.to_string().contains("expected images of 37 x 23"), "{error}");
    movie.finish().unwrap();
    assert_eq!(read_tiff(&path).0.len(), 1);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let folder = Folder::new("there");
    let path = folder.0.join("a");
    std::fs::write(&path, "precious").unwrap();
    let pixels = pixels(1);
    assert!(write_png(&path, &picture(&pixels), &facts(0)).is_err());
    assert!(write_tiff(&path, &picture(&pixels), &facts(0)).is_err());
    assert!(write_png_8(&path, 1, 1, &[0]).is_err());
    assert!(OmeTiff::create(&path, Sequence::Time).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "and nothing is left beside it");
}

#[test]
fn an_error_names_a_folder_that_does_not_exist() {
    let path = Path::new("/nonexistent/a.png");
    let error = write_png(path, &picture(&pixels(1)), &facts(0)).unwrap_err().to_string();
    assert!(error.starts_with("cannot write /nonexistent/a.png"), "{error}");
}

#[test]
fn a_movie_without_images_leaves_no_file() {
    let folder = Folder::new("none");
    let path = folder.0.join("a.ome.tif");
    OmeTiff::create(&path, Sequence::Time).unwrap().finish().unwrap();
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_no_panic() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let pixels = pixels(1);
    let written = png::write_16(&full, &picture(&pixels), &facts(0));
    assert!(written.is_err());
    let written = tiff::write(BufWriter::new(&full), &picture(&pixels), &facts(0));
    assert!(written.is_err());
}
