//! A writer that puts small pieces together and lends large ones, so that pixels go from where they
//! were read to the file without being copied here.

use std::io::{self, ErrorKind, IoSlice, Write};

use bytes::Bytes;

/// When so much has come together, it is written.
const TOGETHER: usize = 1024 * 1024;
/// A piece of so many bytes is lent, a smaller one copied.
const LENT: usize = 4 * 1024;

/// What waits to be written.
enum Piece {
    /// So many of the bytes that were copied.
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

    /// The same as `write_all`, without a copy where the bytes are many.
    pub(super) fn write_bytes(&mut self, bytes: &Bytes) -> io::Result<()> {
        if bytes.len() < LENT {
            return self.write_all(bytes);
        }
        self.pieces.push(Piece::Lent(bytes.clone()));
        self.added(bytes.len())
    }

    fn added(&mut self, length: usize) -> io::Result<()> {
        self.length += length;
        if self.length < TOGETHER { Ok(()) } else { self.write_out() }
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
        // What was not taken is not tried again: the recording ends.
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

    /// Takes few bytes at a time.
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
    fn everything_is_written_once_and_in_order_lent_or_copied() {
        let mut gather = VectoredWriter::new(Narrow::default());
        let mut expected = Vec::new();
        for n in 0..2_000_usize {
            let piece = vec![n.to_le_bytes()[0]; [0, 1, 100, LENT - 1, LENT, 3 * LENT][n % 6]];
            expected.extend_from_slice(&piece);
            if n % 2 == 0 {
                gather.write_all(&piece).unwrap();
            } else {
                gather.write_bytes(&Bytes::from(piece)).unwrap();
            }
        }
        gather.flush().unwrap();
        assert!(gather.writer.0 == expected);
    }
}
