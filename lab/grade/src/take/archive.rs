//! Submissions that are archives, or git repositories without a working tree.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use flate2::read::{DeflateDecoder, MultiGzDecoder};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rawzip::CompressionMethod;
use tar::EntryType;

use super::Refusal;
use super::gather::{Gather, MOST_UNPACKED, Special, bomb};
use crate::sandbox;

/// Reads an archive. What kind it is, its first bytes say, and not its name.
pub(super) fn read(path: &Path, gather: &mut Gather) -> Result<(), Refusal> {
    let unreadable = |error: io::Error| Refusal::new("unreadable", format!("It cannot be read: {error}."));
    let mut file = File::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    if head.is_empty() {
        return Err(Refusal::new("empty", "It is an empty file."));
    }
    if head.starts_with(b"PK") {
        return read_zip(file, gather);
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        return read_tar(MultiGzDecoder::new(BufReader::new(file)), gather);
    }
    if head.iter().all(|byte| *byte == 0) {
        return Err(Refusal::new("empty", "It is an archive with nothing in it."));
    }
    // The magic of ustar and of GNU tar, where both have it.
    if head.get(257..262) == Some(b"ustar") {
        return read_tar(BufReader::new(file), gather);
    }
    Err(Refusal::new("not_an_archive", "It is no folder, and no archive of the kinds tar, tar.gz or zip."))
}

fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::new("damaged", format!("The archive is damaged: {error}."))
}

fn read_tar(stream: impl Read, gather: &mut Gather) -> Result<(), Refusal> {
    let mut bounded = Bounded { stream, left: MOST_UNPACKED };
    match read_entries(&mut bounded, gather) {
        // Whatever it is that fails then, the bound is why.
        Err(_) if bounded.left == 0 => Err(bomb()),
        other => other,
    }
}

fn read_entries(stream: &mut impl Read, gather: &mut Gather) -> Result<(), Refusal> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(damaged)? {
        gather.count()?;
        let entry = entry.map_err(damaged)?;
        let path = entry.path_bytes().into_owned();
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader | EntryType::XHeader => {}
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => gather.file(&path, entry)?,
            EntryType::Symlink | EntryType::Link => gather.special(&path, Special::Link)?,
            _ => gather.special(&path, Special::Device)?,
        }
    }
    Ok(())
}

/// A stream that ends with an error once it has given that many bytes.
struct Bounded<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("it unpacks to too much"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

fn read_zip(file: File, gather: &mut Gather) -> Result<(), Refusal> {
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = rawzip::ZipArchive::from_file(file, &mut buffer).map_err(damaged)?;
    let mut entries = archive.entries(&mut buffer);
    while let Some(about) = entries.next_entry().map_err(damaged)? {
        gather.count()?;
        let mut path = about.file_path().as_ref().to_vec();
        // Some programs on Windows write their own separators.
        path.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        if about.mode().is_symlink() {
            gather.special(&path, Special::Link)?;
        } else if !about.is_dir() {
            let method = about.compression_method();
            let entry = archive.get_entry(about.wayfinder()).map_err(damaged)?;
            // Nothing is decompressed before it is asked for, and no more of it than that.
            match method {
                CompressionMethod::Store => gather.file(&path, entry.verifying_reader(entry.reader()))?,
                CompressionMethod::Deflate => {
                    gather.file(&path, entry.verifying_reader(DeflateDecoder::new(entry.reader())))?;
                }
                _ => return Err(damaged("it is compressed or encrypted in an unusual way")),
            }
        }
    }
    Ok(())
}

/// Whether the folder is a git repository without a working tree.
pub(super) fn is_bare_repository(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

/// How long git may take for a repository.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Reads the commit that HEAD of a bare repository names. If it names none, the student has perhaps pushed to
/// a branch of another name: then the only one there is.
pub(super) fn read_repository(path: &Path, gather: &mut Gather, longest: Duration) -> Result<(), Refusal> {
    let archive = |commit: &str, gather: &mut Gather| {
        let read = |stream| read_tar(BufReader::new(stream), gather);
        git(path, &["archive", "--format=tar", commit], longest, read)
    };
    let read = archive("HEAD", gather);
    if gather.entries > 0
        || read.as_ref().is_err_and(|refusal| [TOO_SLOW, NO_NAMESPACES].contains(&refusal.fault.as_str()))
    {
        return read;
    }
    let mut commit = String::new();
    git(path, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], longest, |stream| {
        let _ = stream.take(100).read_to_string(&mut commit);
        Ok(())
    })?;
    if !commit.is_empty() {
        let sentence =
            "git cannot read the commit at HEAD: it is damaged, or takes more than 2 GiB of memory.";
        return Err(Refusal::new("unreadable", sentence));
    }
    let mut branches = String::new();
    git(path, &["for-each-ref", "--format=%(refname)", "refs/heads"], longest, |stream| {
        // What cannot be read is no branch.
        let _ = stream.take(100_000).read_to_string(&mut branches);
        Ok(())
    })?;
    if let [branch] = branches.lines().collect::<Vec<_>>()[..] {
        archive(branch, gather)?;
    }
    if gather.entries > 0 {
        return Ok(());
    }
    Err(Refusal::new("empty", "The repository has no commit at HEAD, or an empty one."))
}

const TOO_SLOW: &str = "too_slow";
const NO_NAMESPACES: &str = "no_namespaces";

/// What git says of a repository. Its configuration can make git run programs, so git runs in a sandbox,
/// which has the repository and no more. It may also make git wait for ever, and then this ends it.
fn git(
    path: &Path,
    arguments: &[&str],
    longest: Duration,
    read: impl FnOnce(ChildStdout) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let missing = |error: io::Error| Refusal::new("unreadable", format!("git cannot be run on it: {error}."));
    let absolute = path.canonicalize().map_err(missing)?;
    let Some(mut command) = sandbox::git(&absolute) else {
        let sentence = "It is a bare git repository, which can make git run programs, and this machine has no \
                        namespaces to read it in; hand in a folder or an archive.";
        return Err(Refusal::new(NO_NAMESPACES, sentence));
    };
    let mut child = command
        .args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(missing)?;
    let group = Pid::from_raw(child.id().cast_signed());
    let stream = child.stdout.take();
    let (done, end) = mpsc::channel::<()>();
    let (read, is_late) = thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let is_late = end.recv_timeout(longest) == Err(RecvTimeoutError::Timeout);
            // All that it has started goes with it. It may also wait for a reader that has refused the rest.
            let _ = killpg(group, Signal::SIGKILL);
            is_late
        });
        let read = stream.map_or(Ok(()), read);
        drop(done);
        (read, watch.join().unwrap_or_default())
    });
    let _ = child.wait();
    if is_late {
        let sentence = format!("git takes more than {} s to read the repository.", longest.as_secs());
        return Err(Refusal::new(TOO_SLOW, sentence));
    }
    read
}
