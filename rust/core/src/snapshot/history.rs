//! What a writer remembers of the snapshots that it has published: their shapes with ids, and the last one's words.

use std::sync::Arc;

use super::cache::{NumberedShape, ShapeCache};
use super::decode::{MalformedValues, check};
use super::encode::Encoder;
use super::payload::Payload;
use super::shape::{MalformedShape, Shape};
use super::{Snapshot, to_bytes};

/// A shape that the next snapshot probably has, and what the caller keeps with it.
#[derive(Debug, Default)]
pub struct Expected<T> {
    /// The shape; its id is 0 if it is not that of a whole snapshot.
    pub numbered: Arc<NumberedShape>,
    /// What the caller keeps with it.
    pub beside: T,
}

/// Why a copied snapshot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its shape is malformed.
    #[error(transparent)]
    Shape(#[from] MalformedShape),
    /// Its values do not fit its shape.
    #[error(transparent)]
    Values(#[from] MalformedValues),
}

/// The snapshots of one writer. Several encoders may take turns: each holds an [`Expected`] with what it keeps, and gives that
/// back to this object when it meets another shape.
#[derive(Debug, Default)]
pub struct History<T: Default> {
    /// The one table of shape ids: the same id always means the same bytes.
    shapes: ShapeCache<T>,
    /// The last snapshot's shape id and values. If it has blobs, the id is 0.
    last: (u64, Vec<u64>),
}

impl<T: Default> History<T> {
    /// Stores a finished snapshot by calling `store`. A shape that is met again becomes the one to expect next.
    ///
    /// # Errors
    /// [`MalformedShape`] if what was encoded is no snapshot; any error of `store`.
    #[inline]
    pub fn publish<B, E: From<MalformedShape>>(
        &mut self,
        encoder: &mut Encoder<B>,
        expected: &mut Option<Expected<T>>,
        store: impl FnOnce(&Payload<'_, B>) -> Result<(), E>,
    ) -> Result<(), E> {
        let recording = encoder.is_recording();
        if recording {
            self.give_back(expected);
        }
        let payload = encoder.finish(&mut self.shapes)?;
        let values_of = if payload.blob_words == 0 { payload.shape_id } else { 0 };
        store(&payload)?;
        self.last.0 = values_of;
        encoder.swap_values(&mut self.last.1);
        if recording {
            *expected = None;
            self.expect_cached(expected);
        }
        Ok(())
    }

    /// Forgets the last values, because a snapshot was published that was not encoded here.
    pub fn forget_last(&mut self) {
        self.last.0 = 0;
    }

    /// The values of the last snapshot, if it has this shape and no blobs.
    pub fn last_values(&self, shape_id: u64) -> Option<&[u64]> {
        (self.last.0 == shape_id).then_some(&self.last.1)
    }

    /// Makes the shape of the last snapshot the expected one, if it was met twice.
    #[inline]
    pub fn expect_last(&mut self, expected: &mut Option<Expected<T>>) {
        if expected.as_ref().is_none_or(|expected| expected.numbered.id != self.last.0) {
            self.expect_cached(expected);
        }
    }

    #[inline(never)]
    fn give_back(&mut self, expected: &mut Option<Expected<T>>) {
        if let (Some(expected), Some(last)) = (expected, self.shapes.last_mut())
            && expected.numbered.id == last.shape.id
        {
            last.extra = std::mem::take(&mut expected.beside);
        }
    }

    #[inline(never)]
    fn expect_cached(&mut self, expected: &mut Option<Expected<T>>) {
        if let Some(last) = self.shapes.last_mut()
            && expected.as_ref().is_none_or(|expected| expected.numbered.id != last.shape.id)
        {
            let beside = std::mem::take(&mut last.extra);
            *expected = Some(Expected { numbered: Arc::clone(&last.shape), beside });
        }
    }

    /// The shape of a snapshot that was copied out of a slot. Checks that its values fit.
    ///
    /// # Errors
    /// [`Unusable`] if no writer can have stored it.
    pub fn shape_of(&self, snapshot: &Snapshot) -> Result<Arc<NumberedShape>, Unusable> {
        let bytes = to_bytes(&snapshot.shape, snapshot.meta.shape_len);
        let numbered = match self.shapes.last() {
            Some(cached) if cached.shape.shape.bytes == bytes => Arc::clone(&cached.shape),
            _ => Arc::new(NumberedShape::unnumbered(Shape::parse(bytes)?)),
        };
        check(&numbered.shape, &snapshot.values, snapshot.blobs.bytes())?;
        Ok(numbered)
    }
}

impl NumberedShape {
    /// A shape without an id: it is not that of a whole snapshot.
    pub fn unnumbered(shape: Shape) -> Self {
        Self { shape, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::shape::Kind;

    fn encode(encoder: &mut Encoder<Vec<u8>>, expected: Option<&Expected<u8>>, key: &str, value: i64) {
        encoder.start(expected.map(|expected| &expected.numbered));
        encoder.container(Kind::Dict, 1);
        encoder.key_str(key);
        encoder.int(value);
    }

    #[test]
    fn a_shape_met_twice_is_expected_with_what_the_caller_kept() {
        let mut history = History::<u8>::default();
        let mut encoder = Encoder::default();
        let mut expected = None;
        let mut publish = |key, value, expected: &mut Option<Expected<u8>>| {
            encode(&mut encoder, expected.as_ref(), key, value);
            let mut id = 0;
            let stored: Result<(), MalformedShape> = history.publish(&mut encoder, expected, |payload| {
                id = payload.shape_id;
                Ok(())
            });
            assert_eq!(stored, Ok(()));
            assert_eq!(history.last_values(id), Some(&[value as u64][..]));
            id
        };
        let first = publish("a", 1, &mut expected);
        assert!(expected.is_none());
        assert_eq!(publish("a", 2, &mut expected), first);
        expected.as_mut().expect("met twice").beside = 7;
        let second = publish("b", 3, &mut expected);
        assert_ne!(first, second);
        assert_eq!(publish("b", 3, &mut expected), second);
        assert_eq!(expected.as_ref().expect("met twice").beside, 0);
        assert_eq!(publish("a", 4, &mut expected), first);
        assert_eq!(expected.as_ref().expect("met before").beside, 7);
        history.forget_last();
        assert_eq!(history.last_values(first), None);
    }

    #[test]
    fn a_refused_snapshot_is_not_the_last() {
        let mut history = History::<u8>::default();
        let (mut encoder, mut expected) = (Encoder::default(), None);
        for _ in 0..3 {
            encode(&mut encoder, expected.as_ref(), "a", 1);
            let refused = history
                .publish(&mut encoder, &mut expected, |_| Err(MalformedShape::At { at: 0, what: "a test" }));
            assert!(refused.is_err() && history.last_values(1).is_none());
        }
    }
}
