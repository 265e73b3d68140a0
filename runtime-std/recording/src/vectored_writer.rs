//! A writer that joins small pieces and lends large ones to one vectored write, so that pixels go to the
//! file without being copied.

use std::io::{self, ErrorKind, IoSlice, Write};

use bytes::Bytes;

/// When so many bytes wait, they are written.
const WRITE_SIZE: usize = 1024 * 1024;
/// A piece of so many bytes or more is lent; a smaller one is copied.
const LENT: usize = 4 * 1024;

/// Bytes that wait to be written.
enum Piece {
    /// The next so many bytes of `copied`.
    Copied(usize),
    Lent(Bytes),
}

pub(super) struct VectoredWriter<W: Write> {
    writer: W,
    copied: Vec<u8>,
    pieces: Vec<Piece>,
    length: usize,
}

impl<W: Write> VectoredWriter<W> {
    pub(super) const fn new(writer: W) -> Self {
        Self { writer, copied: Vec::new(), pieces: Vec::new(), length: 0 }
    }

    /// Like `write_all`, but lends the bytes if they are many.
    pub(super) fn write_bytes(&mut self, bytes: &Bytes) -> io::Result<()> {
        if bytes.len() < LENT {
            return self.write_all(bytes);
        }
        self.pieces.push(Piece::Lent(bytes.clone()));
        self.added(bytes.len())
    }

    fn added(&mut self, length: usize) -> io::Result<()> {
        self.length += length;
        if self.length < WRITE_SIZE { Ok(()) } else { self.write_out() }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let mut copied = &self.copied[..];
        let mut slices = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            slices.push(IoSlice::new(match piece {
                Piece::Lent(bytes) => bytes,
                Piece::Copied(length) => {
                    let (some, rest) = copied.split_at(*length);
                    copied = rest;
                    some
                }
            }));
        }
        let mut rest = &mut slices[..];
        let mut result = Ok(());
        while !rest.is_empty() {
            match self.writer.write_vectored(rest) {
                Ok(0) => result = Err(ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut rest, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        // After an error nothing is tried again: the recording ends.
        self.copied.clear();
        self.pieces.clear();
        self.length = 0;
        result
    }
}

impl<W: Write> Write for VectoredWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.copied.extend_from_slice(bytes);
        match self.pieces.last_mut() {
            Some(Piece::Copied(length)) => *length += bytes.len(),
            _ => self.pieces.push(Piece::Copied(bytes.len())),
        }
        self.added(bytes.len())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that takes few bytes at a time.
    #[derive(Default)]
    struct Narrow(Vec<u8>);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let some = &bytes[..bytes.len().min(777)];
            self.0.extend_from_slice(some);
            Ok(some.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_bytes_are_written_once_and_in_order() {
        let mut writer = VectoredWriter::new(Narrow::default());
        let mut expected = Vec::new();
        for n in 0..2_000_usize {
            let piece = vec![n.to_le_bytes()[0]; [0, 1, 100, LENT - 1, LENT, 3 * LENT][n % 6]];
            expected.extend_from_slice(&piece);
            if n % 2 == 0 {
                writer.write_all(&piece).unwrap();
            } else {
                writer.write_bytes(&Bytes::from(piece)).unwrap();
            }
        }
        writer.flush().unwrap();
        assert!(writer.writer.0 == expected);
    }
}
