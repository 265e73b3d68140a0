//! The rule of the first frame, the limit of noise, and the time limits.

use flamingo_protocol_core::{CommandCode, Frame};

use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

fn frame(number: i32) -> [u8; FRAME_LEN] {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(number).encode()
}

/// The numbers of the frames that a client has sent before it was refused, if it was.
type Read = (Vec<i32>, Option<InputError>);

fn read_parts<'a>(limits: InputLimits, parts: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut reader = CommandReader::new(at(0), limits);
    let mut frames = Vec::new();
    for mut part in parts {
        while !part.is_empty() {
            match reader.handle_input(at(0), part) {
                Err(error) => return (frames, Some(error)),
                Ok((consumed, incoming)) => {
                    part = &part[consumed..];
                    if let Some(Incoming::Command { frame, .. }) = incoming {
                        frames.push(frame.selector());
                    }
                }
            }
        }
    }
    (frames, None)
}

/// Reads `bytes` whole, in two parts at each position, and in parts of each length.
fn read_in_every_way(limits: InputLimits, bytes: &[u8]) -> Vec<Read> {
    let two = (1..bytes.len()).map(|at| bytes.split_at(at));
    let two = two.map(|(one, other)| read_parts(limits, [one, other]));
    let equal = (1..=bytes.len()).map(|length| read_parts(limits, bytes.chunks(length)));
    two.chain(equal).collect()
}

