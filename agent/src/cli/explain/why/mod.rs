//! `tokenwatch explain --why`: why the API server refuses a token of a pod, or will: eight
//! questions, each with the answer of the evidence.

mod life;
mod questions;
mod render;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;
use std::path::Path;

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::engine::{TokenView, Why};
use tokenwatch_core::findings::{Finding, Severity, Subject};
use tokenwatch_core::world::tokens::{Claims, TokenKey, Verdict};

use super::identify::{ExplainError, Known, identify};
use super::input;
use crate::cli::check::{self, CheckError, Checked, Missing};
use crate::cli::output::{Layout, TextOrJson, print, print_error, print_json};
use crate::cli::readers::{self, Asked};
use crate::config::Settings;
use crate::environment::Environment;
use crate::reader_list::{NotAPod, PodName, Reader};
use questions::Beside;

/// Exit status: there is no such token, or nothing could be read.
const NOT_FOUND: u8 = 2;
/// How long to look at readers if no agent answers: the other questions have answers at once.
const LOOK: Delta = Delta::from_secs(1);

/// Why there is nothing to explain.
#[derive(Debug)]
enum WhyError {
    /// No argument names a pod or a file.
    Nothing,
    /// It names neither.
    NotAPod(NotAPod),
    /// No token could be read from the file.
    File(String, ExplainError),
    /// A Secret-based token.
    Legacy,
    /// The node could not be read.
    Check(CheckError),
    /// No token on this node is of this pod.
    NoSuchPod(PodName),
    /// No token on this node is the one in the file.
    NoSuchToken,
}

const LEGACY: &str = "a Secret-based token: kubelet does not write it, and does not replace it";
const NO_SUCH_TOKEN: &str = "no pod on this node has this token in its volume now: kubelet has \
                             replaced it, or it is of another node; `tokenwatch explain` without \
                             --why shows its deadlines";

impl fmt::Display for WhyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("--why needs a pod, or a file that holds a token"),
            Self::NotAPod(error) => write!(f, "{error}, or the path of a file"),
            Self::File(from, error) => write!(f, "{from}: {error}"),
            Self::Legacy => f.write_str(LEGACY),
            Self::Check(error) => error.fmt(f),
            Self::NoSuchPod(pod) => write!(
                f,
                "no pod \"{pod}\" with a token is on this node; `tokenwatch check` lists those \
                 that are"
            ),
            Self::NoSuchToken => f.write_str(NO_SUCH_TOKEN),
        }
    }
}

/// Which tokens somebody asks about.
#[derive(Debug)]
enum About {
    Pod(PodName),
    /// The token with these claims.
    Token(Box<Claims>),
}

/// What there is to say about some tokens.
#[derive(Debug)]
struct Reasons {
    tokens: Vec<Why>,
    /// Findings about what the pod has instead of a token.
    others: Vec<Finding>,
    /// Who reads tokens on this node; none if nobody could be asked.
    readers: Option<Vec<Reader>>,
    missing: Missing,
    at: Wall,
}

/// Explains and prints; the exit status.
pub(super) async fn report(
    settings: &Settings,
    environment: &Environment,
    asked: Option<&Path>,
    output: TextOrJson,
) -> u8 {
    match reasons(settings, environment, asked).await {
        Ok(reasons) => match output {
            TextOrJson::Text => {
                let layout = Layout::for_stdout(environment);
                print(&render::text(&reasons, layout), reasons.exit_code())
            }
            TextOrJson::Json => print_json(&render::json(&reasons), reasons.exit_code()),
        },
        Err(error) => {
            print_error(&error.to_string());
            NOT_FOUND
        }
    }
}

async fn reasons(
    settings: &Settings,
    environment: &Environment,
    asked: Option<&Path>,
) -> Result<Reasons, WhyError> {
    let about = about(asked.ok_or(WhyError::Nothing)?)?;
    let (engine, checked) =
        check::looked(settings, environment, check::LIMIT).await.map_err(WhyError::Check)?;
    let (keys, others) = (about.keys(&checked.tokens), about.others(&checked));
    if keys.is_empty() && others.is_empty() {
        return Err(about.not_found());
    }
    let readers = readers::find(settings, environment, Asked { pod: None, span: LOOK }).await;
    let readers = readers.ok().map(|found| found.list().readers.clone());
    let tokens = keys.iter().filter_map(|key| engine.why(key, &checked.at)).collect();
    let (missing, at) = (checked.missing(), checked.at.wall);
    Ok(Reasons { tokens, others, readers, missing, at })
}

/// A file that exists is a file, and everything else the name of a pod.
fn about(asked: &Path) -> Result<About, WhyError> {
    if asked.exists() || asked.as_os_str() == "-" {
        let (from, bytes) = input::read(Some(asked));
        let token = bytes.map_err(ExplainError::Read).and_then(|bytes| identify(&bytes));
        return match token.map_err(|error| WhyError::File(from.to_string(), error))?.token {
            Known::Bound(claims) => Ok(About::Token(claims)),
            Known::Legacy(_) => Err(WhyError::Legacy),
        };
    }
    let text = asked.to_string_lossy();
    text.parse().map(About::Pod).map_err(WhyError::NotAPod)
}

impl About {
    fn keys(&self, tokens: &[TokenView]) -> Vec<TokenKey> {
        let is_it = |token: &&TokenView| match self {
            Self::Pod(pod) => pod.is_of(&token.pod),
            Self::Token(claims) => token.claims == **claims,
        };
        tokens.iter().filter(is_it).map(|token| token.key.clone()).collect()
    }

    /// The findings about places of the pod where no token can be read.
    fn others(&self, checked: &Checked) -> Vec<Finding> {
        let Self::Pod(pod) = self else { return Vec::new() };
        let is_token = |key: &TokenKey| checked.tokens.iter().any(|token| token.key == *key);
        let is_other = |finding: &&Finding| match &finding.subject {
            Subject::Token { pod: of, .. } => {
                pod.is_of(of) && !finding.subject.token_key().is_some_and(|key| is_token(&key))
            }
            Subject::Node { .. } | Subject::Server { .. } | Subject::File { .. } => false,
        };
        checked.findings.iter().filter(is_other).cloned().collect()
    }

    fn not_found(self) -> WhyError {
        match self {
            Self::Pod(pod) => WhyError::NoSuchPod(pod),
            Self::Token(_) => WhyError::NoSuchToken,
        }
    }
}

impl Reasons {
    /// The readers of one of the tokens.
    fn readers_of(&self, why: &Why) -> Option<Vec<&Reader>> {
        let key = &why.token.key;
        let is_of = |reader: &&Reader| {
            let Reader { pod, volume, path, .. } = reader;
            (&pod.uid, volume, path) == (&key.pod_uid, &key.volume, &key.path)
        };
        Some(self.readers.as_ref()?.iter().filter(is_of).collect())
    }

    fn answers(&self, why: &Why) -> [questions::Answer; 8] {
        let readers = self.readers_of(why);
        let beside = Beside { missing: &self.missing, readers: readers.as_deref(), now: self.at };
        questions::answers(why, beside)
    }

    /// 0 the tokens are live and nothing is wrong with them or the node; 1 something is.
    fn exit_code(&self) -> u8 {
        let is_wrong = |why: &Why| {
            let stale = self.readers_of(why).is_some_and(|all| all.iter().any(|it| it.is_stale()));
            let found = why.findings.iter().any(|finding| finding.severity > Severity::Info);
            why.token.verdict != Verdict::Live || found || stale
        };
        u8::from(!self.others.is_empty() || self.tokens.iter().any(is_wrong))
    }
}
