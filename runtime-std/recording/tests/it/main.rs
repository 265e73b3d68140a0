//! Recordings between real sockets and on real disks.

mod disk;
mod recorded;
mod replay;
mod strangers;
mod wire;
