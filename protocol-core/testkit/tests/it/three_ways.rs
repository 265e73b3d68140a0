//! Gives each reader its input in three ways: whole, byte by byte, and with trailing data. Then tries every
//! cut of a 512-byte stream into two and three pieces. The transcript must not depend on it.

use flamingo_protocol_core::{
    CommandCode, Frame, Responder,
    image::{ImageHeader, ImageReader, MAX_IMAGE},
    wire::{Assembler, MAX_PAYLOAD},
};
use flamingo_testkit::readers::{self, Item, Transcript};
use flamingo_testkit::reference::{self, END, START};

/// 512 bytes: three frames, a payload that contains both markers, noise, and false markers.
fn control_stream() -> Vec<u8> {
    let frame = |code, axis| Frame::new(CommandCode(code)).with_selector(axis);
    let mut with_markers = frame(0x6008, 2).with_payload_len(90);
    with_markers.buffer[8..12].copy_from_slice(&START);
    with_markers.buffer[60..64].copy_from_slice(&END);
    let mut payload = vec![0xF3; 90];
    payload[10..14].copy_from_slice(&START);
    payload[60..64].copy_from_slice(&END);
    let mut stream = vec![0x54, 0xE6, 0x00, 0x21];
    stream.extend(frame(0x6008, 1).encode());
    stream.extend(with_markers.encode());
    stream.extend(payload);
    stream.extend(START);
    stream.extend([START.as_slice(), &[7; 15], &START[..3]].concat());
    stream.extend(frame(0xA007, 0).encode());
    stream.extend(END);
    stream.extend(&START[..4]);
    assert_eq!(stream.len(), 512);
    stream
}

/// 512 bytes: headers, pixels, a header without pixels, and an invalid header at the end.
fn image_stream() -> Vec<u8> {
    let header = |width, height| ImageHeader {
        size: 2 * width * height,
        width,
        height,
        device: 3,
        ..ImageHeader::default()
    };
    let mut stream = Vec::new();
    for (width, height) in [(7, 11), (0, 0), (1, 1), (5, 9)] {
        stream.extend(header(width, height).encode());
        stream.extend((0..2 * width * height).map(|byte| byte as u8));
    }
    stream.extend(ImageHeader { size: 9, ..header(2, 2) }.encode());
    stream.resize(512, 0xAA);
    stream
}

type ReadFn = fn(&[&[u8]]) -> Transcript;

fn assembler(chunks: &[&[u8]]) -> Transcript {
    readers::assembler(Assembler::default(), chunks.iter().copied())
}

fn connection(chunks: &[&[u8]]) -> Transcript {
    let command = |code| Frame::command(CommandCode(code)).with_selector(1);
    let client = readers::client_with(&[command(0x6008), command(0xA007).with_selector(0)]);
    readers::connection(client, chunks.iter().copied())
}

fn responder(chunks: &[&[u8]]) -> Transcript {
    readers::responder(Responder::default(), chunks.iter().copied())
}

fn images(chunks: &[&[u8]]) -> Transcript {
    readers::images(ImageReader::default(), chunks.iter().copied())
}

/// The reference reader of a stream.
type ReferenceFn = fn(&[u8]) -> Transcript;

fn three_ways(read: ReadFn, expected: ReferenceFn, stream: &[u8]) {
    let whole = read(&[stream]);
    assert_eq!(whole.bytes(), stream.len());
    assert_eq!(whole.clone().without_classes(), expected(stream), "whole");
    assert_eq!(read(&stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    for end in 0..stream.len() {
        let cut = &stream[..end];
        let part = read(&[cut]);
        assert_eq!(part.clone().without_classes(), expected(cut), "cut off at {end}");
        // The rest of the stream does not change earlier items, except that the last payload grows.
        let items = part.items.iter().filter(|item| !matches!(item, Item::Payload(_)));
        let all_items = whole.items.iter().filter(|item| !matches!(item, Item::Payload(_)));
        assert!(
            items.zip(all_items).all(|(part, whole)| part == whole),
            "trailing data from {end}"
        );
    }
}

fn every_split(read: ReadFn, stream: &[u8]) {
    let whole = read(&[stream]);
    let step = if cfg!(miri) { 61 } else { 1 };
    for first in (0..=stream.len()).step_by(step) {
        let (left, rest) = stream.split_at(first);
        assert_eq!(read(&[left, rest]), whole, "cut at {first}");
        for second in (0..rest.len()).step_by(step) {
            let (middle, right) = rest.split_at(second);
            assert_eq!(read(&[left, middle, right]), whole, "cuts at {first}, {}", first + second);
        }
    }
}

fn control(stream: &[u8]) -> Transcript {
    reference::control(stream, MAX_PAYLOAD, false)
}

#[test]
fn the_assembler_reads_three_ways() {
    three_ways(assembler, control, &control_stream());
}

#[test]
fn the_client_reads_three_ways() {
    three_ways(connection, control, &control_stream());
}

#[test]
fn the_responder_reads_three_ways() {
    three_ways(responder, control, &control_stream());
}

#[test]
fn the_image_reader_reads_three_ways() {
    three_ways(images, |stream| reference::images(stream, MAX_IMAGE), &image_stream());
}

#[test]
fn no_cut_in_two_or_three_changes_what_the_assembler_reads() {
    every_split(assembler, &control_stream());
}

#[test]
fn no_cut_in_two_or_three_changes_what_the_client_reads() {
    every_split(connection, &control_stream());
}

#[test]
fn no_cut_in_two_or_three_changes_what_the_responder_reads() {
    every_split(responder, &control_stream());
}

#[test]
fn no_cut_in_two_or_three_changes_the_image_transcript() {
    every_split(images, &image_stream());
}
