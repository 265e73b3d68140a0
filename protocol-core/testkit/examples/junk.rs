//! Reads junk between two frames a million times: `cargo run -p flamingo-testkit --example junk`.
//! The arguments are the number of cases and the seed. It panics when a frame is lost.

use flamingo_testkit::junk;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut number = |default| match arguments.next() {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(error)) => panic!("expected a number of cases and a seed: {error}"),
    };
    let (cases, seed) = (number(1_000_000), number(1));
    let counts = junk::run(cases, seed);
    let junk_only = counts.cases - counts.formed_frame - counts.formed_payload;
    println!("cases                                     {}", counts.cases);
    println!("junk formed a valid frame                 {}", counts.formed_frame);
    println!("junk formed a frame with a payload        {}", counts.formed_payload);
    println!("next frame delivered                      {} of {junk_only}", counts.delivered);
}
