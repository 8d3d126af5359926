//! What lab code may name, and why not the rest.

/// What of a module of std lab code may use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    All,
    /// These names, and neither the module itself nor all of it by `*`.
    Only(&'static [&'static str]),
}

/// The modules and macros of std and core that a lab may use. What is not here reaches files, processes, the
/// environment, the network, clocks or other threads, or has no use in a lab.
pub(super) const ALLOWED: [(&str, Part); 60] = [
    ("any", Part::All),
    ("array", Part::All),
    ("ascii", Part::All),
    ("assert", Part::All),
    ("assert_eq", Part::All),
    ("assert_ne", Part::All),
    ("borrow", Part::All),
    ("boxed", Part::All),
    ("cell", Part::All),
    ("char", Part::All),
    ("clone", Part::All),
    ("cmp", Part::All),
    ("collections", Part::All),
    ("convert", Part::All),
    ("debug_assert", Part::All),
    ("debug_assert_eq", Part::All),
    ("default", Part::All),
    ("error", Part::All),
    ("eprintln", Part::All),
    ("f32", Part::All),
    ("f64", Part::All),
    ("fmt", Part::All),
    ("format", Part::All),
    ("future", Part::All),
    ("hash", Part::All),
    ("hint", Part::All),
    ("i32", Part::All),
    ("i64", Part::All),
    ("io", Part::Only(&["Error", "ErrorKind", "Read", "Result", "Write", "BufRead", "Cursor"])),
    ("iter", Part::All),
    ("marker", Part::All),
    ("matches", Part::All),
    ("mem", Part::All),
    ("num", Part::All),
    ("ops", Part::All),
    ("option", Part::All),
    ("panic", Part::Only(&["AssertUnwindSafe", "Location", "RefUnwindSafe", "UnwindSafe"])),
    ("pin", Part::All),
    ("println", Part::All),
    ("ptr", Part::All),
    ("rc", Part::All),
    ("result", Part::All),
    ("slice", Part::All),
    ("str", Part::All),
    ("string", Part::All),
    ("sync", Part::Only(&["Arc", "Weak", "atomic"])),
    ("task", Part::All),
    ("thread", Part::Only(&["panicking"])),
    ("time", Part::Only(&["Duration"])),
    ("todo", Part::All),
    ("u8", Part::All),
    ("u16", Part::All),
    ("u32", Part::All),
    ("u64", Part::All),
    ("unimplemented", Part::All),
    ("unreachable", Part::All),
    ("usize", Part::All),
    ("vec", Part::All),
    ("write", Part::All),
    ("writeln", Part::All),
];

/// Why a module of std is refused, where a student may have had a reason to use it.
pub(super) const INSTEAD: [(&str, &str, &str); 11] = [
    ("alloc", "memory", "lab code takes its memory as everybody does"),
    ("env", "environment", "lab code must not look at its environment"),
    ("fs", "files", "lab code must not use files; what is to survive belongs into the Persister"),
    ("net", "network", "lab code must not use the real network; use labrpc"),
    ("os", "system", "lab code must not use the system"),
    ("panic", "panic", "lab code must not catch or redirect panics, by which the runtime ends servers"),
    ("path", "files", "lab code must not use files"),
    ("process", "process", "lab code must not start or end processes"),
    ("sync", "blocking", "it would block the whole simulation; use labrt::sync and labrt::channel"),
    ("thread", "blocking", "threads of the system are not part of the simulation; use labrt::thread"),
    ("time", "clock", "a run must depend on its seed alone; use labrt::time"),
];

/// Names that stand nowhere in lab code, with the fault's name and the reason.
pub(super) const NOWHERE: [(&str, &str, &str); 13] = [
    ("unsafe", "unsafe", "lab code must not be unsafe"),
    ("extern", "extern", "lab code must not name other crates or functions in C"),
    ("include", "include", "lab code must not include other files"),
    ("include_str", "include", "lab code must not include other files"),
    ("include_bytes", "include", "lab code must not include other files"),
    ("option_env", "environment", "lab code must not look at its environment"),
    ("asm", "assembler", "lab code must not contain assembler"),
    ("global_asm", "assembler", "lab code must not contain assembler"),
    ("naked_asm", "assembler", "lab code must not contain assembler"),
    ("catch_unwind", "panic", "lab code must not catch panics, by which the runtime ends servers"),
    ("set_hook", "panic", "lab code must not redirect panics"),
    ("proc_macro", "proc_macro", "lab code must not contain macros that run in the compiler"),
    ("set_global_default", "logging", "lab code must not redirect the log"),
];

/// Attributes that a lab may use. Others can change what is linked, or which file is read.
pub(super) const ATTRIBUTES: [&str; 28] = [
    "allow",
    "automatically_derived",
    "bincode",
    "cfg",
    "clippy",
    "cold",
    "debug_handler",
    "default",
    "deny",
    "deprecated",
    "derive",
    "doc",
    "expect",
    "forbid",
    "ignore",
    "inline",
    "instrument",
    "macro_export",
    "macro_use",
    "must_use",
    "non_exhaustive",
    "repr",
    "rustfmt",
    "serde",
    "should_panic",
    "test",
    "track_caller",
    "warn",
];

/// What the type of a `static` may be made of. Everything else may hold what servers and seeds would share.
pub(super) const CONSTANT: [&str; 17] = [
    "str", "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
    "isize", "Duration", "f64",
];
