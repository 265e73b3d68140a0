//! Recordings between real sockets and on real disks.

mod capture_fuzz_corpus;
mod disk;
mod recorded;
mod replay;
mod strangers;
mod wire;
