//! The fence between bytes that cannot be trusted and the decoder.
//!
//! bincode believes the lengths it reads. On this crate's inputs that would mean, for ten hostile bytes:
//!
//! * a `String` or byte vector of a garbled length is allocated, and zeroed, before the first of its bytes is
//!   looked for; a length above what an allocation may be is a panic, a merely huge one ends the process;
//! * a vector or map passes its promised length to serde as a hint, and serde reserves up to a mebibyte on
//!   its word;
//! * a vector of values that take no bytes, such as `()`, is pushed to as often as the length says: 2⁶⁴
//!   times;
//! * a type that contains itself recurses as deep as the bytes say, until the stack ends; and the stacks of
//!   simulated threads are small.
//!
//! bincode's own limit helps with none of them here: it is a constant of the program and not of the input, so
//! it is either too small for a snapshot or too large for a request; and the last three it does not look at.
//! So [`Guard`] stands between the value's `Deserialize` and bincode and passes everything on, with four
//! changes: owned strings and bytes are asked for as borrowed ones, which bincode takes from the input only
//! if they are there; a hint counts only up to [`TRUSTED_HINT`] elements, so that memory grows with the bytes
//! that really came; elements without a size are counted; and each level of nesting is counted.
//!
//! Every request passes here, and most methods only pass on: hence `#[inline]` on all of them (a fifth off a
//! heartbeat).

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, de::DeserializeOwned};

/// How deep a value may be nested: each struct, tuple, sequence, map, enum, option or newtype within another
/// is a level. Values of the labs stay below ten; a recursive type meets this limit before it meets the end
/// of the stack.
pub const MAX_DEPTH: u32 = 64;

/// How many elements without a size, such as `()`, a sequence may hold. Each takes no bytes of the input, so
/// that nothing else bounds the time to read them.
pub const MAX_EMPTY_ELEMENTS: usize = 4096;

/// For how many elements a vector or map may reserve room on the word of a length alone. From there on it
/// grows as vectors do, by doubling, with the elements that were really found.
const TRUSTED_HINT: usize = 64;

/// A value that is read through a [`Guard`]. This is how the guard gets in: bincode asks for a `Guarded<T>`.
pub(crate) struct Guarded<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Guarded<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(inner: D) -> Result<Self, D::Error> {
        T::deserialize(Guard { inner, depth: 0 }).map(Guarded)
    }
}

/// Wraps each thing that serde passes around: the deserializer, the visitor, the seeds and the accesses.
/// `depth` is the number of levels that enclose it.
struct Guard<I> {
    inner: I,
    depth: u32,
}

impl<I> Guard<I> {
    /// The same guard around something else on the same level.
    #[inline]
    fn around<J>(&self, inner: J) -> Guard<J> {
        Guard { inner, depth: self.depth }
    }

    /// The guard for what is inside a value of this level.
    #[inline]
    fn enter<J, E: Error>(&self, inner: J) -> Result<Guard<J>, E> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(Guard { inner, depth: self.depth + 1 })
    }
}

/// Out of line, so that the path that is taken stays short.
#[cold]
fn too_deep<E: Error>() -> E {
    E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))
}

/// Out of line as well.
#[cold]
fn too_many_empty<E: Error>() -> E {
    E::custom(format_args!("more than {MAX_EMPTY_ELEMENTS} elements without a size"))
}

/// Values without an inside: the visitor sees them as bincode gives them.
macro_rules! pass_on {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

/// Values with an inside: the visitor is wrapped, so that what it asks for is guarded too.
macro_rules! descend {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            let visitor = self.enter(visitor)?;
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guard<D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any deserialize_ignored_any deserialize_identifier deserialize_unit
        deserialize_bool deserialize_char deserialize_f32 deserialize_f64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_str deserialize_bytes
    }

    descend! {
        deserialize_option()
        deserialize_seq()
        deserialize_map()
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    /// Borrowed on purpose: see the head of this file.
    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(visitor)
    }

    /// Borrowed on purpose: see the head of this file.
    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_bytes(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Only the visits that lead inside; a visitor is wrapped for nothing else.
impl<'de, V: Visitor<'de>> Visitor<'de> for Guard<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.around(deserializer);
        self.inner.visit_some(deserializer)
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.around(deserializer);
        self.inner.visit_newtype_struct(deserializer)
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = Elements { access: self.around(access), empty: 0 };
        self.inner.visit_seq(access)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = Elements { access: self.around(access), empty: 0 };
        self.inner.visit_map(access)
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.around(access);
        self.inner.visit_enum(access)
    }
}

/// The elements of a sequence or map, with a count of those that have no size.
struct Elements<A> {
    access: Guard<A>,
    empty: usize,
}

impl<A> Elements<A> {
    /// Passes on the element that was just read, if there was one, and counts it if it has no size.
    #[inline]
    fn count<T, E: Error>(&mut self, element: Option<T>) -> Result<Option<T>, E> {
        self.empty += usize::from(element.is_some() && size_of::<T>() == 0);
        if self.empty > MAX_EMPTY_ELEMENTS {
            return Err(too_many_empty());
        }
        Ok(element)
    }
}

/// What a container may reserve on the word of a length.
fn trusted(hint: Option<usize>) -> Option<usize> {
    hint.map(|promised| promised.min(TRUSTED_HINT))
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.access.around(seed);
        let element = self.access.inner.next_element_seed(seed)?;
        self.count(element)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        trusted(self.access.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Elements<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.access.around(seed);
        let element = self.access.inner.next_key_seed(seed)?;
        self.count(element)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.access.around(seed);
        self.access.inner.next_value_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        trusted(self.access.inner.size_hint())
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guard<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.around(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Guard<A> {
    type Error = A::Error;
    type Variant = Guard<A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let depth = self.depth;
        let (variant, inner) = self.inner.variant_seed(seed)?;
        Ok((variant, Guard { inner, depth }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guard<A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.newtype_variant_seed(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.around(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.around(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}
