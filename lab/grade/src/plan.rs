//! The plan of a batch: what was handed in, with which seeds it is run, and how that is cut into shards. It
//! is written before anything is run, and everything else follows from it.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use lab_terminal::Failure;
use labreport::grading::runs_of;
use labreport::swarm::{LAST_DIGIT, Swarm};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::settings::{Grading, Test};
use crate::take::{Refusal, Sources, take};
use crate::workshop::{Workshop, hex};
use crate::{canary, store};

/// The version of the files in a batch's folder.
pub(crate) const VERSION: u32 = 1;

/// The plan's name in a batch's folder.
const FILE: &str = "plan.json";

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) version: u32,
    pub(crate) lab: String,
    /// Earlier labs that are put in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) with: Vec<String>,
    /// Of the workspace that everything is built in ([`Workshop::fingerprint`]).
    pub(crate) workshop: String,
    pub(crate) packages: Vec<String>,
    pub(crate) runs: u64,
    pub(crate) first_seed: u64,
    pub(crate) seeds_per_shard: u64,
    pub(crate) grading: Grading,
    pub(crate) tests: Vec<Test>,
    pub(crate) rows: Vec<Row>,
}

/// One submission of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The student, or whoever the file is named for.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// What was handed in, without the folder that it lies in.
    pub(crate) file: String,
    /// Of the sources; empty if there are none.
    pub(crate) hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refusal>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// The reference, which must pass.
    Reference,
    /// What students begin with, which must fail as not implemented.
    Skeleton,
    /// A wrong solution, which must fail.
    Canary,
    Student,
}

/// A piece of work: one submission with some of the seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) shard: usize,
    pub(crate) submission: String,
    pub(crate) hash: String,
    pub(crate) seeds: Range<u64>,
}

/// What a batch is made of.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) lab: String,
    pub(crate) with: Vec<String>,
    pub(crate) submissions: Vec<PathBuf>,
    pub(crate) runs: u64,
    pub(crate) first_seed: u64,
    pub(crate) seeds_per_shard: Option<u64>,
    pub(crate) skip_inspection: bool,
}

impl Plan {
    /// Looks at all submissions, and keeps the sources of those that can be graded in `out`.
    pub(crate) fn make(
        root: &Path,
        workshop: &Workshop,
        grading: Grading,
        tests: Vec<Test>,
        wish: &Wish,
        out: &Path,
    ) -> Result<Plan, Failure> {
        let mut rows = vec![
            own_row("(reference)", Role::Reference, &workshop.reference, out)?,
            own_row("(skeleton)", Role::Skeleton, &workshop.skeleton, out)?,
        ];
        // Of several labs, the canary of the first that has one.
        if let Some(patch) = wish.lab.split(',').find_map(|lab| grading.canary.get(lab)) {
            let sources = canary::sources(&workshop.reference, &root.join(patch))?;
            rows.push(own_row("(canary)", Role::Canary, &sources, out)?);
        }
        for path in &wish.submissions {
            rows.push(student_row(path, workshop, wish, out)?);
        }
        refuse_twins(&mut rows);
        rows.sort_by(|left, right| (left.role, &left.name).cmp(&(right.role, &right.name)));
        Ok(Plan {
            version: VERSION,
            lab: wish.lab.clone(),
            with: wish.with.clone(),
            workshop: workshop.fingerprint.clone(),
            packages: workshop.packages.clone(),
            runs: wish.runs,
            first_seed: wish.first_seed,
            seeds_per_shard: wish.seeds_per_shard.unwrap_or(wish.runs).max(1),
            grading,
            tests,
            rows,
        })
    }

