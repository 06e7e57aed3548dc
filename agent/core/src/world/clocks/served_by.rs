//! The names in the certificates of the API servers behind one address. Each often has a
//! certificate of its own, with its own name beside those that all of them have (kubeadm: the name
//! of its node, and `kubernetes`).

use std::collections::BTreeSet;

/// Names of several API servers that are kept for one clock: some certificates of as many names as
/// the source reports. When there are more, none of them is used.
const MAX_NAMES: usize = 256;

/// The names in the certificates with which the answers came that show one clock: none yet, at
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServedBy {
    /// Those in every one of them.
    common: BTreeSet<String>,
    /// Those in any of them.
    any: BTreeSet<String>,
    /// Whether an answer came without names, or with too many: it may be of any server.
    is_open: bool,
}

impl ServedBy {
    /// An answer with these names came.
    pub(super) fn add(&mut self, names: &[String]) {
        if self.is_open {
            return;
        }
        if self.any.is_empty() {
            self.common = names.iter().cloned().collect();
        }
        self.common.retain(|name| names.contains(name));
        self.any.extend(names.iter().cloned());
        if names.is_empty() || self.any.len() > MAX_NAMES {
            *self = Self { is_open: true, ..Self::default() };
        }
    }

    /// The names that its certificate alone has. None where several servers have this clock, or
    /// where all have the same certificate.
    pub(super) fn apart_from<'a>(&self, others: impl Iterator<Item = &'a Self>) -> Vec<String> {
        let others: Vec<&Self> = others.collect();
        if others.iter().any(|other| other.is_open) {
            return Vec::new();
        }
        let is_own = |name: &&String| !others.iter().any(|other| other.any.contains(*name));
        self.common.iter().filter(is_own).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn served(answers: &[&str]) -> ServedBy {
        let mut served = ServedBy::default();
        for answer in answers {
            served.add(&names(answer));
        }
        served
    }

    #[test]
    fn a_name_that_one_certificate_alone_has_tells_its_server_apart() {
        // (what it is, answers of the clock, answers of the others, its names)
        let table: [(&str, &[&str], &[&str], &str); 9] = [
            ("own name", &["kubernetes cp-2", "kubernetes cp-2"], &["kubernetes cp-1"], "cp-2"),
            ("two right ones", &["k8s cp-3"], &["k8s cp-1", "k8s cp-2", "k8s cp-1"], "cp-3"),
            ("two wrong ones", &["k8s cp-2", "k8s cp-3"], &["k8s cp-1"], ""),
            ("no answer since", &["k8s cp-2"], &[], "cp-2 k8s"),
            ("one certificate", &["k8s"], &["k8s"], ""),
            ("a renewed one", &["k8s cp-2 old", "k8s cp-2 new"], &["k8s cp-1"], "cp-2"),
            ("no names", &["k8s cp-2", ""], &["k8s cp-1"], ""),
            ("others without names", &["k8s cp-2"], &["k8s cp-1", ""], ""),
            ("the other has it too", &["k8s cp-2"], &["k8s cp-1", "k8s cp-2"], ""),
        ];
        for (what, answers, others, expected) in table {
            let own = served(answers).apart_from([served(others)].iter());
            assert_eq!(own, names(expected), "{what}");
        }
    }

    #[test]
    fn too_many_names_are_none() {
        let mut served = ServedBy::default();
        (0..=MAX_NAMES).for_each(|nth| served.add(&["k8s".to_owned(), format!("cp-{nth}")]));
        assert!(served.is_open && served.any.is_empty());
        served.add(&names("k8s cp-2"));
        assert_eq!(served.apart_from(std::iter::empty()), Vec::<String>::new());
    }
}
