//! The scenario that `steps` runs in its guest. It sets the clock, so it refuses to run anywhere
//! else.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use tokenwatch::clocks;
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::time_server::TimeServer;

use crate::bed::json;
use crate::process::run;
use crate::tree::Tree;
use crate::wait::{secs, until};

/// Nanoseconds within which a step is reported. The agent also reads the kernel's clock every 64 s,
/// which cannot explain five reports in a row this early. A report takes 0.1 s; the rest is for a
/// busy machine.
const AT_ONCE: i64 = 5_000_000_000;
/// Nanoseconds. Far longer than any wait here takes.
const PATIENCE: i64 = 30_000_000_000;
const SECOND: i64 = 1_000_000_000;

#[test]
#[ignore = "sets the clock: only for the guest that `steps` boots"]
fn scenario() {
    refuse_elsewhere();
    let truth = Truth::now();
    let served = move || Wall::from_nanos(truth.wall_now());
    let servers = [1, 2, 3].map(|nth| TimeServer::start(([127, 0, 0, nth], 123), served).unwrap());
    let tree = Tree::at(Path::new("/tmp"));
    for pod in 0..50 {
        // Valid by true time, expired by the node's clock when that is an hour ahead.
        tree.write(pod, 100, 600);
    }
    let agent = Agent::start(&tree);
    agent.wait(0, "the clock to be measured", |line| line.contains("clock    synchronised"));

    steps_are_reported(&agent, &truth);
    a_slew_changes_the_offset_but_is_no_step(&agent, &truth, &servers);
    a_leap_second_is_reported_as_one(&agent, &truth);
    let storm: Vec<_> = agent
        .lines()
        .into_iter()
        .filter(|(_, line)| line.contains(" token.") && !line.contains(" info "))
        .collect();
    assert!(storm.is_empty(), "findings about tokens because of one wrong clock: {storm:?}");
    the_kernel_confirms_the_clock_within_its_bound();
}

fn refuse_elsewhere() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    assert!(
        cpu.contains("User Mode Linux"),
        "this sets the clock: it runs in the guest that tests/cluster/guest boots, and nowhere \
         else"
    );
}

fn steps_are_reported(agent: &Agent, truth: &Truth) {
    a_step_is_reported(agent, truth, "adjtimex, forward", || step(90 * SECOND));
    a_step_is_reported(agent, truth, "settimeofday, back", || set_date(-90));
    a_step_is_reported(agent, truth, "settimeofday, forward", || set_date(3_600));
    a_step_is_reported(agent, truth, "adjtimex, back by little", || step(-SECOND / 4));
    agent.wait(0, "the offset", |line| line.contains("CRITICAL clock.offset"));
    a_step_is_reported(agent, truth, "adjtimex, back to the truth", || step(truth.offset()));
}

fn a_step_is_reported(agent: &Agent, truth: &Truth, name: &str, set: impl Fn()) {
    let (before, off, known) = (raw(), truth.offset(), agent.lines().len());
    set();
    let size = off - truth.offset();
    let (reported_at, line) =
        agent.wait(known, name, |line| line.contains("This node's clock was set "));
    let took = reported_at - before;
    println!(
        "[steps] {name}: {:+.3} s, reported {:.0} ms after the call: {}",
        in_secs(size),
        in_secs(took) * 1e3,
        line.trim()
    );
    assert!(took < AT_ONCE, "{name}: reported after {took} ns");
    assert!(
        line.contains(if size > 0 { "set forward by" } else { "set back by" }),
        "{name}: {line}"
    );
    let (reported, actual) = (reported_size(&line), in_secs(size).abs());
    assert!(
        (reported - actual).abs() < if actual < 3_600.0 { 0.6 } else { 60.0 },
        "{name}: the clock moved by {size} ns: {line}"
    );
    until("the agent to be ready to report another step", secs(10), || {
        (raw() - reported_at > 5 * SECOND).then_some(())
    });
}

