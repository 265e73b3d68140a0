//! Tests with a disk that is slow, with rotated files, and with truncated files.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::recorded::{events, frames, hole, image, kinds, numbered, open, recorder};
use flamingo_protocol_core::{CommandCode, Frame, image::HEADER_LEN, wire::FRAME_LEN};
use flamingo_recording::capture::{Capture, EventKind};
use flamingo_recording::{Port, Recorder, RecorderOptions, Rotation, Side};
use flamingo_runtime_testkit::folder::Folder;

/// A disk that writes only when the test allows it.
struct Slow {
    file: std::fs::File,
    /// Gets a message when the recorder wants to write.
    asked: Sender<()>,
    go: Receiver<()>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may have stopped listening.
        let _ = self.asked.send(());
        // An error means that every write is allowed from now on.
        let _ = self.go.recv();
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A recorder whose thread waits for the disk. Dropping the sender lets it go on.
fn on_a_slow_disk(file: &Path, pixels: bool) -> (Recorder, Sender<()>) {
    let (going, go) = channel();
    let (asked, is_asked) = channel();
    // The beginning of the file.
    going.send(()).unwrap();
    let slow = Slow { file: std::fs::File::create(file).unwrap(), asked, go };
    let options = RecorderOptions::default().pixels(pixels).waiting(100_000);
    let recorder = Recorder::to_writer(slow, options).unwrap();
    is_asked.recv().unwrap();
    // Give the thread something to write, so that it waits in the write.
    let ends = ["10.0.0.9:6000", "10.0.0.5:53717"].map(|end| end.parse().unwrap());
    drop(recorder.open(Port::Control, ends[0], ends[1]));
    is_asked.recv().unwrap();
    (recorder, going)
}

#[test]
fn bytes_that_a_slow_disk_does_not_take_are_counted_as_missing() {
    const FRAMES: i32 = 5_000;
    let folder = Folder::new("slow");
    let file = folder.0.join("run.pcapng");
    let (recorder, going) = on_a_slow_disk(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..FRAMES {
        instrument.bytes(numbered(n).encode().to_vec());
    }
    let lost = recorder.status().lost_bytes;
    assert!(lost > 0, "{FRAMES} frames wait");
    drop(going);
    while recorder.waiting() > 0 {
        std::thread::yield_now();
    }
    instrument.bytes(numbered(FRAMES).encode().to_vec());
    instrument.finish();
    assert_eq!(recorder.finish().lost_bytes, lost);
    let came = kinds(&file, Port::Control, Side::Instrument);
    assert_eq!(came.iter().map(hole).sum::<u64>(), lost);
    let found = frames(&came);
    assert_eq!((found.len() * FRAME_LEN) as u64 + lost, (FRAMES as u64 + 1) * FRAME_LEN as u64);
    assert_eq!(found.last().unwrap().0, numbered(FRAMES), "later frames are recorded again");
}

#[test]
fn a_connection_that_begins_while_the_queue_is_full_is_recorded() {
    let folder = Folder::new("slow-open");
    let file = folder.0.join("run.pcapng");
    let (recorder, going) = on_a_slow_disk(&file, false);
    let [_client, mut first] = open(&recorder, Port::Control);
    (0..5_000).for_each(|n| first.bytes(numbered(n).encode().to_vec()));
    let ends = ["10.0.0.8:5000", "10.0.0.5:53717"].map(|end| end.parse().unwrap());
    let [_other, mut second] = recorder.open(Port::Control, ends[0], ends[1]);
    second.bytes(numbered(1).encode().to_vec());
    drop(going);
    while recorder.waiting() > 0 {
        std::thread::yield_now();
    }
    second.bytes(numbered(2).encode().to_vec());
    second.finish();
    let lost = recorder.finish().lost_bytes;
    let events = events(&file);
    let of_second = events.iter().filter(|event| event.connection.client == ends[0]);
    let of_second: Vec<_> = of_second.map(|event| &event.kind).collect();
    assert!(matches!(
        of_second[..],
        [EventKind::Opened, EventKind::Hole { bytes: 128 }, EventKind::Message { .. }, ..]
    ));
    // A hole at the end of the first connection is reported only with its end.
    drop(first);
    assert!(lost >= events.iter().map(|event| hole(&event.kind)).sum());
}

#[test]
fn a_hole_at_the_end_and_a_hole_of_gigabytes_are_reported() {
    let folder = Folder::new("slow-end");
    let huge = bytes::Bytes::from(vec![0; 1 << 29]);
    for times in [1, 5] {
        let file = folder.0.join(format!("{times}.pcapng"));
        let (recorder, going) = on_a_slow_disk(&file, false);
        let [_client, mut instrument] = open(&recorder, Port::Control);
        (0..2_000).for_each(|n| instrument.bytes(numbered(n).encode().to_vec()));
        (0..times).for_each(|_| instrument.bytes(huge.clone()));
        drop(going);
        while recorder.waiting() > 0 {
            std::thread::yield_now();
        }
        if times > 1 {
            // Sequence numbers cannot express the hole: the connection begins again.
            instrument.bytes(numbered(9).encode().to_vec());
        }
        instrument.finish();
        let lost = recorder.finish().lost_bytes;
        let came = kinds(&file, Port::Control, Side::Instrument);
        if times > 1 {
            assert_eq!(frames(&came).last().unwrap().0, numbered(9));
        } else {
            assert_eq!(came.iter().map(hole).sum::<u64>(), lost);
        }
    }
}

#[test]
fn a_slow_disk_leaves_out_whole_images() {
    let folder = Folder::new("slow-images");
    let file = folder.0.join("run.pcapng");
    let (recorder, going) = on_a_slow_disk(&file, true);
    let [_client, mut instrument] = open(&recorder, Port::Live);
    let bytes: Vec<u8> = (0..50).flat_map(|n| image(n, 100)).collect();
    bytes.chunks(3_000).for_each(|chunk| instrument.bytes(chunk.to_vec()));
    drop(going);
    instrument.finish();
    let lost = recorder.finish().lost_bytes;
    let came = kinds(&file, Port::Live, Side::Instrument);
    let whole = came.iter().filter(|kind| matches!(kind, EventKind::Image { pixels: Some(_), .. }));
    let whole = whole.count() as u64;
    let one = HEADER_LEN as u64 + 20_000;
    assert!(lost > 0 && whole > 0, "{lost} {whole}");
    assert_eq!(whole * one + lost, 50 * one, "no image is recorded in part");
}

#[test]
fn each_file_can_be_read_alone_and_the_oldest_are_removed() {
    const FRAMES: i32 = 2_000;
    let folder = Folder::new("rotation");
    let rotation = Rotation::default().bytes(20_000).age(Duration::MAX).keep(5);
    let recorder = Recorder::to_folder(&folder.0, rotation, RecorderOptions::default()).unwrap();
    std::fs::write(folder.0.join("notes.txt"), "stays").unwrap();
    let [mut client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..FRAMES {
        let bytes = numbered(n).encode();
        // In two parts: no new file begins between them.
        instrument.bytes(bytes[..100].to_vec());
        client.bytes(Frame::command(CommandCode::SYSTEM_STATE_GET).encode().to_vec());
        instrument.bytes(bytes[100..].to_vec());
    }
    client.finish();
    instrument.finish();
    let status = recorder.finish();
    assert!(status.files > 20, "{status:?}");
    let files = folder.files();
    let (notes, files): (Vec<_>, Vec<_>) =
        files.iter().partition(|file| file.ends_with("notes.txt"));
    assert_eq!((notes.len(), files.len()), (1, 5));
    let mut expected = FRAMES - 1;
    for file in files.into_iter().rev() {
        assert!(file.metadata().unwrap().len() < 25_000);
        let found = frames(&kinds(file, Port::Control, Side::Instrument));
        for (frame, _) in found.into_iter().rev() {
            assert_eq!(frame, numbered(expected));
            expected -= 1;
        }
    }
}

/// The error of a recording that must not begin; it names `place`.
fn busy(recorder: io::Result<Recorder>, place: &Path) {
    let error = recorder.expect_err("it is in use");
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
    assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
    assert!(error.to_string().contains("choose another"), "{error}");
}

#[test]
fn two_recordings_do_not_share_a_folder_that_removes_files() {
    let folder = Folder::new("shared");
    let (folder, file) = (&folder.0, folder.0.join("one.pcapng"));
    let whole = || Recorder::to_folder(folder, Rotation::default(), RecorderOptions::default());
    let single = || Recorder::to_file(&file, RecorderOptions::default());
    let first = whole().unwrap();
    busy(whole(), folder);
    busy(single(), folder);
    assert!(!file.exists());
    first.finish();
    let second = single().unwrap();
    busy(whole(), folder);
    drop(second);
    // Nothing is locked after the end, and no lock is left in the folder.
    drop(whole().unwrap());
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| name.to_string_lossy().ends_with(".pcapng")));
}

#[test]
fn two_recordings_do_not_write_one_file() {
    let folder = Folder::new("one-file");
    let [one, other] = ["one.pcapng", "other.pcapng"].map(|name| folder.0.join(name));
    let begin = |file: &Path| Recorder::to_file(file, RecorderOptions::default());
    let first = begin(&one).unwrap();
    let _second = begin(&other).expect("another file of the folder");
    let [mut client, _instrument] = open(&first, Port::Control);
    client.bytes(Frame::command(CommandCode::SYSTEM_STATE_GET).encode().to_vec());
    busy(begin(&one), &one);
    drop(client);
    first.finish();
    assert!(std::fs::metadata(&one).unwrap().len() > 128, "the file was not emptied");
    begin(&one).expect("the first recording has ended");
}

#[test]
fn a_connection_stuck_in_an_image_does_not_spoil_other_files() {
    let folder = Folder::new("rotation-hangs");
    let rotation = Rotation::default().bytes(30_000).age(Duration::MAX).keep(100);
    let options = RecorderOptions::default().pixels(true);
    let recorder = Recorder::to_folder(&folder.0, rotation, options).unwrap();
    let [_one, mut hangs] = open(&recorder, Port::Live);
    hangs.bytes(image(1, 60)[..4_000].to_vec());
    let ends = ["10.0.0.8:5000", "10.0.0.5:53718"].map(|end| end.parse().unwrap());
    let [_other, mut goes_on] = recorder.open(Port::Live, ends[0], ends[1]);
    let all: Vec<u8> = (0..60).flat_map(|n| image(n, 40)).collect();
    // No new file begins while the first connection is inside an image.
    all.chunks(2_000).for_each(|chunk| goes_on.bytes(chunk.to_vec()));
    hangs.bytes(image(1, 60)[4_000..].to_vec());
    hangs.bytes(image(2, 60));
    for tap in [hangs, goes_on] {
        tap.finish();
    }
    let status = recorder.finish();
    assert!(status.files >= 3, "{status:?}");
    let mut images = Vec::new();
    for file in folder.files() {
        let came = kinds(&file, Port::Live, Side::Instrument);
        assert!(
            !came.iter().any(|kind| matches!(kind, EventKind::NoImage(_))),
            "{}",
            file.display()
        );
        images.extend(
            came.into_iter()
                .filter(|kind| matches!(kind, EventKind::Image { pixels: Some(_), .. })),
        );
    }
    // Each file may cost one image of each connection.
    assert!(images.len() as u64 + 2 * status.files >= 62, "{} {status:?}", images.len());
}

#[test]
fn a_file_that_is_old_enough_is_followed_by_another() {
    let folder = Folder::new("age");
    let rotation = Rotation::default().bytes(u64::MAX).age(Duration::from_micros(1)).keep(100);
    let recorder = Recorder::to_folder(&folder.0, rotation, RecorderOptions::default()).unwrap();
    let [_client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..10 {
        instrument.bytes(numbered(n).encode().to_vec());
    }
    drop(instrument);
    assert!(recorder.finish().files >= 2);
}

#[test]
fn a_truncated_recording_is_read_up_to_its_end() {
    let folder = Folder::new("cut");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [_client, mut instrument] = open(&recorder, Port::Control);
    for n in 0..10 {
        instrument.bytes(numbered(n).encode().to_vec());
    }
    instrument.finish();
    recorder.finish();
    let bytes = std::fs::read(&file).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        let cut = bytes[..length].to_vec();
        let Ok(capture) = Capture::from_reader(Box::new(io::Cursor::new(cut))) else { continue };
        let read: Vec<_> = capture.collect();
        let whole =
            read.iter().flatten().filter(|event| matches!(event.kind, EventKind::Message { .. }));
        // About 220 bytes a packet, after the beginning of the file.
        assert!(whole.count() + 3 >= length.saturating_sub(600) / 260, "{length}");
    }
}