    /// The pieces of work, in the order of the rows.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        let mut shards = Vec::new();
        for row in self.rows.iter().filter(|row| row.refusal.is_none()) {
            let end = self.first_seed + self.runs;
            let mut next = self.first_seed;
            while next < end {
                let behind = (next + self.seeds_per_shard).min(end);
                let (submission, hash) = (row.name.clone(), row.hash.clone());
                shards.push(Shard { shard: shards.len(), submission, hash, seeds: next..behind });
                next = behind;
            }
        }
        shards
    }

    /// How many runs of each test are a swarm's (see `run.rs`).
    pub(crate) fn swarm_runs(&self) -> u64 {
        let seeds = self.first_seed..self.first_seed + self.runs;
        seeds.filter(|seed| Swarm::Tenth.has(*seed)).count() as u64
    }

    /// How often each test is run: "50 runs of each test, 20 of those without points".
    pub(crate) fn runs_words(&self) -> String {
        let all = if self.runs == 1 { "1 run".to_owned() } else { format!("{} runs", self.runs) };
        let few = self.tests.iter().find(|test| test.points == 0 && test.percent < 100);
        let few = few.map(|test| self.runs_of(test)).filter(|&few| few < self.runs);
        let few = few.map(|few| format!(", {few} of those without points")).unwrap_or_default();
        format!("{all} of each test{few}")
    }

    /// How often a test is run.
    fn runs_of(&self, test: &Test) -> u64 {
        runs_of(self.runs, test.percent)
    }

    /// The tests with the seeds that each has in a shard: what is its share of all seeds, the first of them,
    /// does not depend on how they are cut.
    pub(crate) fn seeds(&self, shard: &Shard) -> Vec<(Test, Range<u64>)> {
        let Range { start, end } = shard.seeds;
        let last = |test: &Test| (self.first_seed + self.runs_of(test)).clamp(start, end);
        self.tests.iter().map(|test| (test.clone(), start..last(test))).collect()
    }

    /// Which these are, in a sentence.
    pub(crate) fn swarm_words(&self) -> String {
        let (whose, draws) = match self.swarm_runs() {
            1 => ("1 has a seed that ends".to_owned(), "draws"),
            runs => (format!("{runs} have seeds that end"), "draw"),
        };
        format!("{whose} in {LAST_DIGIT}, and also {draws} delays, scheduler, clocks and pauses (swarm)")
    }

    /// Of everything that decides what a shard comes to. Who handed the sources in is not among it, so a
    /// batch that gets further submissions keeps what was done for the others.
    pub(crate) fn key(&self, shard: &Shard) -> Result<String, Failure> {
        let seeds: Vec<Range<u64>> = self.seeds(shard).into_iter().map(|(_, seeds)| seeds).collect();
        let decides = (VERSION, &self.workshop, &self.tests, &shard.hash, &shard.seeds, seeds);
        let text = serde_json::to_vec(&decides).map_err(|error| Failure::new(format!("a shard: {error}")))?;
        Ok(hex(&Sha256::digest(text)[..16]))
    }

    /// Why the other plan does not go on with this one, in words; None if it does, since it has other
    /// submissions, another number of runs, or other points for what the runs come to.
    pub(crate) fn is_of_another_batch(&self, other: &Plan) -> Option<&'static str> {
        let differences = [
            (self.version != other.version, "another version of the grader made it"),
            (self.lab != other.lab || self.with != other.with, "it is of another lab"),
            (self.first_seed != other.first_seed, "it has the seeds of another secret"),
            (self.tests != other.tests, "labs.toml had other tests, points or limits"),
            (
                self.workshop != other.workshop || self.packages != other.packages,
                "it was built from another version of this workspace, or by another compiler",
            ),
        ];
        differences.into_iter().find(|(differs, _)| *differs).map(|(_, why)| why)
    }

    /// Writes the plan, and the list of its shards.
    pub(crate) fn write(&self, out: &Path) -> Result<(), Failure> {
        store::put_json(&out.join(FILE), self)?;
        let mut lines = String::new();
        for shard in self.shards() {
            lines +=
                &serde_json::to_string(&shard).map_err(|error| Failure::new(format!("a shard: {error}")))?;
            lines.push('\n');
        }
        store::put(&out.join("shards.jsonl"), lines.as_bytes())
    }

    /// The plan of the batch in `out`.
    pub(crate) fn read(out: &Path) -> Result<Plan, Failure> {
        // Of another version nothing else may be known.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let path = out.join(FILE);
        let Versioned { version } = store::get_json(&path)?;
        if version != VERSION {
            return Err(Failure::new(format!(
                "{} is of version {version}; this reads {VERSION}",
                path.display()
            )));
        }
        store::get_json(&path)
    }

    /// The plan in `out`, if there is one.
    ///
    /// # Errors
    /// If there is one that cannot be read: its seeds would be lost.
    pub(crate) fn read_if_there(out: &Path) -> Result<Option<Plan>, Failure> {
        if out.join(FILE).exists() { Plan::read(out).map(Some) } else { Ok(None) }
    }
}

fn own_row(name: &str, role: Role, sources: &Sources, out: &Path) -> Result<Row, Failure> {
    let hash = keep(sources, out)?;
    Ok(Row { name: name.to_owned(), role, file: String::new(), hash, refusal: None, notes: Vec::new() })
}

