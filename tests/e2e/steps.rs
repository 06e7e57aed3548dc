//! A clock that is really set, slewed, and given a leap second. This machine's clock is left alone:
//! `tests/cluster/guest` boots a Linux with a clock of its own, and this very program is run again
//! in there, as `in_the_guest::scenario`.

use std::process::Command;

use tokenwatch::clocks;
use tokenwatch_core::base::time::Delta;

use crate::bed::{repository, tokenwatch};
use crate::process::text;

#[test]
fn a_clock_that_is_set_is_told_at_once_and_one_that_is_slewed_is_not() {
    let mut guest = Command::new(repository().join("tests/cluster/guest"));
    let this = std::env::current_exe().unwrap();
    guest
        .args(["--seconds", "115", "--with"])
        .arg(&this)
        .arg("--with")
        .arg(tokenwatch().get_program())
        .args(["--with", "perl"]);
    guest.arg(this.file_name().unwrap()).args([
        "--ignored",
        "--exact",
        "in_the_guest::scenario",
        "--nocapture",
    ]);
    let wall_minus_boottime = clocks::wall_minus_boottime();
    let output = guest.output().unwrap();
    let moved = (clocks::wall_minus_boottime() - wall_minus_boottime).abs();
    assert!(
        moved < Delta::from_millis(100),
        "this machine's own clock was set meanwhile, by {moved}"
    );
    let console = text(&output.stdout);
    print!("{console}");
    assert!(
        output.status.success(),
        "the guest ended with {}: {}",
        output.status,
        text(&output.stderr)
    );
    assert!(console.contains("1 passed"), "nothing was tested in the guest");
}
