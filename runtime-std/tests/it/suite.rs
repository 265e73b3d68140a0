//! The suite that every client must pass (`testkit/src/suite`), on smol.

flamingo_runtime_testkit::calls_suite!(
    flamingo_runtime_testkit::suite::hosted::Hosted<flamingo_runtime_testkit::suite::hosted::Smol>
);
