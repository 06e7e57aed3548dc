//! Texts that systemd has compressed: those above 512 bytes (journald.conf, Compress=).

use ruzstd::decoding::FrameDecoder;
use zeroize::Zeroizing;

/// Longest text that is read, in bytes. kubelet's errors have up to some 4 kB.
pub(super) const MAX_TEXT: usize = 64 << 10;

/// How a text is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Before systemd 246 where LZ4 is missing. Not read: a decoder of its own would serve few
    /// nodes.
    Xz,
    Lz4,
    Zstd,
}

impl Compression {
    /// By the flags of an object.
    pub(super) fn of(flags: u8) -> Option<Self> {
        match flags {
            0 => Some(Self::None),
            1 => Some(Self::Xz),
            2 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The text; none if it is too long or damaged, or cannot be read.
    pub(super) fn text(self, bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::None => Some(bytes),
            Self::Xz => None,
            Self::Lz4 => lz4(&bytes),
            Self::Zstd => zstd(&bytes),
        }
    }
}

/// A block, after its length without compression in 64 bits.
fn lz4(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (length, block) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    if length > MAX_TEXT {
        return None;
    }
    let mut out = Zeroizing::new(vec![0; length]);
    let written = lz4_flex::block::decompress_into(block, &mut out).ok()?;
    out.truncate(written);
    Some(out)
}

/// One frame.
fn zstd(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_TEXT as u64);
    let mut out = Zeroizing::new(vec![0; MAX_TEXT]);
    let written = decoder.decode_all(bytes, &mut out).ok()?;
    out.truncate(written);
    Some(out)
}
