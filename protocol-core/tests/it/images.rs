//! The image stream: whole, byte by byte, and with headers that cannot be true.

use flamingo_protocol_core::image::{
    HEADER_LEN, ImageError, ImageHeader, ImagePiece, ImageReader, MAX_IMAGE, OPTION_IMAGE_DATA,
};

fn header(width: u32, height: u32) -> ImageHeader {
    ImageHeader {
        size: 2 * width * height,
        width,
        height,
        scale_min: 100,
        scale_max: 4000,
        device: 3,
        options: OPTION_IMAGE_DATA,
        crosshair: 0x0400_0300,
        index_start: -1,
        index_stop: 7,
    }
}

/// Two images, with an update of options only between them.
fn stream() -> Vec<u8> {
    let pixels = |count: u32| (0..2 * count).map(|at| at as u8).collect::<Vec<_>>();
    let parts = [
        header(5, 3).encode().to_vec(),
        pixels(15),
        header(0, 0).encode().to_vec(),
        header(1, 1).encode().to_vec(),
        pixels(1),
    ];
    parts.concat()
}

fn read(chunk: usize) -> (Vec<ImageHeader>, Vec<Vec<u8>>) {
    let mut reader = ImageReader::default();
    let (mut headers, mut images) = (Vec::new(), Vec::new());
    for mut input in stream().chunks(chunk) {
        loop {
            let (consumed, piece) = reader.push(input);
            input = &input[consumed..];
            match piece.unwrap() {
                Some(ImagePiece::Header(header)) => {
                    headers.push(header);
                    images.push(Vec::new());
                }
                Some(ImagePiece::Pixels { bytes, remaining }) => {
                    let image = images.last_mut().unwrap();
                    image.extend_from_slice(bytes);
                    let size = headers.last().unwrap().size;
                    assert_eq!(image.len() as u32 + remaining, size);
                }
                None if input.is_empty() => break,
                None => {}
            }
        }
    }
    assert!(reader.is_between());
    (headers, images)
}

#[test]
fn images_come_out_whole_in_any_chunking() {
    let whole = read(usize::MAX);
    assert_eq!(whole.0, [header(5, 3), header(0, 0), header(1, 1)]);
    assert_eq!(whole.1.iter().map(Vec::len).collect::<Vec<_>>(), [30, 0, 2]);
    for chunk in 1..stream().len() {
        assert_eq!(read(chunk), whole, "chunks of {chunk}");
    }
}

#[test]
fn a_header_is_decoded_as_it_was_encoded() {
    assert_eq!(
        ImageHeader::decode(&header(2048, 2048).encode(), MAX_IMAGE),
        Ok(header(2048, 2048))
    );
    let short = ImageHeader::decode(&[0; 39], MAX_IMAGE).unwrap_err();
    assert_eq!(short, ImageError::Length { found: 39 });
    assert_eq!(short.to_string(), "an image header is 40 bytes, found 39");
}

#[test]
fn an_impossible_header_names_its_field_and_ends_the_stream() {
    let size = ImageHeader { size: 29, ..header(5, 3) };
    let overflow = ImageHeader { size: 0, width: u32::MAX, height: u32::MAX, ..header(0, 0) };
    let device = ImageHeader { device: 4, ..header(5, 3) };
    let large = header(8192, 8193);
    let (flat, narrow) = (header(5, 0), header(0, 3));
    let dimensions = |found: &str| {
        format!(
            "imageWidth and imageHeight at offset 4: expected 0 and 0 in an update of options, \
             found {found}"
        )
    };
    let (flat_text, narrow_text) = (dimensions("5 and 0"), dimensions("0 and 3"));
    let cases = [
        (flat, flat_text.as_str()),
        (narrow, narrow_text.as_str()),
        (size, "imageSize at offset 0: expected 2 * width * height = 30, found 29"),
        (
            overflow,
            "imageSize at offset 0: expected 2 * width * height = 18446744073709551615, found 0",
        ),
        (large, "imageSize at offset 0: expected at most 134217728, found 134234112"),
        (device, "deviceIndex at offset 20: expected 0 to 3, found 4"),
    ];
    for (wrong, text) in cases {
        let mut reader = ImageReader::default();
        let stream = [&wrong.encode()[..], &header(1, 1).encode()].concat();
        let (consumed, error) = reader.push(&stream);
        assert_eq!(consumed, HEADER_LEN);
        assert_eq!(error.unwrap_err().to_string(), text);
        // The reader never shifts silently: on any input it returns the same error and consumes
        // nothing.
        assert_eq!(reader.push(&stream[consumed..]), (0, error));
    }
}

#[test]
fn a_stream_that_ends_inside_an_image_is_not_between_two() {
    let mut reader = ImageReader::default();
    assert!(reader.is_between());
    let _ = reader.push(&header(1, 1).encode()[..39]);
    assert!(!reader.is_between());
    let _ = reader.push(&header(1, 1).encode()[39..]);
    assert!(!reader.is_between());
    let _ = reader.push(&[1, 2]);
    assert!(reader.is_between());
}
