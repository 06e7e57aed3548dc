//! What `steps` does in its guest. It sets the clock, and so refuses to run anywhere else.

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

/// A step is told well before the kernel's clock would be looked at anyway, every 64 s: five times
/// in a row by no chance. It takes 0.1 s; the rest is for a busy machine.
const AT_ONCE: i64 = 5_000_000_000;
/// Far longer than anything here takes.
const PATIENCE: i64 = 30_000_000_000;
const SECOND: i64 = 1_000_000_000;

#[test]
#[ignore = "sets the clock: only for the guest that `steps` boots"]
fn scenario() {
    refuse_elsewhere();
    let truth = Truth::now();
    let served = move || Wall::from_nanos(truth.tell());
    let server = TimeServer::start(([127, 0, 0, 1], 123), served).unwrap();
    let tree = Tree::at(Path::new("/tmp"));
    for pod in 0..50 {
        tree.write(pod, 100, 600); // healthy by true time, and expired by the node's clock when that is an hour ahead
    }
    let agent = Agent::start(&tree);
    agent.wait(0, "the clock to be measured", |line| line.contains("clock    synchronised"));

    steps_are_told(&agent, &truth);
    a_slew_is_not_told_but_counted(&agent, &truth, &server);
    a_leap_second_is_told_as_one(&agent, &truth);
    let storm: Vec<_> = agent
        .lines()
        .into_iter()
        .filter(|(_, line)| line.contains(" token.") && !line.contains(" info "))
        .collect();
    assert!(storm.is_empty(), "one wrong clock, and tokens are accused: {storm:?}");
    the_kernels_word_is_heard();
}

fn refuse_elsewhere() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    assert!(
        cpu.contains("User Mode Linux"),
        "this sets the clock: it runs in the guest that tests/cluster/guest boots, and nowhere \
         else"
    );
}

fn steps_are_told(agent: &Agent, truth: &Truth) {
    a_step_is_told(agent, truth, "adjtimex, forward", || step(90 * SECOND));
    a_step_is_told(agent, truth, "settimeofday, back", || set_date(-90));
    a_step_is_told(agent, truth, "settimeofday, forward", || set_date(3_600));
    a_step_is_told(agent, truth, "adjtimex, back by little", || step(-SECOND / 4));
    agent.wait(0, "the offset", |line| line.contains("CRITICAL clock.offset"));
    a_step_is_told(agent, truth, "adjtimex, back to the truth", || step(truth.offset()));
}

fn a_step_is_told(agent: &Agent, truth: &Truth, name: &str, set: impl Fn()) {
    let (before, off, known) = (raw(), truth.offset(), agent.lines().len());
    set();
    let size = off - truth.offset();
    let (told, line) = agent.wait(known, name, |line| line.contains("This node's clock was set "));
    let took = told - before;
    println!(
        "[steps] {name}: {:+.3} s, told {:.0} ms after it was asked for: {}",
        in_secs(size),
        in_secs(took) * 1e3,
        line.trim()
    );
    assert!(took < AT_ONCE, "{name}: told after {took} ns");
    assert!(
        line.contains(if size > 0 { "set forward by" } else { "set back by" }),
        "{name}: {line}"
    );
    let (said, is) = (said_size(&line), in_secs(size).abs());
    assert!(
        (said - is).abs() < if is < 3_600.0 { 0.6 } else { 60.0 },
        "{name}: the clock moved by {size} ns: {line}"
    );
    until("the agent to be ready to tell of another step", secs(10), || {
        (raw() - told > 5 * SECOND).then_some(())
    });
}

/// Ten per cent fast is the kernel's limit (and more than chrony's default): the agent must neither
/// take that for a step, nor age by the clock that is slewed.
fn a_slew_is_not_told_but_counted(agent: &Agent, truth: &Truth, server: &TimeServer) {
    server.set_silent(true);
    let (known, started, off, age) =
        (agent.lines().len(), raw(), truth.offset(), clocks::now().monotonic);
    adjust(&Timex { modes: TICK, tick: 11_000, ..Timex::default() });
    until("the clock to be slewed by 0.8 s", secs(30), || {
        (off - truth.offset() > 8 * SECOND / 10).then_some(())
    });
    adjust(&Timex { modes: TICK, tick: 10_000, ..Timex::default() });
    let (lasted, aged) = (raw() - started, (clocks::now().monotonic - age).as_nanos());
    println!(
        "[steps] slewed by {:.3} s in {:.3} s, in which the agent's clock of age made {:.3} s",
        in_secs(off - truth.offset()),
        in_secs(lasted),
        in_secs(aged)
    );
    assert!(
        (lasted - aged).abs() < SECOND / 20,
        "what measures age was slewed: {aged} of {lasted}"
    );
    let lines = agent.lines().split_off(known);
    assert!(
        !lines.iter().any(|(_, line)| line.contains("clock.stepped")),
        "a slew was told as a step: {lines:?}"
    );
    a_step_is_told(agent, truth, "adjtimex, by little, which has the agent look", || {
        step(SECOND / 5)
    });
    let (_, line) = agent.wait(known, "the slew to be noticed without a server", |line| {
        line.contains("This node's clock is ")
    });
    println!("[steps] without a word from the server: {}", line.trim());
    assert!(line.contains("ahead of true time"), "{line}");
    server.set_silent(false);
    a_step_is_told(agent, truth, "adjtimex, back to the truth", || step(truth.offset()));
}

