//! A value that the instrument gave, together with the answer that carried it.

use std::ops::Deref;

use flamingo_runtime_std::Answer;

/// What was asked for, and the answer that says it.
#[derive(Debug, Clone)]
pub struct Reading<T> {
    /// The value, with its unit.
    pub value: T,
    /// The frame, whether it is proven, and when it came.
    pub answer: Answer,
}

/// To the answer: `reading.proven`, `reading.at`.
impl<T> Deref for Reading<T> {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}
