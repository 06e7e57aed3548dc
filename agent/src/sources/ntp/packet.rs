//! The 48 bytes of an NTPv4 packet (RFC 5905, section 7.3): the request, and the checks that a
//! response must pass.

use tokenwatch_core::base::time::{Delta, Reading, Wall};
use tokenwatch_core::world::clocks::{ExchangeError, HARDWARE_PPM, Leap, Sample};

/// Bytes of a packet without extension fields, which the agent neither sends nor reads.
pub(super) const SIZE: usize = 48;
/// Version 4, mode 3 (client).
const CLIENT: u8 = 4 << 3 | 3;
/// Mode 4.
const SERVER: u8 = 4;
/// Seconds from the NTP epoch (1900) to the Unix epoch.
const UNIX_EPOCH: i64 = 2_208_988_800;
/// 2026-01-01: true time is never earlier, however wrong the node's clock. Server times are read as
/// within 68 years of this or of the node's clock, whichever is later. So a node that boots in 1970
/// gets the right time, before and after the seconds roll over in 2036.
const NOT_BEFORE: Wall = Wall::from_secs(1_767_225_600);
/// Largest root distance of a usable sample: RFC 5905's MAXDIST. A server that may be further off
/// cannot prove a clock wrong within the limits that the agent applies.
pub(super) const MAX_DISTANCE: Delta = Delta::from_millis(1_500);
/// One unit of the short format of root delay and dispersion: the server's rounding error.
const SHORT_UNIT: Delta = Delta::from_nanos(15_259);
/// How far the wall clock may be set or slewed between request and response before the sample is
/// dropped. Smaller moves are added to the bound.
const DISTURBED: Delta = Delta::from_millis(100);
/// How much longer than the whole exchange a server may claim to have held the request: what
/// scheduling explains.
const HELD_TOLERANCE: Delta = Delta::from_millis(1);

/// A request: only a random cookie in the transmit timestamp. It reveals neither the node's clock
/// nor its identity, and only a server that received it can respond.
pub(super) fn request(cookie: u64) -> [u8; SIZE] {
    let mut packet = [0; SIZE];
    packet[0] = CLIENT;
    packet[40..].copy_from_slice(&cookie.to_be_bytes());
    packet
}

/// Whether these bytes are a response to the request with this cookie. Other packets are ignored.
pub(super) fn is_response(packet: &[u8], cookie: u64) -> bool {
    packet.len() >= SIZE && packet[0] & 7 == SERVER && u64_at(packet, 24) == cookie
}

/// The sample that a response (see [`is_response`]) gives, for a request sent at `sent` and
/// received at `received`.
pub(super) fn sample(
    packet: &[u8],
    sent: &Reading,
    received: &Reading,
) -> Result<Sample, ExchangeError> {
    let header = Header::parse(packet).ok_or_else(|| bogus("it is too short"))?;
    header.check()?;
    let elapsed = received.monotonic - sent.monotonic;
    let disturbance = disturbance(sent, received, elapsed)?;
    let delay = header.delay(sent, elapsed, disturbance)?;
    let distance = header.distance(delay, elapsed, disturbance)?;
    Ok(header.sample(header.offset(sent, received), delay, distance, *received))
}

/// How far the wall clock was set or slewed during the exchange.
fn disturbance(sent: &Reading, received: &Reading, elapsed: Delta) -> Result<Delta, ExchangeError> {
    let disturbance = ((received.wall - sent.wall) - elapsed).abs();
    if disturbance > DISTURBED {
        return Err(ExchangeError::ClockStepped);
    }
    Ok(disturbance)
}

const HELD_TOO_LONG: &str = "it claims to have held the request for longer than the exchange took";

fn bogus(reason: &str) -> ExchangeError {
    ExchangeError::InvalidResponse(reason.to_owned())
}

/// An NTP timestamp: seconds since 1900 modulo 2^32, and 2^-32 fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(u64);

impl Stamp {
    /// The time, in the era that is nearest to the node's clock.
    // The format is modulo 2^32.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
    fn near(self, wall: Wall) -> Wall {
        let pivot = wall.max(NOT_BEFORE).as_secs();
        let ahead = ((self.0 >> 32) as u32).wrapping_sub((pivot + UNIX_EPOCH) as u32) as i32;
        let nanos = ((self.0 & 0xffff_ffff) * 1_000_000_000) >> 32;
        Wall::from_secs(pivot + i64::from(ahead)) + Delta::from_nanos(nanos as i64)
    }

    /// Whether it is later than `other`, modulo eras.
    fn is_after(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }
}

/// The values of the leap indicator, two bits.
const LEAPS: [Leap; 4] = [Leap::None, Leap::Insert, Leap::Delete, Leap::Unsynchronised];

/// The fields that are used.
struct Header {
    leap: Leap,
    version: u8,
    stratum: u8,
    precision: i8,
    root_delay: u32,
    root_dispersion: u32,
    reference_id: [u8; 4],
    reference: Stamp,
    received: Stamp,
    transmitted: Stamp,
}

