//! One type that holds every kind of value that serde knows, and how to draw it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use proptest::collection::{btree_map, btree_set, hash_map, hash_set, vec, vec_deque};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A struct without fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unit;

/// A newtype.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meters(pub(crate) u32);

/// Each shape that a variant can have, and a recursive one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    Nothing,
    Newtype(i64),
    Tuple(u8, String),
    Struct { left: u16, right: Option<char> },
    Nested(Box<Shape>),
    Many(Vec<Shape>),
}

/// Integers of every size, and the other plain values. Floats are kept as bits too, because NaN is not equal
/// to itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scalars {
    unsigned: (u8, u16, u32, u64, u128, usize),
    signed: (i8, i16, i32, i64, i128, isize),
    floats: (f32, f64),
    truth: bool,
    letter: char,
    unit: (),
    unit_struct: Unit,
}

/// Values that hold others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Containers {
    text: String,
    list: Vec<u64>,
    small_list: Vec<u8>,
    #[serde(with = "labgob::bytes")]
    blob: Vec<u8>,
    queue: VecDeque<Meters>,
    array: [i16; 4],
    maybe: Option<Option<u32>>,
    result: Result<u8, String>,
    ordered_map: BTreeMap<String, Vec<u32>>,
    hashed_map: HashMap<u64, String>,
    ordered_set: BTreeSet<i32>,
    hashed_set: HashSet<String>,
    units: Vec<()>,
    boxed: Box<(u8, Box<str>)>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Everything {
    scalars: Scalars,
    containers: Containers,
    shape: Shape,
}

/// Shapes up to a few levels deep.
pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        any::<i64>().prop_map(Shape::Newtype),
        (any::<u8>(), any::<String>()).prop_map(|(number, text)| Shape::Tuple(number, text)),
        (any::<u16>(), any::<Option<char>>()).prop_map(|(left, right)| Shape::Struct { left, right }),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|shape| Shape::Nested(Box::new(shape))),
            vec(inner, 0..5).prop_map(Shape::Many),
        ]
    })
}

/// Plain values; the floats include infinities and negative zero, but not NaN, which `floats_keep_their_bits`
/// covers.
pub(crate) fn scalars() -> impl Strategy<Value = Scalars> {
    let floats = (
        prop::num::f32::ANY.prop_filter("NaN", |float| !float.is_nan()),
        prop::num::f64::ANY.prop_filter("NaN", |float| !float.is_nan()),
    );
    (
        any::<(u8, u16, u32, u64, u128, usize)>(),
        any::<(i8, i16, i32, i64, i128, isize)>(),
        floats,
        any::<(bool, char)>(),
    )
        .prop_map(|(unsigned, signed, floats, (truth, letter))| Scalars {
            unsigned,
            signed,
            floats,
            truth,
            letter,
            unit: (),
            unit_struct: Unit,
        })
}

/// Containers of up to 80 elements, so that lengths below and above the trusted hint occur.
pub(crate) fn containers() -> impl Strategy<Value = Containers> {
    let lists =
        (any::<String>(), vec(any::<u64>(), 0..80), vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..300));
    let more =
        (vec_deque(any::<u32>().prop_map(Meters), 0..80), any::<[i16; 4]>(), any::<Option<Option<u32>>>());
    let maps = (
        btree_map(any::<String>(), vec(any::<u32>(), 0..5), 0..8),
        hash_map(any::<u64>(), any::<String>(), 0..80),
    );
    let sets = (btree_set(any::<i32>(), 0..80), hash_set(any::<String>(), 0..8));
    let rest = (any::<Result<u8, String>>(), 0_usize..70, any::<u8>(), any::<String>());
    (lists, more, maps, sets, rest).prop_map(|(lists, more, maps, sets, rest)| Containers {
        text: lists.0,
        list: lists.1,
        small_list: lists.2,
        blob: lists.3,
        queue: more.0,
        array: more.1,
        maybe: more.2,
        result: rest.0,
        ordered_map: maps.0,
        hashed_map: maps.1,
        ordered_set: sets.0,
        hashed_set: sets.1,
        units: vec![(); rest.1],
        boxed: Box::new((rest.2, rest.3.into_boxed_str())),
    })
}

/// A value of every kind at once.
pub(crate) fn everything() -> impl Strategy<Value = Everything> {
    (scalars(), containers(), shape()).prop_map(|(scalars, containers, shape)| Everything {
        scalars,
        containers,
        shape,
    })
}
