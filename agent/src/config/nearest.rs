//! Suggestions for mistyped words.

/// The candidate nearest to `word`; nothing if none is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer word is no typing mistake, and the work is quadratic.
    let word: String = word.chars().take(64).collect();
    let allowed = (word.chars().count() / 3).max(2);
    let scored = candidates.into_iter().map(|candidate| (distance(&word, candidate), candidate));
    scored
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of insertions, deletions, replacements and swaps (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (mut before, mut last) = (Vec::new(), (0..=b.len()).collect::<Vec<usize>>());
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let swapped = if is_swap(&a[..i], &b[..j]) { before[j - 2] + 1 } else { usize::MAX };
            row.push(replaced.min(last[j] + 1).min(row[j - 1] + 1).min(swapped));
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Whether two texts end in the same two characters, in the other order.
fn is_swap(a: &[char], b: &[char]) -> bool {
    match (a, b) {
        ([.., a, b], [.., c, d]) => a == d && b == c,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_are_recognised() {
        assert_eq!(distance("intervall", "interval"), 1);
        assert_eq!(distance("inetrval", "interval"), 1);
        assert_eq!(distance("", "abc"), 3);
        let known = ["servers", "interval", "timeout"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("server", known), Some("servers"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }
}
