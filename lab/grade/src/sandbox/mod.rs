//! The sandbox: bubblewrap for what a process sees, Landlock and seccomp for what it may do, limits of the
//! system for what it may take.
//!
//! A test process is started as `bwrap … lab-grade __confine … test-binary`. Bubblewrap gives it namespaces
//! of its own for users, processes, files, messages and the network; it sees the system's libraries, its own
//! binary, and nothing else. The small program `__confine` (module `confine`) then sets limits, lets Landlock
//! fix which files may be opened and seccomp which system calls there are, and becomes the test binary.

pub(crate) mod confine;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use lab_terminal::Failure;

/// What a process may take, and what it may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Seconds of processor time of a process.
    pub(crate) cpu_s: u64,
    /// Mebibytes of address space; 0 for no bound.
    pub(crate) address_mb: u64,
    /// Mebibytes of any file that it writes.
    pub(crate) file_mb: u64,
    /// Whether only the system calls of a test are there, and no file can be written.
    pub(crate) is_test: bool,
}

/// How submissions are contained here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// Bubblewrap, Landlock and seccomp.
    Full,
    /// Landlock and seccomp, for containers in which nobody may make namespaces; asked for by
    /// `--no-namespaces`.
    Calls,
    /// Limits only; asked for by `--unsafe-no-sandbox`.
    Nothing,
}

/// The program that makes namespaces.
const BWRAP: &str = "bwrap";

impl Sandbox {
    /// This sandbox, if it works here.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub(crate) fn probe(self) -> Result<Sandbox, Failure> {
        let advice = "install Debian's package bubblewrap, on a Linux kernel of version 5.13 or later that lets \
                      users make namespaces; --no-namespaces does with Landlock and seccomp alone, in a container that holds one \
                      submission; --unsafe-no-sandbox grades without protection, for submissions that you trust";
        let mut command = self.command(&Bounds::of_probe(), &[], &[], Path::new("/"));
        command.arg("/usr/bin/true").stdin(Stdio::null()).stdout(Stdio::null());
        match command.stderr(Stdio::piped()).output() {
            Ok(output) if output.status.success() => Ok(self),
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stderr);
                Err(Failure::new(format!("the sandbox does not work here: {}; {advice}", words.trim())))
            }
            Err(error) => Err(Failure::new(format!("cannot run {BWRAP}: {error}; {advice}"))),
        }
    }

    /// What is in force, for a human.
    pub(crate) fn describe(self) -> String {
        match self {
            Sandbox::Full => format!(
                "bubblewrap (own users, processes, files, messages, no network), {}, limits of processor time, memory and output",
                confine::describe()
            ),
            Sandbox::Calls => format!("no namespaces (--no-namespaces), {}, limits", confine::describe()),
            Sandbox::Nothing => {
                "none (--unsafe-no-sandbox): submissions can read and change what you can".to_owned()
            }
        }
    }

    /// A command that lacks only the program and its arguments. `mounts` are what it sees besides the
    /// system's libraries; it starts in the folder `cwd`, which must be in one of them, with these variables
    /// alone.
    pub(crate) fn command(
        self,
        bounds: &Bounds,
        variables: &[(String, String)],
        mounts: &[Mount],
        cwd: &Path,
    ) -> Command {
        let mut command = match self {
            Sandbox::Full => bare(),
            Sandbox::Calls | Sandbox::Nothing => Command::new(this()),
        };
        if self != Sandbox::Full {
            command.current_dir(cwd).env_clear().envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8")]);
            command.envs(variables.iter().map(|(name, value)| (name, value)));
        } else {
            for (name, value) in variables {
                command.args(["--setenv", name, value]);
            }
            wrap(&mut command, bounds, mounts, cwd);
        }
        command.arg(confine::WORD).args(bounds.arguments(self));
        command
    }
}

/// A part of the file system that a process sees.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) from: PathBuf,
    pub(crate) at: PathBuf,
    pub(crate) writable: bool,
}

impl Mount {
    /// Read only, where it is.
    pub(crate) fn here(path: &Path) -> Mount {
        Mount { from: path.to_path_buf(), at: path.to_path_buf(), writable: false }
    }
}

impl Bounds {
    fn of_probe() -> Bounds {
        Bounds { cpu_s: 10, address_mb: 0, file_mb: 1, is_test: true }
    }

    fn arguments(&self, sandbox: Sandbox) -> [String; 4] {
        let confined = self.is_test && sandbox != Sandbox::Nothing;
        [
            self.cpu_s.to_string(),
            self.address_mb.to_string(),
            self.file_mb.to_string(),
            u8::from(confined).to_string(),
        ]
    }
}

/// This program, which is started again within the sandbox.
fn this() -> &'static Path {
    static THIS: OnceLock<PathBuf> = OnceLock::new();
    THIS.get_or_init(|| std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lab-grade")))
}

/// Where this program lies within the sandbox.
const INSIDE: &str = "/sandbox/lab-grade";

fn wrap(command: &mut Command, bounds: &Bounds, mounts: &[Mount], cwd: &Path) {
    if !bounds.is_test {
        command.args(["--dev", "/dev", "--proc", "/proc"]);
    }
    command.arg("--ro-bind").arg(this()).arg(INSIDE);
    for mount in mounts {
        command.arg(if mount.writable { "--bind" } else { "--ro-bind" }).arg(&mount.from).arg(&mount.at);
    }
    command.arg("--chdir").arg(cwd);
    // Last, so that no place is left in which something could be made.
    command.args(["--remount-ro", "/"]).arg(INSIDE);
}

/// Namespaces, and the system's libraries.
fn bare() -> Command {
    let mut command = Command::new(BWRAP);
    command.args(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"]);
    command.args([
        "--disable-userns",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--hostname",
        "lab",
        "--cap-drop",
        "ALL",
    ]);
    command.args(["--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]);
    command.args(["--setenv", "LANG", "C.UTF-8"]);
    for folder in ["/usr", "/lib", "/lib64", "/bin", "/etc/alternatives", "/etc/ld.so.cache"] {
        command.args(["--ro-bind-try", folder, folder]);
    }
    // The system's own programs that are nobody's business, and memory as a disk of bounded size.
    command.args(["--tmpfs", "/usr/local", "--size", SCRATCH, "--tmpfs", "/tmp"]);
    command
}

/// The bytes of `/tmp`.
const SCRATCH: &str = "67108864";

/// git, which sees one repository and cannot change it, and may not take what it likes: a repository's
/// configuration can make it run programs, and a few bytes of a pack unpack to gigabytes. None where nobody
/// may make namespaces.
pub(crate) fn git(repository: &Path) -> Option<Command> {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = || {
        let mut probe = bare();
        probe.args(["--dev", "/dev", "/usr/bin/true"]);
        let probe = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    WORKS.get_or_init(works).then(|| {
        let mut command = bare();
        command.arg("--ro-bind").arg(repository).arg("/repository");
        // Of util-linux, which every Debian has: two gibibytes, and a minute of processor time.
        let bounds = ["prlimit", "--as=2147483648", "--cpu=60", "--core=0"];
        command.args(["--dev", "/dev", "--chdir", "/repository"]).args(bounds);
        command.args(["git", "--git-dir=/repository"]);
        command
    })
}
