//! How fast does the core skip bytes that hold no frame?
//!
//! `cargo bench -p flamingo-testkit --bench hunting`
//!
//! The first ratio of each kind of bytes is its speed in GB/s, that is in bytes per nanosecond. The second
//! is the time of 4 MiB to that of 1 MiB.

use std::hint::black_box;
use std::process::ExitCode;

use flamingo_protocol_core::time::Instant;
use flamingo_testkit::bench::{Call, Lines, Target, nanoseconds};
use flamingo_testkit::situations::{client, junk};

const MIB: u32 = 1 << 20;
/// Bytes without any marker, in GB/s.
const EASY: f64 = 2.0;
/// The worst bytes, in GB/s.
const WORST: f64 = 0.2;

fn main() -> ExitCode {
    let mut lines = Lines::new(true);
    let now = Instant::from_micros(0);
    for (name, junk) in junk(4 * MIB as usize) {
        // For each byte.
        let skip = |bytes: u32, chunk: usize| {
            let (junk, mut client) = (&junk[..bytes as usize], client());
            Call::new(bytes, move || {
                for chunk in junk.chunks(chunk) {
                    let (consumed, output) = client.handle_input(now, black_box(chunk));
                    assert!(consumed == chunk.len() && output.is_none(), "{name} holds a frame");
                }
            })
        };
        let whole = usize::MAX;
        let times = nanoseconds(vec![skip(MIB, whole), skip(MIB, 1000), skip(4 * MIB, whole)]);
        let least = if matches!(name, "zeros" | "noise") { EASY } else { WORST };
        lines.ratio(&format!("GB/s: {name}"), 1.0 / times[0], Target::AtLeast(least));
        lines.ratio(
            &format!("GB/s in chunks of 1000: {name}"),
            1.0 / times[1],
            Target::AtLeast(WORST),
        );
        let growth = 4.0 * times[2] / times[0];
        lines.ratio(&format!("4 MiB to 1 MiB: {name}"), growth, Target::AtMost(4.4));
    }
    lines.exit_code()
}
