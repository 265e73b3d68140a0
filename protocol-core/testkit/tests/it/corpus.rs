//! Runs the fuzz bodies on every file of the fuzz corpora and on random inputs, with stable Rust.

use std::path::Path;

use flamingo_testkit::bodies;

fn replay(target: &str) {
    let (_, body) = bodies::ALL.into_iter().find(|(name, _)| *name == target).unwrap();
    if !cfg!(miri) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let files = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} is missing: {error}", folder.display()));
        let mut replayed = 0;
        for file in files {
            body(&std::fs::read(file.unwrap().path()).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "{} is empty", folder.display());
    }
    let (strings, longest) = if cfg!(miri) { (2, 30) } else { (500, 400) };
    for seed in 0..strings {
        let mut rng = fastrand::Rng::with_seed(seed);
        let data: Vec<_> = (0..rng.usize(0..longest)).map(|_| rng.u8(..)).collect();
        body(&data);
    }
}

#[test]
fn the_frame_body_passes_on_its_corpus() {
    replay("frame");
}

#[test]
fn the_assembler_body_passes_on_its_corpus() {
    replay("assembler");
}

#[test]
fn the_connection_body_passes_on_its_corpus() {
    replay("connection");
}

#[test]
fn the_responder_body_passes_on_its_corpus() {
    replay("responder");
}

#[test]
fn the_image_body_passes_on_its_corpus() {
    replay("image");
}
