//! Every file of the corpus of the router's fuzz target, and random strings, on stable.

#[path = "../../../../fuzz/fuzz_targets/router_body.rs"]
mod body;

use std::path::Path;

#[test]
fn no_client_is_told_what_it_did_not_ask_whatever_clients_and_instrument_do() {
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
