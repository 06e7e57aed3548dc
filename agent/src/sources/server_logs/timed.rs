//! Refused requests with their times. A line of klog has neither a year nor a time zone: both
//! follow from when it was written.

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::refusals::{AuditedRefusal, RefusalReason, TimedRefusals};

use crate::sources::logs::time::{LineTime, Local, klog_time, zone};

/// Most lines, and most events, in one report, which comes once a second. With more, requests are
/// refused so fast that few could be joined.
const MAX_LISTED: usize = 256;
/// Bytes of a line up to the end of its time: `E1128 04:17:00.123456 `.
const HEADER: usize = 22;
/// When something is that has no time: always.
const ALWAYS: (Wall, Wall) = (Wall::from_nanos(i64::MIN), Wall::from_nanos(i64::MAX));

/// What was seen since the last report.
#[derive(Debug, Default)]
pub(super) struct Timed {
    /// Of one file, until it is known when that was written.
    pending: Vec<(RefusalReason, LineTime)>,
    /// The last time without a time zone.
    last: Option<Local>,
    done: TimedRefusals,
}

impl Timed {
    /// Takes a line of the server's log.
    pub(super) fn logged(&mut self, reason: RefusalReason, time: Option<LineTime>) {
        match time {
            Some(time) if self.pending.len() < MAX_LISTED => self.pending.push((reason, time)),
            Some(LineTime::At(at)) => self.leave_out((at, at)),
            Some(LineTime::Local(_)) | None => self.leave_out(ALWAYS),
        }
    }

    /// Takes any line: the last one of a file shows the time zone.
    pub(super) fn line(&mut self, line: &[u8]) {
        let is_klog = line.first().is_some_and(|level| b"IWEF".contains(level));
        let header = line.get(..HEADER).filter(|_| is_klog);
        let time = header.and_then(|header| klog_time(std::str::from_utf8(header).ok()?));
        self.last = time.or(self.last);
    }

    /// Takes an audit event.
    pub(super) fn audited(&mut self, refusal: Option<AuditedRefusal>) {
        match refusal {
            Some(refusal) if self.done.audited.len() < MAX_LISTED => {
                self.done.audited.push(refusal);
            }
            Some(refusal) => self.leave_out((refusal.received, refusal.answered)),
            None => self.leave_out(ALWAYS),
        }
    }

    /// The lines so far are those of a file that was last written at `written`, or of an entry with
    /// this time. None: it is not known.
    pub(super) fn settle(&mut self, written: Option<Wall>) {
        let of_zone = self.last.take().zip(written);
        let zone = of_zone.and_then(|(last, written)| zone(last, written));
        for (reason, time) in std::mem::take(&mut self.pending) {
            match (moment(time, zone.zip(written)), self.done.logged.len() < MAX_LISTED) {
                (Some(at), true) => self.done.logged.push((at, reason)),
                (Some(at), false) => self.leave_out((at, at)),
                (None, _) => self.leave_out(ALWAYS),
            }
        }
    }

    fn leave_out(&mut self, (from, until): (Wall, Wall)) {
        let (first, last) = self.done.unlisted.unwrap_or((from, until));
        self.done.unlisted = Some((first.min(from), last.max(until)));
    }

    /// What is to be reported.
    pub(super) fn report(&mut self) -> TimedRefusals {
        self.settle(None);
        std::mem::take(&mut self.done)
    }
}

fn moment(time: LineTime, zone: Option<(Delta, Wall)>) -> Option<Wall> {
    match time {
        LineTime::At(at) => Some(at),
        LineTime::Local(local) => {
            let (zone, written) = zone?;
            local.exact(zone, written)
        }
    }
}
