//! Live and stack images through the bridge, compared with a viewer that is connected to the simulator
//! directly. Broken streams are tested in `image_relay/tests.rs`.

use std::net::{SocketAddr, TcpStream};
use std::thread::{JoinHandle, spawn};

use crate::harness::{bridge, status, until};
use flamingo_bridge::{Bridge, settings::Role};
use flamingo_protocol_core::{CommandCode as Code, Frame, image::ImageHeader};
use flamingo_runtime_testkit::raw_client::{
    Image, RawClient, command, image, simulator, socket, workflow,
};

/// Reads images up to the first one for which `last` holds.
fn images(viewer: &mut TcpStream, last: fn(&ImageHeader) -> bool) -> Vec<Image> {
    let mut images = Vec::new();
    while !images.last().is_some_and(|image: &Image| last(&image.header)) {
        images.push(image(viewer));
    }
    images
}

/// Reads images on another thread.
fn watch(address: SocketAddr, last: fn(&ImageHeader) -> bool) -> JoinHandle<Vec<Image>> {
    let mut viewer = socket(address);
    spawn(move || images(&mut viewer, last))
}

fn live(bridge: &Bridge) -> SocketAddr {
    bridge.live().expect("the port is on")
}

/// Sends a command and asserts that it succeeded.
fn execute(client: &mut RawClient, frame: &Frame) {
    let answer = client.ask(frame).frame;
    assert_eq!(answer.status, 1, "{answer}");
}

/// Takes the last image, which is narrower than those before it.
fn take_last(client: &mut RawClient) {
    execute(client, &command(Code::CAMERA_ROI_LEFT_SET).with_selector(17));
    execute(client, &command(Code::CAMERA_SNAPSHOT_GET));
}

fn is_last(header: &ImageHeader) -> bool {
    header.width < header.height
}

fn numbers(images: &[Image]) -> Vec<i32> {
    images.iter().map(|image| image.header.index_start).collect()
}

/// Asserts that the relayed images are the same as those of the direct viewer.
fn assert_same(direct: &[Image], relayed: JoinHandle<Vec<Image>>) {
    let relayed = relayed.join().expect("every image comes");
    assert_eq!(numbers(&relayed), numbers(direct));
    assert!(relayed == direct, "every byte is the same");
}

#[test]
fn each_live_viewer_gets_every_image_whole_and_in_order() {
    let instrument = simulator(
        "[images]\nframes_per_s = 100\nwidth = 128\nheight = 128\n[server]\nlive_clients = 2\n",
    );
    let bridge = bridge(instrument.control(), |_| {});
    let direct = watch(instrument.live(), is_last);
    let relayed = [(); 2].map(|()| watch(live(&bridge), is_last));
    until(&bridge, |status| status.live.viewers == 2 && instrument.truth().viewers() == 2);
    let mut client = RawClient::to(bridge.control());
    execute(&mut client, &command(Code::CAMERA_LIVE_VIEW_START));
    until(&bridge, |status| status.live.images >= 100);
    execute(&mut client, &command(Code::CAMERA_LIVE_VIEW_STOP));
    take_last(&mut client);
    let direct = direct.join().expect("every image comes");
    assert_eq!(numbers(&direct), (0..).take(direct.len()).collect::<Vec<_>>());
    for relayed in relayed {
        assert_same(&direct, relayed);
    }
    let live = status(&bridge).live;
    let bytes: usize = direct.iter().map(|image| image.bytes.len()).sum();
    assert_eq!((live.images, live.bytes, live.lost), (direct.len() as u64, bytes as u64, 0));
}

#[test]
fn each_stack_viewer_gets_every_image_of_a_workflow() {
    let instrument = simulator(
        "[stage]\nspeed_factor = 50\n[images]\nwidth = 64\nheight = 64\n[server]\nstack_clients = 2\n",
    );
    let bridge = bridge(instrument.control(), |_| {});
    let last = |header: &ImageHeader| header.index_start == 23;
    let direct = watch(instrument.stack(), last);
    let stack = bridge.stack().expect("the port is on");
    let relayed = [(); 2].map(|()| watch(stack, last));
    until(&bridge, |status| status.stack.viewers == 2 && instrument.truth().viewers() == 2);
    assert!(!status(&bridge).live.upstream, "there is no viewer of live images");
    let mut client = RawClient::to(bridge.control());
    let file = workflow(12, "Tile", 20.0);
    client.upload(&command(Code::CAMERA_WORK_FLOW_START), file.as_bytes());
    let direct = direct.join().expect("every image comes");
    assert_eq!(numbers(&direct), (0..24).collect::<Vec<_>>());
    for relayed in relayed {
        assert_same(&direct, relayed);
    }
    let stack = status(&bridge).stack;
    assert_eq!((stack.images, stack.lost), (24, 0));
}

