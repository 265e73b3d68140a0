//! Tests that a replay sends what was recorded.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use crate::recorded::{frames, image, kinds, open, recorder, relay};
use flamingo_protocol_core::{CommandCode, Flags, Frame, image::HEADER_LEN};
use flamingo_recording::replay::{Replay, ReplayOptions, Speed};
use flamingo_recording::{Port, Side};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{self, RawClient, query};

/// A scenario in which the frames depend on chance and on the client.
const BUSY: &str = "
    [background]
    frames_per_s = 200.0
    [stage]
    speed_factor = 20.0
    [images]
    width = 64
    height = 48
    frames_per_s = 40
    [faults]
    junk = { every_n = 40 }
";

type Heard = Vec<(Frame, Vec<u8>)>;

/// Receives everything up to the wanted frame.
fn hear(client: &mut RawClient, all: &mut Heard, wanted: impl Fn(&Frame) -> bool) {
    let (before, last) = client.until(wanted);
    all.extend(before.into_iter().chain([last]).map(|got| (got.frame, got.payload)));
}

fn ask(client: &mut RawClient, all: &mut Heard, query: Frame) {
    client.send(&query);
    // Pushes have a flag that answers do not have.
    let pushed = Flags::STAGE_POSITIONS_IN_BUFFER;
    hear(client, all, |got| got.code == query.code && !got.flags.contains(pushed));
}

/// A session of a client. Returns everything that it received, in order.
fn session(control: SocketAddr, live: SocketAddr) -> (Heard, Vec<Vec<u8>>) {
    let (mut client, mut viewer) = (RawClient::to(control), raw_client::socket(live));
    let (client, all) = (&mut client, &mut Vec::new());
    let of = Frame::command;
    ask(client, all, of(CommandCode::SYSTEM_STATE_GET));
    ask(client, all, of(CommandCode::COMMON_SCOPE_SETTINGS_LOAD));
    for (axis, target) in [(1, 7.0), (2, 15.5)] {
        ask(client, all, raw_client::move_to(axis, target));
        hear(client, all, |got| got.code == CommandCode::STAGE_MOTION_STOPPED);
        ask(client, all, of(CommandCode::STAGE_POSITION_GET).with_selector(axis));
        ask(client, all, of(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET));
    }
    ask(client, all, of(CommandCode::CAMERA_LIVE_VIEW_START));
    let images = (0..10).map(|_| raw_client::image(&mut viewer).bytes).collect();
    ask(client, all, of(CommandCode::CAMERA_LIVE_VIEW_STOP));
    (std::mem::take(all), images)
}

/// A session with the simulator, recorded with pixels.
fn recorded(file: &Path) -> (Heard, Vec<Vec<u8>>) {
    let simulator = raw_client::simulator(BUSY);
    let relay = relay(simulator.control(), recorder(file, true));
    let [control, live, _] = relay.addresses();
    let seen = session(control, live);
    assert_eq!(relay.finish().lost_bytes, 0);
    seen
}

fn replay(file: &Path, speed: Speed) -> Replay {
    let options = ReplayOptions::default().speed(speed);
    smol::block_on(Replay::start(file, options)).unwrap()
}

#[test]
fn a_replay_gives_the_same_answers_and_events_in_order() {
    let folder = Folder::new("faithful");
    let file = folder.0.join("run.pcapng");
    let (frames, images) = recorded(&file);
    assert!(frames.len() > 50, "{}", frames.len());
    for speed in [Speed::Times(1.0), Speed::Times(20.0), Speed::Max] {
        let replay = replay(&file, speed);
        let [control, live, _] = replay.addresses();
        // Twice: after the last connection the first one is played again.
        for _ in 0..2 {
            let (again, images_again) = session(control, live);
            assert!(again == frames, "at {speed:?}: {} of {}", again.len(), frames.len());
            assert!(images_again == images, "at {speed:?}");
        }
    }
}

#[test]
fn recording_a_replay_gives_the_same_frames() {
    let folder = Folder::new("again");
    let [file, again] = ["run.pcapng", "again.pcapng"].map(|name| folder.0.join(name));
    let (frames_seen, _) = recorded(&file);
    let replay = replay(&file, Speed::Times(2.0));
    let [control, ..] = replay.addresses();
    let relay = relay(control, recorder(&again, true));
    let [control, live, _] = relay.addresses();
    session(control, live);
    relay.finish();
    let [first, second] = [&file, &again].map(|file| {
        let sent = frames(&kinds(file, Port::Control, Side::Client));
        (
            sent,
            kinds(file, Port::Control, Side::Instrument),
            kinds(file, Port::Live, Side::Instrument),
        )
    });
    assert!(first.0 == second.0, "what the client sent");
    // Noise, frames, payloads. After the frames that the client saw, the recordings may differ.
    let common = frames_seen.len();
    assert!(first.1[..common] == second.1[..common], "what the instrument sent");
    assert!(first.2[..10] == second.2[..10], "images with their pixels");
}

#[test]
fn images_without_pixels_are_played_black() {
    let folder = Folder::new("black");
    let file = folder.0.join("run.pcapng");
    let recorder = recorder(&file, false);
    let [client, mut instrument] = open(&recorder, Port::Live);
    instrument.bytes(image(5, 200));
    instrument.finish();
    client.finish();
    recorder.finish();
    let replay = replay(&file, Speed::Max);
    let mut viewer = raw_client::socket(replay.addresses()[1]);
    let played = raw_client::image(&mut viewer);
    assert_eq!((played.header.index_start, played.header.width), (5, 200));
    assert!(played.bytes[HEADER_LEN..].iter().all(|byte| *byte == 0));
    assert_eq!(viewer.read(&mut [0]).unwrap(), 0, "the instrument had ended it");
}

#[test]
fn a_connection_that_the_recorder_ended_stays_open() {
    let folder = Folder::new("ended-here");
    for ended_by_instrument in [true, false] {
        let file = folder.0.join(format!("run-{ended_by_instrument}.pcapng"));
        let recorder = recorder(&file, false);
        let [mut sent, mut came] = open(&recorder, Port::Control);
        let asked = query(1).encode();
        sent.copy(&asked);
        came.copy(&Frame { status: 1, ..query(1) }.encode());
        if ended_by_instrument {
            came.cut(Side::Instrument);
        } else {
            drop(came);
        }
        drop(sent);
        recorder.finish();
        let replay = replay(&file, Speed::Max);
        let mut client = raw_client::socket(replay.addresses()[0]);
        let mut answer = [0; 128];
        client.write_all(&asked).unwrap();
        client.read_exact(&mut answer).unwrap();
        if ended_by_instrument {
            assert_eq!(client.read(&mut answer).unwrap(), 0);
        } else {
            client.write_all(&asked).unwrap();
            client.read_exact(&mut answer).unwrap();
        }
    }
}