impl Header {
    fn parse(packet: &[u8]) -> Option<Self> {
        (packet.len() >= SIZE).then(|| Self {
            leap: LEAPS[usize::from(packet[0] >> 6)],
            version: packet[0] >> 3 & 7,
            stratum: packet[1],
            precision: packet[3].cast_signed(),
            root_delay: u32_at(packet, 4),
            root_dispersion: u32_at(packet, 8),
            reference_id: u32_at(packet, 12).to_be_bytes(),
            reference: Stamp(u64_at(packet, 16)),
            received: Stamp(u64_at(packet, 32)),
            transmitted: Stamp(u64_at(packet, 40)),
        })
    }

    fn check(&self) -> Result<(), ExchangeError> {
        match self.stratum {
            _ if !(3..=4).contains(&self.version) => Err(bogus("its version is neither 3 nor 4")),
            0 => Err(self.kiss()),
            16.. => Err(ExchangeError::Unsynchronised),
            _ if self.leap == Leap::Unsynchronised => Err(ExchangeError::Unsynchronised),
            _ => self.check_timestamps(),
        }
    }

    fn check_timestamps(&self) -> Result<(), ExchangeError> {
        let (reference, received, transmitted) = (self.reference, self.received, self.transmitted);
        if transmitted.0 == 0 || received.0 == 0 {
            return Err(bogus("its receive or transmit timestamp is zero"));
        }
        if received.is_after(transmitted) {
            return Err(bogus("its transmit timestamp is before its receive timestamp"));
        }
        if reference.0 != 0 && reference.is_after(transmitted) {
            return Err(bogus("its reference timestamp is after its transmit timestamp"));
        }
        Ok(())
    }

    /// The time on the network, both ways: the exchange without the time that the server held the
    /// request.
    fn delay(
        &self,
        sent: &Reading,
        elapsed: Delta,
        disturbance: Delta,
    ) -> Result<Delta, ExchangeError> {
        let held = self.transmitted.near(sent.wall) - self.received.near(sent.wall);
        let delay = elapsed - held;
        if delay < -(HELD_TOLERANCE + disturbance) {
            return Err(bogus(HELD_TOO_LONG));
        }
        Ok(delay.max(Delta::ZERO))
    }

    /// The most that the sample can be wrong.
    fn distance(
        &self,
        delay: Delta,
        elapsed: Delta,
        disturbance: Delta,
    ) -> Result<Delta, ExchangeError> {
        let at_rest = delay.fraction(1, 2) + self.root_distance();
        let distance = at_rest + elapsed.drift(HARDWARE_PPM) + disturbance;
        if distance > MAX_DISTANCE {
            return Err(ExchangeError::RootDistanceExceeded(distance));
        }
        Ok(distance)
    }

    fn offset(&self, sent: &Reading, received: &Reading) -> Delta {
        let out = self.received.near(sent.wall) - sent.wall;
        let back = self.transmitted.near(sent.wall) - received.wall;
        out.fraction(1, 2) + back.fraction(1, 2)
    }

    fn sample(&self, offset: Delta, delay: Delta, distance: Delta, taken: Reading) -> Sample {
        Sample {
            offset,
            delay,
            root_distance: distance,
            stratum: self.stratum,
            leap: self.leap,
            reference_id: self.reference(),
            taken,
        }
    }

    /// Stratum 0: a kiss code instead of a reference (RFC 5905, section 7.4). INIT and STEP mean
    /// "not synchronised yet".
    fn kiss(&self) -> ExchangeError {
        match &self.reference_id {
            b"INIT" | b"STEP" | [0, ..] => ExchangeError::Unsynchronised,
            code => ExchangeError::KissOfDeath(ascii(*code)),
        }
    }

    /// The server's distance from its root, as it reports it.
    fn root_distance(&self) -> Delta {
        short(self.root_delay).fraction(1, 2)
            + short(self.root_dispersion)
            + precision(self.precision)
            + SHORT_UNIT
    }

    /// At stratum 1 the name of the reference clock; above that an IPv4 address, or the hash of an
    /// IPv6 address.
    fn reference(&self) -> String {
        if self.stratum == 1 {
            ascii(self.reference_id)
        } else {
            std::net::Ipv4Addr::from(self.reference_id).to_string()
        }
    }
}

/// 16.16 seconds.
fn short(value: u32) -> Delta {
    Delta::from_nanos((i64::from(value) * 1_000_000_000) >> 16)
}

/// 2^exponent seconds; at most a second (0), at least a nanosecond (-30).
fn precision(exponent: i8) -> Delta {
    Delta::from_nanos(1_000_000_000 >> u32::from(exponent.clamp(-30, 0).unsigned_abs()))
}

fn ascii(bytes: [u8; 4]) -> String {
    let printable = bytes
        .iter()
        .take_while(|byte| **byte != 0)
        .map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' });
    printable.collect()
}

fn u32_at(packet: &[u8], at: usize) -> u32 {
    packet[at..at + 4].iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn u64_at(packet: &[u8], at: usize) -> u64 {
    u64::from(u32_at(packet, at)) << 32 | u64::from(u32_at(packet, at + 4))
}
