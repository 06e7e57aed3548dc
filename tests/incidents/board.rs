//! docs/incidents.md: what the agent reports of each scenario, and when.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::Delta;

use crate::public::{Incident, LOOK_ALIKES, REASONS, incidents};
use crate::scenario::{Expected, Trial};

const PAGE: &str = "docs/incidents.md";
const INTRODUCTION: &str = "\
# Scoreboard: public incidents, and what names them

People have reported many failures of service account tokens in public. `tests/incidents` has each
kind of them as a scenario: a node and its cluster as they really are, what the agent on the node
observes, and what it must report. The scenarios run through the same engine as `tokenwatch replay`,
with an injected clock: hours of a node in some milliseconds. The test writes this page, and fails
where the engine differs from it.

- **incidents**: how many public incidents have the observations of this scenario. Some have none:
  they are variants, or come from the rules of Kubernetes.
- **lead**: the time from the first report with this code and severity to the first 401. That is
  when the first request is refused by the rule of the verifier (for the API server: `exp` and 60 s
  of leeway, by its own clock), or when a client fails for another reason.
- **named**: at any severity, also info, which wakes nobody. The tables have the severity.
- *after*: the agent names it so long after the first 401. Where the API server refuses a token at
  once, as after the replacement of a key, nothing can be named before. A client that exchanges its
  token, as those of AWS and Entra do, may hold a credential for many hours: the agent reports it
  when none can be left.

";

/// The head of the table of sums.
const SUMS: &str = "\
| class | public incidents | named before the first 401 | named with it or later \
| nothing fails: a hint | not named: reason in the tables | no scenario: reason at the end |
|---|---|---|---|---|---|---|
";

/// The classes and what they are about.
const CLASSES: [(char, &str); 10] = [
    ('a', "A reader keeps a token for the API server"),
    ('b', "A reader keeps a token for another service"),
    ('c', "A copy of a token outside of its volume"),
    ('d', "kubelet does not replace a token, or not for the container"),
    ('e', "A clock is wrong"),
    ('f', "The API server does not accept the key or the issuer"),
    ('g', "The objects of the token are other ones, or gone"),
    ('h', "The audience is wrong"),
    ('i', "The file is missing or wrong"),
    ('j', "Look-alikes: no finding above info"),
];

/// What became of a scenario, for the sums.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Before,
    After,
    Hint,
    Not,
    Quiet,
}

/// The scoreboard.
pub(crate) struct Board<'a> {
    results: &'a [Trial],
    incidents: Vec<Incident>,
}

impl<'a> Board<'a> {
    pub(crate) fn new(results: &'a [Trial]) -> Self {
        Self { results, incidents: incidents() }
    }

