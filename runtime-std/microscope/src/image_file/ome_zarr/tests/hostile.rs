//! Folders that were made to do harm: what they declare, and chunks that unpack to more than they declare.

use serde_json::json;

use super::*;

/// A folder with one image of 4 x 2 pixels, whose only chunk is not in a shard.
fn image(folder: &Folder) -> PathBuf {
    let path = finished(folder, 1);
    change(&path, |array| {
        array["shape"] = json!([1, 1, 1, 2, 4]);
        array["chunk_grid"]["configuration"]["chunk_shape"] = json!([1, 1, 1, 2, 4]);
        array["codecs"] = json!([
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 1, "checksum": false}},
        ]);
    });
    path
}

/// Changes the metadata of the image of full size.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = path.join("0/zarr.json");
    let mut array: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut array);
    std::fs::write(file, array.to_string()).unwrap();
}

fn write_chunk(path: &Path, bytes: &[u8]) {
    std::fs::write(path.join("0/c/0/0/0/0/0"), bytes).unwrap();
}

#[test]
fn a_chunk_unpacks_to_no_more_than_it_declares() {
    let folder = Folder::new("zarr-bomb");
    let path = image(&folder);
    let good: Vec<u8> = (0..8_u16).flat_map(u16::to_le_bytes).collect();
    write_chunk(&path, &zstd::bulk::compress(&good, 1).unwrap());
    let page = ImageFile::open(&path).unwrap().page(0).unwrap();
    assert_eq!(page.pixels, Some((0..8).collect()));
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    // The header of a frame that asks for 2^60 bytes, and an empty block.
    let mut claim = vec![0x28, 0xB5, 0x2F, 0xFD, 0xE0];
    claim.extend((1_u64 << 60).to_le_bytes());
    claim.extend([1, 0, 0]);
    for bytes in [bomb, claim] {
        write_chunk(&path, &bytes);
        let error = ImageFile::open(&path).unwrap().page(0).unwrap_err().to_string();
        assert!(error.contains("expected at most 16 bytes of a chunk"), "{error}");
    }
}

#[test]
fn a_pyramid_reads_no_more_than_a_chunk_declares() {
    let folder = Folder::new("zarr-bomb-pyramid");
    let path = image(&folder);
    change(&path, |array| {
        array["shape"] = json!([1, 1, 1, 2, 400]);
        array["chunk_grid"]["configuration"]["chunk_shape"] = json!([1, 1, 1, 2, 400]);
    });
    write_chunk(&path, &zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap());
    let error = write_pyramid(&path, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("expected at most 1600 bytes of a chunk"), "{error}");
    assert!(!path.join("1/zarr.json").exists());
}

#[test]
fn what_needs_too_much_memory_is_refused() {
    let sharded = |side: u64, chunk: u64| {
        let shape = |side| json!([1, 1, 1, side, side]);
        let configuration = json!({"chunk_shape": shape(chunk), "codecs": []});
        (shape(side), json!([{"name": "sharding_indexed", "configuration": configuration}]))
    };
    let plain = json!([{"name": "bytes", "configuration": {"endian": "little"}}]);
    for (chunk, codecs, expected) in [
        (
            json!([1, 1, 1, 1 << 20, 1 << 20]),
            plain.clone(),
            "bytes of a chunk, found 2199023255552",
        ),
        (json!([1, 1, 1, 0, 4]), plain.clone(), "sides of at least 1"),
        (json!([[1], [1], [1], [2], [4]]), plain.clone(), "sides of at least 1"),
        (Value::Null, plain, "sides of at least 1"),
        (
            sharded(8192, 1).0,
            sharded(8192, 1).1,
            "the list of the chunks of a shard, found 1073741824",
        ),
    ] {
        let folder = Folder::new("zarr-declares");
        let path = image(&folder);
        change(&path, |array| {
            array["chunk_grid"]["configuration"]["chunk_shape"] = chunk;
            array["codecs"] = codecs;
        });
        let error = ImageFile::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let error = write_pyramid(&path, &mut go_on).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("level 0"), "{error}");
    }
}

#[test]
fn an_image_without_pixels_or_planes_is_refused() {
    for (shape, expected) in [
        (json!([1, 1, 1, 2, 0]), "found 0 x 2"),
        (json!([1, 1, 1, 0, 4]), "found 4 x 0"),
        (json!([0, 1, 1, 2, 4]), "no planes, found 0 x 1 x 1"),
        (json!([1_u64 << 40, 1_u64 << 40, 1, 2, 4]), "expected at most 4000000 planes"),
        (json!([1, 1, 1, 1 << 20, 1 << 20]), "bytes of an image"),
        (json!([2, 4]), "found the shape [2, 4]"),
    ] {
        let folder = Folder::new("zarr-no-pixels");
        let path = image(&folder);
        change(&path, |array| {
            let axes = shape.as_array().unwrap().len();
            array["chunk_grid"]["configuration"]["chunk_shape"] =
                json!(&[1, 1, 1, 2, 4][5 - axes..]);
            array["dimension_names"] = Value::Null;
            array["shape"] = shape;
        });
        let error = ImageFile::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let error = write_pyramid(&path, &mut go_on).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_pyramid_needs_pixels_of_16_bits() {
    let folder = Folder::new("zarr-uint8");
    let path = image(&folder);
    change(&path, |array| array["data_type"] = json!("uint8"));
    let error = write_pyramid(&path, &mut go_on).unwrap_err().to_string();
    assert!(error.contains("level 0: expected pixels of uint16, found uint8"), "{error}");
}
