//! Atomics: those of std, with a point before each operation where the simulation may let another task run,
//! so that races on them are found.

use std::panic::Location;

use super::entry;
pub use std::sync::atomic::Ordering;

/// Declares a wrapper around a std atomic; the methods are std's.
macro_rules! atomic {
    ($(#[$doc:meta])* $name:ident, $value:ty { $($method:ident),* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name(std::sync::atomic::$name);

        impl $name {
            /// An atomic with this value.
            pub const fn new(value: $value) -> Self {
                $name(std::sync::atomic::$name::new(value))
            }

            /// The value.
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                entry(Location::caller(), self, false);
                self.0.load(order)
            }

            /// Replaces the value.
            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                entry(Location::caller(), self, true);
                self.0.store(value, order);
            }

            /// Replaces the value if it is `current`.
            ///
            /// # Errors
            /// The value that was found instead.
            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                entry(Location::caller(), self, true);
                self.0.compare_exchange(current, new, success, failure)
            }

            /// The value of an atomic that no other thread can see.
            pub fn into_inner(self) -> $value {
                self.0.into_inner()
            }

            $(
                /// As the method of std of this name; returns the value before the operation.
                #[track_caller]
                pub fn $method(&self, value: $value, order: Ordering) -> $value {
                    entry(Location::caller(), self, true);
                    self.0.$method(value, order)
                }
            )*
        }
    };
}

atomic!(
    /// As [`std::sync::atomic::AtomicBool`].
    AtomicBool, bool { swap, fetch_and, fetch_or, fetch_xor }
);
atomic!(
    /// As [`std::sync::atomic::AtomicU32`].
    AtomicU32, u32 { swap, fetch_add, fetch_sub, fetch_max, fetch_min, fetch_and, fetch_or, fetch_xor }
);
atomic!(
    /// As [`std::sync::atomic::AtomicU64`].
    AtomicU64, u64 { swap, fetch_add, fetch_sub, fetch_max, fetch_min, fetch_and, fetch_or, fetch_xor }
);
atomic!(
    /// As [`std::sync::atomic::AtomicI64`].
    AtomicI64, i64 { swap, fetch_add, fetch_sub, fetch_max, fetch_min, fetch_and, fetch_or, fetch_xor }
);
atomic!(
    /// As [`std::sync::atomic::AtomicUsize`].
    AtomicUsize, usize { swap, fetch_add, fetch_sub, fetch_max, fetch_min, fetch_and, fetch_or, fetch_xor }
);
