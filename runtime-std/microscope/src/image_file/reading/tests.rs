//! Files of ours are read again; files that are cut off, damaged or foreign are errors and no panics.

use std::io::Write;
use std::time::Duration;

use tiff::tags::Tag;

use super::super::ome_tiff::find_entry;
use super::super::ome_xml::NUMBERS;
use super::super::tests::{Folder, facts, picture, pixels};
use super::super::{OmeTiff, Picture, Sequence, write_png, write_tiff};
use super::*;
use crate::units::{Degrees, Mm, Pose};

fn movie(folder: &Folder, numbers: &[u16]) -> PathBuf {
    let path = folder.0.join("a.ome.tif");
    let mut movie = OmeTiff::create(&path, Sequence::Time).unwrap();
    for number in numbers {
        let pose = Pose { r: Degrees(f64::from(*number)), ..facts(0).pose.unwrap() };
        let facts = facts(u64::from(*number)).number(u64::from(*number)).camera(1).pose(pose);
        movie.add(&picture(&pixels(*number)), &facts).unwrap();
    }
    movie.name_camera(1, "PCO <Panda> & co");
    movie.finish().unwrap();
    path
}

#[test]
fn the_time_of_the_first_image_is_exact_to_a_microsecond() {
    let folder = Folder::new("read-time");
    let path = folder.0.join("a.ome.tif");
    let mut movie = OmeTiff::create(&path, Sequence::Time).unwrap();
    let mut first = facts(0);
    first.taken_at += Duration::from_micros(518_954);
    movie.add(&picture(&pixels(0)), &first).unwrap();
    movie.finish().unwrap();
    let found = ImageFile::open(&path).unwrap();
    assert_eq!(found.description().series[0].began_at, Some(first.taken_at));
}

#[test]
fn an_ome_tiff_tells_what_was_written() {
    let folder = Folder::new("read-ome");
    let path = movie(&folder, &[3, 4, 9]);
    let mut file = ImageFile::open(&path).unwrap();
    let found = file.description().clone();
    assert_eq!((found.format, found.width, found.height, found.pages), ("OME-TIFF", 37, 23, 3));
    assert_eq!(
        (found.pixel_type.as_str(), found.cut_off, found.unfinished),
        ("uint16", None, false)
    );
    assert_eq!(found.rotation_deg, Some((3.0, 9.0)));
    let [series] = found.series.as_slice() else { panic!("{:?}", found.series) };
    assert_eq!((series.size_z, series.size_c, series.size_t), (1, 1, 3));
    assert_eq!(series.channels, ["PCO <Panda> & co (camera 1)"]);
    assert_eq!(series.numbers[..], [(3, 4), (9, 9)]);
    let um = series.pixel_um.map(|um| um.map(|um| (um * 1e6).round() / 1e6));
    assert_eq!(um, [Some(0.253), Some(0.253), None]);
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_003);
    assert_eq!(series.began_at, Some(began));
    assert_eq!(series.planes[2].delta_s, Some(6.0));
    assert_eq!(series.planes[2].position_mm, [Some(7.5), Some(15.25), Some(19.001)]);
    for (page, number) in [3, 4, 9].into_iter().enumerate() {
        let read = file.page(page).unwrap();
        assert_eq!((read.width, read.pixels), (37, Some(pixels(number))));
    }
    assert_eq!(file.page(1).unwrap().pixels, Some(pixels(4)), "and back");
    assert!(matches!(file.page(3), Err(ReadError::Broken { .. })));
}

