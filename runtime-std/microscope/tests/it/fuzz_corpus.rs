//! Runs the bodies of the fuzz targets for scope settings and workflow files on stable: with every
//! file of their corpora, with random pieces of such files, and with random bytes.

#[path = "../../../../fuzz/fuzz_targets/settings_body.rs"]
mod settings_body;
#[path = "../../../../fuzz/fuzz_targets/workflow_body.rs"]
mod workflow_body;

use std::path::Path;

/// The files of a corpus.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).into_iter().flatten();
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("its bytes")).collect()
}

/// A file of the corpus with a few changes: a line taken away, doubled or moved, a byte replaced, or
/// a piece of another form put in.
fn changed(rng: &mut fastrand::Rng, files: &[Vec<u8>]) -> Vec<u8> {
    const PIECES: [&[u8]; 16] = [
        b"\xEF\xBB\xBF",
        b"\xC2\xA0",
        b"\xA0",
        b"\r",
        b"\n",
        b"#",
        b"//",
        b"</",
        b"<//",
        b">",
        b"=",
        b",",
        b"auto",
        b"NaN",
        b"\0",
        b"-1e308",
    ];
    let file = if files.is_empty() { &[][..] } else { &files[rng.usize(..files.len())] };
    let mut lines: Vec<Vec<u8>> =
        file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..rng.usize(1..6) {
        if lines.is_empty() {
            break;
        }
        let at = rng.usize(..lines.len());
        let other = rng.usize(..lines.len());
        match rng.u8(..5) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 if !lines[at].is_empty() => {
                let place = rng.usize(..lines[at].len());
                lines[at][place] = rng.u8(..);
            }
            _ => {
                let place = rng.usize(..=lines[at].len());
                let piece = PIECES[rng.usize(..PIECES.len())];
                lines[at].splice(place..place, piece.iter().copied());
            }
        }
    }
    lines.concat()
}

fn run(name: &str, body: fn(&[u8])) {
    let files = corpus(name);
    assert!(!files.is_empty(), "{name} has a corpus");
    for file in &files {
        body(file);
    }
    for seed in 0..4_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        body(&changed(&mut rng, &files));
        let data: Vec<_> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
        body(&data);
    }
}

#[test]
fn the_fuzz_body_of_settings_accepts_changed_files() {
    run("settings", settings_body::run);
}

#[test]
fn the_fuzz_body_of_workflows_accepts_changed_files() {
    run("workflow", workflow_body::run);
}
