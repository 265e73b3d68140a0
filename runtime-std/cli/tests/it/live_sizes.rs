//! `flamingo live` with images of more than one size: each size has a file of its own in a series.

use flamingo_runtime_testkit::folder::Folder;

use crate::image_port::{Port, listener, nobody, ome, send_image_of};
use crate::program::{Running, flamingo, start};

/// Two cameras whose images have different sizes.
const CAMERAS: [(u32, [u32; 2]); 2] = [(0, [8, 6]), (1, [4, 3])];

fn live_listener(live: &Port, more: &[&str]) -> Running {
    let (control, port) = (nobody(), live.number());
    let arguments =
        ["live", "--listen-only", "--json", "--connect", &control, "--live-port", port.as_str()];
    start(&[&arguments[..], more].concat())
}

/// Six images, from both cameras in turn.
fn send_both(live: &Port, running: &Running) {
    let mut viewer = live.accept();
    for value in 0..6 {
        let camera = CAMERAS[usize::from(value) % 2];
        let told = send_image_of(&mut viewer, running, camera, value);
        assert_eq!(told["device"], camera.0);
    }
}

#[test]
fn each_size_of_a_movie_has_a_file_of_its_own() {
    let (live, folder) = (Port::open(), Folder::new("sizes-movie"));
    let running = live_listener(&live, &["--count", "6", "--out", folder.0.to_str().unwrap()]);
    send_both(&live, &running);
    let totals = running.ended().expect_done().object();
    let files = folder.files();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!((&totals["written"], &totals["series"]), (&6.into(), &1.into()), "{totals}");
    assert_eq!(totals["bytes_written"], bytes);
    assert_eq!(files.len(), 2, "{files:?}");
    let other = files.iter().find(|file| file.to_str().unwrap().ends_with("-4x3.ome.tif"));
    let (pages, xml) = ome(other.unwrap());
    assert!(pages == 3 && xml.contains("SizeX=\"4\" SizeY=\"3\""), "{xml}");
    let first = files.iter().find(|file| Some(*file) != other).unwrap();
    assert_eq!(totals["file"], first.to_str().unwrap());
    let (pages, xml) = ome(first);
    assert!(pages == 3 && xml.contains("SizeX=\"8\" SizeY=\"6\""), "{xml}");
}

#[test]
fn cameras_of_two_sizes_are_one_stack_of_two_files() {
    let (stack, folder) = (Port::open(), Folder::new("sizes-stack"));
    let out = folder.0.to_str().unwrap();
    let arguments = ["--count", "6", "--format", "ome-zarr", "--out", out];
    let running = listener(&stack, &arguments);
    send_both(&stack, &running);
    let totals = running.ended().expect_done().object();
    assert_eq!((&totals["written"], &totals["series"]), (&6.into(), &1.into()), "{totals}");
    let files = folder.files();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let found = flamingo(&["images", "info", file.to_str().unwrap(), "--all", "--json"]);
        let found = found.expect_done().object();
        assert_eq!((&found["pages"], &found["finished"]), (&3.into(), &true.into()), "{found}");
    }
}

#[test]
fn images_of_too_many_sizes_are_counted_as_not_written() {
    let (live, folder) = (Port::open(), Folder::new("sizes-many"));
    let running = live_listener(&live, &["--count", "11", "--out", folder.0.to_str().unwrap()]);
    let mut viewer = live.accept();
    for value in 0..11_u16 {
        // Each image has another size, but for the last one.
        let width = u32::from(value % 10) + 1;
        let told = send_image_of(&mut viewer, &running, (0, [width, 2]), value);
        assert_eq!(told.get("file").is_some(), width <= 8, "{told}");
    }
    let ended = running.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("at most 8 sizes of images in a series, found 9 x 2"),
        "{ended:?}"
    );
    let totals = ended.object();
    assert_eq!((&totals["taken"], &totals["written"]), (&11.into(), &9.into()), "{totals}");
    assert_eq!(folder.files().len(), 8);
}
