//! Runs the body of the router's fuzz target on stable: with every file of its corpus, and with random
//! bytes.

#[path = "../../../../fuzz/fuzz_targets/router_body/mod.rs"]
mod body;

use std::path::Path;

#[test]
fn the_fuzz_body_accepts_its_corpus_and_random_bytes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/router");
    let files = std::fs::read_dir(folder).into_iter().flatten();
    for file in files {
        body::run(&std::fs::read(file.expect("a file").path()).expect("it can be read"));
    }
    for seed in 0..2000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let data: Vec<_> = (0..rng.usize(0..600)).map(|_| rng.u8(..)).collect();
        body::run(&data);
    }
}
