//! The smaller levels: their pixels, and what a step that was cut off leaves.

use super::*;

/// A plane whose pixels tell their place.
fn large(seed: u16) -> Vec<u16> {
    (0..601_u32 * 301).map(|at| u16::try_from(at % 50_021).unwrap() + seed).collect()
}

/// A movie of two cameras with three images each.
fn large_movie(folder: &Folder) -> PathBuf {
    let (path, mut movie) = movie(folder);
    for plane in 0..6 {
        let facts = facts(0).camera(u32::from(plane % 2));
        movie.add(&Picture::new(601, 301, &large(plane)).unwrap(), &facts).unwrap();
    }
    movie.finish().unwrap();
    path
}

#[test]
fn each_level_is_the_mean_of_the_level_before() {
    let folder = Folder::new("zarr-pyramid");
    let path = large_movie(&folder);
    let pyramid = write_pyramid(&path, &mut go_on).unwrap();
    assert_eq!(pyramid, Pyramid { levels: 3, complete: true });
    assert_eq!(shape(&path, "/1"), [3, 2, 1, 151, 301]);
    assert_eq!(shape(&path, "/2"), [3, 2, 1, 76, 151]);
    let (full, half) = (large(5), all_pixels(&path, "/1").split_off(5 * 151 * 301));
    let at = |x: usize, y: usize| u32::from(full[y * 601 + x]);
    for (x, y) in [(0, 0), (17, 100), (299, 149), (300, 0), (0, 150), (300, 150)] {
        let (right, below) = ((2 * x + 1).min(600), (2 * y + 1).min(300));
        let sum = at(2 * x, 2 * y) + at(right, 2 * y) + at(2 * x, below) + at(right, below);
        assert_eq!(u32::from(half[y * 301 + x]), (sum + 2) / 4, "{x} {y}");
    }
    let image = attributes(&path)["ome"]["multiscales"][0].take();
    let expected = serde_json::json!([
        {"type": "scale", "scale": [1.0, 1.0, 1.0, 1.012, 1.012]},
        {"type": "translation", "translation": [0.0, 0.0, 0.0, 0.3795, 0.3795]},
    ]);
    assert_eq!(image["datasets"][2]["coordinateTransformations"], expected);
    let again = write_pyramid(&path, &mut |_, _| panic!("nothing is left")).unwrap();
    assert_eq!(again, pyramid);
}

#[test]
fn a_pyramid_that_was_cut_off_goes_on() {
    let folder = Folder::new("zarr-resume");
    let path = large_movie(&folder);
    // The planes of the first camera are a shard of their own.
    let mut cut =
        |done, _| if done == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let pyramid = write_pyramid(&path, &mut cut).unwrap();
    assert_eq!(pyramid, Pyramid { levels: 1, complete: false });
    let first = path.join("1/c/0/0/0/0/0");
    assert!(first.exists() && !path.join("1/zarr.json").exists(), "no level before it is complete");
    let written = std::fs::metadata(&first).unwrap().modified().unwrap();
    assert_eq!(write_pyramid(&path, &mut go_on).unwrap(), Pyramid { levels: 3, complete: true });
    let still = std::fs::metadata(&first).unwrap().modified().unwrap();
    assert_eq!(written, still, "a shard that is there is not written again");
    let other = Folder::new("zarr-resume-other");
    let whole = large_movie(&other);
    write_pyramid(&whole, &mut go_on).unwrap();
    for level in ["/1", "/2"] {
        assert_eq!(all_pixels(&path, level), all_pixels(&whole, level), "{level}");
    }
}

#[cfg(unix)]
#[test]
fn an_image_that_is_being_written_gets_no_pyramid() {
    let folder = Folder::new("zarr-busy");
    let (path, mut movie) = movie(&folder);
    movie.add(&picture(&pixels(0)), &facts(0)).unwrap();
    let error = write_pyramid(&path, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("another program is writing it"), "{error}");
    movie.finish().unwrap();
    assert_eq!(write_pyramid(&path, &mut go_on).unwrap(), Pyramid { levels: 1, complete: true });
}

#[test]
fn a_folder_that_is_no_image_gets_no_pyramid() {
    let folder = Folder::new("zarr-no-image");
    let error = write_pyramid(&folder.0, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("expected an OME-Zarr image"), "{error}");
    std::fs::write(folder.0.join("zarr.json"), r#"{"attributes":{"ome":{"version":"0.4"}}}"#)
        .unwrap();
    let error = write_pyramid(&folder.0, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("expected an OME-Zarr image of version 0.5"), "{error}");
}