#[test]
fn viewers_share_one_connection_to_the_instrument() {
    // The simulator would close a second connection at once.
    let instrument = simulator(
        "[images]\nframes_per_s = 100\nwidth = 64\nheight = 64\n[server]\nlive_clients = 1\n",
    );
    let bridge = bridge(instrument.control(), |_| {});
    let mut client = RawClient::to(bridge.control());
    execute(&mut client, &command(Code::CAMERA_LIVE_VIEW_START));
    let alone = status(&bridge).live;
    assert_eq!((alone.viewers, alone.upstream, alone.images), (0, false, 0));

    let mut first = socket(live(&bridge));
    let started = image(&mut first).header.index_start;
    assert!(status(&bridge).live.upstream);
    let mut second = socket(live(&bridge));
    let both = until(&bridge, |status| status.live.viewers == 2).live;
    assert!(both.upstream);
    image(&mut second);
    drop(first);
    until(&bridge, |status| status.live.viewers == 1);
    let index = image(&mut second).header.index_start;
    assert!(index > started);
    for next in index + 1..index + 20 {
        assert_eq!(image(&mut second).header.index_start, next, "the connection is the same one");
    }
    drop(second);
    until(&bridge, |status| status.live.viewers == 0 && !status.live.upstream);
    // The simulator accepts another viewer as soon as it has noticed the disconnection.
    let free = (0..10_000).any(|_| matches!(socket(instrument.live()).peek(&mut [0]), Ok(1)));
    assert!(free, "the connection is still there");
    let mut third = socket(live(&bridge));
    assert!(image(&mut third).header.index_start > index);
}

#[test]
fn a_slow_viewer_loses_its_oldest_images_in_the_status() {
    const SNAPSHOTS: i32 = 160;
    let instrument = simulator("[camera]\nexposure_us = 1\n[images]\nwidth = 512\nheight = 512\n");
    let bridge = bridge(instrument.control(), |_| {});
    let [mut slow, mut fast] = [(); 2].map(|()| socket(live(&bridge)));
    // The bridge is connected a little before the instrument has accepted it.
    until(&bridge, |status| status.live.viewers == 2 && instrument.truth().viewers() == 1);
    let mut client = RawClient::to(bridge.control());
    let mut sent = Vec::new();
    for number in 0..SNAPSHOTS {
        execute(&mut client, &command(Code::CAMERA_SNAPSHOT_GET));
        // The next image is taken only after this one was read, so that the fast viewer is never behind.
        let image = image(&mut fast);
        assert_eq!(image.header.index_start, number);
        sent.push(image);
    }
    let counted = status(&bridge).live;
    assert_eq!(counted.images, sent.len() as u64);
    let got = images(&mut slow, |header| header.index_start == SNAPSHOTS - 1);
    let numbers = numbers(&got);
    assert!(counted.lost > 0, "{SNAPSHOTS} images fit into the sockets");
    assert_eq!(got.len() as u64 + counted.lost, sent.len() as u64, "{numbers:?}");
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(got.iter().all(|image| *image == sent[image.header.index_start as usize]));
    // The images in the sockets when it stalled, and the newest in its queue.
    assert_eq!(numbers[0], 0);
    assert!(numbers.ends_with(&(SNAPSHOTS - 64..SNAPSHOTS).collect::<Vec<_>>()), "{numbers:?}");
    assert_eq!(status(&bridge).live.lost, counted.lost);
}

#[test]
fn an_observer_may_use_live_images_and_the_callback_port() {
    let instrument = simulator("[images]\nframes_per_s = 100\nwidth = 64\nheight = 64\n");
    let bridge = bridge(instrument.control(), |settings| {
        settings.access.default_role = Some(Role::Observer);
    });
    let mut viewer = socket(live(&bridge));
    let mut subscriber = RawClient::to(bridge.callback().expect("the port is on"));
    until(&bridge, |status| status.live.upstream && status.callback.subscribers == 1);
    let mut refused = RawClient::to(bridge.control());
    assert!(refused.until_end().is_empty(), "the control port closes at once");
    let mut stacks = RawClient::to(bridge.stack().expect("the port is on"));
    assert!(stacks.until_end().is_empty(), "the stack port closes at once");

    let mut other = RawClient::connect(&instrument);
    execute(&mut other, &command(Code::CAMERA_LIVE_VIEW_START));
    assert_eq!(image(&mut viewer).header.index_start, 0);
    subscriber.until_code(Code::SYSTEM_STATE_LIVE_VIEW);
    let status = status(&bridge);
    assert!(status.clients.is_empty());
    assert_eq!(status.total().commands, 0);
}
