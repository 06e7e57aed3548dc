//! Who is asked, and with what.