/// The student that a submission is named for, and its file's name.
pub(crate) fn names(path: &Path) -> (String, String) {
    // A link has its own name, and not that of what it leads to. `.` has none.
    let file = path.file_name().map(ToOwned::to_owned);
    let absolute = || path.canonicalize().ok().and_then(|path| path.file_name().map(ToOwned::to_owned));
    let file = plain(&file.or_else(absolute).unwrap_or_default());
    (short(student(&file)), short(&file))
}

fn student_row(path: &Path, workshop: &Workshop, wish: &Wish, out: &Path) -> Result<Row, Failure> {
    let (name, file) = names(path);
    let mut row =
        Row { name, role: Role::Student, file, hash: String::new(), refusal: None, notes: Vec::new() };
    let taken =
        take(path, &workshop.packages).and_then(|mut taken| {
            if !wish.skip_inspection {
                let built = crate::inspect::inspect(&taken.sources, &workshop.skeleton)?;
                let is_left = |path: &&String| !built.contains_key(*path);
                taken.notes.extend(taken.sources.keys().filter(is_left).map(|path| {
                    format!("{path} is not used: no `mod` names it, or only one for unit tests.")
                }));
                taken.sources = built;
            }
            Ok(taken)
        });
    match taken {
        Ok(taken) => {
            row.hash = keep(&taken.sources, out)?;
            row.notes = taken.notes;
        }
        Err(refusal) => row.refusal = Some(refusal),
    }
    Ok(row)
}

/// Two submissions of one student: which of them counts, only the instructor knows.
fn refuse_twins(rows: &mut [Row]) {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.iter() {
        files.entry(row.name.clone()).or_default().push(row.file.clone());
    }
    for row in rows.iter_mut() {
        let Some(twins) = files.get(&row.name).filter(|files| files.len() > 1) else { continue };
        let sentence =
            format!("There are several submissions of {}: {}. Keep one.", row.name, twins.join(", "));
        row.refusal = Some(Refusal::new("two_submissions", sentence));
        // Both stay in the table, each under its file's name.
        row.name = format!("{} [{}]", row.name, row.file);
    }
}

/// A file's name as text: what is not a plain letter, `_XX`.
fn plain(name: &std::ffi::OsStr) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-@+ ".contains(byte);
    name.as_bytes()
        .iter()
        .map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("_{byte:02x}") })
        .collect()
}

/// A name of which a folder can be called, also together with another one: a letter that is not plain takes
/// three bytes for each of its own. What is cut off is told apart by its hash.
fn short(name: &str) -> String {
    const LONGEST: usize = 100;
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    format!("{}~{}", &name[..LONGEST - 17], hex(&Sha256::digest(name)[..8]))
}

/// The student that a file is named for, also if it is of a kind that cannot be graded.
fn student(file: &str) -> &str {
    let ends =
        [".tar.gz", ".tgz", ".tar", ".zip", ".git", ".tar.xz", ".tar.bz2", ".tar.zst", ".7z", ".rar", ".gz"];
    let lower = file.to_ascii_lowercase();
    let stem = ends.iter().find_map(|end| lower.strip_suffix(end)).filter(|stem| !stem.is_empty());
    stem.map_or(file, |stem| &file[..stem.len()])
}

/// Keeps sources under the hash of what is in them.
fn keep(sources: &Sources, out: &Path) -> Result<String, Failure> {
    let text = serde_json::to_vec(sources).map_err(|error| Failure::new(format!("the sources: {error}")))?;
    let hash = hex(&Sha256::digest(&text)[..16]);
    let folder = out.join("sources");
    fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    store::put(&folder.join(format!("{hash}.json")), &text)?;
    Ok(hash)
}

