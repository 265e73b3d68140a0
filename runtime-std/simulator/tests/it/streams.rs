//! Live view, snapshots and their images, seen through raw sockets.

use std::io::Read;

use flamingo_protocol_core::{
    CommandCode as Code,
    image::{HEADER_LEN, ImageHeader},
};
use flamingo_runtime_testkit::raw_client::{
    Image, RawClient, codes, command, image, simulator, socket, two_clients,
};

fn pixels(image: &Image) -> Vec<u16> {
    let pixels = image.bytes[HEADER_LEN..].chunks_exact(2);
    pixels.map(|pixel| u16::from_le_bytes([pixel[0], pixel[1]])).collect()
}

const FAST: &str = "[images]\nframes_per_s = 200\nwidth = 256\nheight = 128\n";

#[test]
fn live_images_show_moving_beads_while_the_live_view_runs() {
    let simulator = simulator(FAST);
    let [mut client, mut other] = two_clients(&simulator);
    let mut viewer = socket(simulator.live());
    assert_eq!(client.ask(&command(Code::CAMERA_LIVE_VIEW_START)).frame.status, 1);
    let first = image(&mut viewer);
    let (first, first_pixels) = (first.header, pixels(&first));
    assert_eq!((first.width, first.height, first.size), (256, 128, 65_536));
    assert!(first_pixels.iter().max() > Some(&2_000), "a bead is bright");
    let dark = first_pixels.iter().filter(|pixel| **pixel == 200).count();
    assert!(dark > first_pixels.len() / 2, "most of it is background");
    let second = image(&mut viewer);
    let (second, second_pixels) = (second.header, pixels(&second));
    assert_eq!(second.index_start, first.index_start + 1);
    assert_ne!(first_pixels, second_pixels);
    client.ask(&command(Code::CAMERA_LIVE_VIEW_STOP));
    let states: Vec<_> = codes(&other.settle());
    assert_eq!(
        states,
        [
            Code::CAMERA_LIVE_VIEW_START,
            Code::SYSTEM_STATE_LIVE_VIEW,
            Code::CAMERA_LIVE_VIEW_STOP,
            Code::SYSTEM_STATE_IDLE
        ]
    );
}

#[test]
fn a_snapshot_sends_one_live_image_and_announces_its_state() {
    let simulator = simulator("[images]\nwidth = 64\nheight = 32");
    let mut client = RawClient::connect(&simulator);
    let mut viewer = socket(simulator.live());
    // The viewer is inside once an image reached it: those before may go to nobody.
    let mut states = Vec::new();
    viewer.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    let mut header = [0; HEADER_LEN];
    loop {
        assert_eq!(client.ask(&command(Code::CAMERA_SNAPSHOT_GET)).frame.status, 1);
        let (before, _) = client.until_code(Code::SYSTEM_STATE_IDLE);
        states.extend(codes(&before));
        if viewer.read_exact(&mut header).is_ok() {
            break;
        }
        assert!(states.len() < 100, "no image came");
    }
    let header = ImageHeader::decode(&header, 1 << 20).unwrap();
    assert_eq!((header.width, header.height), (64, 32));
}

#[test]
fn a_snapshot_is_announced_before_it_is_acknowledged() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    client.send(&command(Code::CAMERA_SNAPSHOT_GET));
    let (before, _) = client.until_code(Code::SYSTEM_STATE_IDLE);
    assert_eq!(codes(&before), [Code::SYSTEM_STATE_SNAP_SHOT, Code::CAMERA_SNAPSHOT_GET]);
}

#[test]
fn a_slow_viewer_loses_the_oldest_images_and_no_bytes() {
    let simulator = simulator(
        "[images]\nframes_per_s = 1000\nwidth = 256\nheight = 256\n\
         [server]\nsend_buffer_bytes = 65536",
    );
    let mut client = RawClient::connect(&simulator);
    let mut slow = socket(simulator.live());
    let mut fast = socket(simulator.live());
    client.ask(&command(Code::CAMERA_LIVE_VIEW_START));
    let started = image(&mut slow).header.index_start;
    while image(&mut fast).header.index_start < started + 250 {}
    client.ask(&command(Code::CAMERA_LIVE_VIEW_STOP));
    let mut last = started;
    let mut gaps = 0;
    while last < started + 250 {
        let index = image(&mut slow).header.index_start;
        assert!(index > last, "{index} after {last}");
        gaps += index - last - 1;
        last = index;
    }
    assert!(gaps > 0);
    assert!(simulator.truth().images_dropped() >= u64::try_from(gaps).unwrap());
}

#[test]
fn the_sixth_viewer_is_accepted_and_closed() {
    let simulator = simulator(FAST);
    let mut client = RawClient::connect(&simulator);
    let mut inside: Vec<_> = (0..5).map(|_| socket(simulator.live())).collect();
    let mut sixth = socket(simulator.live());
    assert_eq!(sixth.read(&mut [0; 1]).unwrap(), 0);
    client.ask(&command(Code::CAMERA_LIVE_VIEW_START));
    for viewer in &mut inside {
        image(viewer);
    }
    drop(inside.pop());
    // A place is free as soon as the server has seen that one has gone.
    let mut header = [0; HEADER_LEN];
    while socket(simulator.live()).read_exact(&mut header).is_err() {}
}