/// The kernel's limit is ten per cent (chrony's default is less). The agent must not report that as
/// a step, and must not measure ages with the slewed clock.
fn a_slew_changes_the_offset_but_is_no_step(agent: &Agent, truth: &Truth, servers: &[TimeServer]) {
    for server in servers {
        server.set_silent(true);
    }
    let (known, started, off, age) =
        (agent.lines().len(), raw(), truth.offset(), clocks::now().monotonic);
    adjust(&Timex { modes: TICK, tick: 11_000, ..Timex::default() });
    until("the clock to be slewed by 0.8 s", secs(30), || {
        (off - truth.offset() > 8 * SECOND / 10).then_some(())
    });
    adjust(&Timex { modes: TICK, tick: 10_000, ..Timex::default() });
    let (lasted, aged) = (raw() - started, (clocks::now().monotonic - age).as_nanos());
    println!(
        "[steps] slewed by {:.3} s in {:.3} s, in which the agent's monotonic clock advanced by \
         {:.3} s",
        in_secs(off - truth.offset()),
        in_secs(lasted),
        in_secs(aged)
    );
    assert!(
        (lasted - aged).abs() < SECOND / 20,
        "the agent's monotonic clock was slewed: {aged} of {lasted}"
    );
    let lines = agent.lines().split_off(known);
    assert!(
        !lines.iter().any(|(_, line)| line.contains("clock.stepped")),
        "a slew was reported as a step: {lines:?}"
    );
    a_step_is_reported(
        agent,
        truth,
        "adjtimex, by little, which makes the agent read the clock",
        || step(SECOND / 5),
    );
    let (_, line) = agent.wait(known, "a report of the slew without a server", |line| {
        line.contains("This node's clock is ")
    });
    println!("[steps] without an answer from the server: {}", line.trim());
    assert!(line.contains("ahead of true time"), "{line}");
    for server in servers {
        server.set_silent(false);
    }
    a_step_is_reported(agent, truth, "adjtimex, back to the truth", || step(truth.offset()));
}

/// The kernel really inserts a leap second at the end of the day, as on a node whose time daemon
/// announces one.
fn a_leap_second_is_reported_as_one(agent: &Agent, truth: &Truth) {
    const DAY: i64 = 86_400;
    let to_midnight = DAY - wall().div_euclid(SECOND).rem_euclid(DAY);
    let known = agent.lines().len();
    // Setting the clock clears the kernel's announcement, so one call sets both.
    adjust(&Timex {
        modes: SETOFFSET | STATUS | MAXERROR,
        status: INSERT,
        maxerror: 1_000,
        sec: to_midnight - 4,
        ..Timex::default()
    });
    agent
        .wait(known, "the jump to the evening", |line| line.contains("This node's clock was set "));
    let (known, off) = (agent.lines().len(), truth.offset());
    let (_, line) = agent.wait(known, "the leap second", |line| line.contains("leap second"));
    println!("[steps] {:+.3} s: {}", in_secs(off - truth.offset()), line.trim());
    assert!((off - truth.offset() + SECOND).abs() < SECOND / 20, "the kernel inserted no second");
}

/// The kernel is the only time source here. It confirms the clock only while its own error bound is
/// small enough.
fn the_kernel_confirms_the_clock_within_its_bound() {
    let clock = || json(Command::new("tokenwatch").args(["clock", "--output", "json"]));
    adjust(&Timex {
        modes: STATUS | MAXERROR,
        status: UNSYNC,
        maxerror: 16_000_000,
        ..Timex::default()
    });
    let (code, report) = clock();
    assert_eq!(
        (code, report["state"].as_str()),
        (2, Some("unknown")),
        "no daemon synchronises the clock: {report:#}"
    );
    adjust(&Timex { modes: STATUS | MAXERROR, status: 0, maxerror: 1_997_000, ..Timex::default() });
    let (code, report) = clock();
    assert_eq!(
        (code, report["source"].as_str()),
        (0, Some("kernel")),
        "a daemon synchronises the clock: {report:#}"
    );
    let bound = report["error_bound"].as_f64().unwrap();
    assert!((1.997..2.0).contains(&bound), "{report:#}");
    until("maxerror to grow beyond the limit", secs(30), || (clock().0 == 2).then_some(()));
    println!(
        "[steps] the kernel confirmed the clock to ±{bound:.4} s, and seconds later no longer"
    );
}

// --- the clocks -------------------------------------------------------------------

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).unwrap();
    time.tv_sec() * SECOND + time.tv_nsec()
}

