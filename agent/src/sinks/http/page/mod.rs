//! The status page: one self-contained HTML document about the state of the engine at one moment.
//!
//! Plain functions from [`Status`] to text: no clock, no state. The script only fetches the page
//! again and replaces its main part. A browser without scripts shows the same page, and reloads it.

mod clock;
mod findings;
mod headline;
mod html;
mod lifetime;
mod moment;
mod readers;
mod rows;
pub(super) mod runbook;
mod tokens;
mod visibility;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokenwatch_core::engine::Status;

use html::Text;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

const FOOTER: &str = "<footer><p>All times are UTC, by this node's clock. <a \
                      href=\"/metrics\">/metrics</a> <a href=\"/readyz?verbose\">/readyz</a> <a \
                      href=\"/livez?verbose\">/livez</a></p></footer>\n";

/// The script shows it where there are several namespaces. No update replaces it.
const FILTER: &str = "<p id=\"filter\" hidden><label>Namespace <select id=\"namespace\">\
                      </select></label> <output id=\"hidden-rows\"></output></p>\n";

/// Allows exactly this style and this script, requests to the agent itself, and no frames.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// The Content-Security-Policy of the page.
pub(super) fn policy() -> &'static str {
    &POLICY
}

/// The status page.
pub(super) fn render(status: &Status) -> String {
    let headline = headline::of(status);
    let sections = [
        headline.html(status),
        findings::section(status),
        clock::section(status),
        tokens::section(status),
        visibility::section(status),
    ];
    let (head, body) = (head(headline.mark(), status), body(&sections.concat(), status));
    format!("<!doctype html>\n<html lang=\"en\">\n{head}{body}</html>\n")
}

fn head(mark: &str, status: &Status) -> String {
    format!(
        "<head>\n<meta charset=\"utf-8\">\n<title>{mark} {} · tokenwatch</title>\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta \
         name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" \
         href=\"data:,\">\n<noscript><meta http-equiv=\"refresh\" \
         content=\"10\"></noscript>\n<style>{STYLE}</style>\n</head>\n",
        Text(&status.node)
    )
}

fn body(sections: &str, status: &Status) -> String {
    let (node, version) = (Text(&status.node), env!("CARGO_PKG_VERSION"));
    let at = status.now.wall.rfc3339();
    format!(
        "<body>\n<header><h1>{node}</h1><p id=\"link\" role=\"status\">tokenwatch \
         {version}</p></header>\n{FILTER}<main id=\"main\" \
         data-at=\"{at}\">\n{sections}</main>\n{FOOTER}<script>{SCRIPT}</script>\n</body>\n"
    )
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
