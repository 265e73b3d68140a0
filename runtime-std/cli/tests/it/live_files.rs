//! The files of `flamingo live`: each format, the disk, slow disks, and files that were not completed. More
//! sizes of images than one are in `live_sizes.rs`.

use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::folder::Folder;
use serde_json::Value;

use crate::live::{QUICK, assert_idle, live, read_png, sent, simulator};
use crate::program::{Running, flamingo, start, start_on_a_full_disk};

#[test]
fn images_are_saved_in_each_form_and_can_be_read_again() {
    let (_simulator, address) = simulator(QUICK);
    for (format, extension, files) in
        [("png", "png", 4), ("tiff", "tif", 4), ("ome-tiff", "tif", 1)]
    {
        let folder = Folder::new(format);
        let ended = live(
            &address,
            &["--count", "4", "--out", folder.0.to_str().unwrap(), "--format", format, "--json"],
        );
        let told = ended.expect_done().objects();
        let closing = told.last().unwrap();
        assert_eq!((&closing["written"], &closing["dropped"]), (&4.into(), &0.into()), "{format}");
        let written = folder.files();
        assert_eq!(written.len(), files, "{written:?}");
        assert!(written.iter().all(|file| file.extension().unwrap() == extension), "{written:?}");
        assert_eq!(told[0]["file"], written[0].to_str().unwrap());
        if format == "png" {
            let (width, bytes) = read_png(&written[0]);
            assert_eq!((width, bytes.len()), (320, 2 * 320 * 200));
            assert!(bytes.chunks_exact(2).any(|pixel| pixel == 200_u16.to_be_bytes()));
        } else {
            let file = std::fs::File::open(&written[0]).unwrap();
            let mut decoder = tiff::decoder::Decoder::new(file).unwrap();
            let mut pages = 1;
            while decoder.more_images() {
                decoder.next_image().unwrap();
                pages += 1;
            }
            assert_eq!(pages, if files == 1 { 4 } else { 1 });
            assert_eq!(decoder.dimensions().unwrap(), (320, 200));
        }
    }
}

fn wait_for_image(running: &Running) {
    let line: Value = serde_json::from_str(&running.line()).unwrap();
    assert!(line["number"].as_u64().unwrap() > 0);
}

#[test]
fn ctrl_c_stops_the_live_view_and_completes_the_file() {
    let (_simulator, address) = simulator(QUICK);
    let folder = Folder::new("ctrl-c");
    let running =
        start(&["live", "--json", "--out", folder.0.to_str().unwrap(), "--connect", &address]);
    for _ in 0..3 {
        wait_for_image(&running);
    }
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_idle(&address);
    let closing: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let file = std::fs::File::open(&folder.files()[0]).unwrap();
    let mut decoder = tiff::decoder::Decoder::new(file).unwrap();
    let xml = decoder.get_tag_ascii_string(tiff::tags::Tag::ImageDescription).unwrap();
    let pages = format!("SizeT=\"{}\"", closing["written"]);
    assert!(xml.contains(&pages), "{pages} in {xml}");
}

#[test]
fn ctrl_c_writes_the_images_that_wait() {
    let (_simulator, address) =
        simulator("[images]\nwidth = 1024\nheight = 1024\nframes_per_s = 60\n");
    let folder = Folder::new("ctrl-c-waiting");
    let out = folder.0.to_str().unwrap();
    let arguments = ["live", "--json", "--format", "png", "--memory", "16", "--out", out];
    let running = start(&[&arguments[..], &["--connect", &address]].concat());
    // PNG takes longer than the images: when one was dropped, others wait.
    while serde_json::from_str::<Value>(&running.line()).unwrap()["dropped_before"] == 0 {}
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let totals: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let number = |key: &str| totals[key].as_u64().unwrap();
    assert_eq!((number("waiting"), number("taken")), (0, number("written")), "{totals}");
    assert_eq!(number("received"), number("taken") + number("dropped"), "{totals}");
    assert_eq!(number("written"), folder.files().len() as u64);
}

/// Encoding a PNG takes longer than the interval between two images.
#[cfg(unix)]
#[test]
fn with_a_slow_disk_images_are_dropped_and_counted() {
    let (simulator, address) =
        simulator("[images]\nwidth = 1024\nheight = 1024\nframes_per_s = 60\n");
    let folder = Folder::new("slow");
    // Room for three images: PNG of this size takes longer than they come.
    let arguments = [
        "--for",
        "2s",
        "--mode",
        "every",
        "--memory",
        "4",
        "--out",
        folder.0.to_str().unwrap(),
        "--format",
        "png",
        "--json",
    ];
    let ended = live(&address, &arguments);
    let told = ended.expect_done().objects();
    let closing = told.last().unwrap();
    let number = |key: &str| closing[key].as_u64().unwrap();
    assert_eq!(number("written"), folder.files().len() as u64);
    assert_eq!(number("taken"), number("written"));
    let between: u64 = told.iter().filter_map(|image| image["dropped_before"].as_u64()).sum();
    assert!(between <= number("dropped"), "{closing}");
    // At the end some may wait that nobody takes any more.
    let accounted = number("taken") + number("dropped");
    assert!((accounted..=accounted + 3).contains(&number("received")), "{closing}");
    let images = simulator.truth().images_dropped();
    assert_eq!(images, 0, "the instrument never had to wait");
}

