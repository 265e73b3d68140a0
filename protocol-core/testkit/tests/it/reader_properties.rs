//! Runs the fuzz bodies for readers and the device on inputs of proptest, which shrinks failures and stores
//! them in `reader_properties.proptest-regressions` beside this file. `properties.rs` has whole
//! conversations.

use flamingo_protocol_core::image::{HEADER_LEN, ImageError, ImageHeader, MAX_IMAGE};
use flamingo_testkit::bodies;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn config() -> ProptestConfig {
    if cfg!(miri) {
        return ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() };
    }
    let persistence = FileFailurePersistence::WithSource("proptest-regressions");
    ProptestConfig { failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

/// Input of a fuzz body: it is decoded into a seed for the chunks and a stream.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..if cfg!(miri) { 40 } else { 600 })
}

fn image_header() -> impl Strategy<Value = ImageHeader> {
    let size = prop_oneof![Just((0, 0)), (1..3000_u32, 1..3000_u32)];
    let pixels = (size, 0..4_u32).prop_map(|((width, height), device)| (width, height, device));
    let rest = (any::<[u32; 4]>(), any::<[i32; 2]>());
    (pixels, rest).prop_map(|((width, height, device), (words, indices))| {
        let [scale_min, scale_max, options, crosshair] = words;
        let [index_start, index_stop] = indices;
        ImageHeader {
            size: 2 * width * height,
            width,
            height,
            scale_min,
            scale_max,
            device,
            options,
            crosshair,
            index_start,
            index_stop,
        }
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn only_128_bytes_with_both_markers_decode_and_encode_back(data in bytes()) {
        bodies::frame(&data);
    }

    #[test]
    fn any_chunking_agrees_with_a_search_of_the_whole_stream(data in bytes()) {
        bodies::assembler(&data);
    }

    #[test]
    fn a_device_reads_and_writes_every_frame_in_any_chunking(data in bytes()) {
        bodies::responder(&data);
    }

    #[test]
    fn images_are_read_up_to_the_first_invalid_header(data in bytes()) {
        bodies::image(&data);
    }

    #[test]
    fn an_encoded_image_header_decodes_to_itself(header in image_header()) {
        prop_assert_eq!(ImageHeader::decode(&header.encode(), MAX_IMAGE), Ok(header));
    }

    #[test]
    fn a_decoded_image_header_encodes_to_the_same_bytes(bytes in any::<[u8; HEADER_LEN]>()) {
        match ImageHeader::decode(&bytes, MAX_IMAGE) {
            Ok(header) => prop_assert_eq!(header.encode(), bytes),
            Err(error) => prop_assert!(!matches!(error, ImageError::Length { .. }), "{}", error),
        }
    }
}
