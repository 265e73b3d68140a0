//! Prints the log of a firmware as text until the socket is closed: `mcu-log ELF HOST:PORT`. The ELF file
//! has the texts; the socket carries their numbers.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use defmt_decoder::{DecodeError, StreamDecoder, Table};

fn main() -> Result<(), Box<dyn Error>> {
    let [_, program, address] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("expected two arguments: the ELF file and HOST:PORT".into());
    };
    let table = Table::parse(&std::fs::read(program)?)?.ok_or("the ELF file has no defmt log")?;
    let mut decoder = table.new_stream_decoder();
    let mut socket = TcpStream::connect(address)?;
    let mut bytes = [0; 1024];
    loop {
        let count = socket.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        decoder.received(&bytes[..count]);
        print_lines(decoder.as_mut())?;
    }
}

/// Prints all complete lines.
fn print_lines(decoder: &mut dyn StreamDecoder) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    loop {
        match decoder.decode() {
            Ok(line) => {
                let level = line.level().map_or("", |level| level.as_str());
                writeln!(out, "{level} {}", line.display_message())?;
            }
            // The rest of a line whose beginning was sent before this program connected.
            Err(DecodeError::Malformed) => {}
            Err(DecodeError::UnexpectedEof) => return out.flush(),
        }
    }
}
