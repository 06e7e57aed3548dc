//! Runs the demo: the script forwards, what arrives onto the screen, and the end.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokenwatch_core::base::schema;
use tokenwatch_core::base::time::{Delta, Reading};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::drawing::{self, ClockFeed};
use super::paint::{Tone, wrapped};
use super::screen::{Look, Screen};
use super::script::{self, Cue};
use super::stage::{NODE, Stage};
use super::story::Story;
use super::traces::{Trace, Traces};
use crate::clocks;
use tokenwatch_lab::ntp_server::{Dial, NtpServer};
use tokenwatch_lab::received::Received;
use tokenwatch_lab::receiver::Receiver;
use tokenwatch_lab::scratch::Scratch;

/// As many as it takes for one of them to be outvoted, had only one gone wrong.
const TIME_SERVERS: usize = 3;
/// How often the agent asks them. They are on loopback and do not mind.
const CLOCK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the script, the dial and the progress line are looked at: a script in seconds needs no
/// more, an eye no less.
const TICK: Duration = Duration::from_millis(200);
/// The agent flushes within 5 s of being asked to stop; who has not stopped by then hangs.
const AGENT_STOPS: Duration = Duration::from_secs(6);

/// What a person can choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// In which folder to make the temporary one.
    pub temp: PathBuf,
    /// Send to this collector instead of drawing.
    pub otlp_endpoint: Option<String>,
    /// What the output can do.
    pub look: Look,
}

/// What the agent has to be told so that it watches the demo's node and nothing else.
#[derive(Debug)]
pub struct AgentPlan {
    /// The node's name.
    pub node: String,
    /// The kubelet root directory.
    pub root: PathBuf,
    /// The time servers.
    pub ntp: Vec<SocketAddr>,
    /// How often to ask them.
    pub clock_interval: Duration,
    /// The collector: the demo's own (gRPC, no TLS), or the one the person named.
    pub otlp_endpoint: String,
    /// Whether the collector is the demo's own: nothing about it may then be taken from the
    /// environment.
    pub otlp_built_in: bool,
    /// Ends when the agent is to stop.
    pub stop: oneshot::Receiver<()>,
}

/// How the demo ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was shown; or, with a collector of one's own, was sent.
    Complete,
    /// Something promised did not arrive.
    Incomplete,
    /// The person had enough.
    Interrupted,
    /// The agent ended by itself, which it never should, or left something unsent.
    AgentEnded(String),
}

impl Outcome {
    /// The exit status.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Incomplete | Self::AgentEnded(_) => 1,
            Self::Interrupted => 130, // what shells expect after SIGINT: 128 + 2
        }
    }
}

/// Runs the demo on `out` until its end, or until `interrupted`. `agent` runs the real agent by the
/// plan, until `stop` in it. An error is about the demo's own means: the temporary folder, the
/// loopback sockets, the output.
pub async fn demo<Agent>(
    options: Options,
    out: impl Write,
    interrupted: impl Future<Output = ()>,
    agent: impl FnOnce(AgentPlan) -> Agent,
) -> io::Result<Outcome>
where
    Agent: Future<Output = Result<(), String>>,
{
    let scratch = Scratch::new(&options.temp)?;
    let dial = Dial::default();
    let (servers, receiver, inbox) = surroundings(&dial).await?;
    let (stop, stopped) = oneshot::channel();
    let mut show = Show::new(
        Screen::new(out, options.look),
        Stage::new(scratch.path())?,
        dial,
        inbox,
        options.otlp_endpoint.clone(),
    );
    show.opening()?;
    show.wait_for_a_whole_second().await;
    show.forward()?; // the pods that are there already when the agent starts
    let plan = AgentPlan {
        node: NODE.to_owned(),
        root: show.stage.root().to_owned(),
        ntp: servers.iter().map(NtpServer::address).collect(),
        clock_interval: CLOCK_INTERVAL,
        otlp_built_in: options.otlp_endpoint.is_none(),
        otlp_endpoint: options.otlp_endpoint.unwrap_or_else(|| receiver.endpoint()),
        stop: stopped,
    };
    let agent = std::pin::pin!(agent(plan));
    show.run(agent, std::pin::pin!(interrupted), stop).await
}

async fn surroundings(
    dial: &Dial,
) -> io::Result<(Vec<NtpServer>, Receiver, UnboundedReceiver<Received>)> {
    let mut servers = Vec::with_capacity(TIME_SERVERS);
    for _ in 0..TIME_SERVERS {
        servers.push(NtpServer::start(dial.clone(), || clocks::now().wall).await?);
    }
    let (receiver, inbox) = Receiver::start().await?;
    Ok((servers, receiver, inbox))
}

