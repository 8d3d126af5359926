//! Which labs there are handouts of, and what each consists of.

/// A lab, as students take it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lab {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// The folders of its crates.
    pub(crate) packages: &'static [&'static str],
    /// Crates that come along with it as they are.
    pub(crate) given: &'static [&'static str],
    /// Its names in `labs.toml`.
    pub(crate) catalogue: &'static [&'static str],
    /// The labs that it stands on, directly and indirectly.
    pub(crate) needs: &'static [&'static str],
}

/// All labs, each behind those that it stands on.
pub(crate) const LABS: [Lab; 10] = [
    Lab { name: "warmup", packages: &["lectures/warmup"], given: &[], catalogue: &["warmup"], needs: &[] },
    Lab { name: "mapreduce", packages: &["mapreduce"], given: &[], catalogue: &["mapreduce"], needs: &[] },
    Lab { name: "raft", packages: &["raft"], given: &[], catalogue: &["raft"], needs: &[] },
    Lab {
        name: "kvraft",
        packages: &["rsm", "kvraft"],
        given: &[],
        catalogue: &["rsm", "kvraft"],
        needs: &["raft"],
    },
    Lab {
        name: "shardctrler",
        packages: &["shardctrler"],
        given: &[],
        catalogue: &["shardctrler"],
        needs: &["raft", "kvraft"],
    },
    Lab {
        name: "shardkv",
        packages: &["shardkv"],
        given: &[],
        catalogue: &["shardkv"],
        needs: &["raft", "kvraft", "shardctrler"],
    },
    Lab {
        name: "vmft",
        packages: &["lectures/vmft"],
        given: &["lectures/vmft-machine"],
        catalogue: &["vmft"],
        needs: &[],
    },
    Lab {
        name: "zookeeper",
        packages: &["lectures/zookeeper", "lectures/zookeeper-recipes"],
        given: &["lectures/zookeeper-messages"],
        catalogue: &["zookeeper"],
        needs: &["raft", "kvraft"],
    },
    Lab {
        name: "gfs",
        packages: &["lectures/gfs", "lectures/gfs-disk", "lectures/gfs-client"],
        given: &["lectures/gfs-messages"],
        catalogue: &["gfs"],
        needs: &[],
    },
    Lab {
        name: "craq",
        packages: &["lectures/craq"],
        given: &["lectures/craq-messages"],
        catalogue: &["craq"],
        needs: &["raft", "kvraft"],
    },
];

/// The crates that every handout has, as they are.
pub(crate) const FRAMEWORK: [&str; 16] = [
    "labrt",
    "labgob",
    "labrpc",
    "labapi",
    "labreport",
    "labtrace",
    "linearize",
    "linearize/page",
    "linearize/read",
    "tester",
    "tester/kv",
    "lab",
    "lab/terminal",
    "lab/check",
    "lab/view",
    "lab/features",
];

/// The consensus module that stands in for a Raft.
pub(crate) const ORACLE: &str = "oracle";

/// Files beside the crates that every handout has, as they are.
pub(crate) const BESIDE: [&str; 9] = [
    ".cargo/config.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "clippy.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "test-scripts/race.sh",
    "test-scripts/test-many.sh",
    "test-scripts/tsan-suppressions.txt",
];

/// The lab of that name.
pub(crate) fn find(name: &str) -> Option<&'static Lab> {
    LABS.iter().find(|lab| lab.name.eq_ignore_ascii_case(name))
}
