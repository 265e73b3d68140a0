//! What was lost or held up, as a line of text for whoever listens, whenever it has changed. A line
//! goes out as there is room for it; nothing waits for it.

use core::fmt::Write;

/// What is counted. All of them from the start of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes that were no command.
    pub noise: u64,
    /// Uploads whose rest did not come.
    pub cut_uploads: u32,
    /// How often the queue of bytes that came in was full, so that the sender was held up.
    pub held: u32,
    /// How often the UART lost bytes, since a sender could not be held up.
    pub overruns: u32,
}

/// The line that goes out, and what it says.
#[derive(Default)]
pub struct Report {
    said: Counts,
    line: heapless::String<96>,
    out: usize,
}

impl Report {
    /// Gives as many bytes to `put` as it takes.
    pub fn turn(&mut self, counts: Counts, mut put: impl FnMut(u8) -> bool) {
        if self.out == self.line.len() && counts != self.said {
            self.said = counts;
            self.out = 0;
            self.line.clear();
            let Counts { noise, cut_uploads, held, overruns } = counts;
            // It fits: four numbers of 20 digits at most, and these words.
            let _ = writeln!(
                self.line,
                "noise {noise} cut {cut_uploads} held {held} overruns {overruns}"
            );
        }
        let rest = self.line.as_bytes().get(self.out..).unwrap_or(&[]);
        self.out += rest.iter().take_while(|byte| put(**byte)).count();
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_change_is_reported_once_in_whole_lines_on_a_slow_uart() {
        let mut report = Report::default();
        let mut out = Vec::new();
        let mut turn = |counts, bytes: usize| {
            let end = out.len() + bytes;
            report.turn(counts, |byte| {
                let room = out.len() < end;
                if room {
                    out.push(byte);
                }
                room
            });
        };
        turn(Counts::default(), 100);
        let first = Counts { noise: 7, ..Counts::default() };
        turn(first, 5);
        let last = Counts { noise: u64::MAX, cut_uploads: 1, held: 2, overruns: u32::MAX };
        for _ in 0..50 {
            turn(last, 3);
        }
        let lines = "noise 7 cut 0 held 0 overruns 0\n\
                     noise 18446744073709551615 cut 1 held 2 overruns 4294967295\n";
        assert_eq!(core::str::from_utf8(&out), Ok(lines));
    }
}