struct Show<W> {
    screen: Screen<W>,
    stage: Stage,
    dial: Dial,
    inbox: UnboundedReceiver<Received>,
    /// Somebody else's collector gets everything: nothing arrives here.
    elsewhere: Option<String>,
    start: Reading,
    ahead: &'static [Cue],
    story: Story,
    traces: Traces,
    clock: ClockFeed,
    drawn: usize,
    measured: usize,
}

impl<W: Write> Show<W> {
    fn new(
        screen: Screen<W>,
        stage: Stage,
        dial: Dial,
        inbox: UnboundedReceiver<Received>,
        elsewhere: Option<String>,
    ) -> Self {
        Self {
            screen,
            stage,
            dial,
            inbox,
            elsewhere,
            start: clocks::now(),
            ahead: script::CUES,
            story: Story::new(),
            traces: Traces::default(),
            clock: ClockFeed::default(),
            drawn: 0,
            measured: 0,
        }
    }

    fn opening(&mut self) -> io::Result<()> {
        let place = match &self.elsewhere {
            Some(endpoint) => format!(
                "What it says goes to {endpoint}; look there for the service tokenwatch on {NODE}."
            ),
            None => "What it says arrives by OTLP at a collector in this process, and is drawn \
                     here."
                .to_owned(),
        };
        let about = "tokenwatch demo: the real agent on a node made up in a temporary folder. It \
                     takes about 80 s, needs no network and no privilege.";
        let title = "tokenwatch demo";
        let rest =
            self.flowing(about).replacen(title, &self.screen.paint().paint(Tone::Strong, title), 1);
        let place = self.flowing(&place);
        self.screen.say(&format!("{rest}{place}"))
    }

    /// Running text in lines that fit.
    fn flowing(&self, text: &str) -> String {
        wrapped(text, self.screen.paint().width).join("\n") + "\n"
    }

    /// Times in tokens are whole seconds: a script that starts on one keeps its promises to the
    /// tenth.
    async fn wait_for_a_whole_second(&mut self) {
        let into = clocks::now().wall.as_nanos().rem_euclid(1_000_000_000);
        tokio::time::sleep(Delta::from_nanos(1_000_000_000 - into).to_std()).await;
        self.start = clocks::now();
    }

    fn elapsed(&self) -> Delta {
        clocks::now().monotonic - self.start.monotonic
    }

    async fn run<Agent>(
        mut self,
        mut agent: Pin<&mut Agent>,
        mut interrupted: Pin<&mut impl Future<Output = ()>>,
        stop: oneshot::Sender<()>,
    ) -> io::Result<Outcome>
    where
        Agent: Future<Output = Result<(), String>>,
    {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let was_interrupted = loop {
            tokio::select! {
                Some(received) = self.inbox.recv() => self.take(received)?,
                _ = ticks.tick() => if self.tick()? { break false },
                ended = &mut agent => return self.agent_ended(ended),
                () = &mut interrupted => break true,
            }
        };
        let _ = stop.send(()); // an agent that is gone already needs no telling
        let stopped = self.until_stopped(agent).await?;
        self.closing(was_interrupted, stopped)
    }

    /// The agent's last words are drawn as well.
    async fn until_stopped<Agent>(
        &mut self,
        mut agent: Pin<&mut Agent>,
    ) -> io::Result<Result<(), String>>
    where
        Agent: Future<Output = Result<(), String>>,
    {
        let mut late = std::pin::pin!(tokio::time::sleep(AGENT_STOPS));
        let ended = loop {
            tokio::select! {
                Some(received) = self.inbox.recv() => self.take(received)?,
                ended = &mut agent => break ended,
                () = &mut late => break Err(format!("the agent did not stop within {} s", AGENT_STOPS.as_secs())),
            }
        };
        while let Ok(received) = self.inbox.try_recv() {
            self.take(received)?;
        }
        let rest = self.traces.rest();
        self.draw(rest).map(|()| ended)
    }

    /// One look at everything; true at the end.
    fn tick(&mut self) -> io::Result<bool> {
        self.forward()?;
        let whole = self.traces.look();
        self.draw(whole)?;
        let elapsed = self.elapsed();
        let (kept, all) = self.story.kept();
        let text = if self.elsewhere.is_some() {
            "sending".to_owned()
        } else {
            format!("{kept} of {all} seen")
        };
        self.screen.status(elapsed, script::GIVES_UP, &text)?;
        Ok(is_over(elapsed, self.elsewhere.is_some(), self.story.is_complete()))
    }

