//! The commands of the program: one file or folder each, with its arguments, its JSON and its text.

pub(crate) mod bridge;
pub(crate) mod codes;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod decode;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod get;
pub(crate) mod halt;
pub(crate) mod images;
pub(crate) mod lights;
pub(crate) mod live;
pub(crate) mod man;
pub(crate) mod moves;
pub(crate) mod queue;
pub(crate) mod race;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod send;
pub(crate) mod set;
pub(crate) mod settings;
pub(crate) mod sim;
pub(crate) mod watch;
pub(crate) mod workflow;
