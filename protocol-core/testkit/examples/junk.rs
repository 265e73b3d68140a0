//! Junk between two frames, a million times: `cargo run -p flamingo-testkit --example junk`.
//! Arguments: cases, seed. It panics at the first frame that is lost.

use flamingo_testkit::junk;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut number = |otherwise| match arguments.next() {
        None => otherwise,
        Some(Ok(number)) => number,
        Some(Err(error)) => panic!("expected a number of cases and a seed: {error}"),
    };
    let (cases, seed) = (number(1_000_000), number(1));
    let figures = junk::run(cases, seed);
    let junk_only = figures.cases - figures.formed_frame - figures.formed_payload;
    println!("cases                                     {}", figures.cases);
    println!("junk formed a valid frame                 {}", figures.formed_frame);
    println!("junk formed one that declares a payload   {}", figures.formed_payload);
    println!("next frame delivered                      {} of {junk_only}", figures.delivered);
}
