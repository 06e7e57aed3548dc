//! Runs the demo: plays the script, shows what arrives, and ends.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use tokenwatch_core::base::time::Delta;
use tokenwatch_lab::received::Received;
use tokenwatch_lab::receiver::Receiver;
use tokenwatch_lab::scratch::Scratch;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::arrivals::Arrivals;
use super::closing;
use super::outcome::{Error, Outcome};
use super::plan::{AgentEnd, AgentFault, AgentPlan, Collector, Options};
use super::playback::Playback;
use super::screen::Screen;
use super::script;

/// How often the demo looks at the script, the servers' time and the progress line: the script
/// counts in seconds, and a person sees no difference below this.
const TICK: Duration = Duration::from_millis(200);
/// The agent flushes within 5 s of a request to stop. After this time it hangs.
const AGENT_STOPS: Duration = Duration::from_secs(6);

/// The agent, while it runs.
type Agent<'a> = Pin<&'a mut dyn Future<Output = AgentEnd>>;

/// Runs the demo on `out` until its end, or until `interrupted`. `agent` runs the real agent by the
/// plan, until the plan's `stop`. An error is about the simulated node or the output; what happens
/// to the agent is part of the outcome.
pub async fn demo<Running: Future<Output = AgentEnd>>(
    options: Options,
    out: impl Write,
    interrupted: impl Future<Output = ()>,
    agent: impl FnOnce(AgentPlan) -> Running,
) -> Result<Outcome, Error> {
    let scratch = Scratch::new(&options.temp)?;
    let (receiver, inbox) = Receiver::start().await?;
    let built_in = || Collector::BuiltIn(receiver.endpoint());
    let collector = options.otlp_endpoint.map_or_else(built_in, Collector::Given);
    let playback = Playback::new(scratch.path())?;
    let (stop, stopped) = oneshot::channel();
    let plan = playback.plan(collector.clone(), stopped);
    let mut show = Show::new(Screen::new(out, options.look), playback, inbox, collector);
    show.open().await?;
    show.run(std::pin::pin!(agent(plan)), std::pin::pin!(interrupted), stop).await
}

struct Show<W> {
    screen: Screen<W>,
    playback: Playback,
    inbox: UnboundedReceiver<Received>,
    arrivals: Arrivals,
    collector: Collector,
}

impl<W: Write> Show<W> {
    fn new(
        screen: Screen<W>,
        playback: Playback,
        inbox: UnboundedReceiver<Received>,
        collector: Collector,
    ) -> Self {
        Self { screen, playback, inbox, arrivals: Arrivals::default(), collector }
    }

    /// Prints the opening, and does what the agent has to find when it starts.
    async fn open(&mut self) -> Result<(), Error> {
        self.screen.print(&closing::opening(&self.collector, self.screen.paint()))?;
        self.playback.start_at_whole_second().await;
        self.play()
    }

    async fn run(
        mut self,
        mut agent: Agent<'_>,
        interrupted: Pin<&mut impl Future<Output = ()>>,
        stop: oneshot::Sender<()>,
    ) -> Result<Outcome, Error> {
        let was_interrupted = match self.until_end(agent.as_mut(), interrupted).await? {
            Break::End => false,
            Break::Interrupt => true,
            Break::Agent(ended) => return self.agent_ended(ended),
        };
        let ended = self.until_stopped(agent, stop).await?;
        self.close(was_interrupted, ended)
    }

