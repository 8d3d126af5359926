//! The places of Rust sources at which a small change makes a mutant, as lines of JSON.
//!
//! `lab-mutants FILE…` parses each file with `syn` and changes nothing. Who asks puts the changes behind a
//! switch: one build then holds all mutants.
#![forbid(unsafe_code)]

mod sites;

use std::process::ExitCode;

fn main() -> ExitCode {
    for file in std::env::args().skip(1) {
        let found = std::fs::read_to_string(&file)
            .map_err(|error| error.to_string())
            .and_then(|text| sites::of_source(&text));
        match found {
            Ok(sites) => sites.iter().for_each(|site| println!("{}", site.json(&file))),
            Err(error) => {
                eprintln!("lab-mutants: {file}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}