/// Makes the description of a file `bytes` longer, with comments that are holes of the file.
fn lengthen_description(path: &Path, bytes: u64) {
    const HOLE: u64 = 4 << 20;
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let entry = find_entry(&mut file, Tag::ImageDescription.to_u16()).unwrap();
    let mut decoder = tiff::decoder::Decoder::new(File::open(path).unwrap()).unwrap();
    let xml = decoder.get_tag_ascii_string(Tag::ImageDescription).unwrap();
    let body = xml.strip_suffix("</OME>").unwrap();
    let begin = file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(body.as_bytes()).unwrap();
    for _ in 0..bytes / HOLE {
        file.write_all(b"<!--").unwrap();
        file.seek(SeekFrom::Current(HOLE.cast_signed())).unwrap();
        file.write_all(b"-->").unwrap();
    }
    file.write_all(b"</OME>\0").unwrap();
    let count = file.stream_position().unwrap() - begin;
    file.seek(SeekFrom::Start(entry + 4)).unwrap();
    file.write_all(&[count.to_ne_bytes(), begin.to_ne_bytes()].concat()).unwrap();
}

#[test]
fn a_description_may_be_longer_than_256_mib() {
    let folder = Folder::new("read-long");
    let path = movie(&folder, &[3, 4, 9]);
    lengthen_description(&path, 300 << 20);
    let file = ImageFile::open(&path).unwrap();
    let found = file.description();
    assert_eq!((found.format, &found.cut_off, found.pages), ("OME-TIFF", &None, 3), "{found:?}");
    assert_eq!(found.series[0].numbers[..], [(3, 4), (9, 9)]);
    assert_eq!(found.notes, [""; 0]);
}

#[test]
fn series_that_refer_to_the_same_numbers_share_them() {
    let image = "<Image><AnnotationRef ID=\"a\"/></Image>";
    let value = "<Value>1-57 59</Value></CommentAnnotation>";
    let text = format!(
        "<OME>{image}{image}<CommentAnnotation ID=\"a\" Namespace=\"{NUMBERS}\">{value}</OME>"
    );
    let ome = ome_description::read(text.as_bytes()).unwrap();
    let [first, second] = ome.series.as_slice() else { panic!("{ome:?}") };
    assert_eq!(first.numbers[..], [(1, 57), (59, 59)]);
    assert!(Arc::ptr_eq(&first.numbers, &second.numbers));
}

#[test]
fn tiles_are_series_with_their_steps() {
    let folder = Folder::new("read-tiles");
    let path = folder.0.join("a.ome.tif");
    let mut set = OmeTiff::create(&path, Sequence::Positions).unwrap();
    for (x, z) in [(7.0, 19.0), (7.0, 19.005), (7.5, 19.0), (7.5, 19.005)] {
        let pose = Pose { x: Mm(x), z: Mm(z), ..facts(0).pose.unwrap() };
        set.add(&picture(&pixels(0)), &facts(0).pose(pose)).unwrap();
    }
    set.finish().unwrap();
    let file = ImageFile::open(&path).unwrap();
    let series = &file.description().series;
    assert_eq!(series.len(), 2);
    assert_eq!(series[1].name.as_deref(), Some("a.ome.tif tile 1"));
    assert_eq!((series[1].size_z, series[1].pixel_um[2]), (2, Some(5.0)));
}

#[test]
fn a_png_and_a_tiff_tell_what_was_written() {
    let folder = Folder::new("read-single");
    let (png, tiff) = (folder.0.join("a.png"), folder.0.join("a.tif"));
    let facts = facts(0).number(17).camera(2);
    write_png(&png, &picture(&pixels(5)), &facts).unwrap();
    write_tiff(&tiff, &picture(&pixels(5)), &facts).unwrap();
    for (path, format) in [(png, "PNG"), (tiff, "TIFF")] {
        let mut file = ImageFile::open(&path).unwrap();
        let found = file.description();
        assert_eq!((found.format, found.width, found.pages), (format, 37, 1));
        let series = &found.series[0];
        assert_eq!((&series.numbers[..], &series.channels[0][..]), (&[(17, 17)][..], "camera 2"));
        assert!((series.pixel_um[0].unwrap() - 0.253).abs() < 1e-4, "{series:?}");
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        assert_eq!(series.began_at, Some(began), "{format}");
        assert_eq!(file.page(0).unwrap().pixels, Some(pixels(5)));
    }
}

