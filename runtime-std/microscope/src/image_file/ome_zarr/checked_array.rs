//! Arrays that another program may have made. What they declare is checked before anything is read, and no chunk
//! unpacks to more than it declares. Writing is in the other files of this folder.

use std::any::Any;
use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Once};

use serde_json::Value;
use zarrs::array::codec::api::{
    CodecRuntimePluginV3, PartialDecoderCapability, PartialEncoderCapability, register_codec_v3,
};
use zarrs::array::{
    Array, ArrayBytesRaw, ArrayError, ArraySubset, BytesRepresentation, BytesToBytesCodecTraits,
    Codec, CodecError, CodecMetadataOptions, CodecOptions, CodecTraits, FromArrayBytes,
    RecommendedConcurrency,
};
use zarrs::filesystem::FilesystemStore;
use zarrs::metadata::Configuration;
use zarrs::plugin::{ExtensionName, ZarrVersion};

use super::layout::AXES;

/// The most memory for one image, for one chunk, or for the list of the chunks of a shard.
const MEMORY: u64 = 256 << 20;
/// The most planes of an image.
const MOST_PLANES: u64 = 4_000_000;
/// The bytes of an entry in the list of the chunks of a shard.
const SHARD_ENTRY: u64 = 16;
/// The name of [`BoundedZstd`] in this process. It is in no file.
const BOUNDED_ZSTD: &str = "flamingo.bounded_zstd";

/// An array whose chunks need a bounded memory.
#[derive(Debug)]
pub(in crate::image_file) struct CheckedArray {
    array: Array<FilesystemStore>,
    data_type: String,
}

impl CheckedArray {
    /// Opens the array in a folder of the store.
    pub(in crate::image_file) fn open(
        store: &Arc<FilesystemStore>,
        folder: &str,
    ) -> Result<Self, String> {
        let failed = |error: &dyn ToString| error.to_string();
        let file = store.key_to_fspath(&key(folder)?);
        let text = std::fs::read(&file).map_err(|error| format!("{}: {error}", name(&file)))?;
        let mut metadata: Value = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        let data_type = metadata["data_type"].as_str().unwrap_or("another type").to_owned();
        let chunk = sides(&metadata["chunk_grid"]["configuration"]["chunk_shape"])?;
        check_size("a chunk", chunk.iter().copied().chain([size_of_value(&data_type)]))?;
        check_shards(&metadata["codecs"], &chunk)?;
        bound_zstd(&mut metadata["codecs"]);
        let metadata = serde_json::from_value(metadata).map_err(|error| failed(&error))?;
        let array = Array::new_with_metadata(Arc::clone(store), &format!("/{folder}"), metadata);
        Ok(Self { array: array.map_err(|error| failed(&error))?, data_type })
    }

    pub(in crate::image_file) fn shape(&self) -> &[u64] {
        self.array.shape()
    }

    /// Such as `uint16`.
    pub(in crate::image_file) fn data_type(&self) -> &str {
        &self.data_type
    }

    /// The shape of an image, whose planes have pixels and fit into the memory.
    pub(in crate::image_file) fn image_shape(&self) -> Result<[u64; 5], String> {
        let found = self.shape();
        let shape = <[u64; 5]>::try_from(found)
            .map_err(|_| format!("expected the axes {AXES:?}, found the shape {found:?}"))?;
        let [t, c, z, height, width] = shape;
        if height == 0 || width == 0 {
            return Err(format!("expected images with pixels, found {width} x {height}"));
        }
        match t.checked_mul(c).and_then(|planes| planes.checked_mul(z)) {
            Some(0) => return Err(format!("it has no planes, found {t} x {c} x {z}")),
            Some(1..=MOST_PLANES) => {}
            _ => {
                let found = format!("{t} x {c} x {z}");
                return Err(format!("expected at most {MOST_PLANES} planes, found {found}"));
            }
        }
        check_size("an image", [2, height, width].into_iter())?;
        Ok(shape)
    }

    /// The values of a part.
    pub(in crate::image_file) fn retrieve<T: FromArrayBytes>(
        &self,
        part: &ArraySubset,
    ) -> Result<T, ArrayError> {
        self.array.retrieve_array_subset(part)
    }
}

fn key(folder: &str) -> Result<zarrs::storage::StoreKey, String> {
    zarrs::storage::StoreKey::new(format!("{folder}/zarr.json")).map_err(|error| error.to_string())
}

fn name(file: &Path) -> Cow<'_, str> {
    file.file_name().unwrap_or_default().to_string_lossy()
}

/// The bytes of a value. Values of other types are not read.
fn size_of_value(data_type: &str) -> u64 {
    match data_type {
        "uint8" => 1,
        "float64" => 8,
        _ => 2,
    }
}

