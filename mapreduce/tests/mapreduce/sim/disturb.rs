//! Disturbances that several tests share.

use labrt::rand::{random_bool, random_range};
use labrt::thread;
use labrt::time::Duration;

use super::cluster::{Cluster, timeout};

/// A fraction of the time-out, since stalls are long or short in relation to it.
pub(crate) fn of_timeout(fraction: f64) -> Duration {
    timeout().mul_f64(fraction)
}

/// As in the functions of the course's "crash" application: with this chance the machine crashes, with the
/// same chance it stalls for up to the time-out.
pub(crate) fn crash_or_stall(cluster: &Cluster, machine: usize, chance: f64) {
    let draw = random_range(0.0..1.0);
    if draw < chance {
        cluster.crash_machine(machine);
    } else if draw < 2.0 * chance {
        thread::sleep(of_timeout(random_range(0.0..1.0)));
    }
}

/// Starts crashed machines again, a second after they were found dead, until the job is over; with some
/// chance without what was on their disks.
pub(crate) fn keep_restarting(cluster: &Cluster, disk_lost: f64) {
    let cluster = cluster.clone();
    drop(thread::spawn(move || {
        while !cluster.is_over() {
            thread::sleep(of_timeout(0.1));
            let dead: Vec<usize> = cluster.workers().filter(|&machine| !cluster.is_alive(machine)).collect();
            for machine in dead {
                if random_bool(disk_lost) {
                    cluster.storage().lose_disk(machine);
                }
                cluster.restart_machine(machine);
            }
        }
    }));
}
