//! `tokenwatch findings [CODE]`: what each finding means.

use tokenwatch_core::findings::Code;
use tokenwatch_core::text::shown;

use super::output::{Page, complain, say};
use crate::config::nearest;
use crate::environment::Environment;

/// One code, or the list. Exit 2: no such code.
pub(super) fn report(code: Option<&str>, environment: &Environment) -> u8 {
    let page = Page::for_stdout(environment);
    match code.map(|text| (text, text.parse::<Code>())) {
        None => say(&list(page), 0),
        Some((_, Ok(code))) => say(&told(code, page), 0),
        Some((text, Err(()))) => {
            complain(&unknown(text));
            2
        }
    }
}

fn list(page: Page) -> String {
    let rows = Code::ALL.iter().map(|code| vec![code.as_str().to_owned(), status(*code).to_owned(), code.info().title.to_owned()]);
    let table = page.table(&["CODE", "", "WHAT"], &[40, 10, 60], &rows.collect::<Vec<_>>(), &|_, _, cell| cell);
    format!(
        "{table}\n`tokenwatch findings CODE` says what one means, how it is found, and what to do.\nreserved: nothing looks for it yet.\n"
    )
}

fn status(code: Code) -> &'static str {
    if code.is_reserved() { "reserved" } else { "" }
}

fn told(code: Code, page: Page) -> String {
    let info = code.info();
    let part = |title: &str, text: &str| format!("\n{title}\n{}", page.wrap(text, "  "));
    let reserved = if code.is_reserved() { "\nReserved: nothing looks for it yet.\n" } else { "" };
    format!(
        "{code}: {}\n{reserved}{}{}{}{}",
        info.title,
        part("Meaning", info.meaning),
        part("Found by", info.found_by),
        part("Severity", info.severity),
        part("What to do", info.action)
    )
}

fn unknown(text: &str) -> String {
    // People type the part after the dot: `expired` means `token.expired`.
    let ending = Code::ALL.iter().map(|code| code.as_str()).find(|code| code.split_once('.').is_some_and(|(_, end)| end == text));
    let near = ending.or_else(|| nearest(text, Code::ALL.iter().map(|code| code.as_str())));
    let hint = near.map_or("`tokenwatch findings` lists them all".to_owned(), |near| format!("did you mean {near}?"));
    format!("unknown finding \"{}\": {hint}", shown(text))
}
