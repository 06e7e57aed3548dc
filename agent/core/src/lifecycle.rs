//! One volume's token, generation by generation.
