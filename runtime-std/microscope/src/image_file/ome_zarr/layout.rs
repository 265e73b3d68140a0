//! How the images lie in the arrays: axes, chunks, shards, and the levels of the pyramid.

use std::sync::Arc;

use zarrs::array::codec::ZstdCodec;
use zarrs::array::{Array, ArrayBuilder, ArrayCreateError, ArrayMetadataOptions, data_type};

use super::super::Sequence;
use super::store::Store;

/// The axes of the image.
pub(in crate::image_file) const AXES: [&str; 5] = ["t", "c", "z", "y", "x"];

/// The quickest level of zstd that finds repetitions well.
const ZSTD_LEVEL: i32 = 1;
/// A chunk has at most this many pixels on a side.
const CHUNK_SIDE: u64 = 512;
/// A shard has as many planes as fit into this many pixels (8 MiB), at least one.
const SHARD_PIXELS: u64 = 4 << 20;
/// A shard has at most this many planes.
const SHARD_PLANES: u64 = 1024;
/// The last level of a pyramid has no side above this.
const SMALL_SIDE: u64 = 256;

/// The axis along which a sequence grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Along {
    T,
    Z,
}

impl Along {
    pub(super) const fn of(sequence: Sequence) -> Self {
        match sequence {
            Sequence::Time => Self::T,
            Sequence::Depth { .. } | Sequence::Positions => Self::Z,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Z => "z",
        }
    }
}

/// The place of a plane in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) t: u64,
    pub(super) c: u64,
    pub(super) z: u64,
}

impl Place {
    /// The plane `at` of a sequence.
    pub(super) const fn new(along: Along, at: u64, c: u64) -> Self {
        match along {
            Along::T => Self { t: at, c, z: 0 },
            Along::Z => Self { t: 0, c, z: at },
        }
    }

    /// Its place along the axis that grows.
    pub(super) const fn at(self, along: Along) -> u64 {
        match along {
            Along::T => self.t,
            Along::Z => self.z,
        }
    }
}

/// How the planes of one level lie in its shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) along: Along,
    pub(super) height: u64,
    pub(super) width: u64,
}

impl Layout {
    /// The next level: half the height and half the width; `None` after the last one.
    pub(super) fn halved(self) -> Option<Self> {
        let (height, width) = (self.height.div_ceil(2), self.width.div_ceil(2));
        (self.height.max(self.width) > SMALL_SIDE).then_some(Self { height, width, ..self })
    }

    /// Height and width of a chunk: the plane in equal parts.
    fn chunk(self) -> (u64, u64) {
        let part = |side: u64| side.div_ceil(side.div_ceil(CHUNK_SIDE));
        (part(self.height), part(self.width))
    }

    /// Height and width of a shard: whole chunks, so up to a few rows and columns more than a plane.
    pub(super) fn shard(self) -> (u64, u64) {
        let (height, width) = self.chunk();
        (self.height.next_multiple_of(height), self.width.next_multiple_of(width))
    }

    /// The number of planes of a shard.
    pub(super) fn planes(self) -> u64 {
        let (height, width) = self.shard();
        (SHARD_PIXELS / (height * width)).clamp(1, SHARD_PLANES)
    }

    /// The shard that has a plane, and the place of the plane in it.
    pub(super) fn shard_of(self, place: Place) -> ([u64; 5], u64) {
        let (planes, at) = (self.planes(), place.at(self.along));
        let shard = at / planes;
        let (t, z) = match self.along {
            Along::T => (shard, place.z),
            Along::Z => (place.t, shard),
        };
        ([t, place.c, z, 0, 0], at % planes)
    }

    /// An array of `shape`, with the planes of this layout.
    pub(super) fn array(
        self,
        store: Arc<Store>,
        path: &str,
        shape: [u64; 5],
    ) -> Result<Array<Store>, ArrayCreateError> {
        let (height, width) = self.shard();
        let planes = self.planes();
        let shard = match self.along {
            Along::T => vec![planes, 1, 1, height, width],
            Along::Z => vec![1, 1, planes, height, width],
        };
        let (height, width) = self.chunk();
        let mut builder = ArrayBuilder::new(shape.to_vec(), shard, data_type::uint16(), 0_u16);
        builder.subchunk_shape(vec![1, 1, 1, height, width]);
        build(builder, store, path, AXES)
    }
}

/// Finishes a builder with what all arrays have in common.
pub(super) fn build<const N: usize>(
    mut builder: ArrayBuilder,
    store: Arc<Store>,
    path: &str,
    axes: [&str; N],
) -> Result<Array<Store>, ArrayCreateError> {
    let array = builder
        .bytes_to_bytes_codecs(vec![Arc::new(ZstdCodec::new(ZSTD_LEVEL, false))])
        .dimension_names(Some(axes))
        .build(store, path)?;
    let options = ArrayMetadataOptions::default().with_include_zarrs_metadata(false);
    Ok(array.with_metadata_options(options))
}
