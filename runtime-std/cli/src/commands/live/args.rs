//! The arguments of `flamingo live`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use flamingo_microscope::live::{LiveOptions, Mode};

use super::preview::TERMINAL;
use super::series_end::Stacks;
use crate::args::{ClientArgs, address, duration};
use crate::connect;
use crate::failure::{CommandResult, Failure};

/// Receive live images, report their rate and brightness, and save them
///
/// The command starts the live view and stops it at the end, also after Ctrl-C. A live view that was
/// on before stays on. While a workflow runs, the command refuses to start; --stack receives the images
/// of the workflow, and sends nothing. With --out every image is written. If the disk is too slow,
/// images are dropped and counted; receiving never stalls.
#[derive(Debug, Args)]
pub(crate) struct LiveArgs {
    /// End after this many images
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(super) during: Option<Duration>,

    /// Write the images into this folder
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// Format of the files; ome-tiff writes all images into one file, ome-zarr into one folder
    #[arg(long, value_name = "FORMAT", default_value = "ome-tiff", requires = "out")]
    pub(super) format: Format,

    /// How images become files and axes [default: stacks with --stack, time without]
    #[arg(long, value_name = "HOW", requires = "out")]
    pub(super) arrange: Option<Arrange>,

    /// Names of the cameras: the control settings of the instrument (ControlSettings.txt)
    #[arg(long, value_name = "FILE", requires = "out")]
    pub(super) control_settings: Option<PathBuf>,

    /// Start also if --count images surely do not fit on the disk
    #[arg(long, requires = "out")]
    pub(super) ignore_space: bool,

    /// Take one image instead of starting the live view
    #[arg(long, conflicts_with_all = ["count", "during", "listening"])]
    pub(super) snapshot: bool,

    /// Show the last image at the end, in colours on a terminal and otherwise as plain text, or write it
    /// to FILE as an 8-bit PNG; its contrast is stretched
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = TERMINAL)]
    pub(super) preview: Option<PathBuf>,

    /// Show up to 12 images of the whole acquisition with their numbers at the end, or write them to
    /// FILE as an 8-bit PNG
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = TERMINAL)]
    pub(super) thumbnail: Option<PathBuf>,

    /// Process every image, or skip to the newest one [default: every with --out, latest without]
    #[arg(long, value_name = "MODE")]
    pub(super) mode: Option<ModeName>,

    /// Memory for waiting images with --mode every
    #[arg(long, value_name = "MB", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) memory: u32,

    /// Live port, if it is not the one after the control port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) live_port: Option<u16>,

    #[command(flatten)]
    pub(super) listening: ListenArgs,

    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// How to receive the images that another program takes.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("listening").multiple(true))]
pub(crate) struct ListenArgs {
    /// Listen to the stack images of a workflow that another program runs; nothing is started, and
    /// nothing is sent
    #[arg(long, group = "listening")]
    pub(super) stack: bool,

    /// Listen to the live images that another program has started; nothing is sent
    #[arg(long, group = "listening")]
    pub(super) listen_only: bool,

    /// Read positions, and the ends of stacks and of the workflow, from a port that sends without being asked, such as the
    /// callback port of a bridge
    #[arg(long, value_name = "HOST:PORT", value_parser = address, requires = "listening")]
    pub(super) events: Option<String>,

    /// End when no image has come for this time after the first one
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "listening")]
    pub(super) idle: Option<Duration>,

    /// A stack has this many images of each camera; the next one begins a new stack
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) planes: Option<u64>,

    /// A pause of this length begins a new stack
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(super) gap: Duration,

    /// Stack port, if it is not the second one after the control port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(requires = "stack")]
    pub(super) stack_port: Option<u16>,
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// 16-bit PNG, one file per image
    Png,
    /// 16-bit TIFF, one file per image
    Tiff,
    /// OME-TIFF (BigTIFF), one file for all images
    OmeTiff,
    /// OME-Zarr 0.5, one folder for all images; `flamingo images pyramid` adds smaller levels
    OmeZarr,
}

impl Format {
    pub(super) const fn has_a_file_per_image(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// Whether a file has at least as many bytes as the pixels of its images.
    pub(super) const fn is_uncompressed(self) -> bool {
        matches!(self, Self::Tiff | Self::OmeTiff)
    }
}

/// How images become files and axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrange {
    /// One series in the order of time
    Time,
    /// A series for each stack; Z by the positions
    Stacks,
    /// One series; tile and Z by the positions, a point in time for each stack of a tile
    Position,
}

/// Which images are processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// Every image, within the memory
    Every,
    /// The newest image
    Latest,
}

impl LiveArgs {
    pub(super) fn options(&self) -> LiveOptions {
        let every = match self.mode {
            Some(mode) => mode == ModeName::Every,
            None => self.out.is_some(),
        };
        let memory_bytes = self.memory as usize * 1_000_000;
        let mode = if every { Mode::Every { memory_bytes } } else { Mode::Latest };
        LiveOptions::default().mode(mode)
    }

    /// The address of the image port.
    pub(super) fn address(&self) -> CommandResult<String> {
        let control = &self.client.server.connect;
        let (offset, port, option) = if self.listening.stack {
            (2, self.listening.stack_port, "--stack-port")
        } else {
            (1, self.live_port, "--live-port")
        };
        let address = connect::image_address(control, offset, port);
        address.ok_or_else(|| {
            let name = if self.listening.stack { "stack" } else { "live" };
            Failure::usage(format!("there is no {name} port after {control}; use {option}"))
        })
    }

    pub(super) fn last(&self) -> Option<u64> {
        if self.snapshot { Some(1) } else { self.count }
    }

    /// Whether the command only receives, and never sends.
    pub(super) const fn listens(&self) -> bool {
        self.listening.stack || self.listening.listen_only
    }

    /// What finds the stack of each image, if images belong to stacks.
    pub(super) fn stacks(&self) -> Option<Stacks> {
        let finds_stacks = self.listening.stack || self.arrangement() == Arrange::Stacks;
        finds_stacks.then(|| Stacks::new(self.listening.gap, self.listening.planes))
    }

    pub(super) fn arrangement(&self) -> Arrange {
        let usual = if self.listening.stack { Arrange::Stacks } else { Arrange::Time };
        self.arrange.unwrap_or(usual)
    }
}
