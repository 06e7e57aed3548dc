//! The public incidents, and the scenario that each one has the observations of.

use crate::scenario::Scenario;

/// How many there are in each class. The last one is look-alikes, which are no incidents.
const COUNTS: [(char, usize); 10] = [
    ('A', 49),
    ('B', 19),
    ('C', 27),
    ('D', 9),
    ('E', 26),
    ('F', 14),
    ('G', 11),
    ('H', 8),
    ('I', 8),
    ('J', 9),
];

/// The class of look-alikes.
pub(crate) const LOOK_ALIKES: char = 'J';

/// Why an incident has no scenario, by its name in the table.
pub(crate) const REASONS: [(&str, &str); 5] = [
    (
        "-cause",
        "The report does not show the cause, or names several: it may be any of the scenarios",
    ),
    ("-elsewhere", "What failed is no token on a node with kubelet, nor a copy on its host"),
    (
        "-process",
        "A process keeps what it read from another place than a volume: its memory or environment",
    ),
    ("-secret", "The token was that of a Secret, and no projected one"),
    ("-document", "The report asks for documentation, and nothing failed"),
];

/// One incident, with all reports of it.
pub(crate) struct Incident {
    pub class: char,
    /// The id of a scenario, or of a reason.
    pub place: &'static str,
    /// Where people reported it.
    pub reports: &'static str,
}

/// Every incident, by class.
pub(crate) fn incidents() -> Vec<Incident> {
    let lines = include_str!("public.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(incident).collect()
}

fn incident(line: &'static str) -> Incident {
    let mut parts = line.splitn(3, ' ');
    let mut part = || parts.next().expect("class, place, reports");
    let class = part().chars().next().expect("a class");
    Incident { class, place: part(), reports: part() }
}

/// What is wrong with the table.
pub(crate) fn mistakes(scenarios: &[&Scenario]) -> Vec<String> {
    let all = incidents();
    let counts = COUNTS.into_iter().filter_map(|(class, count)| {
        let found = all.iter().filter(|one| one.class == class).count();
        (found != count).then(|| format!("class {class} has {found} incidents of {count}"))
    });
    let is_known = |place: &str| {
        scenarios.iter().any(|one| one.id == place) || REASONS.iter().any(|(id, _)| *id == place)
    };
    let unknown = all.iter().filter(|one| !is_known(one.place));
    let unknown = unknown.map(|one| format!("{} has no place: {}", one.reports, one.place));
    let mut reports: Vec<&str> = all.iter().map(|one| one.reports).collect();
    reports.sort_unstable();
    let doubles = reports.windows(2).filter(|pair| pair[0] == pair[1]);
    let doubles = doubles.map(|pair| format!("{} is there twice", pair[0]));
    let mut ids: Vec<&str> = scenarios.iter().map(|one| one.id).collect();
    ids.sort_unstable();
    let same = ids.windows(2).filter(|pair| pair[0] == pair[1]);
    let same = same.map(|pair| format!("two scenarios are called {}", pair[0]));
    counts.chain(unknown).chain(doubles).chain(same).collect()
}
