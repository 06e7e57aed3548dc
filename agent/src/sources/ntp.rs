//! NTP exchanges with time servers (RFC 5905).
