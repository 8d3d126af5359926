//! The words of the command line, and what `--help` says of them.

use std::path::PathBuf;

use clap::Parser;
use linearize::Limits;
use linearize_read::FailedCas;

/// Says whether recorded histories are linearizable, and if not, which operations cannot be put in order.
#[derive(Debug, Parser)]
#[command(
    name = "cargo lab check",
    bin_name = "cargo lab check",
    version,
    after_help = "Exit status: 2 if anything could not be read or written (also, without a message, if whoever reads the \
                        output stops); else 1 if a history is not linearizable; else 3 if one is undecided within the \
                        limits, or if nothing was observed, because no operation returned; else 0: all are \
                        linearizable.

#45 is the operation with the index 45: operations are counted from 0 in the order of their calls. Of a \
                        history that is not linearizable the first bad key is named; others may be bad too. The page \
                        of --html shows all.

Files, plain or compressed by gzip, which their content tells apart: JSON Lines with an operation each; history.edn, \
                        history.txt and jepsen.log of Jepsen and Maelstrom; maps in a vector or list, as knossos has \
                        them; porcupine's key/value tests. What a nemesis reports is shown as faults.

Models, by the functions in a file: kv (get, put, append), register (read, write, cas), queue (enqueue, dequeue, drain), \
                        stack (push, pop), set (add, read of all elements), elements (insert, remove, contains), counter \
                        (add, inc, dec, read of a number), lock or mutex (acquire, release), log (append, read, length), \
                        versioned (get, put). Values may stand behind keys: [key value].

Examples:
  cargo lab check store/lin-kv/latest/history.edn
  cargo lab check --initial 0 --html register.html data/cas-register/good/*.edn
  cargo lab check --model log history.edn

Limits: numbers of clients have 32 bits, a key or value has at most 8 MiB."
)]
pub(crate) struct CheckOptions {
    /// Histories, in any of the formats below. - is standard input.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// What the files record, by one of the names below [default: as the functions in it say].
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,

    /// What a compare-and-set that failed says: that it did-not-happen, for whatever reason (Jepsen's
    /// reading), or that it saw-another value, unless it gives a reason (porcupine's) [default: saw-another
    /// for a jepsen.log of 2014, else did-not-happen].
    #[arg(long, value_name = "MEANING", value_parser = failed_cas)]
    pub(crate) failed_cas: Option<FailedCas>,

    /// What a register holds before anything is written, as the file would write it: a number, a "text", a
    /// word like :a [default: nil].
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) initial: Option<String>,

    /// Draw the history as a page that needs nothing else. With several FILEs, or if OUT is a folder or ends
    /// in /, the folder OUT gets a page FILE.html for each.
    #[arg(long, value_name = "OUT")]
    pub(crate) html: Option<PathBuf>,

    /// Print one object of JSON for each file, in one line. Its verdict is linearizable, not linearizable,
    /// unknown, nothing was observed, or, with an error and perhaps a line, unreadable.
    #[arg(long)]
    pub(crate) json: bool,

    /// How many states to visit for each key before the verdict is unknown.
    #[arg(long, value_name = "N", default_value_t = Limits::default().states, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_states: u64,

    /// How much memory to use for each key before the verdict is unknown: in bytes, or with K, M or G.
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub(crate) max_memory: usize,
}

fn failed_cas(text: &str) -> Result<FailedCas, String> {
    match text {
        "did-not-happen" => Ok(FailedCas::DidNotHappen),
        "saw-another" => Ok(FailedCas::SawAnother),
        _ => Err("did-not-happen or saw-another is wanted".to_owned()),
    }
}

/// A number of bytes: `1000`, `64K`, `512M`, `2G`, where K is 1,024.
fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(['K', 'k', 'M', 'm', 'G', 'g']);
    let unit: usize = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("one of K, M and G may stand behind the number".to_owned()),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "a size like 1000000, 64K, 512M or 2G is wanted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("64k"), Ok(65536));
        assert_eq!(size("1G"), Ok(Limits::default().memory), "the default that --help names");
        for wrong in ["", "M", "0", "-1", "1.5G", "3KM", "99999999999G", "1T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
