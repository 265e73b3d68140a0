//! The world on virtual time.
