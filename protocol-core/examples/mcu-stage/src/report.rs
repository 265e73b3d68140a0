//! Writes the counters of losses as a line of text when they have changed. The line goes out as the UART
//! has room; nothing waits for it.

use core::fmt::Write;

/// The counters, since the start of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes that are not part of a command.
    pub noise: u64,
    /// Uploads that stayed incomplete.
    pub cut_uploads: u32,
    /// How often the input queue was full, so that input had to wait.
    pub held: u32,
    /// How often the UART lost bytes, because the sender did not wait.
    pub overruns: u32,
}

/// The line that is being written, and the counters in it.
#[derive(Default)]
pub struct Report {
    reported: Counts,
    line: heapless::String<96>,
    written: usize,
}

impl Report {
    /// Begins a new line if the counters have changed and the last line is complete. Writes bytes with
    /// `put` until it returns false.
    pub fn poll(&mut self, counts: Counts, mut put: impl FnMut(u8) -> bool) {
        if self.written == self.line.len() && counts != self.reported {
            self.reported = counts;
            self.written = 0;
            self.line.clear();
            let Counts { noise, cut_uploads, held, overruns } = counts;
            // The line fits: it has four numbers of at most 20 digits, and these words.
            let _ = writeln!(
                self.line,
                "noise {noise} cut {cut_uploads} held {held} overruns {overruns}"
            );
        }
        let rest = self.line.as_bytes().get(self.written..).unwrap_or(&[]);
        self.written += rest.iter().take_while(|byte| put(**byte)).count();
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
        let mut poll = |counts, bytes: usize| {
            let end = out.len() + bytes;
            report.poll(counts, |byte| {
                let room = out.len() < end;
                if room {
                    out.push(byte);
                }
                room
            });
        };
        poll(Counts::default(), 100);
        let first = Counts { noise: 7, ..Counts::default() };
        poll(first, 5);
        let last = Counts { noise: u64::MAX, cut_uploads: 1, held: 2, overruns: u32::MAX };
        for _ in 0..50 {
            poll(last, 3);
        }
        let lines = "noise 7 cut 0 held 0 overruns 0\n\
                     noise 18446744073709551615 cut 1 held 2 overruns 4294967295\n";
        assert_eq!(core::str::from_utf8(&out), Ok(lines));
    }
}