/// The sides of a chunk.
fn sides(shape: &Value) -> Result<Vec<u64>, String> {
    let sides = shape.as_array().map(|sides| sides.iter().map(Value::as_u64).collect());
    let sides: Option<Vec<_>> = sides.unwrap_or_default();
    sides
        .filter(|sides| !sides.is_empty() && !sides.contains(&0))
        .ok_or_else(|| format!("expected a chunk with sides of at least 1, found {shape}"))
}

/// Refuses what would need too much memory. The product of the sides is a number of bytes.
fn check_size(what: &str, mut sides: impl Iterator<Item = u64>) -> Result<(), String> {
    let bytes = sides.try_fold(1_u64, u64::checked_mul).unwrap_or(u64::MAX);
    if bytes <= MEMORY {
        return Ok(());
    }
    Err(format!("expected at most {MEMORY} bytes of {what}, found {bytes}"))
}

/// Refuses shards with too many chunks. A chunk of a shard can be a shard.
fn check_shards(codecs: &Value, chunk: &[u64]) -> Result<(), String> {
    for codec in codecs.as_array().into_iter().flatten() {
        let configuration = &codec["configuration"];
        if configuration["chunk_shape"].is_null() {
            continue;
        }
        let inner = sides(&configuration["chunk_shape"])?;
        if inner.len() != chunk.len() {
            return Err(format!(
                "expected chunks of {} sides in a shard, found {inner:?}",
                chunk.len()
            ));
        }
        let counts = chunk.iter().zip(&inner).map(|(outer, inner)| outer.div_ceil(*inner));
        check_size("the list of the chunks of a shard", counts.chain([SHARD_ENTRY]))?;
        check_shards(&configuration["codecs"], &inner)?;
    }
    Ok(())
}

/// Puts [`BoundedZstd`] in the place of zstd, at any depth.
fn bound_zstd(codecs: &mut Value) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let create = |_: &_| Ok(Codec::BytesToBytes(Arc::new(BoundedZstd)));
        // It stays for the life of the process.
        drop(register_codec_v3(CodecRuntimePluginV3::new(|name| name == BOUNDED_ZSTD, create)));
    });
    match codecs {
        Value::Array(codecs) => codecs.iter_mut().for_each(bound_zstd),
        Value::Object(codec) => {
            if codec.get("name").is_some_and(|name| name == "zstd") {
                codec.insert("name".to_owned(), BOUNDED_ZSTD.into());
            }
            codec.values_mut().for_each(bound_zstd);
        }
        _ => {}
    }
}

/// The codec zstd for reading, which unpacks at most the bytes that a chunk has. The codec of `zarrs` takes the
/// memory that the packed bytes ask for, which can be any.
#[derive(Debug)]
struct BoundedZstd;

impl ExtensionName for BoundedZstd {
    fn name(&self, _: ZarrVersion) -> Option<Cow<'static, str>> {
        Some(BOUNDED_ZSTD.into())
    }
}

impl CodecTraits for BoundedZstd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn configuration(&self, _: ZarrVersion, _: &CodecMetadataOptions) -> Option<Configuration> {
        None
    }

    fn partial_decoder_capability(&self) -> PartialDecoderCapability {
        PartialDecoderCapability { partial_read: false, partial_decode: false }
    }

    fn partial_encoder_capability(&self) -> PartialEncoderCapability {
        PartialEncoderCapability { partial_encode: false }
    }
}

impl BytesToBytesCodecTraits for BoundedZstd {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn BytesToBytesCodecTraits> {
        self
    }

    fn recommended_concurrency(
        &self,
        _: &BytesRepresentation,
    ) -> Result<RecommendedConcurrency, CodecError> {
        Ok(RecommendedConcurrency::new_maximum(1))
    }

    fn encoded_representation(&self, _: &BytesRepresentation) -> BytesRepresentation {
        BytesRepresentation::BoundedSize(MEMORY)
    }

    fn encode<'a>(
        &self,
        _: ArrayBytesRaw<'a>,
        _: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        Err(CodecError::Other("an array that is read is not written".to_owned()))
    }

    fn decode<'a>(
        &self,
        packed: ArrayBytesRaw<'a>,
        unpacked: &BytesRepresentation,
        _: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        let most = unpacked.size().unwrap_or(MEMORY).min(MEMORY);
        let bytes = usize::try_from(most)
            .map_err(std::io::Error::other)
            .and_then(|most| zstd::bulk::decompress(&packed, most));
        bytes.map(Cow::Owned).map_err(|error| {
            CodecError::Other(format!("expected at most {most} bytes of a chunk of zstd: {error}"))
        })
    }
}
