//! A scripted image port, for what the simulator cannot do, and the OME-TIFF that comes of it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use flamingo_protocol_core::image::ImageHeader;
use flamingo_runtime_testkit::folder::Folder;
use serde_json::Value;

use crate::program::{Running, start};

/// A port that sends what the test says. Its client sends nothing.
pub(crate) struct Port(TcpListener);

impl Port {
    pub(crate) fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn number(&self) -> String {
        self.0.local_addr().unwrap().port().to_string()
    }

    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub(crate) fn accept(&self) -> TcpStream {
        self.0.accept().unwrap().0
    }
}

/// A control port at which nobody listens: a program that connects to it fails.
pub(crate) fn nobody() -> String {
    Port::open().address()
}

/// An image of a camera, whose pixels all have one value.
fn image(device: u32, [width, height]: [u32; 2], index: i32, value: u16) -> Vec<u8> {
    let header = ImageHeader {
        size: 2 * width * height,
        width,
        height,
        device,
        index_start: index,
        index_stop: index,
        ..ImageHeader::default()
    };
    let mut bytes = header.encode().to_vec();
    bytes.extend(value.to_le_bytes().repeat((width * height) as usize));
    bytes
}

/// Sends an image of a camera and waits until the program has reported it.
pub(crate) fn send_image_of(
    viewer: &mut TcpStream,
    running: &Running,
    (device, size): (u32, [u32; 2]),
    value: u16,
) -> Value {
    viewer.write_all(&image(device, size, value.into(), value)).unwrap();
    serde_json::from_str(&running.line()).unwrap()
}

/// Sends an image and waits until the program has written it.
pub(crate) fn send_image(
    viewer: &mut TcpStream,
    running: &Running,
    index: i32,
    value: u16,
) -> Value {
    viewer.write_all(&image(0, [8, 6], index, value)).unwrap();
    serde_json::from_str(&running.line()).unwrap()
}

pub(crate) fn listener(stack: &Port, more: &[&str]) -> Running {
    let (control, port) = (nobody(), stack.number());
    let arguments =
        ["live", "--stack", "--json", "--connect", &control, "--stack-port", port.as_str()];
    start(&[&arguments[..], more].concat())
}

/// The pages and the description of an OME-TIFF.
pub(crate) fn ome(path: &Path) -> (usize, String) {
    let mut decoder = tiff::decoder::Decoder::new(std::fs::File::open(path).unwrap()).unwrap();
    let xml = decoder.get_tag_ascii_string(tiff::tags::Tag::ImageDescription).unwrap();
    let mut pages = 1;
    while decoder.more_images() {
        decoder.next_image().unwrap();
        pages += 1;
    }
    (pages, xml)
}

pub(crate) fn only_file(folder: &Folder) -> PathBuf {
    let files = folder.files();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}
