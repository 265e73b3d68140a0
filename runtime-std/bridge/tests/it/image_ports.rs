//! Live and stack images through the bridge, beside a viewer that looks at the simulated instrument
//! itself. What an image port does with a broken stream is tested where it is written.

use std::net::{SocketAddr, TcpStream};
use std::thread::{JoinHandle, spawn};

use crate::harness::{bridge, status, until};
use flamingo_bridge::{Bridge, settings::Role};
use flamingo_protocol_core::{CommandCode as Code, Frame, ImageHeader};
use flamingo_runtime_testkit::raw::{Image, Raw, command, image, simulator, socket, workflow};

/// The images of a viewer up to the one for which `last` holds.
fn images(viewer: &mut TcpStream, last: fn(&ImageHeader) -> bool) -> Vec<Image> {
    let mut images = Vec::new();
    while !images.last().is_some_and(|image: &Image| last(&image.header)) {
        images.push(image(viewer));
    }
    images
}

/// A viewer with a thread of its own.
fn watch(address: SocketAddr, last: fn(&ImageHeader) -> bool) -> JoinHandle<Vec<Image>> {
    let mut viewer = socket(address);
    spawn(move || images(&mut viewer, last))
}

fn live(bridge: &Bridge) -> SocketAddr {
    bridge.live().expect("it is on")
}

/// The command is done.
fn order(client: &mut Raw, frame: &Frame) {
    let answer = client.ask(frame).frame;
    assert_eq!(answer.status, 1, "{answer}");
}

/// One image that is narrower than those before it: the last one.
fn take_last(client: &mut Raw) {
    order(client, &command(Code::CAMERA_ROI_LEFT_SET).with_selector(17));
    order(client, &command(Code::CAMERA_SNAPSHOT_GET));
}

fn is_last(header: &ImageHeader) -> bool {
    header.width < header.height
}

fn numbers(images: &[Image]) -> Vec<i32> {
    images.iter().map(|image| image.header.index_start).collect()
}

/// All of the instrument's images from the first to the last, as the direct viewer has them.
fn assert_same(direct: &[Image], relayed: JoinHandle<Vec<Image>>) {
    let relayed = relayed.join().expect("every image comes");
    assert_eq!(numbers(&relayed), numbers(direct));
    assert!(relayed == direct, "each byte as it was sent");
}

#[test]
fn each_live_viewer_gets_every_image_whole_and_in_order() {
    let instrument = simulator(
        "[images]\nframes_per_s = 100\nwidth = 128\nheight = 128\n[server]\nlive_clients = 2\n",
    );
    let bridge = bridge(instrument.control(), |_| {});
    let direct = watch(instrument.live(), is_last);
    let relayed = [(); 2].map(|()| watch(live(&bridge), is_last));
    until(&bridge, |status| status.live.viewers == 2 && status.live.upstream);
    let mut client = Raw::to(bridge.control());
    order(&mut client, &command(Code::CAMERA_LIVE_VIEW_START));
    until(&bridge, |status| status.live.images >= 100);
    order(&mut client, &command(Code::CAMERA_LIVE_VIEW_STOP));
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
fn each_stack_viewer_gets_every_image_of_a_workflow_whole_and_in_order() {
    let instrument = simulator(
        "[stage]\nspeed_factor = 50\n[images]\nwidth = 64\nheight = 64\n[server]\nstack_clients = 2\n",
    );
    let bridge = bridge(instrument.control(), |_| {});
    let last = |header: &ImageHeader| header.index_start == 23;
    let direct = watch(instrument.stack(), last);
    let stack = bridge.stack().expect("it is on");
    let relayed = [(); 2].map(|()| watch(stack, last));
    until(&bridge, |status| status.stack.viewers == 2 && status.stack.upstream);
    assert!(!status(&bridge).live.upstream, "nobody looks at the live images");
    let mut client = Raw::to(bridge.control());
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
fn one_connection_to_the_live_port_is_opened_with_the_first_viewer_and_closed_after_the_last() {
    // A second connection would be closed at once.
    let instrument = simulator(
        "[images]\nframes_per_s = 100\nwidth = 64\nheight = 64\n[server]\nlive_clients = 1\n",
    );
    let bridge = bridge(instrument.control(), |_| {});
    let mut client = Raw::to(bridge.control());
    order(&mut client, &command(Code::CAMERA_LIVE_VIEW_START));
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
    // Its place at the instrument is free as soon as that has seen it.
    let free = (0..10_000).any(|_| matches!(socket(instrument.live()).peek(&mut [0]), Ok(1)));
    assert!(free, "the connection is still there");
    let mut third = socket(live(&bridge));
    assert!(image(&mut third).header.index_start > index);
}

#[test]
fn a_viewer_that_does_not_read_loses_its_own_oldest_images_and_the_status_counts_them() {
    const SNAPSHOTS: i32 = 160;
    let instrument = simulator("[camera]\nexposure_us = 1\n[images]\nwidth = 512\nheight = 512\n");
    let bridge = bridge(instrument.control(), |_| {});
    let [mut slow, mut quick] = [(); 2].map(|()| socket(live(&bridge)));
    until(&bridge, |status| status.live.viewers == 2 && status.live.upstream);
    let mut client = Raw::to(bridge.control());
    let mut sent = Vec::new();
    for number in 0..SNAPSHOTS {
        order(&mut client, &command(Code::CAMERA_SNAPSHOT_GET));
        // The next one is taken when it has this one, so that it is never behind.
        let image = image(&mut quick);
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
    // What was in the sockets when it stalled, and the newest that could wait for it.
    assert_eq!(numbers[0], 0);
    assert!(numbers.ends_with(&(SNAPSHOTS - 64..SNAPSHOTS).collect::<Vec<_>>()), "{numbers:?}");
    assert_eq!(status(&bridge).live.lost, counted.lost);
}

#[test]
fn an_observer_sees_live_images_and_listens_and_has_neither_control_nor_stacks() {
    let instrument = simulator("[images]\nframes_per_s = 100\nwidth = 64\nheight = 64\n");
    let bridge = bridge(instrument.control(), |settings| {
        settings.access.default_role = Role::Observer;
    });
    let mut viewer = socket(live(&bridge));
    let mut subscriber = Raw::to(bridge.callback().expect("it is on"));
    until(&bridge, |status| status.live.upstream && status.callback.subscribers == 1);
    let mut refused = Raw::to(bridge.control());
    assert!(refused.until_end().is_empty(), "closed without a word");
    let mut stacks = Raw::to(bridge.stack().expect("it is on"));
    assert!(stacks.until_end().is_empty(), "this one, too");

    let mut other = Raw::connect(&instrument);
    order(&mut other, &command(Code::CAMERA_LIVE_VIEW_START));
    assert_eq!(image(&mut viewer).header.index_start, 0);
    subscriber.until_code(Code::SYSTEM_STATE_LIVE_VIEW);
    let status = status(&bridge);
    assert!(status.clients.is_empty());
    assert_eq!(status.total().commands, 0);
}
