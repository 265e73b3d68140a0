//! Counts the instructions that the core needs for a frame on a Cortex-M4 in QEMU. It prints the
//! largest count of a thousand rounds. `scripts/instructions` builds it, runs it and compares the
//! counts.
//!
//! Each line of its output is `count name`.
#![no_std]
#![no_main]

mod board;
mod calls;
mod cases;

use cortex_m_semihosting::hprintln;

use board::Counter;

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(counter) = Counter::start() else { board::exit(false) };
    let (hundred, ()) = counter.count(board::hundred_instructions);
    hprintln!("{} a hundred, to check the counting", hundred);
    for (name, case) in cases::ALL {
        let Some(most) = case(&counter) else {
            hprintln!("the core did not do what was to be counted: {}", name);
            board::exit(false)
        };
        hprintln!("{} {}", most, name);
    }
    board::exit(true)
}
