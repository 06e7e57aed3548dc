//! Any list of readers in the reports.

use serde_json::Value;

use super::posture::Posture;
use super::upgrade::Upgrade;
use super::{render, render_posture};
use crate::cli::output::Layout;
use crate::cli::readers::Found;

/// Both reports in each form: for people, and for scripts.
pub(in crate::cli) fn reports(found: &Found) -> (Vec<String>, Vec<Value>) {
    let upgrade = Upgrade::of(found.list());
    let (plain, mut values) = (Layout::plain(), vec![render::json(&upgrade, found)]);
    let mut texts = vec![render::table(&upgrade, found, plain), render::markdown(&upgrade, found)];
    if let Ok(posture) = Posture::of(found.list()) {
        values.push(render_posture::json(&posture, found));
        texts.push(render_posture::table(&posture, found, plain));
        texts.push(render_posture::markdown(&posture, found));
    }
    (texts, values)
}