/// The sources that were kept.
pub(crate) fn kept(out: &Path, hash: &str) -> Result<Sources, Failure> {
    store::get_json(&out.join("sources").join(format!("{hash}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_for_its_student() {
        for (file, name) in [
            ("alice.tar.gz", "alice"),
            ("bob.ZIP", "bob"),
            ("carol", "carol"),
            (".zip", ".zip"),
            ("d.rar", "d"),
        ] {
            assert_eq!(student(file), name);
        }
        assert_eq!(plain(std::ffi::OsStr::new("a/<b>")), "a_2f_3cb_3e");
        // Letters of other alphabets must not make a name that no folder can have.
        let [(first, file), (second, _)] =
            ["\u{5f20}", "\u{674e}"].map(|letter| names(Path::new(&format!("in/{}.zip", letter.repeat(80)))));
        assert!(first.len() <= 100 && file.len() <= 100 && first.starts_with("_e5_bc_a0"), "{first}");
        assert_ne!(first, second);
    }

    fn row(name: &str, refusal: Option<Refusal>) -> Row {
        Row {
            name: name.to_owned(),
            role: Role::Student,
            file: String::new(),
            hash: String::new(),
            refusal,
            notes: Vec::new(),
        }
    }

    #[test]
    fn two_submissions_of_a_student_are_both_named_and_neither_counts() {
        let mut rows = [("alice", "alice.zip"), ("bob", "bob"), ("alice", "alice")]
            .map(|(name, file)| Row { file: file.to_owned(), ..row(name, None) });
        refuse_twins(&mut rows);
        let said = rows.map(|row| (row.name, row.refusal.map(|refusal| refusal.sentence)));
        let sentence = Some("There are several submissions of alice: alice.zip, alice. Keep one.".to_owned());
        assert_eq!(
            said,
            [
                ("alice [alice.zip]".to_owned(), sentence.clone()),
                ("bob".to_owned(), None),
                ("alice [alice]".to_owned(), sentence),
            ]
        );
    }

    fn plan() -> Plan {
        Plan {
            version: VERSION,
            lab: String::new(),
            with: Vec::new(),
            workshop: String::new(),
            packages: Vec::new(),
            runs: 7,
            first_seed: 100,
            seeds_per_shard: 3,
            grading: Grading::default(),
            tests: Vec::new(),
            rows: vec![row("a", None), row("b", Some(Refusal::new("x", "y"))), row("c", None)],
        }
    }

    #[test]
    fn no_seed_is_left_out_or_run_twice() {
        let ranges: Vec<Range<u64>> = plan().shards().into_iter().map(|shard| shard.seeds).collect();
        assert_eq!(ranges, [100..103, 103..106, 106..107, 100..103, 103..106, 106..107]);
    }

    /// Points and what students see follow from runs that are done.
    #[test]
    fn another_policy_needs_no_run() {
        let (old, mut other) = (plan(), plan());
        other.grading.policy = crate::settings::Policy::AllOrNothing;
        other.grading.show.seeds = false;
        assert_eq!(old.is_of_another_batch(&other), None);
        let key = |plan: &Plan| plan.key(&plan.shards()[0]).expect("a shard has a text");
        assert_eq!(key(&old), key(&other));
        other.first_seed = 1;
        assert_ne!(key(&old), key(&other));
        assert_eq!(old.is_of_another_batch(&other), Some("it has the seeds of another secret"));
    }

    fn test(points: u32, percent: u32) -> Test {
        Test {
            name: format!("{points} points"),
            title: String::new(),
            part: String::new(),
            points,
            krate: String::new(),
            path: String::new(),
            limits: crate::settings::Limits { virtual_s: 120, real_s: 30, memory_mb: 512, processor_s: 2 },
            percent,
        }
    }

    #[test]
    fn tests_without_points_have_fewer_runs_and_it_is_said() {
        let with =
            |runs, percent| Plan { runs, tests: vec![test(5, 100), test(0, percent)], ..plan() }.runs_words();
        assert_eq!(with(50, 40), "50 runs of each test, 20 of those without points");
        assert_eq!(with(50, 100), "50 runs of each test");
        assert_eq!(with(1, 40), "1 run of each test");
    }

    /// Also those of a swarm are the same then.
    #[test]
    fn which_seeds_a_test_has_does_not_depend_on_the_shards() {
        for seeds_per_shard in [1, 7, 10, 50] {
            let tests = vec![test(5, 100), test(0, 40)];
            let rows = vec![row("alice", None)];
            let plan = Plan { runs: 50, first_seed: 1003, seeds_per_shard, tests, rows, ..plan() };
            let mut had: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for (test, seeds) in plan.shards().iter().flat_map(|shard| plan.seeds(shard)) {
                had.entry(test.name).or_default().extend(seeds);
            }
            assert_eq!(had["5 points"], (1003..1053).collect::<Vec<_>>(), "{seeds_per_shard}");
            assert_eq!(had["0 points"], (1003..1023).collect::<Vec<_>>(), "{seeds_per_shard}");
        }
    }
}