#[test]
fn a_file_that_was_not_finished_says_so() {
    let folder = Folder::new("read-cut");
    let path = folder.0.join("a.ome.tif");
    let mut movie = OmeTiff::create(&path, Sequence::Time).unwrap();
    for page in 0..3 {
        movie.add(&picture(&pixels(page)), &facts(0)).unwrap();
    }
    // The program ends here.
    std::mem::forget(movie);
    let file = ImageFile::open(&path).unwrap();
    assert!(file.description().unfinished);
    assert_eq!((file.description().format, file.description().pages), ("TIFF", 3));
}

#[test]
fn what_is_no_image_is_named() {
    let folder = Folder::new("read-foreign");
    let open = |name: &str, bytes: &[u8]| {
        let path = folder.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        ImageFile::open(&path).unwrap_err().to_string()
    };
    assert!(open("empty", b"").contains("found an empty file"));
    assert!(open("text", b"hello, world").contains("68 65 6C 6C 6F"));
    assert!(open("short", b"II*\0").contains("cut off or damaged"));
    assert!(open("signature", b"\x89PNG\r\n\x1a\n").contains("cut off or damaged"));
    assert!(ImageFile::open(&folder.0).unwrap_err().to_string().contains("found a folder"));
    let none = ImageFile::open(&folder.0.join("none")).unwrap_err();
    assert!(matches!(none, ReadError::Unreadable { .. }), "{none}");
}

/// Opens a file and reads everything in it. Errors are fine; a panic is not.
fn read_all(path: &Path) -> Result<usize, ReadError> {
    let mut file = ImageFile::open(path)?;
    let pages = file.description().pages;
    for page in 0..pages {
        file.page(page)?;
    }
    Ok(pages)
}

#[test]
fn files_cut_off_anywhere_are_errors_or_shorter() {
    let folder = Folder::new("read-cuts");
    let path = movie(&folder, &[1, 2, 3]);
    let png = folder.0.join("a.png");
    write_png(&png, &Picture::new(5, 4, &[9; 20]).unwrap(), &facts(0)).unwrap();
    let cut = folder.0.join("cut");
    for path in [path, png] {
        let bytes = std::fs::read(&path).unwrap();
        for length in (0..bytes.len()).step_by(13) {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            match ImageFile::open(&cut) {
                Ok(file) if file.description().format != "PNG" => {
                    let found = file.description();
                    assert!(found.cut_off.is_some(), "{length} of {}: {found:?}", bytes.len());
                    // The directory of a page follows its pixels.
                    read_all(&cut).expect("the pages that are complete");
                }
                Ok(_) => assert!(read_all(&cut).is_err() || length + 12 >= bytes.len(), "{length}"),
                Err(ReadError::Broken { .. } | ReadError::NoImage { .. }) => {}
                Err(error) => panic!("{length}: {error}"),
            }
        }
    }
}

#[test]
fn damaged_files_never_make_the_program_fail() {
    let folder = Folder::new("read-damage");
    let path = movie(&folder, &[1, 2]);
    let tiff = folder.0.join("a.tif");
    write_tiff(&tiff, &Picture::new(5, 4, &[9; 20]).unwrap(), &facts(0)).unwrap();
    let png = folder.0.join("a.png");
    write_png(&png, &Picture::new(5, 4, &[9; 20]).unwrap(), &facts(0)).unwrap();
    let mut rng = fastrand::Rng::with_seed(22);
    let damaged = folder.0.join("damaged");
    for path in [path, tiff, png] {
        let bytes = std::fs::read(&path).unwrap();
        for _ in 0..400 {
            let mut bytes = bytes.clone();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            std::fs::write(&damaged, &bytes).unwrap();
            // It may be read or refused.
            let _ = read_all(&damaged);
        }
    }
}
