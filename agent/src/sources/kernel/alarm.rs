//! The kernel's notification that the wall clock was set: a timer that never expires, which the
//! kernel cancels when CLOCK_REALTIME jumps (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// 2200-01-01: a time that no plausible clock reaches.
const NEVER: Duration = Duration::from_hours(2_016_144);
/// Pause after a failed read, so that a descriptor that always fails does not keep a core busy.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Wakes when the wall clock is set.
#[derive(Debug)]
pub(super) struct StepAlarm(AsyncFd<OwnedFd>);

impl StepAlarm {
    /// Must be called within a tokio runtime.
    pub(super) fn set() -> io::Result<Self> {
        let timer = TimerFd::new(
            ClockId::CLOCK_REALTIME,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        let flags =
            TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        timer.set(Expiration::OneShot(TimeSpec::from_duration(NEVER)), flags)?;
        sys::readable(timer.into()).map(Self)
    }

    /// Returns when the clock is set. The alarm stays armed: the kernel keeps a cancelled timer on
    /// the list of those that it notifies.
    pub(super) async fn wait(&self) {
        let read = |timer: &OwnedFd| nix::unistd::read(timer, &mut [0; 8]).map_err(io::Error::from);
        match self.0.async_io(Interest::READABLE, read).await {
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            _ => tokio::time::sleep(AFTER_FAILURE).await,
        }
    }
}