    /// Fails unless the page states what was measured. UPDATE_GOLDEN=1 writes it.
    pub(crate) fn is_up_to_date(&self) {
        let page = self.page();
        let file = repository().join(PAGE);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), page, "{PAGE}");
    }

    fn page(&self) -> String {
        let tables: String =
            CLASSES.iter().map(|(class, title)| self.table(*class, title)).collect();
        format!("{INTRODUCTION}{}{tables}{}{}", self.sums(), self.public(), self.missing())
    }

    fn count(&self, is_it: impl Fn(&Incident) -> bool) -> usize {
        self.incidents.iter().filter(|one| is_it(one)).count()
    }

    fn outcome_of(&self, id: &str) -> Option<Outcome> {
        self.results.iter().find(|one| one.scenario.id == id).map(outcome)
    }

    fn sums(&self) -> String {
        let incidents = |one: &Incident| one.class != LOOK_ALIKES;
        let classes = CLASSES.iter().map(|(letter, _)| letter.to_ascii_uppercase());
        let rows: String = classes
            .filter(|class| *class != LOOK_ALIKES)
            .map(|class| self.sum(&class.to_string(), |one| one.class == class))
            .collect();
        let look_alikes = || self.results.iter().filter(|one| class(one) == 'j');
        let alarms = look_alikes().filter(|one| !one.false_alarms().is_empty()).count();
        format!(
            "{SUMS}{rows}{}\nFalse alarms: {alarms} of {} look-alikes.\n\n",
            self.sum("all", incidents),
            look_alikes().count()
        )
    }

    /// A row of the sums, of the incidents that `is_it` selects.
    fn sum(&self, name: &str, is_it: impl Fn(&Incident) -> bool) -> String {
        let ends = |outcome| {
            let ends_so = |one: &Incident| self.outcome_of(one.place) == Some(outcome);
            self.count(|one| is_it(one) && ends_so(one))
        };
        let [before, after, hint, not] =
            [Outcome::Before, Outcome::After, Outcome::Hint, Outcome::Not].map(ends);
        let without = self.count(|one| is_it(one) && one.place.starts_with('-'));
        let all = self.count(&is_it);
        format!("| {name} | {all} | {before} | {after} | {hint} | {not} | {without} |\n")
    }

    fn table(&self, letter: char, title: &str) -> String {
        let rows = self.results.iter().filter(|one| class(one) == letter);
        let rows: String = rows.map(|one| self.row(one)).collect();
        format!(
            "## {}: {title}\n\n| scenario | what happened | incidents | finding | lead |\n\
             |---|---|---|---|---|\n{rows}\n",
            letter.to_ascii_uppercase()
        )
    }

    fn row(&self, result: &Trial) -> String {
        let scenario = result.scenario;
        let incidents = self.count(|one| one.place == scenario.id);
        let (finding, lead) = (finding(result), lead(result));
        format!("| {} | {} | {incidents} | {finding} | {lead} |\n", scenario.id, scenario.what)
    }

    /// The incidents of each scenario.
    fn public(&self) -> String {
        let mut text = "## The public incidents of each scenario\n\n".to_owned();
        for result in self.results {
            let id = result.scenario.id;
            let of: Vec<String> = self.reports(id);
            if !of.is_empty() {
                let _ = writeln!(text, "- **{id}**: {}", of.join("; "));
            }
        }
        text + "\n"
    }

    fn reports(&self, place: &str) -> Vec<String> {
        let of_place = self.incidents.iter().filter(|one| one.place == place);
        of_place.map(|one| one.reports.to_owned()).collect()
    }

    /// The incidents without a scenario.
    fn missing(&self) -> String {
        let mut text = "## The public incidents without a scenario\n\n".to_owned();
        for (place, why) in REASONS {
            let of = self.reports(place);
            let _ = writeln!(text, "- {why} ({}): {}", of.len(), of.join("; "));
        }
        text
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn class(result: &Trial) -> char {
    result.scenario.id.chars().next().unwrap_or_default()
}

fn outcome(result: &Trial) -> Outcome {
    match result.scenario.expected {
        Expected::Named { .. } if result.lead().is_some_and(|lead| lead > 0) => Outcome::Before,
        Expected::Named { .. } => Outcome::After,
        Expected::Hint { .. } => Outcome::Hint,
        Expected::NotNamed { .. } => Outcome::Not,
        Expected::Quiet | Expected::FalseAlarm { .. } => Outcome::Quiet,
    }
}

fn finding(result: &Trial) -> String {
    if let Expected::NotNamed { why } = result.scenario.expected {
        return format!("not named: {why}");
    }
    if let Expected::FalseAlarm { code, times, why } = result.scenario.expected {
        let often = if times == 1 { "once".to_owned() } else { format!("{times} times") };
        return format!("**false alarm**, {often}: warning `{}`: {why}", code.as_str());
    }
    let named = result.named();
    named.map_or("-".to_owned(), |one| format!("{} `{}`", one.severity.name(), one.code.as_str()))
}

fn lead(result: &Trial) -> String {
    match result.lead() {
        None => "-".to_owned(),
        Some(0) => "at once".to_owned(),
        Some(lead) if lead < 0 => format!("{} after", Delta::from_millis(-lead)),
        Some(lead) => Delta::from_millis(lead).to_string(),
    }
}
