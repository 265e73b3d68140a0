//! The bytes of the file in one buffer, from which blocks are taken. A file that gzip has packed is
//! unpacked here.
//!
//! No more is read than a block needs and a pipe has: each block of a live capture is taken as it comes.

use std::io::{BufReader, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use super::CaptureError;

/// The size of a read. The buffer grows if a block is longer.
const SIZE: usize = 256 * 1024;

/// How other packed files begin, and the command that unpacks them.
const PACKED: [(&[u8], &str); 4] = [
    (&[0x28, 0xB5, 0x2F, 0xFD], "zstd -d"),
    (&[0x04, 0x22, 0x4D, 0x18], "lz4 -d"),
    (&[0xFD, b'7', b'z', b'X'], "xz -d"),
    (b"BZh", "bzip2 -d"),
];
pub(super) const GZIP: [u8; 2] = [0x1F, 0x8B];

/// The command that unpacks a file with this beginning, if it is packed in a form that is not read.
pub(super) fn unpacked_by(beginning: &[u8]) -> Option<&'static str> {
    PACKED.iter().find(|(magic, _)| beginning.starts_with(magic)).map(|(_, command)| *command)
}

pub(super) struct Source {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Where the bytes begin and end that were read and not consumed.
    begin: usize,
    end: usize,
    over: bool,
}

impl Source {
    /// Reads the beginning, and unpacks what follows if it is packed.
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        let mut source = Self::plain(reader);
        source.fill(4)?;
        if let Some(command) = unpacked_by(source.bytes()) {
            return Err(CaptureError::Packed { command });
        }
        if source.bytes().starts_with(&GZIP) {
            let read = source.bytes().to_vec();
            let packed = BufReader::new(Cursor::new(read).chain(source.reader));
            return Ok(Self::plain(Box::new(MultiGzDecoder::new(packed))));
        }
        Ok(source)
    }

    fn plain(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, buffer: vec![0; SIZE], begin: 0, end: 0, over: false }
    }

    /// The bytes that were read and not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.begin..self.end]
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.begin = self.end.min(self.begin + count);
    }

    /// Reads until so many bytes wait. Returns whether they do: if not, the file is at its end.
    pub(super) fn fill(&mut self, wanted: usize) -> Result<bool, CaptureError> {
        while self.end - self.begin < wanted && !self.over {
            if self.begin + wanted > self.buffer.len() {
                self.buffer.copy_within(self.begin..self.end, 0);
                (self.begin, self.end) = (0, self.end - self.begin);
                if wanted > self.buffer.len() {
                    self.buffer.resize(wanted.next_multiple_of(SIZE), 0);
                }
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.over = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A packed file ends in the middle of its packed bytes.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.over = true;
                    return Err(CaptureError::Cut);
                }
                Err(error) => {
                    self.over = true;
                    return Err(CaptureError::Read(error));
                }
            }
        }
        Ok(self.end - self.begin >= wanted)
    }
}

/// Bytes as text. Text that is not UTF-8 is Latin-1.
pub(super) fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A pipe that has a few bytes at a time, and fails if it is read when it has none.
    struct Pipe(Vec<Vec<u8>>);

    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.pop().ok_or_else(|| io::Error::other("nothing has come yet"))?;
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn a_pipe_is_read_no_further_than_needed() {
        let pipe = Pipe(vec![vec![5, 6, 7], vec![1, 2, 3, 4]]);
        let mut source = Source::new(Box::new(pipe)).unwrap();
        assert_eq!(source.bytes(), [1, 2, 3, 4]);
        source.consume(2);
        assert!(source.fill(3).unwrap());
        assert_eq!(source.bytes(), [3, 4, 5, 6, 7]);
        assert!(source.fill(6).is_err());
    }

    #[test]
    fn the_buffer_slides_and_grows() {
        let all: Vec<u8> = (0..SIZE * 5).map(|n| n.to_le_bytes()[0]).collect();
        let mut source = Source::new(Box::new(Cursor::new(all.clone()))).unwrap();
        let mut found = Vec::new();
        for step in [7, SIZE, 2 * SIZE + 1, SIZE].into_iter().cycle() {
            let whole = source.fill(step).unwrap();
            let take = step.min(source.bytes().len());
            found.extend_from_slice(&source.bytes()[..take]);
            source.consume(take);
            if !whole {
                break;
            }
        }
        assert!(found == all);
    }

    #[test]
    fn text_that_is_not_utf_8_is_latin_1() {
        assert_eq!(text("Größe\0\0".as_bytes()), "Größe");
        assert_eq!(text(b"Gr\xF6\xDFe"), "Größe");
    }
}