    /// Does what the script says is due, and sets the servers' time.
    fn forward(&mut self) -> io::Result<()> {
        let elapsed = self.elapsed();
        self.dial.set_offset(script::clock_offset(elapsed));
        while let Some((cue, ahead)) = self.ahead.split_first().filter(|(cue, _)| cue.at <= elapsed)
        {
            self.ahead = ahead;
            self.stage.act(cue.act, clocks::now().wall)?;
            if !cue.says.is_empty() {
                self.screen.narrate(cue.at, cue.says)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, received: Received) -> io::Result<()> {
        self.story.see(&received);
        match received {
            Received::Span(span) => self.traces.add(*span),
            Received::Log(log) => self.screen.say(&drawing::alert(&log, self.screen.paint()))?,
            Received::Metrics(_) => {}
        }
        Ok(())
    }

    fn draw(&mut self, whole: Vec<Trace>) -> io::Result<()> {
        let paint = self.screen.paint();
        for trace in whole {
            let drawing = if trace.root.name == schema::SPAN_CLOCK {
                self.measured += 1;
                self.clock.draw(&trace, paint)
            } else {
                Some(drawing::generation(&trace, paint))
            };
            if let Some(drawing) = drawing {
                self.drawn += 1;
                self.screen.say(&drawing)?;
            }
        }
        Ok(())
    }

    fn agent_ended(&mut self, ended: Result<(), String>) -> io::Result<Outcome> {
        let why = ended.err().unwrap_or_else(|| "it stopped without being asked".to_owned());
        self.screen.say(&format!("\nThe agent ended too early: {why}\n"))?;
        Ok(Outcome::AgentEnded(why))
    }

    fn closing(
        &mut self,
        was_interrupted: bool,
        stopped: Result<(), String>,
    ) -> io::Result<Outcome> {
        match (&self.elsewhere, &stopped) {
            (Some(endpoint), Ok(())) => {
                self.flow(&format!(
                    "Everything went to {endpoint}, unless a warning above says otherwise. Tokens \
                     still in use have token.outcome = open."
                ))?;
            }
            (Some(endpoint), Err(why)) => {
                self.flow(&format!("Not everything went to {endpoint}: {why}"))?
            }
            (None, Ok(())) => self.summary(was_interrupted)?,
            (None, Err(why)) => self.flow(&format!("The agent did not end well: {why}"))?,
        }
        Ok(match stopped {
            _ if was_interrupted => Outcome::Interrupted,
            Err(why) => Outcome::AgentEnded(why),
            Ok(()) if self.elsewhere.is_some() || self.story.is_complete() => Outcome::Complete,
            Ok(()) => Outcome::Incomplete,
        })
    }

    fn flow(&mut self, text: &str) -> io::Result<()> {
        let text = self.flowing(text);
        self.screen.say(&format!("\n{text}"))
    }

    fn summary(&mut self, was_interrupted: bool) -> io::Result<()> {
        let (kept, all) = self.story.kept();
        let paint = self.screen.paint();
        let heading = paint.paint(
            Tone::Strong,
            &format!("{kept} of {all} shown in {} s", self.elapsed().as_secs()),
        );
        let unseen = if was_interrupted {
            paint.paint(Tone::Faint, "· not yet:")
        } else {
            paint.paint(Tone::Bad, "✗ did not arrive:")
        };
        let steps = self.story.steps().map(|(says, seen)| {
            let mark = if seen { paint.paint(Tone::Good, "✓") } else { unseen.clone() };
            format!("  {mark} {says}\n")
        });
        let steps: String = steps.collect();
        let arrived = self.flowing(&self.arrived());
        self.screen.say(&format!("\n{heading}\n{steps}{arrived}"))
    }

    fn arrived(&self) -> String {
        let Story { spans, alerts, metrics, .. } = self.story;
        format!(
            "Arrived: {spans} spans ({} traces drawn, {} measurements of the clock, {} tokens \
             still in use); alerts: {alerts}; batches of metrics: {metrics}.",
            self.drawn,
            self.measured,
            self.traces.left_open(),
        )
    }
}

/// Early when everything was seen, late when something may still come; a collector elsewhere cannot
/// be asked what it saw.
fn is_over(elapsed: Delta, elsewhere: bool, complete: bool) -> bool {
    elapsed >= script::GIVES_UP || (elapsed >= script::ENDS && complete && !elsewhere)
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
