//! The kernel's own word that somebody set the clock: a timer that never fires, and is cancelled
//! when CLOCK_REALTIME jumps.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// 2200-01-01: never, for any clock that is set to a time somebody believes.
const NEVER: Duration = Duration::from_hours(2_016_144);
/// Should the descriptor fail for ever, this keeps the caller from spinning.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Rings when the wall clock is set.
#[derive(Debug)]
pub(super) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
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

    /// Until the clock is set. It goes on watching by itself: the kernel keeps a cancelled timer on
    /// the list of those it tells.
    pub(super) async fn rung(&self) {
        let read = |timer: &OwnedFd| nix::unistd::read(timer, &mut [0; 8]).map_err(io::Error::from);
        match self.0.async_io(Interest::READABLE, read).await {
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            _ => tokio::time::sleep(AFTER_FAILURE).await,
        }
    }
}
