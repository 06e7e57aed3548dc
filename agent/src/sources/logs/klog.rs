//! The header of a line in klog's text form: `E1128 04:17:00.1 1 authentication.go:75] `.

/// The message of a line; none if it has no such header.
pub(in crate::sources) fn after_header(line: &str) -> Option<&str> {
    let (level, rest) = line.split_at_checked(1)?;
    let is_header = "IWEF".contains(level)
        && rest.len() > 4
        && rest.bytes().take(4).all(|byte| byte.is_ascii_digit());
    line.split_once("] ").map(|(_, text)| text).filter(|_| is_header)
}