/// The kernel inserts one for real, at the end of the day, as it does on a node whose time daemon
/// announces it.
fn a_leap_second_is_told_as_one(agent: &Agent, truth: &Truth) {
    const DAY: i64 = 86_400;
    let to_midnight = DAY - wall().div_euclid(SECOND).rem_euclid(DAY);
    let known = agent.lines().len();
    // Setting a clock makes the kernel forget what the daemon said: time and announcement in one
    // call.
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

/// Nothing but the kernel answers for the clock here: its word counts while its own bound is good,
/// and not for a moment longer.
fn the_kernels_word_is_heard() {
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
        "no daemon keeps it: {report:#}"
    );
    adjust(&Timex { modes: STATUS | MAXERROR, status: 0, maxerror: 1_997_000, ..Timex::default() });
    let (code, report) = clock();
    assert_eq!(
        (code, report["source"].as_str()),
        (0, Some("kernel")),
        "a daemon keeps it: {report:#}"
    );
    let bound = report["error_bound"].as_f64().unwrap();
    assert!((1.997..2.0).contains(&bound), "{report:#}");
    until("maxerror to grow beyond what proves anything", secs(30), || {
        (clock().0 == 2).then_some(())
    });
    println!("[steps] the kernel vouched for ±{bound:.4} s, and a few seconds later for nothing");
}

// --- the clocks -------------------------------------------------------------------

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).unwrap();
    time.tv_sec() * SECOND + time.tv_nsec()
}

/// Nobody can set or slew this one.
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

/// What the clock said before anybody touched it, carried on.
#[derive(Clone, Copy)]
struct Truth {
    wall: i64,
    raw: i64,
}

impl Truth {
    fn now() -> Self {
        Self { wall: wall(), raw: raw() }
    }

    fn tell(&self) -> i64 {
        self.wall + raw() - self.raw
    }

    /// True time minus the clock.
    fn offset(&self) -> i64 {
        self.tell() - wall()
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

/// adjtimex(2), number 159 on x86-64, through the one program of every Debian that can call it with
/// privilege; busybox's own lacks most of it.
fn adjust(timex: &Timex) {
    let Timex { modes, maxerror, status, sec, usec, tick } = timex;
    let fields = format!("{modes}, 0, 0, {maxerror}, 0, {status}, 0, 0, 0, {sec}, {usec}, {tick}");
    let code = format!(
        r#"my $timex = pack("i x4 q q q q i x4 q q q q q q x128", {fields}); syscall(159, $timex) >= 0 or die "adjtimex: $!\n""#
    );
    run(Command::new("perl").arg("-e").arg(code));
}

// --- the agent --------------------------------------------------------------------

/// The agent, and each line that it printed with the time when.
struct Agent {
    child: Child,
    lines: Arc<Mutex<Vec<(i64, String)>>>,
}

impl Agent {
    fn start(tree: &Tree) -> Self {
        let mut command = Command::new("tokenwatch");
        command
            .args(["run", "--node", "guest", "--clock-server", "127.0.0.1", "--root"])
            .arg(&tree.root);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<(i64, String)>>> = Arc::default();
        let (out, heard) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                heard.lock().unwrap().push((raw(), line));
            }
        });
        Self { child, lines }
    }

    fn lines(&self) -> Vec<(i64, String)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line after the first `known` that `is_it`.
    fn wait(&self, known: usize, what: &str, is_it: impl Fn(&str) -> bool) -> (i64, String) {
        let end = raw() + PATIENCE;
        loop {
            let lines = self.lines();
            if let Some(found) = lines.iter().skip(known).find(|(_, line)| is_it(line)) {
                return found.clone();
            }
            assert!(raw() < end, "{what} was not told. What was: {lines:#?}");
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
fn said_size(line: &str) -> f64 {
    let said =
        line.split(" by ").nth(1).and_then(|rest| rest.split(" at ").next()).unwrap_or_default();
    let part = |part: &str| {
        let (number, unit) = part.split_at(part.find(|c: char| c.is_ascii_alphabetic())?);
        let scale = [("h", 3_600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)]
            .into_iter()
            .find(|(name, _)| *name == unit)?
            .1;
        Some(number.parse::<f64>().ok()? * scale)
    };
    said.split(' ').map(|word| part(word).unwrap_or_else(|| panic!("no size in: {line}"))).sum()
}
