//! Runs the body of the fuzz target for captures on stable: with every file of its corpus, and with
//! changed pieces of them.

#[path = "../../../../fuzz/fuzz_targets/capture_body.rs"]
mod capture_body;

use std::path::Path;

/// Changes bytes, takes pieces away, doubles them, or cuts the end off.
fn changed(rng: &mut fastrand::Rng, file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..rng.usize(1..6) {
        let from = rng.usize(..bytes.len());
        let to = bytes.len().min(from + rng.usize(1..300));
        match rng.u8(..6) {
            0 => drop(bytes.drain(from..to)),
            1 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            2 => bytes.truncate(from.max(24)),
            3 => bytes[from] = rng.u8(..),
            4 => bytes[from] = [0, 1, 0x7F, 0x80, 0xFF][rng.usize(..5)],
            _ => {
                let word = [0, 4, 12, 0xFF, 0x0100_0000, u32::MAX][rng.usize(..6)];
                let at = from.min(bytes.len().saturating_sub(4));
                for (place, byte) in bytes[at..].iter_mut().zip(word.to_le_bytes()) {
                    *place = byte;
                }
            }
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

#[test]
fn the_fuzz_body_of_captures_accepts_changed_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/capture");
    let files = std::fs::read_dir(folder).into_iter().flatten();
    let files: Vec<_> =
        files.map(|file| std::fs::read(file.expect("a file").path()).expect("its bytes")).collect();
    assert!(files.len() >= 40, "the corpus has {} files", files.len());
    for (seed, file) in (0..).zip(&files) {
        capture_body::run(file);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..20 {
            capture_body::run(&changed(&mut rng, file));
        }
    }
}