    async fn until_end(
        &mut self,
        mut agent: Agent<'_>,
        mut interrupted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Break, Error> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                Some(received) = self.inbox.recv() => self.take(received)?,
                _ = ticks.tick() => if self.tick()? { return Ok(Break::End) },
                ended = &mut agent => return Ok(Break::Agent(ended)),
                () = &mut interrupted => return Ok(Break::Interrupt),
            }
        }
    }

    /// Requests the agent to stop. Shows what it sends until then, and what is left after that.
    async fn until_stopped(
        &mut self,
        agent: Agent<'_>,
        stop: oneshot::Sender<()>,
    ) -> Result<AgentEnd, Error> {
        let _ = stop.send(()); // an agent that has stopped needs no request
        let ended = self.while_stopping(agent).await?;
        while let Ok(received) = self.inbox.try_recv() {
            self.take(received)?;
        }
        let rest = self.arrivals.rest(self.screen.paint());
        self.print_all(&rest).map(|()| ended)
    }

    async fn while_stopping(&mut self, mut agent: Agent<'_>) -> Result<AgentEnd, Error> {
        let mut late = std::pin::pin!(tokio::time::sleep(AGENT_STOPS));
        loop {
            tokio::select! {
                Some(received) = self.inbox.recv() => self.take(received)?,
                ended = &mut agent => return Ok(ended),
                () = &mut late => return Ok(Err(AgentFault::StillRunning(AGENT_STOPS))),
            }
        }
    }

    /// Plays the script, draws what is complete and moves the progress line; true at the end.
    fn tick(&mut self) -> Result<bool, Error> {
        self.play()?;
        let complete = self.arrivals.complete(self.screen.paint());
        self.print_all(&complete)?;
        let elapsed = self.playback.elapsed();
        self.screen.status(elapsed, script::GIVES_UP, &self.progress())?;
        Ok(is_over(elapsed, &self.collector, self.arrivals.story().is_complete()))
    }

    fn progress(&self) -> String {
        match &self.collector {
            Collector::BuiltIn(_) => {
                let (kept, all) = self.arrivals.story().kept();
                format!("{kept} of {all} seen")
            }
            Collector::Given(_) => "sending".to_owned(),
        }
    }

    fn play(&mut self) -> Result<(), Error> {
        while let Some(cue) = self.playback.next_due()? {
            if !cue.caption.is_empty() {
                self.screen.narrate(cue.at, cue.caption)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, received: Received) -> Result<(), Error> {
        let shown = self.arrivals.take(received, self.screen.paint());
        self.print_all(shown.as_slice())
    }

    fn print_all(&mut self, entries: &[String]) -> Result<(), Error> {
        entries.iter().try_for_each(|entry| self.screen.print(entry)).map_err(Error::from)
    }

    fn agent_ended(&mut self, ended: AgentEnd) -> Result<Outcome, Error> {
        let fault = ended.err().unwrap_or(AgentFault::Unrequested);
        self.screen.print(&format!("\nThe agent ended unexpectedly: {fault}\n"))?;
        Ok(Outcome::AgentEnded(fault))
    }

    fn close(&mut self, was_interrupted: bool, ended: AgentEnd) -> Result<Outcome, Error> {
        let text = self.closing(was_interrupted, &ended);
        self.screen.print(&format!("\n{text}"))?;
        let is_complete = match self.collector {
            Collector::BuiltIn(_) => self.arrivals.story().is_complete(),
            Collector::Given(_) => true, // the demo cannot see what it received
        };
        Ok(closing::outcome(ended, was_interrupted, is_complete))
    }

    fn closing(&self, was_interrupted: bool, ended: &AgentEnd) -> String {
        let paint = self.screen.paint();
        match (&self.collector, ended) {
            (Collector::Given(endpoint), ended) => closing::sent(endpoint, ended, paint),
            (Collector::BuiltIn(_), Ok(())) => {
                let secs = self.playback.elapsed().as_secs();
                closing::summary(&self.arrivals, secs, was_interrupted, paint)
            }
            (Collector::BuiltIn(_), Err(fault)) => {
                paint.flowing(&format!("The agent did not stop cleanly: {fault}"))
            }
        }
    }
}

/// Why the script is no longer played.
enum Break {
    End,
    Interrupt,
    Agent(AgentEnd),
}

/// Early when everything has arrived, late when something may still arrive. A collector of the
/// user's own cannot report what arrived.
fn is_over(elapsed: Delta, collector: &Collector, is_complete: bool) -> bool {
    let may_end_early = match collector {
        Collector::BuiltIn(_) => is_complete,
        Collector::Given(_) => false,
    };
    elapsed >= script::GIVES_UP || (elapsed >= script::ENDS && may_end_early)
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
