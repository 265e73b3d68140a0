//! Packed files: those of gzip are read, also in part; the others are named.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn packed_files_are_read_or_named() {
    let plain = file(RAW_IP, &[ip(0), ip(1)]);
    let packed = pack(&plain);
    assert!(is_capture(&packed[..4]));
    assert_eq!(found(packed.clone()).0, [0, 1]);
    let parts = [pack(&plain[..50]), pack(&plain[50..])].concat();
    assert_eq!(found(parts).0, [0, 1], "two members");
    let cut = open(packed[..packed.len() - 20].to_vec());
    assert!(matches!(cut.last(), Some(Err(CaptureError::Cut))));
    let other = Capture::from_reader(Box::new(Cursor::new(pack(b"no capture at all, but long"))));
    assert!(matches!(other, Err(CaptureError::Form)));
    for (beginning, command) in [
        (&[0x28, 0xB5, 0x2F, 0xFD, 1][..], "zstd -d"),
        (&[0x04, 0x22, 0x4D, 0x18, 1], "lz4 -d"),
        (&[0xFD, b'7', b'z', b'X', b'Z'], "xz -d"),
        (b"BZh9", "bzip2 -d"),
    ] {
        assert!(is_capture(beginning));
        let refused = Capture::from_reader(Box::new(Cursor::new(beginning.to_vec())));
        assert!(refused.unwrap_err().to_string().contains(command));
    }
}

#[test]
fn damaged_packed_bytes_cost_only_what_follows_them() {
    let plain = file(RAW_IP, &(0..200).map(ip).collect::<Vec<_>>());
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(&plain).unwrap();
    packer.flush().unwrap();
    // No block of packed bytes begins with these bits.
    let packed = [&packer.get_ref()[..], &[0xFF; 16]].concat();
    let mut capture = open(packed);
    let events: Vec<_> = capture.by_ref().collect();
    assert!(matches!(events.last(), Some(Err(CaptureError::Read(_)))));
    assert!(capture.packets() > 170, "{}", capture.packets());
}