/// Nanoseconds of `CLOCK_MONOTONIC_RAW`, which can be neither set nor slewed.
fn raw() -> i64 {
    nanos(ClockId::CLOCK_MONOTONIC_RAW)
}

fn wall() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[allow(clippy::cast_precision_loss)]
fn in_secs(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// True time: the wall clock before the test changed it, advanced by the raw clock.
#[derive(Clone, Copy)]
struct Truth {
    wall: i64,
    raw: i64,
}

impl Truth {
    fn now() -> Self {
        Self { wall: wall(), raw: raw() }
    }

    fn wall_now(&self) -> i64 {
        self.wall + raw() - self.raw
    }

    /// True time minus the clock.
    fn offset(&self) -> i64 {
        self.wall_now() - wall()
    }
}

fn set_date(by: i64) {
    let to = (wall() + by * SECOND) / SECOND;
    run(Command::new("date").arg("-s").arg(format!("@{to}")));
}

/// As chrony steps a clock.
fn step(by: i64) {
    let (sec, usec) = (by.div_euclid(SECOND), by.rem_euclid(SECOND) / 1_000);
    adjust(&Timex { modes: SETOFFSET, sec, usec, ..Timex::default() });
}

// From linux/timex.h.
const MAXERROR: i64 = 0x0004;
const STATUS: i64 = 0x0010;
const SETOFFSET: i64 = 0x0100;
const TICK: i64 = 0x4000;
const INSERT: i64 = 0x0010;
const UNSYNC: i64 = 0x0040;

#[derive(Default)]
struct Timex {
    modes: i64,
    maxerror: i64,
    status: i64,
    sec: i64,
    usec: i64,
    tick: i64,
}

/// adjtimex(2), system call 159 on x86-64, through perl, which every Debian has; busybox's
/// `adjtimex` lacks most of it.
fn adjust(timex: &Timex) {
    let Timex { modes, maxerror, status, sec, usec, tick } = timex;
    let fields = format!("{modes}, 0, 0, {maxerror}, 0, {status}, 0, 0, 0, {sec}, {usec}, {tick}");
    let code = format!(
        r#"my $timex = pack("i x4 q q q q i x4 q q q q q q x128", {fields});
        syscall(159, $timex) >= 0 or die "adjtimex: $!\n""#
    );
    run(Command::new("perl").arg("-e").arg(code));
}

// --- the agent --------------------------------------------------------------------

/// The agent, and each line that it printed, with the raw time of its arrival.
struct Agent {
    child: Child,
    lines: Arc<Mutex<Vec<(i64, String)>>>,
}

impl Agent {
    fn start(tree: &Tree) -> Self {
        let mut command = Command::new("tokenwatch");
        command.args(["run", "--node", "guest"]);
        // One server alone would prove no offset.
        for server in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
            command.args(["--clock-server", server]);
        }
        command.arg("--root").arg(&tree.root);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<(i64, String)>>> = Arc::default();
        let (out, sink) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                sink.lock().unwrap().push((raw(), line));
            }
        });
        Self { child, lines }
    }

    fn lines(&self) -> Vec<(i64, String)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line that `is_it`, after the first `known` lines.
    fn wait(&self, known: usize, what: &str, is_it: impl Fn(&str) -> bool) -> (i64, String) {
        let end = raw() + PATIENCE;
        loop {
            let lines = self.lines();
            if let Some(found) = lines.iter().skip(known).find(|(_, line)| is_it(line)) {
                return found.clone();
            }
            assert!(raw() < end, "{what} was not reported, only this: {lines:#?}");
            std::thread::sleep(secs(1) / 20);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// "... was set back by 1m 30s at ...", in seconds.
fn reported_size(line: &str) -> f64 {
    let size =
        line.split(" by ").nth(1).and_then(|rest| rest.split(" at ").next()).unwrap_or_default();
    let part = |part: &str| {
        let (number, unit) = part.split_at(part.find(|c: char| c.is_ascii_alphabetic())?);
        let scale = [("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)]
            .into_iter()
            .find(|(name, _)| *name == unit)?
            .1;
        Some(number.parse::<f64>().ok()? * scale)
    };
    size.split(' ').map(|text| part(text).unwrap_or_else(|| panic!("no size in: {line}"))).sum()
}