#[test]
fn a_folder_that_cannot_be_written_is_found_first() {
    let (simulator, address) = simulator(QUICK);
    let folder = Folder::new("unwritable");
    let out = folder.0.to_str().unwrap();
    let full = start_on_a_full_disk(&["live", "--out", out, "--connect", &address]).ended();
    full.expect_error(2, &["cannot write into the folder", "the camera was not started"]);
    assert_eq!(folder.files().len(), 0, "and nothing is left");
    if cfg!(target_os = "linux") {
        // A file system that no user can write to.
        let ended = live(&address, &["--out", "/proc/self"]);
        ended.expect_error(2, &["cannot write into the folder /proc/self"]);
    }
    assert_eq!(simulator.truth().received().len(), 0, "nothing was sent");
}

#[test]
fn images_that_surely_do_not_fit_are_refused() {
    let (simulator, address) = simulator(QUICK);
    let folder = Folder::new("too-many");
    let out = folder.0.to_str().unwrap();
    let many = ["--count", "9000000000000", "--out", out];
    // The size of the images is known only while the camera runs.
    live(&address, &many).expect_error(1, &["9000000000000 images of 320 x 200 need", "free"]);
    assert_idle(&address);
    assert_eq!(folder.files().len(), 0);
    flamingo(&["send", "CAMERA_LIVE_VIEW_START", "--connect", &address]).expect_done();
    live(&address, &many).expect_error(2, &["need 1.15 EB", "--ignore-space"]);
    assert_eq!(sent(&simulator, CommandCode::CAMERA_LIVE_VIEW_START), 2);
    let ended = live(&address, &[&many[..], &["--ignore-space", "--for", "300ms"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("warning: 9000000000000 images"), "{ended:?}");
}

#[test]
fn the_totals_have_the_file_its_size_and_the_free_disk() {
    let (_simulator, address) = simulator(QUICK);
    let folder = Folder::new("totals");
    let out = folder.0.to_str().unwrap();
    let told = live(&address, &["--count", "4", "--out", out, "--json"]);
    let told = told.expect_done().objects();
    let (closing, file) = (&told[4], &folder.files()[0]);
    assert_eq!(closing["file"], file.to_str().unwrap());
    assert_eq!(closing["bytes_written"], file.metadata().unwrap().len());
    assert_eq!((&closing["folder"], &closing["series"]), (&out.into(), &1.into()));
    if cfg!(unix) {
        assert!(closing["disk_free_bytes"].as_u64().unwrap() > 0, "{closing}");
        assert!(closing["disk_left_s"].as_u64().unwrap() > 0, "{closing}");
    }
    let text = live(&address, &["--count", "4", "--out", out]);
    let text = &text.expect_done().stdout;
    assert!(text.contains(".ome.tif, ") && text.contains(" left at this rate"), "{text}");
}

#[test]
fn the_names_of_cameras_come_from_the_control_settings() {
    let (_simulator, address) = simulator(QUICK);
    let folder = Folder::new("camera-names");
    let settings = folder.file(
        "ControlSettings.txt",
        "<Attached devices>\nAttached camera 1 = 1\nName camera 1 = PCO Panda\n\
         Attached camera 2 = 0\nName camera 2 = 0\n</Attached devices>\n",
    );
    let out = folder.path("images");
    let arguments = ["--count", "2", "--out", &out, "--control-settings"];
    live(&address, &[&arguments[..], &[&settings]].concat()).expect_done();
    let file = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let mut decoder = tiff::decoder::Decoder::new(std::fs::File::open(file).unwrap()).unwrap();
    let xml = decoder.get_tag_ascii_string(tiff::tags::Tag::ImageDescription).unwrap();
    assert!(xml.contains("Name=\"PCO Panda (camera 0)\""), "{xml}");
    let none = folder.file("empty.txt", "<Attached devices>\n</Attached devices>\n");
    let ended = live(&address, &[&arguments[..], &[&none]].concat());
    ended.expect_error(2, &["found no camera that is attached"]);
    let missing = folder.path("missing.txt");
    live(&address, &[&arguments[..], &[&missing]].concat()).expect_error(2, &["missing.txt"]);
}

/// The program is killed while it writes.
#[cfg(unix)]
#[test]
fn a_file_of_a_program_that_was_killed_has_its_pages() {
    let (_simulator, address) = simulator(QUICK);
    let folder = Folder::new("killed");
    let running =
        start(&["live", "--json", "--out", folder.0.to_str().unwrap(), "--connect", &address]);
    let mut pages = 0;
    for _ in 0..20 {
        wait_for_image(&running);
        pages += 1;
    }
    running.signal("-KILL");
    running.ended();
    let file = folder.files()[0].clone();
    let found = flamingo(&["images", "info", file.to_str().unwrap(), "--all", "--json"]);
    let found = found.expect_done().object();
    assert!(found["pages"].as_u64().unwrap() >= pages, "{found}");
    assert_eq!((&found["finished"], &found["pages_read"]), (&false.into(), &found["pages"]));
    assert_eq!(found["min"], 200, "{found}");
}
