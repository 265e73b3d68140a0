//! Live view, snapshots and their images, seen through raw sockets.

mod raw;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use flamingo_protocol_core::{CommandCode as Code, HEADER_LEN, ImageHeader};
use raw::{PATIENCE, Raw, codes, command, simulator, two_clients};

fn viewer(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn image(socket: &mut TcpStream) -> (ImageHeader, Vec<u16>) {
    let mut header = [0; HEADER_LEN];
    socket.read_exact(&mut header).unwrap();
    let header = ImageHeader::decode(&header, 1 << 26).unwrap();
    let mut bytes = vec![0; header.size as usize];
    socket.read_exact(&mut bytes).unwrap();
    let pixels = bytes.chunks_exact(2).map(|pixel| u16::from_le_bytes([pixel[0], pixel[1]]));
    (header, pixels.collect())
}

const FAST: &str = "[images]\nframes_per_s = 200\nwidth = 256\nheight = 128\n";

#[test]
fn live_images_show_moving_beads_while_the_live_view_runs() {
    let simulator = simulator(FAST);
    let [mut client, mut other] = two_clients(&simulator);
    let mut viewer = viewer(simulator.live());
    assert_eq!(client.ask(&command(Code::CAMERA_LIVE_VIEW_START)).frame.status, 1);
    let (first, first_pixels) = image(&mut viewer);
    assert_eq!((first.width, first.height, first.size), (256, 128, 65_536));
    assert!(first_pixels.iter().max() > Some(&2_000), "a bead is bright");
    let dark = first_pixels.iter().filter(|pixel| **pixel == 200).count();
    assert!(dark > first_pixels.len() / 2, "most of it is background");
    let (second, second_pixels) = image(&mut viewer);
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
fn a_snapshot_sends_one_image_to_the_live_port_and_passes_through_its_state() {
    let simulator = simulator("[images]\nwidth = 64\nheight = 32");
    let mut client = Raw::connect(&simulator);
    let mut viewer = viewer(simulator.live());
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
    let mut client = Raw::connect(&simulator);
    client.send(&command(Code::CAMERA_SNAPSHOT_GET));
    let (before, _) = client.until_code(Code::SYSTEM_STATE_IDLE);
    assert_eq!(codes(&before), [Code::SYSTEM_STATE_SNAP_SHOT, Code::CAMERA_SNAPSHOT_GET]);
}

#[test]
fn a_viewer_that_is_slow_loses_the_oldest_images_and_no_bytes() {
    let simulator = simulator(
        "[images]\nframes_per_s = 1000\nwidth = 256\nheight = 256\n\
         [server]\nsend_buffer_bytes = 65536",
    );
    let mut client = Raw::connect(&simulator);
    let mut slow = viewer(simulator.live());
    let mut fast = viewer(simulator.live());
    client.ask(&command(Code::CAMERA_LIVE_VIEW_START));
    let started = image(&mut slow).0.index_start;
    while image(&mut fast).0.index_start < started + 250 {}
    client.ask(&command(Code::CAMERA_LIVE_VIEW_STOP));
    let mut last = started;
    let mut gaps = 0;
    while last < started + 250 {
        let index = image(&mut slow).0.index_start;
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
    let mut client = Raw::connect(&simulator);
    let mut inside: Vec<_> = (0..5).map(|_| viewer(simulator.live())).collect();
    let mut sixth = viewer(simulator.live());
    assert_eq!(sixth.read(&mut [0; 1]).unwrap(), 0);
    client.ask(&command(Code::CAMERA_LIVE_VIEW_START));
    for viewer in &mut inside {
        image(viewer);
    }
    drop(inside.pop());
    // A place is free as soon as the server has seen that one has gone.
    let mut header = [0; HEADER_LEN];
    while viewer(simulator.live()).read_exact(&mut header).is_err() {}
}
