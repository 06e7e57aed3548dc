//! Pages compared with golden files, and properties of every page.

use tokenwatch_core::findings::{Code, Finding, Severity};
use tokenwatch_core::world::clocks::{ClockState, Estimate};
use tokenwatch_core::world::tokens::Verdict;

use super::sample::{empty, finding, full, token, troubled};
use super::*;
use crate::golden::golden;

/// Largest page of a full node. Browsers fetch it every 5 s over a port-forward.
const PAGE_BYTES: usize = 256 * 1024;

/// The main part: the rest is the same in each page.
fn main_part(page: &str) -> &str {
    page.split("<main").nth(1).unwrap().split("</main>").next().unwrap()
}

/// Every response passes through it, and no part of a page may look like a token.
#[test]
fn nothing_of_a_page_is_redacted() {
    let page = render(&troubled());
    assert_eq!(tokenwatch_core::base::secrecy::redacted(&page), page);
}

#[test]
fn pages_match_the_golden_files() {
    golden("status-empty.html", &format!("<main{}</main>\n", main_part(&render(&empty()))));
    golden("status-troubled.html", &format!("<main{}</main>\n", main_part(&render(&troubled()))));
}

#[test]
fn every_opened_element_is_closed() {
    for status in [empty(), troubled(), full(600)] {
        let page = render(&status);
        let body = page.split("</style>").nth(1).unwrap().split("<script>").next().unwrap();
        for element in [
            "section", "article", "details", "summary", "svg", "div", "p", "ul", "li", "dl", "dd",
            "h2", "h3", "span", "b", "code", "pre", "a", "button", "label", "select", "output",
        ] {
            let opened = body.matches(&format!("<{element}>")).count()
                + body.matches(&format!("<{element} ")).count();
            assert_eq!(opened, body.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</p><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\u{202e}";
    let mut status = troubled();
    let clean = render(&status);
    let mut bad = token("x", 3_300);
    bad.pod.name = Some(hostile.into());
    bad.pod.uid = hostile.into();
    bad.key.pod_uid = hostile.into();
    bad.key.volume = hostile.into();
    bad.claims.audiences = vec![hostile.into(); 5_000];
    let (mut raised, at) = finding(&bad, Code::Expired, Severity::Critical);
    raised.summary = hostile.into();
    raised.remedy.command = Some(hostile.into());
    status.findings.insert(0, (raised, at));
    status.tokens.push(bad);
    status.node = hostile.into();
    status.agent.blind[0].reason = hostile.into();
    status.agent.delivery.last_error = Some(hostile.into());
    status.clock.servers[0].server.host = hostile.into();
    let page = render(&status);
    assert!(page.contains("&lt;script&gt;alert(1)"));
    for (what, count) in [
        ("<script", 1),
        ("<img", 0),
        ("onerror='", 0),
        ("\u{202e}", 0),
        ("<title>", clean.matches("<title>").count()),
    ] {
        // One more server and one more token.
        let allowed = if what == "<title>" { count + 2 } else { count };
        assert!(page.matches(what).count() <= allowed, "{what}");
    }
    assert!(page.len() < clean.len() + 30_000, "{} instead of {}", page.len(), clean.len());
}

#[test]
fn a_full_node_fits_and_the_page_counts_what_it_leaves_out() {
    let page = render(&full(250));
    assert!(page.len() < PAGE_BYTES && page.contains("210 more"), "{} bytes", page.len());
    let mut status = full(2_000);
    status.findings = status
        .tokens
        .iter()
        .map(|token| finding(token, Code::RotationStalled, Severity::Warning))
        .collect();
    let page = render(&status);
    let more: Vec<&str> = page.split("<p>and ").skip(1).map(|rest| &rest[..9]).collect();
    assert!(
        page.len() < PAGE_BYTES && page.contains("and 1500 more"),
        "{} bytes, {more:?}",
        page.len()
    );
}

#[test]
fn a_page_of_tokens_that_are_made_to_be_large_stays_as_small() {
    let mut status = full(600);
    for token in &mut status.tokens {
        token.claims.audiences = vec!["a".repeat(253); 16];
        token.key.path = "p".repeat(1_000);
        token.pod.name = Some("n".repeat(253));
    }
    let large = |token| {
        let (raised, at) = finding(token, Code::RotationStalled, Severity::Warning);
        (Finding { summary: "s".repeat(9_000), ..raised }, at)
    };
    status.findings = status.tokens.iter().map(large).collect();
    let page = render(&status);
    assert!(page.len() < PAGE_BYTES, "{} bytes", page.len());
}

#[test]
fn the_worst_findings_come_first_and_then_the_nearest_deadline() {
    let mut status = full(100);
    let last = status
        .tokens
        .iter()
        .position(|token| token.pod.name.as_deref() == Some("app-0000-7c9f8d6b5-x2k4q"))
        .unwrap();
    status.findings = vec![finding(&status.tokens[last], Code::FutureDated, Severity::Info)];
    let page = render(&status);
    let heads: Vec<&str> = page
        .split("<article class=\"token\" data-ns=\"shop\"><h3>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    assert_eq!(&heads[..2], ["shop/app-0000-7c9f8d6b5-x2k4q", "shop/app-0099-7c9f8d6b5-x2k4q"]);
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let page = render(&troubled());
    let body = page.replace("https://kubernetes.default.svc", ""); // an audience
    for word in ["http://", "https://", "//", "url(", "@import", "src="] {
        let outside = body.split("<script>").next().unwrap();
        assert!(!outside.contains(word), "{word}");
    }
    assert!(policy().starts_with("default-src 'none'") && !policy().contains("unsafe"));
    assert!(!page.contains(" style=") && !page.contains(" onclick="), "the policy forbids it");
}

/// The page shows it once. A token that is late enough stays amber.
#[test]
fn a_clock_that_is_unknown_is_not_amber_on_every_token() {
    let mut status = empty();
    status.tokens = [60, 3_000, 3_300, 3_700].map(|age| token(&format!("app-{age}"), age)).into();
    let classes = |status: &Status| -> Vec<String> {
        let page = render(status);
        let badges = page.split("<span class=\"badge ").skip(1);
        badges.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    assert_eq!(classes(&status), ["critical", "warning", "info", "ok"]);
    let uncertain = |status: &mut Status| {
        status.tokens.iter_mut().for_each(|token| token.verdict = Verdict::Uncertain);
    };
    uncertain(&mut status);
    assert_eq!(classes(&status), ["critical", "warning", "warning", "warning"], "of a known clock");
    let (estimate, state) = (status.clock.estimate, ClockState::Unknown);
    status.clock.estimate = Estimate { assumed: true, state, ..estimate };
    assert_eq!(classes(&status), ["critical", "warning", "quiet", "quiet"]);
    assert_eq!(render(&status).matches("No source confirms this node").count(), 1);
}

#[test]
fn rows_have_the_namespace_that_they_are_in() {
    let mut status = troubled();
    status.tokens[0].pod.namespace = None;
    let page = render(&status);
    let rows = |what: &str| page.matches(what).count();
    assert_eq!(rows("<article class=\"token\" data-ns=\"shop\">"), status.tokens.len() - 1);
    assert_eq!(rows("<article class=\"token\">"), 1, "of no known namespace");
    assert_eq!(rows("<article class=\"finding critical\" data-ns=\"shop\">"), 1);
}

#[test]
fn commands_have_a_button_and_findings_a_runbook() {
    let page = render(&troubled());
    let commands = page.matches("<pre tabindex").count();
    assert_eq!(page.matches("<button type=\"button\" class=\"copy\" hidden>").count(), commands);
    for (finding, _) in troubled().findings {
        assert!(page.contains(&format!("<a href=\"/runbooks/{}\">", finding.code)));
    }
}

#[test]
fn a_node_before_its_first_scan_is_not_reported_as_healthy() {
    let mut status = empty();
    status.agent.sources.clear();
    let page = render(&status);
    assert!(page.contains("First scan in progress") && !page.contains("No findings"));
    assert!(render(&empty()).contains("No findings"));
}