/// The first bytes of programs that are no clients.
fn strangers() -> Vec<Vec<u8>> {
    let mut strangers: Vec<Vec<u8>> = [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"TRACE / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\x01\x00\x00\x21\x12\xa4\x42",
        b"T\xE6",
        b"T\xE6\x21X",
        b"T\xE6\x21T\xE6\x21\xF3",
        b"TT\xE6\x21\xF3",
        b"\0",
        b"\xFF\xFF",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    // The start marker of a frame, and no end marker.
    strangers.push([&frame(7)[..4], &[b'a'; 124]].concat());
    let mut shifted = frame(7).to_vec();
    shifted.insert(50, b'a');
    strangers.push(shifted);
    let long = Frame::command(CommandCode::CAMERA_CHECK_STACK).with_payload_len(u32::MAX);
    strangers.push(long.encode().to_vec());
    strangers
}

#[test]
fn a_frame_behind_other_first_bytes_is_never_read() {
    for stranger in strangers() {
        let bytes = [&stranger[..], &frame(1), &frame(2)].concat();
        for (frames, error) in read_in_every_way(InputLimits::COMMANDS, &bytes) {
            assert!(frames.is_empty(), "{stranger:?}: {frames:?}");
            assert!(error.is_some(), "{stranger:?}");
        }
    }
}

#[test]
fn a_client_is_refused_at_its_first_byte_that_fits_no_frame() {
    for (first, length) in [(&b"G"[..], 1), (b"TR", 2), (b"T\xE6A", 3), (b"T\xE6\x21A", 4)] {
        let mut reader = CommandReader::new(at(0), InputLimits::COMMANDS);
        for byte in &first[..length - 1] {
            assert_eq!(reader.handle_input(at(0), &[*byte]), Ok((1, None)));
        }
        let refused = reader.handle_input(at(0), &first[length - 1..]);
        assert_eq!(refused, Err(InputError::NotAFrame { found: first.to_vec() }));
    }
    let mut broken = frame(1);
    broken[127] ^= 1;
    let (frames, error) = read_parts(InputLimits::COMMANDS, broken.chunks(1));
    assert!(frames.is_empty(), "{frames:?}");
    assert_eq!(error, Some(InputError::BrokenFrame { found: *broken.last_chunk().unwrap() }));
    assert_eq!(read_parts(InputLimits::COMMANDS, [&broken[..127]]), (vec![], None));
}

#[test]
fn the_error_shows_what_came_and_what_was_expected() {
    let get = read_parts(InputLimits::COMMANDS, [&b"GET / HTTP/1.1\r\n"[..]]).1.unwrap();
    assert_eq!(
        get.to_string(),
        "expected a frame (54 E6 21 F3 ...), found 47 45 54 20 (\"GET \"): a web page or another \
         program?"
    );
    let broken = [&frame(1)[..124], b"\r\n\r\n"].concat();
    let broken = read_parts(InputLimits::COMMANDS, [&broken[..]]).1.unwrap().to_string();
    assert!(broken.contains("ends with 21 43 DC FE") && broken.contains("found 0D 0A 0D 0A"));
}

#[test]
fn noise_up_to_the_limit_is_skipped_in_any_division() {
    let limits = InputLimits { noise_bytes: 9, ..InputLimits::COMMANDS };
    let marker = START_MARKER.to_le_bytes();
    for noise in [[0xAA; 16], [marker[0]; 16], marker.repeat(4).try_into().unwrap()] {
        for length in [0, 1, 8, 9, 10, 16] {
            let noise = &noise[..length];
            let bytes = [&frame(1)[..], noise, &frame(2), &noise[..length.min(9)], &frame(3)];
            for (frames, error) in read_in_every_way(limits, &bytes.concat()) {
                if length <= 9 {
                    assert_eq!((&frames[..], error), (&[1, 2, 3][..], None), "{length} bytes");
                } else {
                    let limit = 9;
                    assert_eq!(frames, [1], "{length} bytes");
                    assert_eq!(error, Some(InputError::TooMuchNoise { limit }));
                }
            }
        }
    }
}

#[test]
fn noise_is_not_counted_in_payloads() {
    let limits = InputLimits { noise_bytes: 0, ..InputLimits::COMMANDS };
    let upload = Frame::command(CommandCode::CAMERA_CHECK_STACK).with_selector(1);
    let bytes = [&upload.with_payload_len(300).encode()[..], &[0xAA; 300], &frame(2)].concat();
    for read in read_in_every_way(limits, &bytes) {
        assert_eq!(read, (vec![1, 2], None));
    }
}

#[test]
fn a_payload_above_the_limit_makes_it_no_frame() {
    let upload = |len| Frame::command(CommandCode::CAMERA_CHECK_STACK).with_payload_len(len);
    let limits = InputLimits { payload_bytes: 100, noise_bytes: 0, ..InputLimits::COMMANDS };
    let (_, first) = read_parts(limits, [&upload(101).encode()[..]]);
    assert!(matches!(first, Some(InputError::BrokenFrame { .. })), "{first:?}");
    let later = [&frame(1)[..], &upload(101).encode()].concat();
    let refused = Some(InputError::TooMuchNoise { limit: 0 });
    assert_eq!(read_parts(limits, [&later[..]]), (vec![1], refused));
    assert_eq!(read_parts(limits, [&upload(100).encode()[..]]), (vec![0], None));
}

#[test]
fn frames_follow_a_payload_that_is_forgotten() {
    let mut reader = CommandReader::new(at(0), InputLimits::COMMANDS);
    let upload = Frame::command(CommandCode::CAMERA_CHECK_STACK).with_payload_len(500);
    reader.handle_input(at(0), &upload.encode()).unwrap();
    reader.forget_payload();
    let second = frame(2);
    let read = reader.handle_input(at(0), &second);
    assert!(matches!(read, Ok((128, Some(Incoming::Command { skipped: 0, .. })))), "{read:?}");
    assert_eq!(reader.noise_bytes(), 0);
}

#[test]
fn a_client_without_a_frame_is_refused_in_time() {
    let mut reader = CommandReader::new(at(100), InputLimits::COMMANDS);
    assert_eq!(reader.poll_timeout(), Some(at(5_100)));
    assert_eq!(reader.check_time(at(5_099)), Ok(()));
    let late = reader.check_time(at(5_100)).unwrap_err();
    assert_eq!(late, InputError::NoFrame { within: FRAME_PATIENCE });
    assert_eq!(late.to_string(), "expected a frame within 5s after connecting, found none");
    // The first byte of a frame does not delay it.
    reader.handle_input(at(4_000), &frame(1)[..100]).unwrap();
    assert_eq!(reader.poll_timeout(), Some(at(5_100)));
    reader.handle_input(at(5_000), &frame(1)[100..]).unwrap();
    assert_eq!(reader.poll_timeout(), None, "it may be silent now");
}

#[test]
fn a_half_frame_is_late_however_slowly_it_comes() {
    let mut reader = CommandReader::new(at(0), InputLimits::COMMANDS);
    reader.handle_input(at(0), &frame(1)).unwrap();
    for second in 0_u8..5 {
        let now = at(60_000 + u64::from(second) * 1000);
        reader.check_time(now).unwrap();
        reader.handle_input(now, &frame(2)[usize::from(second)..][..1]).unwrap();
        assert_eq!(reader.poll_timeout(), Some(at(65_000)));
    }
    let half = InputError::HalfFrame { within: FRAME_PATIENCE };
    assert_eq!(reader.check_time(at(65_000)), Err(half));
}

#[test]
fn the_time_of_a_half_frame_begins_with_that_frame() {
    let mut reader = CommandReader::new(at(0), InputLimits::COMMANDS);
    let bytes = [&frame(1)[..], &frame(2), &frame(3)].concat();
    let mut read = |ms, mut part: &[u8]| {
        while !part.is_empty() {
            part = &part[reader.handle_input(at(ms), part).unwrap().0..];
        }
        reader.poll_timeout()
    };
    assert_eq!(read(0, &bytes[..130]), Some(at(5_000)));
    // One read ends the second frame and begins the third.
    assert_eq!(read(4_000, &bytes[130..300]), Some(at(9_000)));
    assert_eq!(read(8_000, &bytes[300..]), None);
    // A payload has its own limits.
    let upload = Frame::command(CommandCode::CAMERA_CHECK_STACK).with_payload_len(10);
    assert_eq!(read(9_000, &upload.encode()), None);
    assert_eq!(read(9_000, &[0x54; 5]), None);
}

#[test]
fn a_silent_port_takes_frames_and_no_other_byte() {
    let mut reader = CommandReader::new(at(0), InputLimits::SILENT);
    assert_eq!(reader.poll_timeout(), None);
    reader.handle_input(at(0), &frame(1)).unwrap();
    assert_eq!(reader.handle_input(at(0), b"G"), Err(InputError::TooMuchNoise { limit: 0 }));
}
